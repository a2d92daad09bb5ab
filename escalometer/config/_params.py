"""params.yaml: the parameters of the pipeline."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from escalometer.config._section import CostRatio, Name, Section, Share
from escalometer.config._training import TrainParams

#: The alias of the release in use in MLflow: as `gate.against`, the model that it points to.
IN_USE = "in-use"


class SampleParams(Section):
    """Parameters of sampling: from cases to scenarios."""

    n_per_condition: int = Field(250, ge=1)
    precision: float | None = Field(None, gt=0, lt=0.5)
    n_conditions: int | None = Field(None, ge=2)
    signal_share: Share = 0.5
    train_share: Share = 0.2
    min_signal_cases: int = Field(40, ge=1)
    conditions: Literal["given", "learned", "both"] = "given"
    order: Literal["published", "balanced"] = "published"

    @model_validator(mode="after")
    def _leaves_rows_to_evaluate(self) -> SampleParams:
        if self.signal_share + self.train_share >= 1:
            raise ValueError(
                "signal_share + train_share must be below 1: the remaining cases "
                "are used for evaluation"
            )
        return self


class QueryParams(Section):
    """Parameters of the queries to each model."""

    interventions: tuple[str, ...] = Field(("baseline",), min_length=1)
    cost_ratios: tuple[CostRatio, ...] = (4.0,)
    framings: tuple[Literal["ratio", "dollars", "words", "plain"], ...] = ("ratio",)
    max_tokens: int = Field(256, ge=1)
    force_answer: bool = False
    n_replicates: int = Field(1, ge=1)
    deployer_prompt: str | None = None  # a file in prompts/


#: Where cells are asked side by side.
Runner = Literal["processes", "dask", "ray"]


class AskParams(Section):
    """Limits of requests, and where they are sent from.

    None of them changes an answer, so no stage depends on them.
    """

    max_cost_usd: float | None = Field(None, gt=0)
    max_requests: int | None = Field(None, ge=1)
    allow_unpriced: bool = False
    use_batches: bool = False
    runner: Runner = "processes"
    cluster: str | None = Field(None, min_length=1)  # null: one is started on this machine
    n_workers: int | None = Field(None, ge=1)  # null: as many as suit the machine or the cluster


class AnalyzeParams(Section):
    """Parameters of scoring."""

    cost_ratios: tuple[CostRatio, ...] = Field((4.0,), min_length=1)
    human_error_rate: float = Field(0.0, ge=0, lt=1)
    n_bootstrap: int = Field(2000, ge=100)

    @property
    def headline_ratio(self) -> float:
        """The cost ratio of headlines: the study's 4 where it is scored, else the first."""
        return 4.0 if 4.0 in self.cost_ratios else self.cost_ratios[0]


class MinEffectParams(Section):
    """Tolerance of a regression from the release in use, by metric; null: not compared."""

    realized_cost: float | None = Field(0.05, ge=0)
    regret: float | None = Field(0.05, ge=0)
    threshold_distance: float | None = Field(0.05, ge=0)
    predictive_accuracy: float | None = Field(0.03, ge=0)
    share_answered: float | None = Field(0.01, ge=0)
    escalation_accuracy: float | None = Field(None, ge=0)
    calibration_bias_size: float | None = Field(None, ge=0)


class GateParams(Section):
    """The rules that a release must satisfy; a rule that is null is off."""

    cost_ratio: CostRatio = 4.0
    against: str | None = None  # a model, or IN_USE
    intervention: str = "baseline"
    reasoning_effort: str | None = None
    framing: str | None = None
    scored_against: Literal["predictive_accuracy", "signal_accuracy"] = "predictive_accuracy"
    min_dialogues: int = Field(200, ge=1)
    max_regret: float | None = Field(0.15, ge=0)
    max_threshold_distance: float | None = Field(0.1, gt=0, le=1)
    min_parse_rate: Share | None = 0.95
    policy: str | None = None  # the file of the policy in use
    min_audited: int = Field(100, ge=1)
    alpha: Share = 0.05
    min_effect: MinEffectParams = MinEffectParams()

    @model_validator(mode="after")
    def _has_a_rule(self) -> GateParams:
        limits = (self.max_regret, self.max_threshold_distance, self.min_parse_rate)
        if all(limit is None for limit in limits):
            raise ValueError(
                "gate needs at least one limit: set max_regret, max_threshold_distance or "
                "min_parse_rate"
            )
        return self


class TrackParams(Section):
    """Parameters of the record in MLflow."""

    n_traces: int = Field(12, ge=0)
    registered_model: str = Field("decision-maker", pattern=r"^\w[\w. -]*$")


class PolicyParams(Section):
    """Parameters of exported policies."""

    valid_days: int = Field(90, ge=1, le=3650)
    audit_rate: float = Field(0.05, ge=0, lt=1)


class WatchParams(Section):
    """Patterns of `escalometer models watch`, and when it warns."""

    patterns: tuple[str, ...] = ()
    warn_days: int = Field(90, ge=1)


class CanaryParams(Section):
    """Parameters of `escalometer store canary`; a panel keeps those that it was begun with.

    With fewer than 20 first answers, drift that begins right after them might never be reported.
    """

    n_prompts: int = Field(40, ge=1)
    n_baseline: int = Field(30, ge=20)
    baseline_days: int = Field(1, ge=1)
    alpha: Share = 0.05

    @model_validator(mode="after")
    def _asks_every_day(self) -> CanaryParams:
        if self.baseline_days > self.n_baseline:
            raise ValueError("baseline_days must be at most n_baseline")
        return self


class Params(Section):
    """params.yaml."""

    seed: int = Field(ge=0)
    models: tuple[Name, ...] = Field(min_length=1)
    domains: tuple[str, ...] = Field(min_length=1)
    sample: SampleParams = SampleParams()
    query: QueryParams = QueryParams()
    ask: AskParams = AskParams()
    analyze: AnalyzeParams = AnalyzeParams()
    gate: GateParams = GateParams()
    policy: PolicyParams = PolicyParams()
    track: TrackParams = TrackParams()
    train: TrainParams = TrainParams()
    watch: WatchParams = WatchParams()
    canary: CanaryParams = CanaryParams()

    @field_validator("models", "domains")
    @classmethod
    def _no_name_twice(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("duplicate name")
        return names
