"""Fits and intervals that SQL cannot do: bootstrap of counts, least squares, logit.

A condition is a row of four counts (see `outcome_counts`), so that a resample of it is one
multinomial draw and no dialogue is ever copied. Two resamplings answer two questions: dialogues
within conditions, "what of these conditions?", and whole conditions, "what beyond them?".
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]
Interval: TypeAlias = dict[str, float | None]
Status: TypeAlias = Literal["ok", "extrapolated", "unidentified"]
Fit: TypeAlias = dict[str, float | str | None]

#: Columns of the counts.
RIGHT_IMPLEMENTED, WRONG_IMPLEMENTED, RIGHT_ESCALATED, WRONG_ESCALATED = range(4)

#: Least share of the resamples that must give a number before an interval is given at all.
MIN_DEFINED = 0.9

#: A slope below this is what rounding leaves of a flat line, as in implicit_threshold.sql.
FLAT = 1e-9

_MAX_NEWTON_STEPS = 60
_MAX_LOGIT_STEP = 3.0  # longest step of a linear predictor: keeps Newton from overshooting
_NO_INTERVAL: Interval = {
    "estimate": None,
    "low": None,
    "high": None,
    "clustered_low": None,
    "clustered_high": None,
}


def outcome_counts(
    n: ArrayLike, n_correct: ArrayLike, n_escalated: ArrayLike, n_wrong_implemented: ArrayLike
) -> Counts:
    """Return each condition's counts of its four outcomes.

    Parameters
    ----------
    n, n_correct, n_escalated, n_wrong_implemented : array_like, shape (n_conditions,)
        Dialogues; those predicted right; those escalated; those wrong and implemented.

    Returns
    -------
    ndarray, shape (n_conditions, 4)
        Right and implemented, wrong and implemented, right and escalated, wrong and escalated.
    """
    total, right, escalated, wrong_implemented = (
        np.asarray(values, dtype=np.int64)
        for values in (n, n_correct, n_escalated, n_wrong_implemented)
    )
    wrong_escalated = total - right - wrong_implemented
    right_escalated = escalated - wrong_escalated
    right_implemented = right - right_escalated
    return np.stack(
        [right_implemented, wrong_implemented, right_escalated, wrong_escalated], axis=-1
    )


def resample_dialogues(rng: np.random.Generator, counts: Counts, n_bootstrap: int) -> Counts:
    """Return the counts of resamples that draw dialogues within each condition.

    Parameters
    ----------
    rng : Generator
        Where the randomness comes from.
    counts : ndarray, shape (n_conditions, 4)
    n_bootstrap : int
        Number of resamples, at least 1.

    Returns
    -------
    ndarray, shape (n_bootstrap, n_conditions, 4)
    """
    n = counts.sum(axis=1)
    shares = np.where(n[:, None] > 0, counts / np.maximum(n, 1)[:, None], [1.0, 0.0, 0.0, 0.0])
    return rng.multinomial(n, shares, size=(n_bootstrap, len(n)))


def resample_conditions(
    rng: np.random.Generator, n_conditions: int, n_bootstrap: int
) -> NDArray[np.intp]:
    """Return which rows each resample of whole conditions has: (n_bootstrap, n_conditions)."""
    if n_conditions == 0:
        return np.zeros((n_bootstrap, 0), dtype=np.intp)
    return rng.integers(0, n_conditions, size=(n_bootstrap, n_conditions), dtype=np.intp)


def multiplicities(rows: NDArray[np.intp]) -> Floats:
    """Return how often each condition occurs in each resample, shape as `rows`."""
    n_bootstrap, n_conditions = rows.shape
    flat = rows + n_conditions * np.arange(n_bootstrap)[:, None]
    times = np.bincount(flat.ravel(), minlength=n_bootstrap * n_conditions)
    return times.reshape(n_bootstrap, n_conditions).astype(np.float64)


def predictive_accuracies(counts: Counts) -> Floats:
    """Return the share of right predictions; the last axis of `counts` goes away. n must be > 0."""
    right = counts[..., RIGHT_IMPLEMENTED] + counts[..., RIGHT_ESCALATED]
    shares: Floats = right / counts.sum(axis=-1)
    return shares


def escalation_rates(counts: Counts) -> Floats:
    """Return the share of escalations; the last axis of `counts` goes away. n must be > 0."""
    escalated = counts[..., RIGHT_ESCALATED] + counts[..., WRONG_ESCALATED]
    shares: Floats = escalated / counts.sum(axis=-1)
    return shares


def fit_lines(accuracy: Floats, rate: Floats) -> tuple[Floats, Floats, Floats]:
    """Return slope, intercept and R² of least-squares lines of `rate` on `accuracy`.

    Parameters
    ----------
    accuracy, rate : ndarray, shape (n_fits, n_conditions)
        In [0, 1].

    Returns
    -------
    tuple of ndarray, each of shape (n_fits,)
        NaN where there is no line (one accuracy); R² is NaN where the rate is constant.

    References
    ----------
    arXiv 2604.08588: the implicit threshold is this line solved for one half.
    """
    n_fits = accuracy.shape[0]
    if accuracy.shape[1] < 2:
        missing = np.full(n_fits, np.nan)
        return missing, missing.copy(), missing.copy()
    dx = accuracy - accuracy.mean(axis=1, keepdims=True)
    dy = rate - rate.mean(axis=1, keepdims=True)
    sxx, sxy, syy = (dx * dx).sum(axis=1), (dx * dy).sum(axis=1), (dy * dy).sum(axis=1)
    has_line = np.ptp(accuracy, axis=1) > 0
    is_flat = np.ptp(rate, axis=1) == 0
    slope = np.where(has_line, _divide(sxy, sxx), np.nan)
    slope = np.where(np.abs(slope) < FLAT, 0.0, slope)
    intercept = rate.mean(axis=1) - slope * accuracy.mean(axis=1)
    r_squared = np.where(has_line & ~is_flat, _divide(sxy * sxy, sxx * syy), np.nan)
    return slope, intercept, r_squared


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
        mean = _logistic(level[active, None] + tilt[active, None] * xa)
        residual, weight = ka - na * mean, na * mean * (1 - mean)
        g0, g1 = residual.sum(axis=1), (residual * xa).sum(axis=1)
        h00, h01, h11 = (
            weight.sum(axis=1),
            (weight * xa).sum(axis=1),
            (weight * xa * xa).sum(axis=1),
        )
        determinant = h00 * h11 - h01 * h01
        d0 = _divide(h11 * g0 - h01 * g1, determinant)
        d1 = _divide(h00 * g1 - h01 * g0, determinant)
        longest = np.abs(d0[:, None] + d1[:, None] * xa).max(axis=1)
        shrink = np.minimum(1.0, _MAX_LOGIT_STEP / np.maximum(longest, 1e-300))
        level[active] += shrink * d0
        tilt[active] += shrink * d1
        active = active[~(longest < 1e-9)]
        if active.size == 0:
            break
    tilt[active] = np.nan  # did not settle
    slope[todo], intercept[todo] = tilt, level - tilt * center
    mean = _logistic(level[:, None] + tilt[:, None] * x)
    spread = _deviance(k, total, mean)
    explained[todo] = 1 - _divide(
        spread, _deviance(k, total, np.broadcast_to(rate[:, None], x.shape))
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


def _logistic(values: Floats) -> Floats:
    # tanh does not overflow where exp does.
    result: Floats = 0.5 * (1 + np.tanh(0.5 * values))
    return result


def _deviance(k: Floats, n: Floats, mean: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        escalated = np.where(k > 0, k * np.log(k / (n * mean)), 0.0)
        implemented = np.where(k < n, (n - k) * np.log((n - k) / (n * (1 - mean))), 0.0)
    deviance: Floats = 2 * (escalated + implemented).sum(axis=1)
    return deviance


def _divide(above: Floats, below: Floats) -> Floats:
    """Return the quotient, NaN where `below` is zero."""
    result = np.full(np.broadcast_shapes(above.shape, below.shape), np.nan)
    np.divide(above, below, out=result, where=below != 0)
    return result


def ratios(above: Floats, below: Floats) -> Floats:
    """Return `above` / `below` elementwise, NaN where `below` is zero."""
    return _divide(np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64))


def crossing(slope: Floats, intercept: Floats, level: Floats | float) -> Floats:
    """Return the accuracy at which the lines reach `level`, NaN where a line is flat."""
    return _divide(np.asarray(level - intercept, dtype=np.float64), slope)


def percentiles(values: Floats) -> tuple[float | None, float | None]:
    """Return the middle 95 % of `values`; nulls where too few of them are finite."""
    finite = values[np.isfinite(values)]
    if values.size == 0 or finite.size < MIN_DEFINED * values.size:
        return None, None
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


def plain(value: float | np.floating | None) -> float | None:
    """Return a Python float, or None where the value is absent or not finite."""
    return float(value) if value is not None and np.isfinite(value) else None


def interval(
    estimate: float | None,
    dialogues: Floats | tuple[float | None, float | None],
    conditions: Floats,
) -> Interval:
    """Return an estimate with both of its 95 % intervals.

    Parameters
    ----------
    estimate : float or None
        Null gives nulls throughout.
    dialogues : ndarray, shape (n_bootstrap,), or pair of float
        The statistic in resamples of dialogues, or the ends themselves (Wilson's, for shares).
    conditions : ndarray, shape (n_bootstrap,)
        The statistic in resamples of conditions.
    """
    value = plain(estimate)
    if value is None:
        return dict(_NO_INTERVAL)
    low, high = dialogues if isinstance(dialogues, tuple) else percentiles(dialogues)
    clustered_low, clustered_high = percentiles(conditions)
    return {
        "estimate": value,
        "low": low,
        "high": high,
        "clustered_low": clustered_low,
        "clustered_high": clustered_high,
    }


def threshold_fit(
    kind: Literal["linear", "logit"], counts: Counts, dialogues: Counts, conditions: Counts
) -> Fit:
    """Return the implicit threshold with its intervals, its fit and what it is worth.

    Parameters
    ----------
    kind : {"linear", "logit"}
        Least squares on the rates, or a binomial GLM on the counts.
    counts : ndarray, shape (n_conditions, 4)
        As `outcome_counts` gives them, every n above 0.
    dialogues, conditions : ndarray, shape (n_bootstrap, n_conditions, 4)
        Resamples of `counts`, of either kind.

    Returns
    -------
    dict
        An interval with ``slope``, ``intercept``, ``r_squared`` and ``status``: *unidentified*
        where the slope's interval includes zero or more (no interval is given then: it would have
        no end), else *extrapolated* where the threshold lies outside the accuracies seen.

    References
    ----------
    arXiv 2604.08588 for the linear fit; the logit fit is ours.
    """
    slope, intercept, r_squared = (float(part[0]) for part in _fit(kind, counts[None]))
    estimate = plain(crossing(np.array([slope]), np.array([intercept]), _level(kind))[0])
    made: Fit = {**_NO_INTERVAL, "estimate": estimate}
    falls = False
    for low_key, high_key, resamples in (
        ("low", "high", dialogues),
        ("clustered_low", "clustered_high", conditions),
    ):
        slopes, intercepts, _ = _fit(kind, resamples)
        _, steepest_end = percentiles(slopes)
        is_negative = steepest_end is not None and steepest_end < 0 and slope < 0
        if low_key == "low":
            falls = is_negative
        if estimate is not None and is_negative:
            # The few resamples that do not fall have no threshold.
            crossings = crossing(slopes, intercepts, _level(kind))
            made[low_key], made[high_key] = percentiles(np.where(slopes < 0, crossings, np.nan))
    status: Status = "unidentified"
    if falls and estimate is not None:
        seen = predictive_accuracies(counts)
        status = "ok" if seen.min() <= estimate <= seen.max() else "extrapolated"
    made.update(
        slope=plain(slope), intercept=plain(intercept), r_squared=plain(r_squared), status=status
    )
    return made


def _fit(kind: str, counts: Counts) -> tuple[Floats, Floats, Floats]:
    if counts.shape[1] == 0:
        missing = np.full(counts.shape[0], np.nan)
        return missing, missing, missing
    accuracy = predictive_accuracies(counts)
    if kind == "linear":
        return fit_lines(accuracy, escalation_rates(counts))
    escalated = (counts[..., RIGHT_ESCALATED] + counts[..., WRONG_ESCALATED]).astype(np.float64)
    return fit_logits(accuracy, escalated, counts.sum(axis=-1).astype(np.float64))


def _level(kind: str) -> float:
    return 0.5 if kind == "linear" else 0.0


def self_estimates(with_signal: Counts, rate: Floats) -> Floats:
    """Return the self-estimated accuracy of each resample; NaN where its line is flat or absent.

    Parameters
    ----------
    with_signal : ndarray, shape (n_bootstrap, n_conditions, 4)
        What the line with signal is fitted to, every n above 0.
    rate : ndarray, shape (n_bootstrap,)
        Mean escalation rate without signal, in [0, 1]: what goes through the line's inverse. The
        result is clipped to [0, 1].

    References
    ----------
    arXiv 2604.08588, the self-estimated accuracy.
    """
    slope, intercept, _ = _fit("linear", with_signal)
    return np.clip(crossing(slope, intercept, rate), 0, 1)
