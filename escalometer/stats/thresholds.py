"""The implicit threshold and the self-estimated accuracy as statistics of conditions."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from escalometer.stats.fits import crossing, fit_lines, fit_logits, fit_overdispersed
from escalometer.stats.intervals import NO_INTERVAL, Ends, Resamples, Statistic, percentiles, plain
from escalometer.stats.resamples import (
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
        return _crossings(kind, slope, intercept)

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
        *unidentified* where the slope's interval includes zero or more (no number is given then: it
        would mean nothing), else *extrapolated* where the threshold lies outside the accuracies
        seen. Of the logit fit also ``dispersion``, and the interval that allows for it.

    References
    ----------
    arXiv 2604.08588 for the linear fit; the logit fit is ours.
    """
    fits = resamples.each(lambda counts, weight: fit(kind, counts, weight))
    slope, intercept, r_squared = (float(part[0]) for part in fits.observed)
    value = plain(crossing(np.array([slope]), np.array([intercept]), _level(kind))[0])
    fitted: Fit = {**NO_INTERVAL, "estimate": value}
    slopes: Ends = (None, None)
    for prefix, drawn, n_drawn in (
        ("clustered_", fits.conditions, resamples.n_conditions),
        ("scenario_", fits.scenarios, resamples.most_scenarios),
        ("", fits.dialogues, None),
    ):
        if drawn is None:
            continue
        slopes = _slope_ends(slope, drawn[0], n_drawn)
        if value is not None and _falls(slope, slopes):
            ends = percentiles(_crossings(kind, drawn[0], drawn[1]), value, n_drawn)
            fitted[f"{prefix}low"], fitted[f"{prefix}high"] = ends
    status: Status = "unidentified"
    if value is not None and _falls(slope, slopes):
        seen = predictive_accuracies(resamples.counts)
        status = "ok" if seen.min() <= value <= seen.max() else "extrapolated"
    if status == "unidentified":
        fitted |= NO_INTERVAL
    fitted |= {
        "slope": plain(slope),
        "slope_low": slopes[0],
        "slope_high": slopes[1],
        "intercept": plain(intercept),
        "r_squared": plain(r_squared),
        "status": status,
    }
    if kind == "logit":
        fitted |= _overdispersion(resamples.counts, status != "unidentified")
    return fitted


def _falls(slope: float, ends: Ends) -> bool:
    return slope < 0 and ends[1] is not None and ends[1] < 0


def _slope_ends(slope: float, drawn: Floats, n_drawn: int | None) -> Ends:
    """Return the slope's interval. Resampling flattens a line by as much as sampling had.

    The shift is many standard errors where conditions hold few dialogues, beyond what percentiles
    can be corrected by: the basic interval mirrors them at the estimate.
    """
    low, high = percentiles(drawn, None, n_drawn)
    if low is None or high is None or not np.isfinite(slope):
        return None, None
    return 2 * slope - high, 2 * slope - low


def _crossings(kind: Kind, slope: Floats, intercept: Floats) -> Floats:
    """Return the thresholds of lines; the few that do not fall have none."""
    return crossing(np.where(slope < 0, slope, np.nan), intercept, _level(kind))


def _overdispersion(counts: Counts, is_shown: bool) -> Fit:
    escalated = counts[:, RIGHT_ESCALATED] + counts[:, WRONG_ESCALATED]
    dispersion, low, high = fit_overdispersed(
        predictive_accuracies(counts),
        escalated.astype(np.float64),
        counts.sum(axis=1).astype(np.float64),
    )
    return {
        "dispersion": plain(dispersion),
        "overdispersed_low": low if is_shown else None,
        "overdispersed_high": high if is_shown else None,
    }


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
