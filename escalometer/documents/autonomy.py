"""The autonomy map: where the evidence allows that a model acts."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from escalometer.documents.document import Document

Autonomy: TypeAlias = Literal["act", "escalate", "not_enough_evidence"]


class ConditionAutonomy(Document):
    """The evidence of one condition, compared with the optimal threshold."""

    domain: str = Field(description="Domain.")
    condition: str = Field(description="Name of the condition within its domain.")
    n: int = Field(description="Dialogues with a prediction and an action.")
    n_right: int = Field(description="Those of them whose prediction matches the label.")
    lower: float = Field(
        description="Exact one-sided 95% lower bound of the predictive accuracy, in [0, 1]."
    )
    upper: float = Field(description="Exact one-sided 95% upper bound of it.")
    autonomy: Autonomy = Field(
        description="`act`: the lower bound is at least the optimal threshold; `escalate`: the "
        "upper bound is below it; `not_enough_evidence` otherwise."
    )
    n_more: int | None = Field(
        description="Further dialogues that decide between act and escalate with a probability of "
        "80% if the accuracy is the measured one; null where it is decided, or where the measured "
        "accuracy is the threshold itself."
    )


class AutonomyMap(Document):
    """The autonomy map of one protocol variant at one cost ratio.

    Each bound holds for its condition alone: of 20 conditions that are exactly as accurate as the
    threshold, one is classified wrongly on average.
    """

    cost_ratio: float = Field(description="Cost ratio R.")
    optimal_threshold: float = Field(description="Optimal threshold τ* at R.")
    intervention: str = Field(description="Intervention of the dialogues.")
    conditions: tuple[ConditionAutonomy, ...] = Field(description="One row per condition.")
