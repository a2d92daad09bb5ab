"""The document of ``escalometer history MODEL --json``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from escalometer.documents.document import Document
from escalometer.documents.interval import SimpleInterval


class HistoryEntry(Document):
    """One evaluation, as it was logged to MLflow; null where it was not logged."""

    run_id: str = Field(description="The run in MLflow.")
    logged_at: str = Field(description="Time of the run, ISO 8601, UTC.")
    model: str = Field(description="The model.")
    resolved_models: str | None = Field(description="Names that answered under the model's name.")
    n_decisions: int | None = Field(description="Dialogues, however they ended.")
    variant: str | None = Field(description="Protocol variant of the next three numbers.")
    threshold: SimpleInterval = Field(description="Implicit threshold, with its 95% interval.")
    predictive_accuracy: float | None = Field(description="Mean over conditions, in [0, 1].")
    escalation_rate: float | None = Field(description="Mean over conditions, in [0, 1].")
    realized_cost: dict[str, float] = Field(
        description="Cost per dialogue, in escalations, by variant and cost ratio."
    )
    cost_usd: float | None = Field(description="Dollars that the dialogues cost.")
    git_commit: str | None = Field(description="Commit of the project.")
    alias: Literal["in-use", "candidate"] | None = Field(
        None, description="Alias of the evaluation's version in MLflow."
    )
    registered_model: str | None = Field(
        None, description="The registered model of that version; null without an alias."
    )
    version: int | None = Field(None, description="Its number; null without an alias.")
    mix: dict[str, str] = Field(
        description="What the numbers depend on besides the model, by name: domains, editions, "
        "conditions, scenarios, prompts, interventions, and settings of params.yaml."
    )
    changes: tuple[str, ...] = Field(
        description="Names in `mix` whose values differ from those of the entry before."
    )
    unknown: tuple[str, ...] = Field(
        description="Names in `mix` that this entry or the one before has and the other lacks."
    )


class History(Document):
    """Evaluations of a model or a family of models over time, the earliest first."""

    name: str = Field(description="The model or the family that was asked for.")
    models: tuple[str, ...] = Field(description="Models of it that were evaluated.")
    entries: tuple[HistoryEntry, ...] = Field(description="The evaluations.")
    warnings: tuple[str, ...] = Field(
        description="Where a change of the mix may explain a change of the numbers."
    )
