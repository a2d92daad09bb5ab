"""Sentences on the effects of missing answers and of repeated scenarios on a number."""

from __future__ import annotations

from typing import Protocol

from escalometer.documents import Interval, Profile
from escalometer.documents.profile import Overlap
from escalometer.documents.wording import Bounds, Estimated, count, number, span
from escalometer.reporting.variants import label

#: Shown in place of bounds where some missing answers would leave the number undefined.
UNDONE = "could be undefined"

#: Least ratio of widths at which the interval by scenario is shown next to that by dialogue.
_WIDER = 1.2
#: Least design effect of repeated scenarios that is reported.
_EFFECT = 1.05


class WithBounds(Estimated, Protocol):
    """An interval with bounds for missing answers."""

    @property
    def bound_low(self) -> float | None:
        """Lowest value that the estimate could have had."""

    @property
    def bound_high(self) -> float | None:
        """Highest value that the estimate could have had."""


def moved(
    interval: WithBounds, n_missing: int, unit: str = "share", pattern: str = "{low} to {high}"
) -> str:
    """Return the number's bounds over all possible values of the missing answers.

    Empty if no answer is missing, the number is undefined, or its printed value cannot change;
    `UNDONE` if it could become undefined.

    Parameters
    ----------
    interval : BoundedInterval or another kind with bounds
        The number.
    n_missing : int
        How many dialogues lack an answer.
    unit, pattern
        As in `wording.span`.
    """
    if not n_missing or interval.estimate is None:
        return ""
    bounds = Bounds(interval.bound_low, interval.bound_high)
    if None in bounds:
        return UNDONE
    if {number(end, unit) for end in bounds} == {number(interval.estimate, unit)}:
        return ""
    return span(bounds, unit, pattern)


def moved_words(interval: WithBounds, n_missing: int, unit: str = "share") -> str:
    """Return `moved` as a sentence; empty if `moved` is."""
    bounds = moved(interval, n_missing, unit)
    if bounds in ("", UNDONE):
        return "Missing answers could make it undefined." if bounds else ""
    after = {"share": "%", "points": " points"}.get(unit, "")
    return f"Bounds for missing answers: {bounds}{after}."


def kept_together(interval: Interval, unit: str = "share") -> str:
    """Return the interval that resamples whole scenarios, where it is wider by over a fifth."""
    by_scenario = Bounds(interval.scenario_low, interval.scenario_high)
    width, width_by_scenario = _width(Bounds(interval.low, interval.high)), _width(by_scenario)
    if width is None or width_by_scenario is None or width_by_scenario <= _WIDER * width:
        return ""
    return span(by_scenario, unit)


def _width(bounds: Bounds) -> float | None:
    return None if bounds.low is None or bounds.high is None else bounds.high - bounds.low


def overlap_words(profile: Profile) -> str:
    """Return the loss of precision from repeated scenarios as a sentence; empty if it is small.

    It describes the protocol variant with the largest loss.
    """
    rows = [row for row in profile.overlap if row.n_scenarios]
    if not rows:
        return ""
    row = max(rows, key=_effect)
    shared = f"{count(row.n_overlapping)} of {count(row.n_scenarios)} scenarios"
    if _effect(row) > _EFFECT:
        worth = " and ".join(
            f"{count(min(row.n, round(n_effective)))} independent ones for {words}"
            for n_effective, words in (
                (row.n_effective_accuracy, "accuracies"),
                (row.n_effective_escalation, "escalation rates"),
            )
            if n_effective is not None
        )
        return (
            f"{shared} occur in several dialogues, whose outcomes are correlated: under "
            f"{label(row)}, {count(row.n)} dialogues are worth {worth}."
        )
    if 2 * row.n_overlapping > row.n_scenarios:
        return f"{shared} occur in several dialogues, with little loss of precision."
    return ""


def _effect(row: Overlap) -> float:
    """Return the larger of the row's design effects."""
    return max(row.accuracy_design_effect or 0.0, row.escalation_design_effect or 0.0)
