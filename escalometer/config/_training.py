"""The training of adapters: a card's recipe, and the entries of params.yaml."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from escalometer.config._section import CostRatio, Name, Section

#: An adapter's name: a card's, but without dots, by which DVC tells keys of params.yaml apart.
AdapterName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]

#: Small probes are these, and ask one dialogue of so many of the usual.
_SMALL_PROBES = {"held_out_domain", "untrained_ratios", "untrained_wordings"}
_SMALL = 8

#: Settings of a recipe that determine how it is computed, not what is learned.
_COMPUTATION = ("precision", "gradient_checkpointing", "trees_at_a_time")


class Recipe(Section):
    """Hyperparameters of a training; the defaults are the paper's.

    References
    ----------
    arXiv 2604.08588, its fine-tuning section: LoRA r = 64, α = 128 on all linear layers, dropout
    0.05, one epoch, learning rate 5e-5, effective batch 8, length 768, about 7,200 examples.
    """

    rank: int = Field(64, ge=1)  # r of LoRA
    alpha: int = Field(128, ge=1)  # what LoRA's product is scaled by, times r
    dropout: float = Field(0.05, ge=0, lt=1)
    stored_rank: int | None = Field(None, ge=1)  # rank of the stored adapter; null: `rank`
    stored_type: Literal["float32", "bfloat16"] = "float32"  # data type of the stored adapter
    n_layers: int | None = Field(None, ge=1)  # topmost layers that learn; null: all
    learning_rate: float = Field(5e-5, gt=0)
    warmup_share: float = Field(0.03, ge=0, lt=1)  # of the steps
    n_epochs: int = Field(1, ge=1)
    batch_size: int = Field(8, ge=1)  # examples that a step learns from
    max_length: int = Field(768, ge=64)  # tokens of an example; longer ones are left out
    n_examples: int = Field(7200, ge=8)
    n_branches: int = Field(8, ge=1)  # examples that share a beginning
    drill_share: float = Field(0.0, ge=0, lt=1)  # of the examples: the arithmetic by itself
    dpo_learning_rate: float = Field(5e-6, gt=0)
    dpo_beta: float = Field(0.1, gt=0)
    # How it is computed; null and auto: from the device and its free memory.
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # of the base model's weights
    gradient_checkpointing: Literal["auto"] | bool = "auto"  # activations computed twice
    trees_at_a_time: int | None = Field(None, ge=1)  # in one row of a batch

    def record(self) -> dict[str, Any]:
        """Return the settings as they are recorded and hashed.

        Settings of the computation count only where they are not left to the device: a recipe
        without them has the hash that it had before they existed.
        """
        settings = self.model_dump(mode="json")
        defaults = type(self)().model_dump(mode="json")
        same = {key for key in _COMPUTATION if settings[key] == defaults[key]}
        return {key: value for key, value in settings.items() if key not in same}

    @model_validator(mode="after")
    def _stores_at_most_the_trained_rank(self) -> Recipe:
        if self.stored_rank is not None and self.stored_rank > self.rank:
            raise ValueError(f"stored_rank ({self.stored_rank}) must be at most rank ({self.rank})")
        return self


class AdapterParams(Section):
    """Parameters of one adapter: its training data, and the domain held out."""

    model: Name
    holdout: str = "movielens"  # a domain that training never sees
    domains: tuple[str, ...] | None = None  # to train on; null: all but the holdout
    method: Literal["sft", "dpo"] = "sft"
    targets: Literal["chain", "label"] = "chain"  # label: the negative control
    signals: Literal["any", "stated", "none"] = "any"  # percentages 50 to 99, or as stated
    cost_ratios: tuple[CostRatio, ...] | None = None  # null: the paper's six and 2 to 60
    framings: tuple[str, ...] | None = None  # null: all that are trained on
    n_examples: int | None = Field(None, ge=8)  # null: the recipe's
    drill_share: float | None = Field(None, ge=0, lt=1)  # null: the recipe's
    first_answers: Literal["own", "brief"] = "own"  # brief: the marker alone, in drills as well
    shares_prefixes: bool = True
    seed: int | None = Field(None, ge=0)  # of examples, first weights and order; null: params' own

    @model_validator(mode="after")
    def _holds_out_what_it_does_not_train_on(self) -> AdapterParams:
        if self.domains is not None and self.holdout in self.domains:
            raise ValueError(f"{self.holdout} is held out and cannot be trained on")
        return self

    def seed_in(self, params_seed: int) -> int:
        """Return the seed of this training."""
        return params_seed if self.seed is None else self.seed


class ProbeParams(Section):
    """The number of dialogues of each probe, for an adapter and its base model alike.

    They are spread evenly over conditions, cost ratios and wordings; 0 leaves a probe out.
    """

    trained_domains: int = Field(96, ge=0)  # ratios and wordings of the study
    held_out_domain: int = Field(288, ge=0)  # the same, on the domain that training never sees
    untrained_ratios: int = Field(160, ge=0)  # from here on on the held-out domain
    untrained_wordings: int = Field(144, ge=0)
    untrained_percentages: int = Field(96, ge=0)
    no_signal: int = Field(80, ge=0)
    wrong_signal: int = Field(80, ge=0)  # its percentage asks for the other action
    other_percentage: int = Field(80, ge=0)  # of another matter, in the scenario
    ties: int = Field(220, ge=0)  # accuracies at a ratio's threshold, and one point beside it
    n_scenarios: int = Field(4, ge=1)  # different ones of a condition; those of one share turn 1
    small: tuple[AdapterName, ...] = ()  # adapters for which a few of these are enough

    def of(self, name: str) -> ProbeParams:
        """Return the sizes for one adapter: these, or smaller ones if it is among `small`."""
        if name not in self.small:
            return self
        sizes = self.model_dump(exclude={"small", "n_scenarios"})
        few = {key: -(-n // _SMALL) if key in _SMALL_PROBES else 0 for key, n in sizes.items()}
        return ProbeParams(**few, n_scenarios=1)


class TrainParams(Section):
    """Adapters by name, added by `escalometer train`, and the sizes of their probes."""

    adapters: dict[AdapterName, AdapterParams] = Field(default_factory=dict)
    probes: ProbeParams = ProbeParams()
