"""Numbers with their intervals: INTERVAL and FIT of the interface."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from escalometer.documents.document import Document

FitStatus: TypeAlias = Literal["ok", "extrapolated", "unidentified"]

_BoundLow = Annotated[
    float | None,
    Field(
        description="Lowest value that the estimate could have had, had all missing answers gone "
        "one way; null where they could leave it undefined."
    ),
]
_BoundHigh = Annotated[
    float | None,
    Field(description="Highest value that the estimate could have had; null as for `bound_low`."),
]


class Interval(Document):
    """An estimate with its 95% intervals, each of which contains it; null where undefined.

    Shares and accuracies are in [0, 1]; costs are per dialogue, in units of one escalation. How the
    intervals are made: docs/decisions/0019-intervals.md.
    """

    estimate: float | None = Field(description="The number itself.")
    low: float | None = Field(
        description="Lower end for these conditions: Wilson's or Newcombe's interval of shares, "
        "else a bootstrap of dialogues."
    )
    high: float | None = Field(description="Upper end for these conditions.")
    clustered_low: float | None = Field(
        description="Lower end when whole conditions are resampled: for conclusions beyond them."
    )
    clustered_high: float | None = Field(
        description="Upper end when whole conditions are resampled."
    )
    scenario_low: float | None = Field(
        description="Lower end when whole scenarios are resampled; null where it is not recorded "
        "which scenario a dialogue is about."
    )
    scenario_high: float | None = Field(description="Upper end when whole scenarios are resampled.")


class BoundedInterval(Interval):
    """An interval with bounds for missing answers."""

    bound_low: _BoundLow
    bound_high: _BoundHigh


class SelfEstimate(Interval):
    """Self-estimated accuracy: an interval, and how often it was clipped to [0, 1]."""

    n_clipped: int = Field(
        description="Conditions without a signal whose escalation rate the line would place "
        "outside of [0, 1]; their self-estimated accuracy is set to the nearer end."
    )
    bound_low: _BoundLow
    bound_high: _BoundHigh


class Fit(Interval):
    """An implicit threshold: the accuracy at which a fitted line crosses one half.

    Its intervals and those of what is read off the line are Fieller's, by a jackknife. `slope` and
    `intercept` are of the escalation rate (of its log-odds, for the logit) against the predictive
    accuracy.
    """

    slope: float | None = Field(description="Slope of the line; below 0 where it falls.")
    slope_low: float | None = Field(description="Lower end of the slope's 95% interval.")
    slope_high: float | None = Field(description="Upper end of the slope's 95% interval.")
    intercept: float | None = Field(description="Value of the line at accuracy 0.")
    r_squared: float | None = Field(
        description="R² of the plain line, in [0, 1] (for the logit, the deviance that the plain "
        "logit explains)."
    )
    status: FitStatus = Field(
        description="`ok`; `extrapolated`: the threshold lies outside of the accuracies seen; "
        "`unidentified`: the line is not known to fall, and no number is given."
    )


class BoundedFit(Fit):
    """A fit with bounds for missing answers."""

    bound_low: _BoundLow
    bound_high: _BoundHigh


class StudyLine(BoundedFit):
    """The study's plain least-squares line, and the self-estimated accuracy read off it."""

    self_estimated_accuracy: float | None = Field(
        description="Self-estimated accuracy by this line, as the study has it."
    )


class SimpleInterval(Document):
    """An estimate with one 95% interval."""

    estimate: float | None = Field(description="The number itself.")
    low: float | None = Field(description="Lower end.")
    high: float | None = Field(description="Upper end.")
