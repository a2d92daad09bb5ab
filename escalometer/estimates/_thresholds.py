"""The implicit threshold and the self-estimated accuracy as statistics of conditions."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from escalometer.estimates._fits import crossing, fit_lines, fit_logits, fit_overdispersed
from escalometer.estimates._intervals import (
    NO_INTERVAL,
    Interval,
    Resamples,
    Statistic,
    percentiles,
    plain,
)
from escalometer.estimates._resamples import (
    RIGHT_ESCALATED,
    WRONG_ESCALATED,
    Counts,
    Floats,
    escalation_rates,
    predictive_accuracies,
    ratios,
)

Kind: TypeAlias = Literal["linear", "logit"]
Status: TypeAlias = Literal["ok", "extrapolated", "unidentified"]
Fit: TypeAlias = dict[str, float | str | None]


def fit(kind: Kind, counts: Counts, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Return slope, intercept and explained share of each row of counts: least squares or logit."""
    if counts.shape[1] == 0:
        missing = np.full(max(len(counts), len(weight)), np.nan)
        return missing, missing, missing
    accuracy = predictive_accuracies(counts)
    if kind == "linear":
        return fit_lines(accuracy, escalation_rates(counts), weight)
    escalated = counts[..., RIGHT_ESCALATED] + counts[..., WRONG_ESCALATED]
    # Counting a condition twice is the same as having twice its dialogues.
    shape = np.broadcast_shapes(escalated.shape, weight.shape)
    return fit_logits(
        np.broadcast_to(accuracy, shape), escalated * weight, counts.sum(axis=-1) * weight
    )


def _level(kind: Kind) -> float:
    return 0.5 if kind == "linear" else 0.0


def threshold(kind: Kind) -> Statistic:
    """Return the statistic that is the implicit threshold; NaN where a line does not fall."""

    def statistic(counts: Counts, weight: Floats) -> Floats:
        slope, intercept, _ = fit(kind, counts, weight)
        return crossing(np.where(slope < 0, slope, np.nan), intercept, _level(kind))

    return statistic


def threshold_fit(kind: Kind, resamples: Resamples) -> Fit:
    """Return the implicit threshold with its intervals, its fit and what it is worth.

    Parameters
    ----------
    kind : {"linear", "logit"}
        Least squares on the rates, or a binomial GLM on the counts.
    resamples : Resamples
        Conditions with signal, every n above 0.

    Returns
    -------
    dict
        An interval with ``slope`` (and its interval), ``intercept``, ``r_squared`` and ``status``:
        *unidentified* where the slope's interval includes zero or more (no interval is given then:
        it would have no end), else *extrapolated* where the threshold lies outside the accuracies
        seen. Of the logit fit also ``dispersion``, and the interval that allows for it.

    References
    ----------
    arXiv 2604.08588 for the linear fit; the logit fit is ours.
    """
    ones = np.ones((1, len(resamples.counts)))
    slope, intercept, r_squared = (float(p[0]) for p in fit(kind, resamples.counts[None], ones))
    value = plain(crossing(np.array([slope]), np.array([intercept]), _level(kind))[0])
    slopes = _slopes(kind, resamples, slope)
    falls = _falls(slope, slopes, "high")
    made: Fit = {**NO_INTERVAL, "estimate": value}
    if value is not None and slope < 0:
        ends = resamples.interval(threshold(kind), value)
        for prefix in ("", "clustered_", "scenario_"):
            if _falls(slope, slopes, f"{prefix}high"):
                made |= {f"{prefix}{end}": ends[f"{prefix}{end}"] for end in ("low", "high")}
    status: Status = "unidentified"
    if falls and value is not None:
        seen = predictive_accuracies(resamples.counts)
        status = "ok" if seen.min() <= value <= seen.max() else "extrapolated"
    made |= {
        "slope": plain(slope),
        "slope_low": slopes["low"],
        "slope_high": slopes["high"],
        "intercept": plain(intercept),
        "r_squared": plain(r_squared),
        "status": status,
    }
    if kind == "logit":
        counts = resamples.counts
        escalated = counts[:, RIGHT_ESCALATED] + counts[:, WRONG_ESCALATED]
        dispersion, low, high = fit_overdispersed(
            predictive_accuracies(counts),
            escalated.astype(np.float64),
            counts.sum(axis=1).astype(np.float64),
        )
        shown = status != "unidentified"
        made |= {
            "dispersion": plain(dispersion),
            "overdispersed_low": low if shown else None,
            "overdispersed_high": high if shown else None,
        }
    return made


def _falls(slope: float, slopes: Interval, end: str) -> bool:
    highest = slopes[end]
    return slope < 0 and highest is not None and highest < 0


def _slopes(kind: Kind, resamples: Resamples, slope: float) -> Interval:
    """Return the slope's intervals. Resampling flattens a line by as much as sampling had.

    The shift is many standard errors where conditions hold few dialogues, beyond what percentiles
    can be corrected by: the basic interval mirrors them at the estimate.
    """
    ends = dict(NO_INTERVAL)
    if not np.isfinite(slope):
        return ends
    _, dialogues, conditions, scenarios = resamples.values(lambda c, w: fit(kind, c, w)[0])
    for prefix, values, n in (
        ("", dialogues, None),
        ("clustered_", conditions, resamples.n_conditions),
        ("scenario_", scenarios, int(resamples.n_scenarios.max(initial=0))),
    ):
        low, high = (None, None) if values is None else percentiles(values, None, n)
        if low is not None and high is not None:
            ends |= {f"{prefix}low": 2 * slope - high, f"{prefix}high": 2 * slope - low}
    return ends


def self_estimates(n_signalled: int) -> Statistic:
    """Return the statistic that is the self-estimated accuracy; NaN where a line does not fall.

    The mean escalation rate of the conditions without signal goes through the inverse of the line
    with signal, and is clipped to [0, 1].

    Parameters
    ----------
    n_signalled : int
        So many rows, the first ones, are with signal, the others without.

    References
    ----------
    arXiv 2604.08588, the self-estimated accuracy.
    """

    def statistic(counts: Counts, weight: Floats) -> Floats:
        with_signal, without = counts[:, :n_signalled], counts[:, n_signalled:]
        slope, intercept, _ = fit("linear", with_signal, weight[:, :n_signalled])
        rate = weighted_mean(escalation_rates(without), weight[:, n_signalled:])
        return np.clip(crossing(np.where(slope < 0, slope, np.nan), intercept, rate), 0, 1)

    return statistic


def weighted_mean(values: Floats, weight: Floats) -> Floats:
    """Return the mean over the last axis, each value counting as often as its weight says."""
    return ratios(
        (values * weight).sum(axis=1),
        np.broadcast_to(weight, np.broadcast_shapes(values.shape, weight.shape)).sum(axis=1),
    )
