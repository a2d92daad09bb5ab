"""The implicit threshold and the self-estimated accuracy as statistics of conditions.

Each is the root of a + b·t, where a and b are smooth functions of the counts: Fieller's interval of
the root is exact where an interval about the estimate is not, near a flat line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from escalometer.stats.corrected_fits import Moments, corrected_logits, moments
from escalometer.stats.fits import crossing, fit_lines, fit_logits
from escalometer.stats.interval_ends import root_ends
from escalometer.stats.intervals import (
    NO_INTERVAL,
    Each,
    Interval,
    Resamples,
    Statistic,
    plain,
)
from escalometer.stats.resamples import (
    RIGHT_ESCALATED,
    WRONG_ESCALATED,
    Counts,
    Floats,
    escalation_rates,
    predictive_accuracies,
    ratios,
)

#: The line and the logit, corrected for noise in the accuracies, and the study's plain line.
Kind: TypeAlias = Literal["linear", "logit", "study_line"]
Status: TypeAlias = Literal["ok", "extrapolated", "unidentified"]
Fit: TypeAlias = dict[str, float | str | None]
#: Of counts and weights, as a `Statistic`: a and b of a + b·t = 0.
Root: TypeAlias = Callable[[Counts, Floats], tuple[Floats, Floats]]


def fit(kind: Kind, counts: Counts, weight: Floats) -> tuple[Floats, Floats]:
    """Return slope and intercept of each row of counts; NaN where there is no line.

    Of a logit they are on its own scale.
    """
    if counts.shape[1] == 0:
        missing = np.full(max(len(counts), len(weight)), np.nan)
        return missing, missing
    if kind == "logit":
        return corrected_logits(counts, weight)
    line = moments(counts, weight, kind == "linear")
    return line.slope, line.intercept


def _line_root(line: Moments, level: Floats | float) -> tuple[Floats, Floats]:
    """Return a and b, whose root is the accuracy at which the line reaches `level`."""
    return (line.mean_rate - level) * line.sxx - line.sxy * line.mean_accuracy, line.sxy


def _value(a: Floats, b: Floats) -> Floats:
    """Return the roots; the few lines that do not fall have none."""
    return ratios(-a, np.where(b < 0, b, 0.0))


class _Roots(NamedTuple):
    """Slope and intercept of a line or logit, and what has the threshold and the slope as roots."""

    line: tuple[Floats, Floats]
    threshold: tuple[Floats, Floats]
    slope: tuple[Floats, Floats]


def _threshold_and_slope(kind: Kind) -> Callable[[Counts, Floats], _Roots]:
    """Return the line and both roots together: a logit takes far longer than the rest."""

    def roots(counts: Counts, weight: Floats) -> _Roots:
        line = moments(counts, weight, kind != "study_line")
        if kind != "logit":
            fitted = line.slope, line.intercept
            return _Roots(fitted, _line_root(line, 0.5), (-line.sxy, line.sxx))
        slope, intercept = corrected_logits(counts, weight)
        return _Roots(
            (slope, intercept),
            # The slope of a logit is skewed, the covariance of accuracies and rates is not.
            (-crossing(slope, intercept, 0.0) * line.sxy, line.sxy),
            # slope = sxy / (sxy / slope), and the divisor is as little skewed as sxy.
            (-line.sxy, ratios(line.sxy, slope)),
        )

    return roots


def threshold_root(kind: Kind) -> Root:
    """Return the root that is the implicit threshold."""
    roots = _threshold_and_slope(kind)
    return lambda counts, weight: roots(counts, weight).threshold


def threshold(kind: Kind) -> Statistic:
    """Return the statistic that is the implicit threshold; NaN where a line does not fall."""
    root = threshold_root(kind)
    return lambda counts, weight: _value(*root(counts, weight))


def threshold_fit(kind: Kind, resamples: Resamples) -> Fit:
    """Return the implicit threshold with its intervals, its fit and whether it is identified.

    Parameters
    ----------
    kind : {"linear", "logit", "study_line"}
    resamples : Resamples
        Conditions with signal, every n above 0.

    Returns
    -------
    dict
        An interval with ``slope`` (and its interval), ``intercept``, ``r_squared`` (of the plain
        fit) and ``status``: *unidentified* where the line is not known to fall (no interval is
        given then), else *extrapolated* where the threshold lies outside the accuracies seen.

    References
    ----------
    arXiv 2604.08588 for the linear fit; for corrections and intervals
    docs/decisions/0026-noise-in-accuracies.md.
    """
    key = (kind, *resamples.places.tolist())
    if key not in resamples.fits:
        resamples.fits[key] = _threshold_fit(kind, resamples)
    return dict(resamples.fits[key])


def _threshold_fit(kind: Kind, resamples: Resamples) -> Fit:
    if len(resamples.counts) == 0:
        return _unidentified()
    both = resamples.jackknife(_threshold_and_slope(kind))
    slope, intercept = (plain(part[0]) for part in both.observed.line)
    found = both.of(lambda roots: roots.threshold)
    value = plain(_value(*found.observed)[0])
    numbers: Fit = {**NO_INTERVAL, "estimate": value}
    if value is not None:
        numbers |= _fieller(found)
    status: Status = "unidentified"
    if numbers["low"] is not None and value is not None:
        seen = predictive_accuracies(resamples.counts)
        status = "ok" if seen.min() <= value <= seen.max() else "extrapolated"
    if status == "unidentified":
        numbers |= NO_INTERVAL
    a, b = (float(part[0]) for part in both.observed.slope)
    # The slope's interval leaves out zero exactly where the threshold has ends.
    slopes = root_ends(a, b, *both.dialogues.slope)
    return {
        **numbers,
        "slope": slope,
        "slope_low": slopes[0],
        "slope_high": slopes[1],
        "intercept": intercept,
        "r_squared": _explained(kind, resamples.counts),
        "status": status,
    }


def _unidentified() -> Fit:
    names = ("slope", "slope_low", "slope_high", "intercept", "r_squared")
    return {**NO_INTERVAL, **dict.fromkeys(names), "status": "unidentified"}


def _fieller(found: Each[tuple[Floats, Floats]]) -> Interval:
    """Return the ends of every kind of interval of a root; nulls where a line may be flat."""
    a, b = (float(part[0]) for part in found.observed)
    numbers: Interval = {}
    for prefix, (left_a, left_b) in found.by_prefix.items():
        numbers[f"{prefix}low"], numbers[f"{prefix}high"] = root_ends(a, b, left_a, left_b)
    return numbers


def _explained(kind: Kind, counts: Counts) -> float | None:
    """Return the R² of the plain line, or the deviance that the plain logit explains."""
    accuracy = predictive_accuracies(counts)[None]
    if kind != "logit":
        return plain(fit_lines(accuracy, escalation_rates(counts)[None])[2][0])
    escalated = (counts[:, RIGHT_ESCALATED] + counts[:, WRONG_ESCALATED]).astype(np.float64)
    n = counts.sum(axis=1).astype(np.float64)
    return plain(fit_logits(accuracy, escalated[None], n[None])[2][0])


def self_estimate_root(n_signalled: int) -> Root:
    """Return the root that is the self-estimated accuracy, before it is clipped to [0, 1].

    The mean escalation rate of the conditions without signal goes through the inverse of the line
    with signal.

    Parameters
    ----------
    n_signalled : int
        So many rows, the first ones, are with signal, the others without.

    References
    ----------
    arXiv 2604.08588, the self-estimated accuracy.
    """

    def root(counts: Counts, weight: Floats) -> tuple[Floats, Floats]:
        line = moments(counts[:, :n_signalled], weight[:, :n_signalled])
        rate = weighted_mean(escalation_rates(counts[:, n_signalled:]), weight[:, n_signalled:])
        return _line_root(line, rate)

    return root


def self_estimates(n_signalled: int) -> Statistic:
    """Return the statistic that is the self-estimated accuracy; NaN where a line does not fall.

    Parameters
    ----------
    n_signalled : int
        As in `self_estimate_root`.
    """
    root = self_estimate_root(n_signalled)
    return lambda counts, weight: np.clip(_value(*root(counts, weight)), 0, 1)


def self_estimate_interval(n_signalled: int, resamples: Resamples) -> Interval:
    """Return the self-estimated accuracy with its intervals; nulls where the line may be flat."""
    found = resamples.jackknife(self_estimate_root(n_signalled))
    value = plain(_value(*found.observed)[0])
    if value is None:
        return dict(NO_INTERVAL)
    numbers = {**NO_INTERVAL, "estimate": value, **_fieller(found)}
    return {name: None if end is None else min(max(end, 0.0), 1.0) for name, end in numbers.items()}


def calibration_bias_interval(
    n_signalled: int, resamples: Resamples, accuracy: Statistic, n_read: int | None = None
) -> Interval:
    """Return the self-estimated accuracy minus an accuracy, with its intervals.

    Parameters
    ----------
    n_signalled : int
        As in `self_estimate_root`.
    resamples : Resamples
    accuracy : Statistic
        Of the same rows: the accuracy that the self-estimate is compared with.
    n_read : int, optional
        So many rows, the first ones, are those that the self-estimate is read off; all by default.
    """
    self_estimate = self_estimate_root(n_signalled)

    def root(counts: Counts, weight: Floats) -> tuple[Floats, Floats]:
        a, b = self_estimate(counts[:, :n_read], weight[:, :n_read])
        return a + b * accuracy(counts, weight), b

    found = resamples.jackknife(root)
    value, held = plain(_value(*found.observed)[0]), resamples.jackknife_interval(accuracy)
    if value is None or held["estimate"] is None:
        return dict(NO_INTERVAL)
    numbers = {**NO_INTERVAL, **_fieller(found), "estimate": value}

    def clipped(end: float | None, held_at: float | None) -> float | None:
        """Return the end that belongs to a self-estimate in [0, 1]."""
        return None if end is None or held_at is None else min(max(end, -held_at), 1 - held_at)

    # The lower end of a difference belongs to the upper one of what is subtracted.
    opposite = {name: name.replace("low", "high") for name in numbers if name.endswith("low")}
    opposite |= {high: low for low, high in opposite.items()} | {"estimate": "estimate"}
    return {name: clipped(end, held[opposite[name]]) for name, end in numbers.items()}


def weighted_mean(values: Floats, weight: Floats) -> Floats:
    """Return the mean over the last axis, each value counting as often as its weight says."""
    return ratios(
        (values * weight).sum(axis=1),
        np.broadcast_to(weight, np.broadcast_shapes(values.shape, weight.shape)).sum(axis=1),
    )
