"""Lines and logits through conditions whose accuracies are measured, corrected for that noise.

A condition's accuracy is an estimate from its dialogues. Its noise flattens a line of escalation
rates over accuracies (errors in variables), the more the fewer dialogues a condition has, and no
number of conditions makes up for it. The noise is known: it is that of a share, and its covariance
with the escalation rate follows from the same dialogues. So it can be subtracted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from escalometer.stats.fits import FLAT, MAX_LOGIT_STEP, fit_logits, logistic, spread
from escalometer.stats.resamples import (
    RIGHT_ESCALATED,
    WRONG_ESCALATED,
    Counts,
    Floats,
    escalation_rates,
    predictive_accuracies,
    ratios,
)

_MAX_STEPS = 60
#: Of a logit without a solution to the corrected equations, so many steps are kept: the first
#: removes most of the bias, and there are too few dialogues then for the rest to matter.
_STEPS_WITHOUT_SOLUTION = 2


class Moments(NamedTuple):
    """Means over conditions and sums of squares about them; each of shape (n_fits,).

    Attributes
    ----------
    sxx, sxy : ndarray
        Of the accuracies, and of accuracies and escalation rates. Both are 0 where noise explains
        all that the accuracies differ by.
    mean_accuracy, mean_rate : ndarray
    """

    sxx: Floats
    sxy: Floats
    mean_accuracy: Floats
    mean_rate: Floats

    @property
    def slope(self) -> Floats:
        """The line's slope; NaN where there is no line."""
        slope = ratios(self.sxy, self.sxx)
        return np.where(np.abs(slope) < FLAT, 0.0, slope)

    @property
    def intercept(self) -> Floats:
        """The line's value at accuracy 0; NaN where there is no line."""
        return self.mean_rate - self.slope * self.mean_accuracy


def noise(counts: Counts) -> tuple[Floats, Floats]:
    """Return unbiased estimates of the noise in each condition's accuracy.

    Parameters
    ----------
    counts : ndarray, shape (..., 4)
        As `outcome_counts` gives them.

    Returns
    -------
    tuple of ndarray, shape (...)
        Variance of the measured accuracy, and its covariance with the escalation rate; 0 where a
        condition has fewer than two dialogues.
    """
    n = counts.sum(axis=-1)
    accuracy, rate = predictive_accuracies(counts), escalation_rates(counts)
    both = ratios(counts[..., RIGHT_ESCALATED], n)
    below = np.maximum(n - 1, 1)
    return accuracy * (1 - accuracy) / below, (both - accuracy * rate) / below


def moments(counts: Counts, weight: Floats, is_corrected: bool = True) -> Moments:
    """Return the moments of conditions' accuracies and escalation rates.

    Parameters
    ----------
    counts : ndarray, shape (n_fits or 1, n_conditions, 4)
    weight : ndarray, shape (n_fits or 1, n_conditions)
        How often each condition counts.
    is_corrected : bool
        True subtracts what noise adds to the sums of squares. Conditions with one dialogue are left
        out then: their noise is unknown.

    References
    ----------
    Fuller 1987, Measurement Error Models, section 2.2 (known error variances).
    """
    accuracy, rate = predictive_accuracies(counts), escalation_rates(counts)
    shape = np.broadcast_shapes(accuracy.shape, weight.shape)
    n = counts.sum(axis=-1)
    used = np.broadcast_to(weight * (n >= (2 if is_corrected else 1)), shape)
    accuracy, rate = np.nan_to_num(accuracy), np.nan_to_num(rate)
    total = used.sum(axis=1)
    mean_x, mean_y = (ratios((used * values).sum(axis=1), total) for values in (accuracy, rate))
    dx, dy = accuracy - mean_x[:, None], rate - mean_y[:, None]
    sxx, sxy = (used * dx * dx).sum(axis=1), (used * dx * dy).sum(axis=1)
    is_one_accuracy = ~(spread(accuracy, used) > 0)  # exact, where a sum of squares may not be
    if is_corrected:
        share = used * (1 - ratios(used, total[:, None]))
        variance, covariance = (np.nan_to_num(values) for values in noise(counts))
        sxx = sxx - (share * variance).sum(axis=1)
        sxy = sxy - (share * covariance).sum(axis=1)
    has_line = ~is_one_accuracy & (sxx > 0)
    is_flat = np.abs(sxy) < FLAT * np.maximum(sxx, 0)
    return Moments(
        np.where(has_line, sxx, 0.0), np.where(has_line & ~is_flat, sxy, 0.0), mean_x, mean_y
    )


def corrected_logits(counts: Counts, weight: Floats) -> tuple[Floats, Floats]:
    """Return slopes and intercepts of binomial logit fits, corrected for noise in the accuracies.

    The likelihood's equations at the measured accuracies are off by a mean that Taylor's theorem
    gives to second order, whatever the distribution of the accuracies; it is subtracted, and the
    equations are solved by Newton's method from the plain fit on.

    Parameters
    ----------
    counts : ndarray, shape (n_fits or 1, n_conditions, 4)
    weight : ndarray, shape (n_fits or 1, n_conditions)

    Returns
    -------
    tuple of ndarray, each of shape (n_fits,)
        NaN where the plain fit does not exist.

    References
    ----------
    Nakamura 1990 (corrected score functions); Stefanski 1985 (their expansion for small noise).
    """
    accuracy, rate = predictive_accuracies(counts), escalation_rates(counts)
    shape = np.broadcast_shapes(accuracy.shape, weight.shape)
    n = np.broadcast_to(counts.sum(axis=-1) * weight, shape).astype(np.float64)
    escalated = (counts[..., RIGHT_ESCALATED] + counts[..., WRONG_ESCALATED]) * weight
    x = np.where(n > 0, np.broadcast_to(accuracy, shape), 0.5)  # without dialogues: any number
    plain_slope, plain_intercept, _ = fit_logits(
        x, np.broadcast_to(escalated, shape).astype(np.float64), n
    )
    slope, intercept = plain_slope.copy(), plain_intercept.copy()
    todo = np.flatnonzero(np.isfinite(plain_slope) & np.isfinite(plain_intercept))
    if todo.size == 0:
        return slope, intercept
    variance, covariance = (
        np.broadcast_to(np.nan_to_num(values), shape)[todo] for values in noise(counts)
    )
    y, n = np.broadcast_to(np.nan_to_num(rate), shape)[todo], n[todo]
    center = ratios((n * x[todo]).sum(axis=1), n.sum(axis=1))
    dx = x[todo] - center[:, None]
    tilt, level = slope[todo], intercept[todo] + slope[todo] * center
    start = (level.copy(), tilt.copy())
    kept = start
    change = np.full(todo.size, np.inf)
    for step in range(_MAX_STEPS):
        d_level, d_tilt = _newton_step(level, tilt, dx, y, n, variance, covariance)
        change = np.abs(d_level[:, None] + d_tilt[:, None] * dx).max(axis=1)
        shrink = np.minimum(1.0, ratios(MAX_LOGIT_STEP / 3, np.maximum(change, 1e-300)))
        level, tilt = level + shrink * d_level, tilt + shrink * d_tilt
        if step + 1 == _STEPS_WITHOUT_SOLUTION:
            kept = level.copy(), tilt.copy()
        if (change < 1e-9).all():
            break
    is_solved = (change < 1e-6) & (np.sign(tilt) == np.sign(start[1]))
    level, tilt = np.where(is_solved, level, kept[0]), np.where(is_solved, tilt, kept[1])
    slope[todo], intercept[todo] = tilt, level - tilt * center
    return slope, intercept


def _newton_step(
    level: Floats,
    tilt: Floats,
    dx: Floats,
    y: Floats,
    n: Floats,
    variance: Floats,
    covariance: Floats,
) -> tuple[Floats, Floats]:
    """Return the changes of level and tilt that would solve the linearized equations.

    With s the logistic curve at level + tilt·x, the equations are the sums of n (y − s) and of
    n (x y − x s), less what noise of `variance` adds to the means of s and x s, and `covariance` to
    that of x y.
    """
    b, half = tilt[:, None], variance / 2
    s = logistic(level[:, None] + b * dx)
    s1 = s * (1 - s)
    s2, s3 = s1 * (1 - 2 * s), s1 * (1 - 6 * s1)
    u0 = (n * (y - s + s2 * b * b * half)).sum(axis=1)
    u1 = (n * (dx * y - covariance - dx * s + (2 * b * s1 + dx * b * b * s2) * half)).sum(axis=1)
    g00, g01, g11 = ((n * part).sum(axis=1) for part in (s1, dx * s1, dx * dx * s1))
    h00 = (n * (s1 - s3 * b * b * half)).sum(axis=1)
    h01 = (n * (dx * s1 - (s3 * dx * b * b + 2 * b * s2) * half)).sum(axis=1)
    h11 = (n * (dx * dx * s1 - (2 * s1 + 4 * b * dx * s2 + dx * dx * b * b * s3) * half)).sum(
        axis=1
    )
    # The correction can make the equations' derivative singular: the plain one then leads on.
    is_plain = ~(h00 * h11 - h01 * h01 > 0.1 * (g00 * g11 - g01 * g01))
    h00, h01, h11 = (np.where(is_plain, g, h) for g, h in ((g00, h00), (g01, h01), (g11, h11)))
    determinant = h00 * h11 - h01 * h01
    return (
        np.nan_to_num(ratios(h11 * u0 - h01 * u1, determinant)),
        np.nan_to_num(ratios(h00 * u1 - h01 * u0, determinant)),
    )
