"""For a cost ratio: which intervention, or which fixed rule, costs least."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from escalometer import estimates
from escalometer.analysis import ARM, Row
from escalometer.analysis.measure import Measured
from escalometer.analysis.scores import SCORED, Policy, scored_arms
from escalometer.estimates import Counts, Floats, Statistic

#: Yardstick of the rows that candidates are taken from; their cost does not depend on it.
_YARDSTICK = "signal_accuracy"


class _Candidate(NamedTuple):
    name: Row  # the intervention, nulls for a fixed rule
    policy: str  # model | always_implement | always_escalate
    places: list[int]  # rows of the curve
    cost: Statistic
    escalation_rate: float
    n: int

    def document(self, measured: Measured) -> Row:
        return {
            **self.name,
            "policy": self.policy,
            "realized_cost": measured.resamples.take(self.places).interval(self.cost),
            "escalation_rate": self.escalation_rate,
            "n": self.n,
        }


def recommendations(measured: Measured, model: str, scored: Sequence[Row]) -> list[Row]:
    """Return for each scored cost ratio what costs least, with its interval and what people keep.

    Candidates are the interventions that state no cost or this one, over the same conditions as the
    one with most, and the two fixed rules. ``is_clear`` says whether the intervals of the
    difference from the next best, for these conditions and beyond them, leave out zero.

    Parameters
    ----------
    measured : Measured
    model : str
    scored : sequence of dict
        From `scores.intervention_rows`.
    """
    arms = scored_arms(measured, model)
    made = []
    for ratio in sorted({row["cost_ratio"] for row in scored}):
        rows = [
            row
            for row in scored
            if row["cost_ratio"] == ratio and row["scored_against"] == _YARDSTICK
        ]
        found = _candidates(measured, arms, rows)
        costs = {i: _value(measured, candidate) for i, candidate in enumerate(found)}
        best, second = (found[i] for i in sorted(costs, key=lambda i: costs[i])[:2])
        gap = _gap(measured, best, second)
        lows = [gap["low"], gap["clustered_low"]]
        made.append(
            {
                "cost_ratio": ratio,
                **best.document(measured),
                "next_best": second.document(measured),
                "gap": gap,
                "is_clear": all(low is not None and low > 0 for low in lows),
                "n_left_out": len(rows) - len(found) + 2,
            }
        )
    return made


def _candidates(
    measured: Measured,
    arms: dict[tuple[Any, ...], tuple[list[int], Policy]],
    rows: Iterable[Row],
) -> list[_Candidate]:
    """Return what there is to choose from: only what is measured on the same conditions."""
    keyed = [(row, *arms[tuple({**row, "domain": None}[name] for name in SCORED)]) for row in rows]
    covered = [
        frozenset(measured.resamples.conditions[i] for i in places) for _, places, _ in keyed
    ]
    widest = max(range(len(keyed)), key=lambda i: (len(covered[i]), keyed[i][0]["n"], -i))
    found = [
        _Candidate(
            {name: row[name] for name in (*ARM, "is_cost_stated") if name != "cost_ratio"},
            "model",
            places,
            policy.statistic("realized_cost"),
            1 - row["coverage"]["estimate"],
            row["n"],
        )
        for (row, places, policy), conditions in zip(keyed, covered, strict=True)
        if conditions == covered[widest]
    ]
    row, places, policy = keyed[widest]
    nobody = dict.fromkeys((*ARM, "is_cost_stated"))
    del nobody["cost_ratio"]
    for rule, rate in (("always_implement", 0.0), ("always_escalate", 1.0)):
        cost = policy.statistic(f"{rule}_cost")
        found.append(_Candidate(nobody, rule, places, cost, rate, row["n"]))
    return found


def _value(measured: Measured, candidate: _Candidate) -> float:
    value = measured.resamples.take(candidate.places).value(candidate.cost)
    return float("inf") if value is None else value


def _gap(measured: Measured, best: _Candidate, second: _Candidate) -> estimates.Interval:
    """Return what the second costs more; both are drawn together."""
    n_first = len(best.places)

    def gap(counts: Counts, weight: Floats) -> Floats:
        return second.cost(counts[:, n_first:], weight[:, n_first:]) - best.cost(
            counts[:, :n_first], weight[:, :n_first]
        )

    return measured.resamples.take([*best.places, *second.places]).interval(gap)
