"""Parts of a profile on a model's confidence in its prediction."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from escalometer.documents.document import Document
from escalometer.documents.interval import SimpleInterval
from escalometer.documents.variant import ScoredVariant, Variant

Score: TypeAlias = Literal["stated_confidence", "choice_probability"]


class SmoothCalibrationError(SimpleInterval):
    """Smooth calibration error, in [0, 1], with a 95% interval."""

    if_calibrated: float | None = Field(
        description="The error that a calibrated model with these scores would show: noise alone."
    )


class ReliabilityBin(Document):
    """Dialogues whose score lies in one of ten equal bins; only bins that hold dialogues."""

    bin: int = Field(description="Number of the bin, 0 to 9: scores from bin / 10 on.")
    n: int = Field(description="Dialogues.")
    mean_confidence: float = Field(description="Mean score, in [0, 1].")
    accuracy: float = Field(description="Share of right predictions, in [0, 1].")
    accuracy_low: float = Field(description="Lower end of Wilson's 95% interval.")
    accuracy_high: float = Field(description="Upper end of it.")


class Calibration(Variant):
    """Calibration of one score under one protocol variant, over main domains."""

    score: Score = Field(
        description="`stated_confidence` (in words) or `choice_probability` (of the tokens)."
    )
    n: int = Field(description="Dialogues with the score.")
    n_correct: int = Field(description="Right predictions among them.")
    n_clipped: int = Field(description="Scores so near to 0 or 1 that log loss moves them.")
    mean_confidence: float = Field(description="Mean score, in [0, 1].")
    accuracy: float = Field(description="Share of right predictions, in [0, 1].")
    brier: float = Field(description="Brier score, in [0, 1].")
    log_loss: float = Field(description="Log loss in nats.")
    expected_calibration_error: float = Field(
        description="Mean distance of score and accuracy over the bins, in [0, 1]."
    )
    smooth_calibration_error: SmoothCalibrationError = Field(
        description="Smooth calibration error: docs/decisions/0017-relplot.md."
    )
    reliability: tuple[ReliabilityBin, ...] = Field(description="Reliability diagram.")


class ExternalThreshold(ScoredVariant):
    """A recalibrated score cut at τ*, beside the model's own escalation, over main domains.

    Where no map can be fitted, numbers are null and `reason` says why.
    """

    score: Score = Field(description="The score that is recalibrated.")
    optimal_threshold: float | None = Field(None, description="τ*, in [0, 1].")
    n: int = Field(description="Dialogues with the score.")
    n_scenarios: int | None = Field(None, description="Scenarios that they are about.")
    n_escalated: int | None = Field(None, description="Dialogues that the threshold escalates.")
    n_wrong_implemented: int | None = Field(None, description="Wrong predictions it implements.")
    cost: float | None = Field(None, description="Cost per dialogue of the threshold.")
    own_n_escalated: int | None = Field(None, description="Dialogues that the model escalated.")
    own_n_wrong_implemented: int | None = Field(
        None, description="Wrong predictions that the model implemented."
    )
    own_cost: float | None = Field(None, description="Cost per dialogue of the model's actions.")
    always_implement_cost: float | None = Field(
        None, description="Cost per dialogue of implementing everything."
    )
    always_escalate_cost: float | None = Field(
        None, description="Cost per dialogue of escalating everything."
    )
    difference: SimpleInterval | None = Field(
        None,
        description="`own_cost` minus `cost`, clustered by scenario; above 0 where the threshold "
        "costs less.",
    )
    reason: str | None = Field(description="Why there are no numbers; null where there are.")
