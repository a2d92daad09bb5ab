"""What missing answers could have made of a number, and what repeated scenarios make of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from escalometer.documents.wording import count, estimate, span
from escalometer.reporting.variants import label

#: In the place of bounds where some way of answering leaves the number undefined.
UNDONE = "could undo it"

#: From here on an interval by scenario says something that the one by dialogue does not.
_WIDER = 1.2
#: From here on dialogues about the same scenario are worth fewer of their own.
_EFFECT = 1.05


def moved(
    interval: Mapping[str, Any] | None,
    n_missing: int | None,
    unit: str = "share",
    pattern: str = "{low} to {high}",
) -> str:
    """Return the number's bounds if missing answers had all gone one way.

    Empty where nothing is missing, the number is undefined, or no way changes what is printed of
    it; `UNDONE` where one of the ways leaves it undefined.

    Parameters
    ----------
    interval : mapping or None
        With ``bound_low`` and ``bound_high``; an older profile has neither.
    n_missing : int or None
        How many dialogues lack an answer.
    unit, pattern
        As in `wording.span`.
    """
    if not n_missing or not interval or interval.get("estimate") is None:
        return ""
    if "bound_low" not in interval:
        return ""
    ends = [interval["bound_low"], interval["bound_high"]]
    if None in ends:
        return UNDONE
    if {estimate({"estimate": end}, unit) for end in ends} == {estimate(interval, unit)}:
        return ""
    return span(interval, unit, "bound_", pattern)


def moved_words(interval: Mapping[str, Any] | None, n_missing: int, unit: str = "share") -> str:
    """Return `moved` as a sentence, or nothing."""
    bounds = moved(interval, n_missing, unit)
    if bounds in ("", UNDONE):
        return "Missing answers could undo it." if bounds else ""
    after = {"share": " %", "points": " points"}.get(unit, "")
    return f"If missing answers had all gone one way: {bounds}{after}."


def kept_together(interval: Mapping[str, Any] | None, unit: str = "share") -> str:
    """Return the interval that keeps scenarios together, where it is wider by over a fifth."""
    widths = []
    for prefix in ("", "scenario_"):
        low, high = ((interval or {}).get(f"{prefix}{end}") for end in ("low", "high"))
        if low is None or high is None:
            return ""
        widths.append(high - low)
    return span(interval, unit, "scenario_") if widths[1] > _WIDER * widths[0] else ""


def overlap_words(profile: Mapping[str, Any]) -> str:
    """Return what it costs that dialogues are about the same scenarios; nothing where it is little.

    It is said of the intervention that loses most.
    """
    rows = [row for row in profile.get("overlap") or [] if row["n_scenarios"]]
    if not rows:
        return ""
    row = max(rows, key=_effect)
    shared = f"{count(row['n_overlapping'])} of {count(row['n_scenarios'])} scenarios"
    if _effect(row) > _EFFECT:
        worth = " and ".join(
            f"{count(min(row['n'], round(row[f'n_effective_{name}'])))} for {words}"
            for name, words in (("accuracy", "accuracies"), ("escalation", "escalation rates"))
            if row.get(f"n_effective_{name}") is not None
        )
        return (
            f"{shared} were asked about more than once, and dialogues about the same scenario are "
            f"alike: under {label(row)} the {count(row['n'])} are worth {worth}."
        )
    if 2 * row["n_overlapping"] > row["n_scenarios"]:
        return f"{shared} were asked about more than once; that costs next to no precision."
    return ""


def _effect(row: Mapping[str, Any]) -> float:
    names = ("accuracy_design_effect", "escalation_design_effect")
    return max([0.0, *(float(row[name]) for name in names if row.get(name) is not None)])
