"""The autonomy map: per condition act, escalate, or not enough evidence."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from escalometer.documents.autonomy import Autonomy, AutonomyMap, ConditionAutonomy
from escalometer.documents.profile import CurvePoint, VariantCurve
from escalometer.stats.policy import optimal_threshold
from escalometer.stats.risk_control import further_dialogues, lower_bounds, upper_bounds


def autonomy_rows(
    names: Sequence[tuple[str, str]],
    counts: Sequence[tuple[int, int]],
    threshold: Fraction,
    confidence: float = 0.95,
) -> list[ConditionAutonomy]:
    """Return the evidence of conditions, compared with a threshold.

    Parameters
    ----------
    names : sequence of (str, str)
        Domain and condition.
    counts : sequence of (int, int)
        Of each, right predictions and dialogues, these above 0.
    threshold : Fraction
        τ*; at most 0 where acting is always cheaper.
    confidence : float
        Of each one-sided bound.
    """
    if not names:
        return []
    k, n = np.array(counts).T
    bounds = zip(lower_bounds(k, n, confidence), upper_bounds(k, n, confidence), strict=True)
    rows = []
    for (domain, condition), (right, total), (lower, upper) in zip(
        names, counts, bounds, strict=True
    ):
        autonomy = _autonomy(lower, upper, threshold)
        is_open = autonomy == "not_enough_evidence"
        more = further_dialogues(right, total, threshold, confidence) if is_open else None
        rows.append(
            ConditionAutonomy(
                domain=domain,
                condition=condition,
                n=total,
                n_right=right,
                lower=float(lower),
                upper=float(upper),
                autonomy=autonomy,
                n_more=more,
            )
        )
    return rows


def autonomy_maps(
    curve: Sequence[CurvePoint],
    variants: Sequence[VariantCurve],
    cost_ratios: Sequence[float],
    human_error_rate: float,
) -> tuple[AutonomyMap, ...]:
    """Return the map of the headlines' protocol variant at each cost ratio.

    Parameters
    ----------
    curve : sequence of CurvePoint
        The baseline's; may be empty.
    variants : sequence of VariantCurve
        All that were asked: without a baseline, the map is of one with a signal that states the
        cost ratio or, failing that, no cost.
    cost_ratios : sequence of float
        R, each at least 1.
    human_error_rate : float
        h.
    """
    maps = []
    for ratio in cost_ratios:
        points, intervention = (curve, "baseline") if curve else _others(variants, ratio)
        if not points:
            continue
        threshold = optimal_threshold(ratio, human_error_rate)
        counts = [(round(point.predictive_accuracy * point.n), point.n) for point in points]
        maps.append(
            AutonomyMap(
                cost_ratio=ratio,
                optimal_threshold=float(threshold),
                intervention=intervention,
                conditions=tuple(
                    autonomy_rows([(p.domain, p.condition) for p in points], counts, threshold)
                ),
            )
        )
    return tuple(maps)


def _autonomy(lower: float, upper: float, threshold: Fraction) -> Autonomy:
    if lower >= threshold:
        return "act"
    return "escalate" if upper < threshold else "not_enough_evidence"


def _others(variants: Sequence[VariantCurve], ratio: float) -> tuple[Sequence[CurvePoint], str]:
    fitting = [
        variant
        for variant in variants
        if variant.has_signal and variant.points and variant.cost_ratio in (None, ratio)
    ]
    if not fitting:
        return (), ""
    # As headlines choose theirs: the same dialogue, the stated ratio.
    chosen = min(fitting, key=lambda variant: (variant.is_isolated, variant.cost_ratio != ratio))
    return chosen.points, chosen.intervention
