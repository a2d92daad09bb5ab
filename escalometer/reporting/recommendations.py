"""What to do at a cost ratio, in sentences for somebody who answers for the risk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from escalometer.documents.wording import DASH, count, more, ratio, share, span, with_span
from escalometer.reporting.conclusions import missing
from escalometer.reporting.missing_answers import moved_words
from escalometer.reporting.variants import VARIANT, label, states_cost

#: The fixed rules that every intervention is held against.
_RULES = {"always_escalate": "always escalating", "always_implement": "always implementing"}


@dataclass(frozen=True)
class Recommendation:
    """What costs least at a cost ratio.

    Attributes
    ----------
    cost_ratio : str
        R.
    advice : str
        What to do, as a clause.
    cost, kept : str
        What a decision then costs, with its interval, and the share that people keep.
    next_best, gap : str
        The candidate that comes next, and what it costs more, with its interval.
    is_clear : bool
        Whether it is shown to be the best, for these conditions and beyond them.
    sentence, brief : str
        All of it; and without the next best where that is clear.
    """

    cost_ratio: str
    advice: str
    cost: str
    kept: str
    next_best: str
    gap: str
    is_clear: bool
    sentence: str
    brief: str


def recommended(profile: Mapping[str, Any]) -> list[Recommendation]:
    """Return one recommendation a scored cost ratio; none from an older profile."""
    return [_recommendation(profile, row) for row in profile.get("recommendations") or []]


def recommended_at(profile: Mapping[str, Any], cost_ratio: float) -> Recommendation | None:
    """Return what is recommended at this cost ratio, None where that is not known."""
    for row in profile.get("recommendations") or []:
        if row["cost_ratio"] == cost_ratio:
            return _recommendation(profile, row)
    return None


def candidate(row: Mapping[str, Any]) -> str:
    """Return the name of an intervention or of a fixed rule."""
    return _RULES.get(row["policy"]) or label(row)


def _recommendation(profile: Mapping[str, Any], row: Mapping[str, Any]) -> Recommendation:
    advice, outcome = _advice(row)
    start = f"At R = {ratio(row['cost_ratio'])}: {advice}{outcome}"
    rest = _next_words(row)
    if _is_open(row):
        start = f"At R = {ratio(row['cost_ratio'])}: {_open_words(row, advice, outcome)}"
    said = [start, rest, _moved(profile, row), _left_out_words(row)]
    return Recommendation(
        ratio(row["cost_ratio"]),
        advice,
        with_span(row["realized_cost"], "cost"),
        share(row["escalation_rate"], 0),
        candidate(row["next_best"]),
        with_span(row["gap"], "more"),
        bool(row["is_clear"]),
        " ".join(part for part in said if part),
        start if row["is_clear"] else f"{start} {rest}",
    )


def _is_open(row: Mapping[str, Any]) -> bool:
    """Return whether it is open that acting costs less than people taking every decision."""
    return row["policy"] != "always_escalate" and not row.get("is_shown", True)


def _open_words(row: Mapping[str, Any], advice: str, outcome: str) -> str:
    bounds = span(row["saves"], "cost")
    shown = "without an interval" if bounds == DASH else bounds
    less = more(row["saves"]["estimate"]).removeprefix("+")
    return (
        "do not let it act on this evidence. That anything costs less than people taking every "
        f"decision is not shown: the cheapest would be to {advice} and saves {less} {shown}"
        f"{outcome}"
    )


def _advice(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return what to do, and what comes of it."""
    costs = with_span(row["realized_cost"], "cost")
    is_clear, gap = row["is_clear"], (row["gap"] or {}).get("estimate")
    if row["policy"] == "always_escalate":
        why = (
            "every other rule costs more"
            if is_clear
            else "no rule that lets it act is shown to cost less"
        )
        return (
            f"do not let it act: {why}",
            f". People keep every decision, at a cost of {costs} each.",
        )
    if row["policy"] == "always_implement":
        why = (
            "every rule that asks people costs more"
            if is_clear
            else "no rule that asks people is shown to cost less"
        )
        return (
            f"let it act on every decision: {why}",
            f". A decision costs {costs} escalations and people keep none.",
        )
    name = label(row)
    under = f"as it is ({name})" if row["intervention"] == "baseline" else f"under {name}"
    rate = row["escalation_rate"]
    kept = "none" if rate == 0 else f"{share(rate, 0)} of them"
    same = " That is the same as letting it act on every decision." if rate == 0 else ""
    same = "" if gap == 0 else same  # the next best says so
    return (
        f"let it act {under}",
        f"; a decision costs {costs} escalations and people keep {kept}.{same}",
    )


def _next_words(row: Mapping[str, Any]) -> str:
    """Return how the next best compares."""
    name, gap = candidate(row["next_best"]), row["gap"] or {}
    bounds = span(gap, "cost")
    if gap.get("estimate") is None:
        return ""
    if gap["estimate"] == 0 and {gap.get("low"), gap.get("high")} <= {0, None}:
        return f"{_capital(name)} costs the same."
    costs = f"{more(gap['estimate']).removeprefix('+')} more"
    if bounds == DASH:
        return f"Not clearly better than {name}: {costs}, without an interval."
    if row["is_clear"]:
        return f"Next best: {name}, {costs} {bounds}."
    if gap["low"] <= 0:
        return f"Not clearly better than {name}: {costs} {bounds}."
    beyond = span(gap, "cost", "clustered_")
    wide = "of unknown size" if beyond == DASH else beyond
    return (
        f"Better than {name} for these conditions, {costs} {bounds}, but not clearly beyond them: "
        f"{wide}."
    )


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:] if name in _RULES.values() else name


def _moved(profile: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """Return what missing answers could have made of the cost."""
    for other in profile["interventions"]:
        if (
            row["policy"] == "model"
            and other["cost_ratio"] == row["cost_ratio"]
            and states_cost(other) == states_cost(row)
            and all(other.get(name) == row.get(name) for name in VARIANT)
        ):
            return moved_words(other.get("realized_cost"), missing(profile), "cost")
    return ""


def _left_out_words(row: Mapping[str, Any]) -> str:
    n = row.get("n_left_out") or 0
    if not n:
        return ""
    was = "intervention was" if n == 1 else "interventions were"
    are = "is" if n == 1 else "are"
    return f"{count(n)} {was} tried under too few of the conditions and {are} left out."
