"""Recommendations at a cost ratio in sentences, for somebody who answers for the risk."""

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
        What to do, as a clause.
    cost, kept : str
        What a decision then costs, with its interval, and the share that people keep.
    next_best, gap : str
        The candidate that comes next, and what it costs more, with its interval.
    is_clear : bool
        True if it is shown to be the best, for these conditions and beyond them.
    sentence, brief : str
        All of it; and without the next best where that is clear.
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
    """Return True if it is not shown that acting costs less than people deciding everything."""
    return row.policy != "always_escalate" and not row.is_shown


def _open_words(row: Recommendation, action: str, outcome: str) -> str:
    bounds = span(row.saves, "cost")
    shown = "without an interval" if bounds == DASH else bounds
    less = more(row.saves.estimate).removeprefix("+")
    return (
        "do not let it act on this evidence. That anything costs less than people taking every "
        f"decision is not shown: the cheapest would be to {action} and saves {less} {shown}"
        f"{outcome}"
    )


def _action(row: Recommendation) -> tuple[str, str]:
    """Return the clauses on what to do and on what it then costs."""
    costs = with_span(row.realized_cost, "cost")
    if row.policy == "always_escalate":
        why = (
            "every other rule costs more"
            if row.is_clear
            else "no rule that lets it act is shown to cost less"
        )
        return (
            f"do not let it act: {why}",
            f". People keep every decision, at a cost of {costs} each.",
        )
    if row.policy == "always_implement":
        why = (
            "every rule that asks people costs more"
            if row.is_clear
            else "no rule that asks people is shown to cost less"
        )
        return (
            f"let it act on every decision: {why}",
            f". A decision costs {costs} escalations and people keep none.",
        )
    name = label(row)
    under = f"as it is ({name})" if row.intervention == "baseline" else f"under {name}"
    rate = row.escalation_rate
    kept = "none" if rate == 0 else f"{share(rate, 0)} of them"
    # Where the next best costs the same, it is that rule, and is named.
    is_same = rate == 0 and row.gap.estimate != 0
    same = " That is the same as letting it act on every decision." if is_same else ""
    return (
        f"let it act {under}",
        f"; a decision costs {costs} escalations and people keep {kept}.{same}",
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
        return f"Not clearly better than {name}: {costs}, without an interval."
    if row.is_clear:
        return f"Next best: {name}, {costs} {bounds}."
    if gap.low <= 0:
        return f"Not clearly better than {name}: {costs} {bounds}."
    beyond = span(Bounds(gap.clustered_low, gap.clustered_high), "cost")
    wide = "of unknown size" if beyond == DASH else beyond
    return (
        f"Better than {name} for these conditions, {costs} {bounds}, but not clearly beyond them: "
        f"{wide}."
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
    was = "intervention was" if n == 1 else "interventions were"
    are = "is" if n == 1 else "are"
    return f"{count(n)} {was} tried under too few of the conditions and {are} left out."
