"""What two models are as a whole, compared: accuracy, threshold, idea of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from escalometer import stats
from escalometer.analysis import ARM, Row
from escalometer.analysis.contrasts import Side, contrast, undefined
from escalometer.analysis.headlines import mean_accuracy, mean_rate
from escalometer.analysis.matched_conditions import Arm, Both, Shared
from escalometer.stats import Counts, Floats
from escalometer.stats.policy import optimal_threshold

Ends = tuple[float | None, float | None]

UNIDENTIFIED = "{} {} no threshold: escalation is not known to fall where accuracy rises"


def headline_rows(both: Both, level: str | None, cost_ratios: Sequence[float]) -> list[Row]:
    """Return the differences in headline numbers, for every variant with a signal that both have.

    Thresholds are compared as such, and by their distance from τ* at each of `cost_ratios`; biases
    as such, and by their size: less of either is better.
    """
    made = []
    for arm in both.arms():
        named = dict(zip(ARM, arm, strict=True))
        shared = both.shared(arm, level)
        if not named["has_signal"] or not shared.conditions:
            continue
        stated = named["cost_ratio"]
        is_paired = both.is_paired(arm, shared)
        for name, statistic in (
            ("predictive_accuracy", mean_accuracy),
            ("escalation_rate", mean_rate),
        ):
            found = both.contrast(shared, statistic, is_paired)
            made.append(both.row(name, arm, level, shared, found))
        ratios = cost_ratios if stated is None else [stated]
        made += _thresholds(both, arm, level, shared, is_paired, ratios)
        if named["intervention"] == "baseline" and stated is None and not named["is_isolated"]:
            made += _self_estimates(both, arm, level)
    return made


class _Fits(NamedTuple):
    """Both models' thresholds (null where there is none), what they are worth, who has none."""

    values: Ends
    statuses: list[Any]
    reason: str


def _fits(both: Both, shared: Shared) -> _Fits:
    values: list[float | None] = []
    statuses = []
    lacking = []
    for model, places in zip(both.models, (shared.first, shared.second), strict=True):
        own = both.measured.resamples.take(places)
        statuses.append(stats.threshold_fit("linear", own)["status"])
        is_known = statuses[-1] != "unidentified"
        values.append(own.value(stats.threshold("linear")) if is_known else None)
        lacking += [] if is_known else [model]
    verb = "have" if len(lacking) > 1 else "has"
    reason = UNIDENTIFIED.format(" and ".join(lacking), verb) if lacking else ""
    return _Fits((values[0], values[1]), statuses, reason)


def _thresholds(
    both: Both,
    arm: Arm,
    level: str | None,
    shared: Shared,
    is_paired: bool,
    cost_ratios: Sequence[float],
) -> list[Row]:
    values, statuses, reason = _fits(both, shared)
    cross = stats.threshold("linear")
    found = undefined(values, reason) if reason else both.contrast(shared, cross, is_paired)
    found["statuses"] = statuses
    made = [both.row("implicit_threshold", arm, level, shared, found)]
    for ratio in cost_ratios:
        best = max(0.0, float(optimal_threshold(ratio, both.measured.human_error_rate)))

        def distance(counts: Counts, weight: Floats, best: float = best) -> Floats:
            away: Floats = np.abs(cross(counts, weight) - best)
            return away

        if reason:
            first, second = (None if value is None else abs(value - best) for value in values)
            found = undefined((first, second), reason)
        else:
            found = both.contrast(shared, distance, is_paired)
        made.append(both.row("threshold_distance", arm, level, shared, found, cost_ratio=ratio))
    return made


def _self_estimates(both: Both, arm: Arm, level: str | None) -> list[Row]:
    named = dict(zip(ARM, arm, strict=True))
    without = tuple({**named, "intervention": "no_signal", "has_signal": False}.values())
    # A domain's idea of itself is read off the line of all main domains, as in the paper.
    shared, line = both.shared(without, level), both.shared(arm, None)
    if not shared.conditions:
        return []
    n_line = len(line.conditions)
    reason = _fits(both, line).reason
    read = stats.self_estimates(n_line)

    def bias(counts: Counts, weight: Floats) -> Floats:
        return read(counts, weight) - mean_accuracy(counts[:, n_line:], weight[:, n_line:])

    def size(counts: Counts, weight: Floats) -> Floats:
        away: Floats = np.abs(bias(counts, weight))
        return away

    is_paired = both.is_paired(without, shared) and both.is_paired(arm, line)
    made = []
    for name, statistic in (
        ("self_estimated_accuracy", read),
        ("calibration_bias", bias),
        ("calibration_bias_size", size),
    ):
        if reason:
            found = undefined((None, None), reason)
        else:
            sides = (
                Side([*line.first, *shared.first], statistic),
                Side([*line.second, *shared.second], statistic),
            )
            n = len(shared.conditions)
            found = contrast(both.measured.resamples, *sides, is_paired, both.ways, n)
        made.append(both.row(name, without, level, shared, found))
    return made
