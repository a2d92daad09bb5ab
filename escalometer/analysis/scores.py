"""How well each intervention's actions fit a cost ratio: escalation accuracy, cost, regret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from escalometer import stats
from escalometer.analysis import CELL, Row, Tables
from escalometer.analysis.headlines import put_bounds
from escalometer.analysis.measure import Measured
from escalometer.stats import Counts, Floats, Resamples, Statistic, ratios

#: What tells two rows of scores apart, beside the model.
SCORED = (
    "domain",
    "intervention",
    "reasoning_effort",
    "framing",
    "is_thinking",
    "is_isolated",
    "has_signal",
    "cost_ratio",
    "is_cost_stated",
    "scored_against",
)
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


#: Rows of the curve, and the policy that they are scored by.
Scored: TypeAlias = tuple[list[int], Policy]


def scored_arms(measured: Measured, model: str) -> dict[tuple[Any, ...], Scored]:
    """Return, by the values of `SCORED`, which rows of the curve are scored and by which policy.

    Every domain has its own, and all main domains together theirs (domain None).
    """
    place = {name: i for i, name in enumerate(measured.resamples.names)}
    rows: dict[tuple[Any, ...], list[tuple[int, bool]]] = {}
    for row in measured.tables["scored_conditions"].to_pylist():
        if row["model"] != model:
            continue
        where = place[tuple(row[name] for name in CELL)]
        scored = {
            **row,
            "is_cost_stated": row["cost_ratio"] is not None,
            "cost_ratio": row["scored_ratio"],
        }
        levels = [row["domain"], *([] if row["domain"] in measured.side else [None])]
        for level in levels:
            key = tuple({**scored, "domain": level}[name] for name in SCORED)
            rows.setdefault(key, []).append((where, row["is_escalation_optimal"]))
    ratio = SCORED.index("cost_ratio")
    return {
        key: (
            [where for where, _ in found],
            Policy(
                np.array([escalate for _, escalate in found]), key[ratio], measured.human_error_rate
            ),
        )
        for key, found in rows.items()
    }


def right_actions(measured: Measured, scored: Scored) -> tuple[int, int]:
    """Return how many dialogues had the optimal action, and how many there are."""
    places, policy = scored
    counts = measured.resamples.counts[places]
    escalated = counts[:, stats.RIGHT_ESCALATED] + counts[:, stats.WRONG_ESCALATED]
    n = counts.sum(axis=1)
    right = np.where(policy.escalating, escalated, n - escalated)
    return int(right.sum()), int(n.sum())


def intervention_rows(
    measured: Measured,
    model: str,
    arms: Mapping[tuple[Any, ...], Scored],
    domain: str | None = None,
) -> list[Row]:
    """Return one row a variant of the protocol, cost ratio and yardstick, with intervals.

    Parameters
    ----------
    measured : Measured
    model : str
    arms : mapping
        From `scored_arms`.
    domain : str, optional
        This domain's alone; by default all main domains together.
    """
    points = _points(measured.tables, model, domain)
    ways = [_points(tables, model, domain) for tables in measured.completed]
    taken: dict[tuple[int, ...], Resamples] = {}
    made = []
    for key, score in points.items():
        places, policy = arms[key]
        # Scores of the same dialogues share their resamples: they differ in R and yardstick only.
        resamples = taken.setdefault(tuple(places), measured.resamples.take(places))
        row = {name: value for name, value in zip(SCORED, key, strict=True) if name != "domain"}
        row["n"] = score["n"]
        found = resamples.each(policy.measures)
        for name in MEASURES:
            ends = (score[f"{name}_low"], score[f"{name}_high"]) if f"{name}_low" in score else None
            row[name] = (
                dict(stats.NO_INTERVAL)
                if score[name] is None
                else resamples.interval_from(stats.part(found, name), score[name], ends)
            )
            put_bounds(row[name], [way.get(key, {}).get(name) for way in ways])
        for name in ("optimal_cost", "always_implement_cost", "always_escalate_cost"):
            row[name] = score[name]
        made.append(row)
    return made


def _points(tables: Tables, model: str, domain: str | None) -> dict[tuple[Any, ...], Row]:
    """Return the scores of one set of metric tables, without resampled intervals."""
    found: dict[tuple[Any, ...], Row] = {}
    for name in ("escalation_accuracy", "realized_cost"):
        for row in tables[name].to_pylist():
            if row["model"] == model and row["domain"] == domain:
                found.setdefault(tuple(row[key] for key in SCORED), {}).update(row)
    return found
