"""For a cost ratio: which intervention, or which fixed rule, costs least."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from escalometer import stats
from escalometer.analysis import ARM, CONDITION, Row
from escalometer.analysis.measure import Measured
from escalometer.analysis.scores import SCORED, Scored
from escalometer.stats import Counts, Floats, Statistic

#: The fixed rules, and the share of decisions that people keep under each.
_RULES = {"always_implement": 0.0, "always_escalate": 1.0}

#: Yardstick of the rows that candidates are taken from; their cost does not depend on it.
_YARDSTICK = "signal_accuracy"


class _Candidate(NamedTuple):
    name: Row  # the intervention, nulls for a fixed rule
    policy: str  # model | always_implement | always_escalate
    places: list[int]  # rows of the curve
    cost: Statistic
    escalation_rate: float | None  # the share that people keep

    def document(self, measured: Measured) -> Row:
        resamples = measured.resamples.take(self.places)
        return {
            **self.name,
            "policy": self.policy,
            "realized_cost": resamples.interval(self.cost),
            "escalation_rate": self.escalation_rate,
            "n": int(resamples.counts.sum()),
        }


def recommendations(
    measured: Measured, scored: Sequence[Row], arms: Mapping[tuple[Any, ...], Scored]
) -> list[Row]:
    """Return for each scored cost ratio what costs least, with its interval and what people keep.

    Candidates are the interventions that state no cost or this one, and the two fixed rules, all
    over the same ``conditions``: those that every intervention has which has at least half of the
    conditions of the one with most. Interventions with fewer are left out (``n_left_out``).
    ``is_clear`` says whether the intervals of the difference from the next best, for these
    conditions and beyond them, leave out zero. ``saves`` is what it costs less than people taking
    every decision; unless that is shown (``is_shown``), nobody should act on the recommendation.

    Parameters
    ----------
    measured : Measured
    scored : sequence of dict
        From `scores.intervention_rows`.
    arms : mapping
        From `scores.scored_arms`.
    """
    made = []
    for ratio in sorted({row["cost_ratio"] for row in scored}):
        rows = [
            row
            for row in scored
            if row["cost_ratio"] == ratio and row["scored_against"] == _YARDSTICK
        ]
        found = _candidates(measured, arms, rows)
        costs = [_value(measured, candidate) for candidate in found]
        best, second = (found[i] for i in sorted(range(len(found)), key=costs.__getitem__)[:2])
        gap = _gap(measured, best, second)
        saves = _gap(measured, best, next(own for own in found if own.policy == "always_escalate"))
        lows = [gap["low"], gap["clustered_low"]]
        shared = sorted([measured.curve[i][name] for name in CONDITION] for i in best.places)
        made.append(
            {
                "cost_ratio": ratio,
                **best.document(measured),
                "next_best": second.document(measured),
                "gap": gap,
                "is_clear": all(low is not None and low > 0 for low in lows),
                "saves": saves,
                "is_shown": saves["low"] is not None and saves["low"] > 0,
                "n_left_out": len(rows) - len(found) + len(_RULES),
                "conditions": shared,
            }
        )
    return made


def _candidates(
    measured: Measured,
    arms: Mapping[tuple[Any, ...], Scored],
    rows: Iterable[Row],
) -> list[_Candidate]:
    """Return what there is to choose from, all over the same conditions."""
    conditions = measured.resamples.conditions
    keyed = [(row, *arms[tuple({**row, "domain": None}[name] for name in SCORED)]) for row in rows]
    covered = [{conditions[i] for i in places} for _, places, _ in keyed]
    most = max(map(len, covered))
    kept = [i for i, own in enumerate(covered) if 2 * len(own) >= most]
    shared = set.intersection(*(covered[i] for i in kept))
    if not shared:  # they have nothing in common: the one with most stands alone
        kept = [max(kept, key=lambda i: len(covered[i]))]
        shared = covered[kept[0]]
    found = []
    for row, places, policy in (keyed[i] for i in kept):
        inside = [k for k, place in enumerate(places) if conditions[place] in shared]
        own, where = policy.restricted(inside), [places[k] for k in inside]
        coverage = measured.resamples.take(where).value(own.statistic("coverage"))
        name = {name: row[name] for name in (*ARM, "is_cost_stated") if name != "cost_ratio"}
        rate = None if coverage is None else 1 - coverage
        found.append(_Candidate(name, "model", where, own.statistic("realized_cost"), rate))
    # The fixed rules follow all predictions, or none, of the intervention with most dialogues.
    most_held = max(found, key=lambda own: int(measured.resamples.counts[own.places].sum()))
    nobody = dict.fromkeys(most_held.name)
    for rule, rate in _RULES.items():
        cost = own.statistic(f"{rule}_cost")  # the same whatever is optimal
        found.append(_Candidate(nobody, rule, most_held.places, cost, rate))
    return found


def _value(measured: Measured, candidate: _Candidate) -> float:
    value = measured.resamples.take(candidate.places).value(candidate.cost)
    return float("inf") if value is None else value


def _gap(measured: Measured, best: _Candidate, second: _Candidate) -> stats.Interval:
    """Return what the second costs more; both are drawn together."""
    n_first = len(best.places)

    def gap(counts: Counts, weight: Floats) -> Floats:
        return second.cost(counts[:, n_first:], weight[:, n_first:]) - best.cost(
            counts[:, :n_first], weight[:, :n_first]
        )

    return measured.resamples.take([*best.places, *second.places]).interval(gap)
