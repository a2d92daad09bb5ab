"""The model that costs least at each cost ratio, of several beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from escalometer.documents import Interval, Profile
from escalometer.documents.recommendation import Recommendation
from escalometer.documents.wording import count, ratio, share, with_span
from escalometer.reporting.recommendations import candidate_name

#: Domain with its edition, condition and the accuracy that its signal states.
Place: TypeAlias = tuple[str, str, float]


class Ranked(NamedTuple):
    """A model's recommendation at one cost ratio."""

    profile: Profile
    recommendation: Recommendation


Groups: TypeAlias = dict[frozenset[Place], list[Ranked]]


@dataclass(frozen=True)
class RankingRow:
    """The model that costs least at one cost ratio among those with the same conditions, in words.

    Attributes
    ----------
    cost_ratio : float
        R.
    model : str, optional
        The model; None where people should take every decision.
    action, cost, kept : str
        What to do, what a decision then costs, and the share that people keep.
    next_best, next_cost : str, optional
        The second cheapest model, and what a decision costs with it; None without a model.
    verdict : str
        Whether the first is shown to cost less.
    models : str
        The models that are compared.
    n_conditions : int
        Conditions that they are compared on.
    """

    cost_ratio: float
    model: str | None
    action: str
    cost: str
    kept: str
    next_best: str | None
    next_cost: str | None
    verdict: str
    models: str
    n_conditions: int


@dataclass(frozen=True)
class Ranking:
    """Models beside each other: a row for each cost ratio, and remarks on what is not compared."""

    rows: list[RankingRow]
    notes: list[str]


def across_models(profiles: Sequence[Profile]) -> Ranking | None:
    """Return the cheapest model at each cost ratio, among those that are comparable.

    Models are compared only where their recommendations were measured on the very same conditions.
    None where no two models have a recommendation at one cost ratio.
    """
    by_ratio: dict[float, list[Ranked]] = {}
    for profile in profiles:
        for row in profile.recommendations:
            by_ratio.setdefault(row.cost_ratio, []).append(Ranked(profile, row))
    several = {at: ranked for at, ranked in sorted(by_ratio.items()) if len(ranked) > 1}
    if not several:
        return None
    rows: list[RankingRow] = []
    notes: dict[str, list[str]] = {}
    for at, ranked in several.items():
        groups: Groups = {}
        for one in ranked:
            groups.setdefault(_conditions(one), []).append(one)
        rows += [_cheapest(at, places, group) for places, group in groups.items() if len(group) > 1]
        if len(groups) > 1:
            notes.setdefault(_other_conditions(groups), []).append(ratio(at))
    return Ranking(
        rows,
        [
            note if len(where) == len(several) else f"At R = {', '.join(where)}: {note}"
            for note, where in notes.items()
        ],
    )


def _conditions(ranked: Ranked) -> frozenset[Place]:
    """Return the conditions that a recommendation holds for."""
    editions = ranked.profile.editions
    return frozenset(
        (f"{domain} {editions.get(domain, '')}", condition, accuracy)
        for domain, condition, accuracy in ranked.recommendation.conditions
    )


def _cheapest(cost_ratio: float, places: frozenset[Place], group: Sequence[Ranked]) -> RankingRow:
    """Return the cheapest of the models with the same conditions."""
    first, second = sorted(group, key=_cost)[:2]
    best, other = first.recommendation, second.recommendation
    is_nobody = best.policy == "always_escalate"
    return RankingRow(
        cost_ratio=cost_ratio,
        model=None if is_nobody else first.profile.model,
        action="always escalate" if is_nobody else candidate_name(best),
        cost=with_span(best.realized_cost, "cost"),
        kept=share(best.escalation_rate, 0),
        next_best=None if is_nobody else _name(second),
        next_cost=None if is_nobody else with_span(other.realized_cost, "cost"),
        verdict=_verdict(best.realized_cost, other.realized_cost, is_nobody)
        if best.is_shown
        else "no: no saving compared with always escalating is shown",
        models=", ".join(sorted(ranked.profile.model for ranked in group)),
        n_conditions=len(places),
    )


def _cost(ranked: Ranked) -> float:
    cost = ranked.recommendation.realized_cost.estimate
    return float("inf") if cost is None else cost


def _name(ranked: Ranked) -> str:
    if ranked.recommendation.policy == "always_escalate":
        return "always escalate"
    return f"{ranked.profile.model}, {candidate_name(ranked.recommendation)}"


def _verdict(best: Interval, other: Interval, is_nobody: bool) -> str:
    if is_nobody:
        return "no model costs less"
    if best.high is None or other.low is None:
        return "unknown: no interval"
    return (
        "yes: the intervals do not overlap"
        if best.high < other.low
        else "no: the intervals overlap"
    )


def _other_conditions(groups: Mapping[frozenset[Place], Sequence[Ranked]]) -> str:
    """Return the sentence on models that cannot be compared."""
    listed = [
        f"{', '.join(sorted(ranked.profile.model for ranked in group))} "
        f"({count(len(places))} conditions)"
        for places, group in groups.items()
    ]
    return f"Not compared, because their conditions differ: {'; '.join(listed)}."
