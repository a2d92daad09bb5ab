"""Scores of each intervention's actions at a cost ratio: escalation accuracy, cost, regret."""

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


#: Those that depend on which action is optimal in a condition.
BY_OPTIMUM = ("escalation_accuracy", "regret")


class Policy:
    """Statistics of conditions at a cost ratio, given the optimal action in each.

    The optimal action stays the one that the data gave in all resamples, except in the
    ``reestimated_`` ones.

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

    def pays(self, counts: Counts) -> np.ndarray[Any, Any]:
        """Return where escalating is cheaper than implementing, by the share of wrong predictions.

        Parameters
        ----------
        counts : ndarray, shape (..., n_conditions, 4)
        """
        n, _, _, wrong = self._sums(counts)
        # False at a tie, which floats may miss by rounding; as escalation_pays_for.sql.
        less: np.ndarray[Any, Any] = self.error_cost * wrong - self.labor_cost * n > 1e-9 * n
        return less

    def reestimated_accuracy(self, counts: Counts, weight: Floats) -> Floats:
        """Return the share of optimal actions, optimal by the accuracies of `counts` themselves.

        A `Statistic`. Near τ* chance decides which action the measured accuracy calls optimal, for
        a whole condition at a time: an interval has to allow for it.
        """
        n, implemented, _, _ = self._sums(counts)
        right = np.where(self.pays(counts), n - implemented, implemented)
        return ratios((right * weight).sum(axis=1), (n * weight).sum(axis=1))

    def reestimated_regret(self, counts: Counts, weight: Floats) -> Floats:
        """Return the regret against the policy that is optimal in `counts` themselves."""
        n, implemented, wrong_implemented, wrong = self._sums(counts)
        paid = self.error_cost * wrong_implemented + self.labor_cost * (n - implemented)
        best = np.minimum(self.labor_cost * n, self.error_cost * wrong)
        return ratios(((paid - best) * weight).sum(axis=1), (n * weight).sum(axis=1))

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


def with_shared_optimum(measured: Measured, first: Scored, second: Scored) -> tuple[Scored, Scored]:
    """Return two variants or models scored by the accuracy of their dialogues together.

    Each side's own accuracy would call either action optimal by chance where it is close to τ*, and
    a difference of the sides would follow from that alone. What is pooled does not depend on which
    dialogue is of which side, so that tests of their difference keep their level.

    Parameters
    ----------
    measured : Measured
    first, second : Scored
        The same conditions in the same order.
    """
    counts = measured.resamples.counts
    together = counts[first[0]] + counts[second[0]]
    policy = first[1]
    shared = Policy(policy.pays(together), policy.cost_ratio, policy.human_error_rate)
    return (first[0], shared), (second[0], shared)


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
    """Return the scores over all main domains: by variant, cost ratio and `scored_against`.

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
    rows = []
    for key, score in points.items():
        places, policy = variants[key]
        # Scores of the same dialogues share their resamples: only R and the optimal actions differ.
        resamples = taken.setdefault(tuple(places), measured.resamples.take(places))
        found = resamples.each(policy.measures)
        named = dict(zip(LEVEL_KEY, key, strict=True))
        intervals: dict[str, BoundedInterval] = {}
        for name in MEASURES:
            if score[name] is None:
                intervals[name] = UNDEFINED
                continue
            if name in BY_OPTIMUM and named["scored_against"] == "predictive_accuracy":
                interval = measured_optimum_interval(resamples, policy, name, score[name])
            else:
                low = score.get(f"{name}_low")
                ends = None if low is None else (low, score[f"{name}_high"])
                interval = resamples.interval_from(stats.part(found, name), score[name], ends)
            intervals[name] = bounded(interval, [way.get(key, {}).get(name) for way in completed])
        costs = ("optimal_cost", "always_implement_cost", "always_escalate_cost")
        rows.append(
            InterventionScores(
                **{name: named[name] for name in SCORED_KEY},
                n=score["n"],
                **intervals,
                **{name: score[name] for name in costs},
            )
        )
    return rows


def measured_optimum_interval(
    resamples: Resamples, policy: Policy, name: str, estimate: float
) -> stats.Interval:
    """Return a score against measured accuracies, with intervals that allow for their noise.

    Each resample decides anew which actions are optimal. What is called optimal by chance lowers
    the escalation accuracy and raises the regret, by about as much in a resample as in the data:
    intervals are mirrored at the estimate, which takes that off. For the escalation accuracy they
    hold what the resamples themselves have as well, since an action near τ* may really be the other
    one. Resamples of conditions have the data's noise; what a resample of dialogues adds is taken
    off them.

    Parameters
    ----------
    resamples : Resamples
        The conditions that are scored.
    policy : Policy
        Optimal by the measured accuracies.
    name : {"escalation_accuracy", "regret"}
    estimate : float
        In the data; every interval is made to hold it.
    """
    interval = dict(stats.NO_INTERVAL) | {"estimate": estimate}
    if resamples.n_bootstrap == 0:
        return interval
    is_regret = name == "regret"
    found = resamples.each(policy.reestimated_regret if is_regret else policy.reestimated_accuracy)
    bias = float(np.nanmean(found.dialogues)) - estimate
    n_drawn = {"clustered_": resamples.n_conditions, "scenario_": resamples.most_scenarios}
    for prefix, drawn in found.by_prefix.items():
        low, high = stats.percentiles(drawn, None, n_drawn.get(prefix))
        if low is None or high is None:
            continue
        ends = [2 * estimate - high, 2 * estimate - low]
        if prefix == "clustered_":
            ends = [low - bias, high - bias]
        ends += [estimate] if is_regret else [estimate, low, high]
        interval[f"{prefix}low"], interval[f"{prefix}high"] = min(ends), max(ends)
    if is_regret:
        return interval
    return {key: None if end is None else min(max(end, 0.0), 1.0) for key, end in interval.items()}


def _points(tables: Tables, model: str) -> dict[LevelKey, Row]:
    """Return the scores over main domains of one set of metric tables, without intervals."""
    found: dict[LevelKey, Row] = {}
    for name in ("escalation_accuracy", "realized_cost"):
        for row in tables[name].to_pylist():
            if row["model"] == model and row["domain"] is None:
                found.setdefault(level_key(row), {}).update(row)
    return found
