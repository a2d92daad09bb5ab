"""How well each intervention's actions fit a cost ratio: escalation accuracy, cost, regret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from escalometer import stats
from escalometer.analysis import Row, Tables, curve_key
from escalometer.analysis.bounds import UNDEFINED, bounded
from escalometer.analysis.measure import Measured
from escalometer.documents import SCORED_KEY
from escalometer.documents.interval import BoundedInterval
from escalometer.documents.profile import InterventionScores
from escalometer.stats import Counts, Floats, Resamples, Statistic, ratios

#: The key of a policy's scores within one model: a domain (None: all main ones) and `SCORED_KEY`.
LEVEL_KEY = ("domain", *SCORED_KEY)

#: Statistics of a policy that have intervals.
MEASURES = (
    "escalation_accuracy",
    "realized_cost",
    "regret",
    "single_policy_regret",
    "coverage",
    "selective_risk",
)


class Policy:
    """Statistics of conditions at a cost ratio, given the optimal action in each.

    The optimal policy stays the one that the data gave, in all resamples.

    Parameters
    ----------
    escalating : ndarray of bool, shape (n_conditions,)
        Where escalating is optimal.
    cost_ratio : float
        R.
    human_error_rate : float
        h: escalating costs 1 + h R.
    """

    def __init__(
        self, escalating: np.ndarray[Any, Any], cost_ratio: float, human_error_rate: float
    ) -> None:
        self.escalating = escalating
        self.cost_ratio, self.human_error_rate = cost_ratio, human_error_rate
        self.error_cost, self.labor_cost = cost_ratio, 1 + human_error_rate * cost_ratio

    def restricted(self, conditions: Sequence[int]) -> Policy:
        """Return the policy on some of its conditions, in this order."""
        return Policy(self.escalating[list(conditions)], self.cost_ratio, self.human_error_rate)

    def _sums(self, counts: Counts) -> tuple[Floats, ...]:
        """Return per condition: dialogues, implemented, wrong implemented, wrong."""
        wrong_implemented = counts[..., stats.WRONG_IMPLEMENTED]
        wrong = wrong_implemented + counts[..., stats.WRONG_ESCALATED]
        implemented = counts[..., stats.RIGHT_IMPLEMENTED] + wrong_implemented
        n = counts.sum(axis=-1)
        return tuple(part.astype(np.float64) for part in (n, implemented, wrong_implemented, wrong))

    def measures(self, counts: Counts, weight: Floats) -> dict[str, Floats]:
        """Return all of `MEASURES`, and what the two fixed rules cost; each a `Statistic`."""
        n, implemented, wrong_implemented, wrong = self._sums(counts)
        paid = self.error_cost * wrong_implemented + self.labor_cost * (n - implemented)
        best = np.where(self.escalating, self.labor_cost * n, self.error_cost * wrong)
        right = np.where(self.escalating, n - implemented, implemented)
        total, total_implemented = ((part * weight).sum(axis=1) for part in (n, implemented))
        cost = ratios((paid * weight).sum(axis=1), total)
        always_implement = ratios((self.error_cost * wrong * weight).sum(axis=1), total)
        return {
            "escalation_accuracy": ratios((right * weight).sum(axis=1), total),
            "realized_cost": cost,
            "regret": ratios(((paid - best) * weight).sum(axis=1), total),
            "single_policy_regret": cost - np.minimum(always_implement, self.labor_cost),
            "coverage": ratios(total_implemented, total),
            "selective_risk": ratios((wrong_implemented * weight).sum(axis=1), total_implemented),
            "always_implement_cost": always_implement,
            "always_escalate_cost": np.full(cost.shape, self.labor_cost),
        }

    def statistic(self, name: str) -> Statistic:
        """Return one of `measures` by name."""
        return lambda counts, weight: self.measures(counts, weight)[name]


#: Places of rows in the curve, and the policy that they are scored by.
Scored: TypeAlias = tuple[list[int], Policy]
#: Values of `LEVEL_KEY`.
LevelKey: TypeAlias = tuple[Any, ...]


def scored_variants(measured: Measured, model: str) -> dict[LevelKey, Scored]:
    """Return, by the values of `LEVEL_KEY`, which rows of the curve are scored by which policy.

    Every domain has its own, and all main domains together theirs (domain None).
    """
    place = {name: i for i, name in enumerate(measured.resamples.names)}
    rows: dict[LevelKey, list[tuple[int, bool]]] = {}
    for row in measured.tables["scored_conditions"].to_pylist():
        if row["model"] != model:
            continue
        where = place[curve_key(row)]
        scored = {
            **row,
            "is_cost_stated": row["cost_ratio"] is not None,
            "cost_ratio": row["scored_ratio"],
        }
        is_main = row["domain"] not in measured.side_domains
        for level in (row["domain"], None) if is_main else (row["domain"],):
            key = level_key({**scored, "domain": level})
            rows.setdefault(key, []).append((where, row["is_escalation_optimal"]))
    ratio = LEVEL_KEY.index("cost_ratio")
    return {
        key: (
            [where for where, _ in optimal],
            Policy(
                np.array([escalate for _, escalate in optimal]),
                key[ratio],
                measured.human_error_rate,
            ),
        )
        for key, optimal in rows.items()
    }


def level_key(row: Mapping[str, Any]) -> LevelKey:
    """Return the values of `LEVEL_KEY` in a row."""
    return tuple(row[name] for name in LEVEL_KEY)


def right_actions(measured: Measured, scored: Scored) -> tuple[int, int]:
    """Return how many dialogues had the optimal action, and how many there are."""
    places, policy = scored
    counts = measured.resamples.counts[places]
    escalated = counts[:, stats.RIGHT_ESCALATED] + counts[:, stats.WRONG_ESCALATED]
    n = counts.sum(axis=1)
    right = np.where(policy.escalating, escalated, n - escalated)
    return int(right.sum()), int(n.sum())


def intervention_rows(
    measured: Measured, model: str, variants: Mapping[LevelKey, Scored]
) -> list[InterventionScores]:
    """Return one row a variant of the protocol, cost ratio and yardstick, over all main domains.

    Parameters
    ----------
    measured : Measured
    model : str
    variants : mapping
        From `scored_variants`.
    """
    points = _points(measured.tables, model)
    completed = [_points(tables, model) for tables in measured.completed]
    taken: dict[tuple[int, ...], Resamples] = {}
    made = []
    for key, score in points.items():
        places, policy = variants[key]
        # Scores of the same dialogues share their resamples: they differ in R and yardstick only.
        resamples = taken.setdefault(tuple(places), measured.resamples.take(places))
        found = resamples.each(policy.measures)
        intervals: dict[str, BoundedInterval] = {}
        for name in MEASURES:
            ends = (score[f"{name}_low"], score[f"{name}_high"]) if f"{name}_low" in score else None
            intervals[name] = (
                UNDEFINED
                if score[name] is None
                else bounded(
                    resamples.interval_from(stats.part(found, name), score[name], ends),
                    [way.get(key, {}).get(name) for way in completed],
                )
            )
        named = dict(zip(LEVEL_KEY, key, strict=True))
        costs = ("optimal_cost", "always_implement_cost", "always_escalate_cost")
        made.append(
            InterventionScores(
                **{name: named[name] for name in SCORED_KEY},
                n=score["n"],
                **intervals,
                **{name: score[name] for name in costs},
            )
        )
    return made


def _points(tables: Tables, model: str) -> dict[LevelKey, Row]:
    """Return the scores over main domains of one set of metric tables, without intervals."""
    found: dict[LevelKey, Row] = {}
    for name in ("escalation_accuracy", "realized_cost"):
        for row in tables[name].to_pylist():
            if row["model"] == model and row["domain"] is None:
                found.setdefault(level_key(row), {}).update(row)
    return found
