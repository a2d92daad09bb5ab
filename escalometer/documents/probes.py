"""The document probes.json: an adapter beside its base model."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from escalometer.documents.document import Document

Role: TypeAlias = Literal["base", "tuned"]


class ProbeScore(Document):
    """Escalation accuracy of one model in one probe."""

    estimate: float | None = Field(description="Share of optimal actions, in [0, 1].")
    low: float | None = Field(description="Lower end of Wilson's 95% interval.")
    high: float | None = Field(description="Upper end of it.")
    n_right: int = Field(description="Dialogues with the optimal action.")
    n_unparsed: int = Field(description="Dialogues in which no action could be read.")
    n_forced: int = Field(description="Answers that were closed for the model.")
    mistakes: dict[str, int] = Field(
        description="First wrong step of the chain of thought, by kind, most frequent first."
    )


class Probe(Document):
    """One probe of both models, by what decides which action is optimal."""

    probe: str = Field(description="Name of the probe: `trained_domains`, `held_out_domain`, …")
    scored_against: Literal["signal", "domain"] = Field(
        description="The accuracy that decides: the one stated, or the condition's."
    )
    n: int = Field(description="Dialogues of each model.")
    n_scenarios: int = Field(description="Scenarios that they are about.")
    always_escalate: float = Field(
        description="Escalation accuracy of escalating in every dialogue, in [0, 1]."
    )
    always_implement: float = Field(
        description="Escalation accuracy of implementing every prediction, in [0, 1]."
    )
    base: ProbeScore = Field(description="The base model.")
    tuned: ProbeScore = Field(description="The base model with the adapter.")


class GridCell(Document):
    """Escalation accuracy by domain, condition, cost ratio and wording; null keys are pooled."""

    model_role: Role = Field(description="`base` or `tuned`.")
    domain: str | None = Field(description="Domain.")
    condition: str | None = Field(description="Condition.")
    cost_ratio: float | None = Field(description="Cost ratio R.")
    framing: str | None = Field(description="Wording of the cost.")
    n: int = Field(description="Dialogues.")
    n_right: int = Field(description="Dialogues with the optimal action.")
    n_unparsed: int = Field(description="Dialogues in which no action could be read.")
    escalation_accuracy: float = Field(description="Share of optimal actions, in [0, 1].")
    escalation_accuracy_low: float = Field(description="Lower end of Wilson's 95% interval.")
    escalation_accuracy_high: float = Field(description="Upper end of it.")
    always_escalate: float = Field(description="Accuracy of escalating in every dialogue.")
    always_implement: float = Field(description="Accuracy of implementing every prediction.")


class PredictionRow(Document):
    """Predictions of turn 1 before and after training; each first turn counts once."""

    domain: str | None = Field(description="Domain; null for all together.")
    n: int = Field(description="First turns.")
    n_base_right: int = Field(description="Right predictions of the base model.")
    n_tuned_right: int = Field(description="Right predictions of the tuned model.")
    n_base_unparsed: int = Field(description="Predictions of the base model that are unread.")
    n_tuned_unparsed: int = Field(description="Predictions of the tuned model that are unread.")
    n_alike: int = Field(description="First turns in which both predict the same.")
    base_accuracy: float = Field(description="Predictive accuracy of the base model, in [0, 1].")
    base_accuracy_low: float = Field(description="Lower end of Wilson's 95% interval.")
    base_accuracy_high: float = Field(description="Upper end of it.")
    tuned_accuracy: float = Field(description="Predictive accuracy of the tuned model, in [0, 1].")
    tuned_accuracy_low: float = Field(description="Lower end of Wilson's 95% interval.")
    tuned_accuracy_high: float = Field(description="Upper end of it.")
    alike: float = Field(description="Share of first turns in which both predict the same.")
    alike_low: float = Field(description="Lower end of Wilson's 95% interval.")
    alike_high: float = Field(description="Upper end of it.")


class PublishedModel(Document):
    """Published result of fine-tuning one model."""

    model: str = Field(description="Name of the model.")
    overall: float | None = Field(description="Escalation accuracy over all cells, in [0, 1].")
    held_out: float | None = Field(description="The same on the held-out domain.")
    said: str | None = Field(description="The publication's words, where it gives no number.")


class Published(Document):
    """Fine-tuning as published, for comparison."""

    source: str = Field(description="The publication.")
    recipe: str = Field(description="How the models were trained.")
    holdout: str = Field(description="The domain held out of training.")
    without_signal: float = Field(description="Escalation accuracy without a signal, in [0, 1].")
    rows: tuple[PublishedModel, ...] = Field(description="The models.")


class Probes(Document):
    """An adapter beside its base model, in the same dialogues."""

    adapter: str = Field(description="Name of the adapter.")
    base: str = Field(description="Card of the base model.")
    holdout: str = Field(description="Domain that training never saw.")
    domains: tuple[str, ...] = Field(description="Domains of training.")
    method: str = Field(description="Method of training: `sft` or `dpo`.")
    targets: str = Field(description="What the adapter was trained to write.")
    base_max_tokens: int = Field(description="Token budget of an answer of the base model.")
    tuned_max_tokens: int = Field(description="Token budget of an answer of the tuned model.")
    probes: tuple[Probe, ...] = Field(description="The probes, in the order of the report.")
    grid: tuple[GridCell, ...] = Field(
        description="The probes that leave scenario and signal as the data has them, by cell."
    )
    predictions: tuple[PredictionRow, ...] = Field(description="Turn 1, before and after.")
    published: Published = Field(description="Fine-tuning as published.")
