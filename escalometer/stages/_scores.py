"""The part of a profile that scores interventions: accuracy of escalation, cost, regret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from escalometer import estimates
from escalometer.estimates import Counts, Floats, Interval
from escalometer.reporting import variants

Row: TypeAlias = dict[str, Any]
Tables: TypeAlias = Mapping[str, pa.Table]

#: What tells two variants of the protocol apart, within one model.
VARIANT = (*variants.VARIANT, "cost_ratio", "is_cost_stated")


def condition_counts(rows: Sequence[Row]) -> Counts:
    """Return the outcome counts of rows of a metric table, shape (len(rows), 4)."""
    names = ("n", "n_correct", "n_escalated", "n_wrong_implemented")
    return estimates.outcome_counts(*([row[name] for row in rows] for name in names))


def intervention_rows(
    tables: Tables,
    side: Sequence[str],
    human_error_rate: float,
    n_bootstrap: int,
    rng: np.random.Generator,
) -> list[Row]:
    """Return one row a variant of the protocol, cost ratio and yardstick, with intervals.

    Parameters
    ----------
    tables, side, human_error_rate, n_bootstrap, rng
        As in `_profile.assemble`.
    """
    conditions: dict[tuple[Any, ...], list[Row]] = {}
    for row in tables["scored_conditions"].to_pylist():
        if row["domain"] not in side:
            scored = {**row, "is_cost_stated": row["cost_ratio"] is not None}
            scored["cost_ratio"] = row["scored_ratio"]
            key = (*(scored[name] for name in VARIANT), row["scored_against"])
            conditions.setdefault(key, []).append(scored)
    costs = {
        (*(row[name] for name in VARIANT), row["scored_against"]): row
        for row in tables["realized_cost"].to_pylist()
    }
    resamples: dict[tuple[Any, ...], tuple[Counts, Floats]] = {}
    made = []
    for score in tables["escalation_accuracy"].to_pylist():
        key = (*(score[name] for name in VARIANT), score["scored_against"])
        rows, cost = conditions[key], costs[key]
        # Scores of the same dialogues share their resamples: they differ in R and yardstick only.
        stated = score["cost_ratio"] if score["is_cost_stated"] else None
        drawn_from = (*(score[name] for name in VARIANT if name != "cost_ratio"), stated)
        if drawn_from not in resamples:
            resamples[drawn_from] = (
                estimates.resample_dialogues(rng, condition_counts(rows), n_bootstrap),
                estimates.multiplicities(
                    estimates.resample_conditions(rng, len(rows), n_bootstrap)
                ),
            )
        made.append(
            {
                **{name: score[name] for name in VARIANT},
                "scored_against": score["scored_against"],
                "n": score["n"],
                **_score_intervals(score, cost, rows, human_error_rate, *resamples[drawn_from]),
            }
        )
    return made


def _score_intervals(
    score: Row,
    cost: Row,
    rows: Sequence[Row],
    human_error_rate: float,
    drawn: Counts,
    times: Floats,
) -> dict[str, Interval]:
    """Return the five intervals of one row; the optimal policy stays the one that the data gave."""
    counts = condition_counts(rows)
    escalating = np.array([row["is_escalation_optimal"] for row in rows])
    optimal = np.array([row["n_optimal"] for row in rows])
    error_cost, labor_cost = score["cost_ratio"], 1 + human_error_rate * score["cost_ratio"]

    def sums(outcomes: Counts) -> tuple[Any, ...]:
        """Return per condition: dialogues, implemented, wrong implemented, cost, optimal cost."""
        n = outcomes.sum(axis=-1)
        wrong_implemented = outcomes[..., estimates.WRONG_IMPLEMENTED]
        wrong = wrong_implemented + outcomes[..., estimates.WRONG_ESCALATED]
        implemented = outcomes[..., estimates.RIGHT_IMPLEMENTED] + wrong_implemented
        paid = error_cost * wrong_implemented + labor_cost * (n - implemented)
        best = np.where(escalating, labor_cost * n, error_cost * wrong)
        return n, implemented, wrong_implemented, paid, best

    n, implemented, wrong_implemented, paid, best = sums(counts)
    _, _, _, paid_drawn, best_drawn = sums(drawn)
    total = n.sum()
    times_n = times @ n
    return {
        "escalation_accuracy": estimates.interval(
            score["escalation_accuracy"],
            (score["escalation_accuracy_low"], score["escalation_accuracy_high"]),
            estimates.ratios(times @ optimal, times_n),
        ),
        "realized_cost": estimates.interval(
            cost["realized_cost"],
            paid_drawn.sum(axis=1) / total,
            estimates.ratios(times @ paid, times_n),
        ),
        "regret": estimates.interval(
            cost["regret"],
            (paid_drawn - best_drawn).sum(axis=1) / total,
            estimates.ratios(times @ (paid - best), times_n),
        ),
        "coverage": estimates.interval(
            cost["coverage"],
            (cost["coverage_low"], cost["coverage_high"]),
            estimates.ratios(times @ implemented, times_n),
        ),
        "selective_risk": estimates.interval(
            cost["selective_risk"],
            (cost["selective_risk_low"], cost["selective_risk_high"]),
            estimates.ratios(times @ wrong_implemented, times @ implemented),
        ),
    }
