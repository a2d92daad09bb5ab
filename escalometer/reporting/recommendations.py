"""Recommendations at a cost ratio in sentences."""

from __future__ import annotations

from dataclasses import dataclass

from escalometer.documents import Profile, ScoredVariant
from escalometer.documents.recommendation import Candidate, Recommendation
from escalometer.documents.wording import (
    DASH,
    Bounds,
    count,
    more,
    ratio,
    share,
    span,
    with_span,
)
from escalometer.reporting.conclusions import missing
from escalometer.reporting.missing_answers import moved_words
from escalometer.reporting.variants import label

#: The fixed rules that every intervention is compared with.
_RULES = {"always_escalate": "always escalating", "always_implement": "always implementing"}

#: The key by which a recommended variant is found among the scores.
_KEY = tuple(ScoredVariant.model_fields)


@dataclass(frozen=True)
class Advice:
    """A recommendation in words.

    Attributes
    ----------
    cost_ratio : str
        R.
    action : str
        The recommended action, as a clause.
    cost, kept : str
        Cost per decision with its interval, and the escalation rate.
    next_best, gap : str
        The second cheapest candidate, and its additional cost with its interval.
    is_clear : bool
        True if it is shown to cost least, for these conditions and beyond them.
    sentence, brief : str
        The whole recommendation; and without the second cheapest where the difference is clear.
    """

    cost_ratio: str
    action: str
    cost: str
    kept: str
    next_best: str
    gap: str
    is_clear: bool
    sentence: str
    brief: str


def recommended(profile: Profile) -> list[Advice]:
    """Return one recommendation for each scored cost ratio."""
    return [_advice(profile, row) for row in profile.recommendations]


def recommended_at(profile: Profile, cost_ratio: float) -> Advice | None:
    """Return the recommendation at this cost ratio; None where it was not scored."""
    for row in profile.recommendations:
        if row.cost_ratio == cost_ratio:
            return _advice(profile, row)
    return None


def candidate_name(row: Candidate) -> str:
    """Return the name of a protocol variant or of a fixed rule."""
    return _RULES.get(row.policy) or label(row)


def _advice(profile: Profile, row: Recommendation) -> Advice:
    action, outcome = _action(row)
    words = _open_words(row, action, outcome) if _is_open(row) else f"{action}{outcome}"
    start = f"At R = {ratio(row.cost_ratio)}: {words}"
    rest = _next_words(row)
    parts = [start, rest, _moved(profile, row), _left_out_words(row)]
    return Advice(
        ratio(row.cost_ratio),
        action,
        with_span(row.realized_cost, "cost"),
        share(row.escalation_rate, 0),
        candidate_name(row.next_best),
        with_span(row.gap, "more"),
        row.is_clear,
        " ".join(part for part in parts if part),
        start if row.is_clear else f"{start} {rest}",
    )


def _is_open(row: Recommendation) -> bool:
    """Return True if no saving compared with always escalating is shown."""
    return row.policy != "always_escalate" and not row.is_shown


def _open_words(row: Recommendation, action: str, outcome: str) -> str:
    bounds = span(row.saves, "cost")
    shown = "without an interval" if bounds == DASH else bounds
    less = more(row.saves.estimate).removeprefix("+")
    return (
        "these data do not support autonomous use. No policy is shown to cost less than always "
        f"escalating; the cheapest, to {action}, saves {less} {shown} per decision{outcome}"
    )


def _action(row: Recommendation) -> tuple[str, str]:
    """Return the clauses on the action and on its cost."""
    costs = with_span(row.realized_cost, "cost")
    if row.policy == "always_escalate":
        why = (
            "every other policy costs more"
            if row.is_clear
            else "no policy that implements predictions is shown to cost less"
        )
        return f"escalate every decision: {why}", f". Cost: {costs} per decision."
    if row.policy == "always_implement":
        why = (
            "every policy that escalates costs more"
            if row.is_clear
            else "no policy that escalates is shown to cost less"
        )
        return (
            f"implement every prediction: {why}",
            f". Cost: {costs} escalations per decision; no decisions are escalated.",
        )
    name = label(row)
    rate = row.escalation_rate
    # Where the second cheapest costs the same, it is that policy, and is named.
    is_same = rate == 0 and row.gap.estimate != 0
    same = " This equals implementing every prediction." if is_same else ""
    return (
        f"follow the model under {name}",
        f". Cost: {costs} escalations per decision; escalation rate {share(rate, 0)}.{same}",
    )


def _next_words(row: Recommendation) -> str:
    """Return the sentence on the second cheapest."""
    name, gap = candidate_name(row.next_best), row.gap
    bounds = span(gap, "cost")
    if gap.estimate is None:
        return ""
    if gap.estimate == 0 and {gap.low, gap.high} <= {0, None}:
        return f"{_capital(name)} costs the same."
    costs = f"{more(gap.estimate).removeprefix('+')} more"
    if gap.low is None or gap.high is None:
        return f"Second cheapest: {name}, {costs}, without an interval."
    if row.is_clear:
        return f"Second cheapest: {name}, {costs} {bounds}."
    if gap.low <= 0:
        return f"No difference from {name} is shown: {costs} {bounds}."
    beyond = span(Bounds(gap.clustered_low, gap.clustered_high), "cost")
    wide = "no interval" if beyond == DASH else beyond
    return (
        f"Cheaper than {name} for these conditions ({costs} {bounds}); beyond them no difference "
        f"is shown: {wide}."
    )


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:] if name in _RULES.values() else name


def _moved(profile: Profile, row: Recommendation) -> str:
    """Return the bounds of the cost for missing answers, as a sentence; may be empty."""
    for scores in profile.interventions:
        if row.policy == "model" and all(
            getattr(scores, name) == getattr(row, name) for name in _KEY
        ):
            return moved_words(scores.realized_cost, missing(profile), "cost")
    return ""


def _left_out_words(row: Recommendation) -> str:
    n = row.n_left_out
    if not n:
        return ""
    were = "intervention has" if n == 1 else "interventions have"
    return f"Excluded: {count(n)} {were} too few of the conditions."
