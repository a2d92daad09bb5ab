"""Differences of two models' headline numbers: accuracy, threshold, self-estimates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from escalometer import stats
from escalometer.analysis import VariantKey
from escalometer.analysis.contrasts import Term, contrast, undefined
from escalometer.analysis.headlines import mean_accuracy, mean_rate
from escalometer.analysis.matched_conditions import MatchedConditions, Shared
from escalometer.documents import VARIANT_KEY
from escalometer.documents.comparison import ModelDifference
from escalometer.stats import Counts, Floats
from escalometer.stats.policy import optimal_threshold

Ends = tuple[float | None, float | None]

UNIDENTIFIED = "{} {} no threshold: escalation is not known to decrease with accuracy"


def headline_rows(
    matched: MatchedConditions, level: str | None, cost_ratios: Sequence[float]
) -> list[ModelDifference]:
    """Return the differences in headline numbers, for every variant with a signal that both have.

    Thresholds are compared as such, and by their distance from τ* at each of `cost_ratios`; biases
    as such, and by their size: less of either is better.
    """
    rows = []
    for variant in matched.variants():
        named = dict(zip(VARIANT_KEY, variant, strict=True))
        shared = matched.shared(variant, level)
        if not named["has_signal"] or not shared.conditions:
            continue
        stated = named["cost_ratio"]
        is_paired = matched.is_paired(variant, shared)
        for name, statistic in (
            ("predictive_accuracy", mean_accuracy),
            ("escalation_rate", mean_rate),
        ):
            found = matched.contrast(shared, statistic, is_paired)
            rows.append(matched.row(name, variant, level, shared, found))
        ratios = cost_ratios if stated is None else [stated]
        rows += _thresholds(matched, variant, level, shared, is_paired, ratios)
        if named["intervention"] == "baseline" and stated is None and not named["is_isolated"]:
            rows += _self_estimates(matched, variant, level)
    return rows


class _Fits(NamedTuple):
    """Both models' thresholds (null where there is none), their statuses, who has none."""

    values: Ends
    statuses: tuple[str, ...]
    reason: str


def _fits(matched: MatchedConditions, shared: Shared) -> _Fits:
    values: list[float | None] = []
    statuses = []
    lacking = []
    for model, places in zip(matched.models, (shared.first, shared.second), strict=True):
        resamples = matched.measured.resamples.take(places)
        statuses.append(str(stats.threshold_fit("linear", resamples)["status"]))
        is_known = statuses[-1] != "unidentified"
        values.append(resamples.value(stats.threshold("linear")) if is_known else None)
        lacking += [] if is_known else [model]
    verb = "have" if len(lacking) > 1 else "has"
    reason = UNIDENTIFIED.format(" and ".join(lacking), verb) if lacking else ""
    return _Fits((values[0], values[1]), tuple(statuses), reason)


def _thresholds(
    matched: MatchedConditions,
    variant: VariantKey,
    level: str | None,
    shared: Shared,
    is_paired: bool,
    cost_ratios: Sequence[float],
) -> list[ModelDifference]:
    values, statuses, reason = _fits(matched, shared)
    cross = stats.threshold("linear")
    found = (
        undefined(*values, reason)
        if reason
        else matched.contrast(shared, cross, is_paired, is_fit=True)
    )
    rows = [matched.row("implicit_threshold", variant, level, shared, found, statuses=statuses)]
    for ratio in cost_ratios:
        best = max(0.0, float(optimal_threshold(ratio, matched.measured.human_error_rate)))

        def distance(counts: Counts, weight: Floats, best: float = best) -> Floats:
            away: Floats = np.abs(cross(counts, weight) - best)
            return away

        if reason:
            first, second = (None if value is None else abs(value - best) for value in values)
            found = undefined(first, second, reason)
        else:
            found = matched.contrast(shared, distance, is_paired, is_fit=True)
        rows.append(
            matched.row("threshold_distance", variant, level, shared, found, cost_ratio=ratio)
        )
    return rows


def _self_estimates(
    matched: MatchedConditions, variant: VariantKey, level: str | None
) -> list[ModelDifference]:
    named = dict(zip(VARIANT_KEY, variant, strict=True))
    without = tuple({**named, "intervention": "no_signal", "has_signal": False}.values())
    # A domain's accuracy is self-estimated by the line of all main domains, as in the paper.
    shared, line = matched.shared(without, level), matched.shared(variant, None)
    if not shared.conditions:
        return []
    n_line = len(line.conditions)
    reason = _fits(matched, line).reason
    read = stats.self_estimates(n_line)

    def bias(counts: Counts, weight: Floats) -> Floats:
        return read(counts, weight) - mean_accuracy(counts[:, n_line:], weight[:, n_line:])

    def size(counts: Counts, weight: Floats) -> Floats:
        away: Floats = np.abs(bias(counts, weight))
        return away

    is_paired = matched.is_paired(without, shared) and matched.is_paired(variant, line)
    rows = []
    for name, statistic in (
        ("self_estimated_accuracy", read),
        ("calibration_bias", bias),
        ("calibration_bias_size", size),
    ):
        found = (
            undefined(None, None, reason)
            if reason
            else contrast(
                matched.measured.resamples,
                Term([*line.first, *shared.first], statistic),
                Term([*line.second, *shared.second], statistic),
                is_paired,
                matched.completed,
                is_fit=True,
            )
        )
        rows.append(matched.row(name, without, level, shared, found))
    return rows
