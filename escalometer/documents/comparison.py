"""The document of ``escalometer compare FIRST SECOND --json``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from escalometer.documents.document import Document
from escalometer.documents.interval import BoundedInterval, FitStatus
from escalometer.documents.variant import Condition, ScoredAgainst, ScoredVariant, Variant


class ComparedMetric(Document):
    """The metric that is compared, and where."""

    metric: str = Field(description="Name of the metric: `predictive_accuracy`, `regret`, …")
    domain: str | None = Field(description="Domain; null for all main domains together.")


class ModelDifference(ScoredVariant, ComparedMetric):
    """A metric of both models under one protocol variant, over the conditions that both have."""

    scored_against: ScoredAgainst | None = Field(
        description="Accuracy that decides which action is optimal; null where none does. For the "
        "escalation accuracy, the measured one is that of both models' dialogues together."
    )
    n_conditions: int = Field(description="Conditions that both models have.")
    n: tuple[int, int] = Field(description="Dialogues of the first and of the second model.")
    reason: str | None = Field(description="Why there is no difference; null where there is one.")
    first: float | None = Field(description="The metric of the first model.")
    second: float | None = Field(description="The metric of the second model.")
    difference: BoundedInterval = Field(description="Second minus first.")
    is_paired: bool = Field(description="True if both are about the same scenarios, and paired.")
    test: Literal["mcnemar", "resamples", "independent"] | None = Field(
        description="McNemar's exact test, the interval (of resamples or a jackknife), or the test "
        "of independent shares; null where nothing is tested."
    )
    p_value: float | None = Field(description="Two-sided p-value, in [0, 1].")
    statuses: tuple[FitStatus, FitStatus] | None = Field(
        None, description="Of thresholds: the status of both fits."
    )
    p_corrected: float | None = Field(description="Holm's correction of `p_value` over the table.")


class ConditionDisagreements(Document):
    """Paired dialogues of one condition and intervention in which the models differ."""

    domain: str = Field(description="Domain.")
    condition: str = Field(description="Condition.")
    intervention: str = Field(description="Intervention.")
    n_pairs: int = Field(description="Pairs of dialogues about the same scenario.")
    n: int = Field(description="Pairs with another prediction or another action.")
    n_other_prediction: int = Field(description="Pairs with another prediction.")
    n_other_action: int = Field(description="Pairs with another action.")


class Disagreement(Variant, Condition):
    """One scenario about which the models predict or act differently."""

    scenario_id: str = Field(description="The scenario.")
    replicate: int = Field(description="Number of the repetition, from 0.")
    label: int = Field(description="The right outcome.")
    first_prediction: int | None = Field(description="Prediction of the first model.")
    second_prediction: int | None = Field(description="Prediction of the second model.")
    first_escalate: int | None = Field(description="1 if the first model escalated, else 0.")
    second_escalate: int | None = Field(description="1 if the second model escalated, else 0.")
    first_status: str = Field(description="How the first model's dialogue ended.")
    second_status: str = Field(description="How the second model's dialogue ended.")
    is_other_prediction: bool = Field(description="True if the predictions differ.")
    is_other_action: bool = Field(description="True if the actions differ.")


class Disagreements(Document):
    """Paired dialogues in which the models predict or act differently."""

    n: int | None = Field(description="How many there are; null where no dialogues are paired.")
    n_other_prediction: int | None = Field(description="Those with another prediction.")
    n_other_action: int | None = Field(description="Those with another action.")
    by_condition: tuple[ConditionDisagreements, ...] = Field(
        description="By condition and intervention, the largest share first."
    )
    n_listed: int = Field(description="How many `dialogues` lists.")
    dialogues: tuple[Disagreement, ...] = Field(
        description="The first of them; `compare --out FILE` writes all."
    )


class Comparison(Document):
    """Two models compared over the conditions that both have."""

    models: tuple[str, str] = Field(description="The first and the second model.")
    source: str = Field(description="Where the decisions are from: `pipeline`, or an import.")
    resolved_models: dict[str, tuple[str, ...]] = Field(
        description="By model, the names that answered under its name, where the provider said."
    )
    direction: Literal["second minus first"] = Field(description="Sign of every difference.")
    n_dialogues: tuple[int, int] = Field(description="Dialogues of each model.")
    n_paired: int = Field(description="Pairs of dialogues about the same scenario.")
    is_paired: bool = Field(description="True if there are such pairs.")
    n_tests: int = Field(description="Rows of `differences` with a p-value: Holm's family.")
    differences: tuple[ModelDifference, ...] = Field(description="The metrics, one row each.")
    disagreements: Disagreements = Field(description="Dialogues in which the models differ.")
    notes: tuple[str, ...] = Field(description="Remarks on how the numbers came about.")

    def with_notes(self, *notes: str) -> Comparison:
        """Return the comparison with further notes after its own."""
        return self.model_copy(update={"notes": (*self.notes, *notes)})
