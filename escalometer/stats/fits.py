"""Lines and logits through many samples of conditions at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from escalometer.stats.resamples import Floats, ratios

#: A slope below this is what rounding leaves of a flat line, as in implicit_threshold.sql.
FLAT = 1e-9

_MAX_NEWTON_STEPS = 60
#: Longest step of a linear predictor: keeps Newton's method from overshooting.
MAX_LOGIT_STEP = 3.0


def fit_lines(
    accuracy: Floats, rate: Floats, weight: Floats | None = None
) -> tuple[Floats, Floats, Floats]:
    """Return slope, intercept and R² of least-squares lines of `rate` on `accuracy`.

    Parameters
    ----------
    accuracy, rate : ndarray, shape (n_fits or 1, n_conditions)
        In [0, 1].
    weight : ndarray, shape (n_fits, n_conditions), optional
        How often each condition counts; once by default.

    Returns
    -------
    tuple of ndarray, each of shape (n_fits,)
        NaN where there is no line (one accuracy); R² is NaN where the rate is constant.

    References
    ----------
    arXiv 2604.08588: the implicit threshold is this line solved for one half.
    """
    w = np.ones(accuracy.shape) if weight is None else weight
    accuracy, rate = np.broadcast_arrays(accuracy, rate)
    n_fits = max(accuracy.shape[0], w.shape[0])
    if accuracy.shape[1] < 2:
        missing = np.full(n_fits, np.nan)
        return missing, missing.copy(), missing.copy()
    total = w.sum(axis=1)
    mean_x, mean_y = (
        ratios((w * accuracy).sum(axis=1), total),
        ratios((w * rate).sum(axis=1), total),
    )
    dx, dy = accuracy - mean_x[:, None], rate - mean_y[:, None]
    sxx, sxy, syy = (
        (w * dx * dx).sum(axis=1),
        (w * dx * dy).sum(axis=1),
        (w * dy * dy).sum(axis=1),
    )
    # Exact, where a sum of squares may leave rounding: equal values give exactly 0.
    has_line, is_flat = spread(accuracy, weight) > 0, spread(rate, weight) == 0
    slope = np.where(has_line, ratios(sxy, sxx), np.nan)
    slope = np.where(np.abs(slope) < FLAT, 0.0, slope)
    intercept = mean_y - slope * mean_x
    r_squared = np.where(has_line & ~is_flat, ratios(sxy * sxy, sxx * syy), np.nan)
    return slope, intercept, r_squared


def spread(values: Floats, weight: Floats | None) -> Floats:
    """Return the range of the values that count at all."""
    if weight is None or bool((weight > 0).all()):
        whole: Floats = np.ptp(values, axis=1)
        return whole
    counts = weight > 0
    highest = np.where(counts, values, -np.inf).max(axis=1)
    return highest - np.where(counts, values, np.inf).min(axis=1)  # type: ignore[no-any-return]


def fit_logits(accuracy: Floats, escalated: Floats, n: Floats) -> tuple[Floats, Floats, Floats]:
    """Return slope, intercept and explained deviance of binomial logit fits, by Newton's method.

    Parameters
    ----------
    accuracy : ndarray, shape (n_fits, n_conditions)
        In [0, 1].
    escalated, n : ndarray, shape (n_fits, n_conditions)
        Escalations and dialogues, as counts.

    Returns
    -------
    tuple of ndarray, each of shape (n_fits,)
        Slope and intercept on the logit scale, and 1 − deviance / deviance of the mean rate. NaN
        where no finite fit exists: one accuracy, one action, or an accuracy that separates the
        escalated from the implemented.
    """
    n_fits = accuracy.shape[0]
    slope, intercept, explained = (np.full(n_fits, np.nan) for _ in range(3))
    todo = np.flatnonzero(_has_logit(accuracy, escalated, n))
    if todo.size == 0:
        return slope, intercept, explained
    center = accuracy[todo].mean(axis=1)
    x, k, total = accuracy[todo] - center[:, None], escalated[todo], n[todo]
    rate = k.sum(axis=1) / total.sum(axis=1)
    level, tilt = np.log(rate / (1 - rate)), np.zeros(todo.size)
    active = np.arange(todo.size)
    for _ in range(_MAX_NEWTON_STEPS):
        xa, ka, na = x[active], k[active], total[active]
        mean = logistic(level[active, None] + tilt[active, None] * xa)
        residual, weight = ka - na * mean, na * mean * (1 - mean)
        g0, g1 = residual.sum(axis=1), (residual * xa).sum(axis=1)
        h00, h01, h11 = (
            weight.sum(axis=1),
            (weight * xa).sum(axis=1),
            (weight * xa * xa).sum(axis=1),
        )
        determinant = h00 * h11 - h01 * h01
        d0 = ratios(h11 * g0 - h01 * g1, determinant)
        d1 = ratios(h00 * g1 - h01 * g0, determinant)
        longest = np.abs(d0[:, None] + d1[:, None] * xa).max(axis=1)
        shrink = np.minimum(1.0, MAX_LOGIT_STEP / np.maximum(longest, 1e-300))
        level[active] += shrink * d0
        tilt[active] += shrink * d1
        active = active[~(longest < 1e-9)]
        if active.size == 0:
            break
    tilt[active] = np.nan  # did not settle
    slope[todo], intercept[todo] = tilt, level - tilt * center
    mean = logistic(level[:, None] + tilt[:, None] * x)
    unexplained = _deviance(k, total, mean)
    explained[todo] = 1 - ratios(
        unexplained, _deviance(k, total, np.broadcast_to(rate[:, None], x.shape))
    )
    return slope, intercept, explained


def _has_logit(accuracy: Floats, escalated: Floats, n: Floats) -> NDArray[np.bool_]:
    """Return which fits have a finite optimum: neither action lies on one side of the other."""
    if accuracy.shape[1] < 2:
        return np.zeros(accuracy.shape[0], dtype=np.bool_)
    escalates, implements = escalated > 0, escalated < n
    # With no escalation at all these are (-inf, inf), which counts as separated, as it should.
    highest_escalated = np.where(escalates, accuracy, -np.inf).max(axis=1)
    lowest_escalated = np.where(escalates, accuracy, np.inf).min(axis=1)
    highest_implemented = np.where(implements, accuracy, -np.inf).max(axis=1)
    lowest_implemented = np.where(implements, accuracy, np.inf).min(axis=1)
    overlap = (highest_escalated > lowest_implemented) & (lowest_escalated < highest_implemented)
    has_fit: NDArray[np.bool_] = overlap & (np.ptp(accuracy, axis=1) > 0)
    return has_fit


def logistic(values: Floats) -> Floats:
    """Return 1 / (1 + exp(−values))."""
    # tanh does not overflow where exp does.
    result: Floats = 0.5 * (1 + np.tanh(0.5 * values))
    return result


def _deviance(k: Floats, n: Floats, mean: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        escalated = np.where(k > 0, k * np.log(k / (n * mean)), 0.0)
        implemented = np.where(k < n, (n - k) * np.log((n - k) / (n * (1 - mean))), 0.0)
    deviance: Floats = 2 * (escalated + implemented).sum(axis=1)
    return deviance


def crossing(slope: Floats, intercept: Floats, level: Floats | float) -> Floats:
    """Return the accuracy at which the lines reach `level`, NaN where a line is flat."""
    return ratios(np.asarray(level - intercept, dtype=np.float64), slope)
