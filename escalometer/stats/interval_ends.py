"""Ends of 95% intervals: percentiles of resamples, Student's t and Fieller's by a jackknife."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from escalometer.stats.distributions import normal_cdf, normal_quantile, student_quantile
from escalometer.stats.resamples import Floats
from escalometer.stats.shares import Z95

Ends: TypeAlias = tuple[float | None, float | None]

#: Least share of the resamples that must give a number before an interval is given at all.
MIN_DEFINED = 0.9


def percentiles(
    values: Floats, estimate: float | None = None, n_clusters: int | None = None
) -> Ends:
    """Return the ends of the 95% bootstrap interval; nulls where too few values are finite.

    Parameters
    ----------
    values : ndarray, shape (n_bootstrap,)
        The statistic in each resample.
    estimate : float, optional
        The statistic itself. The share of resamples below it shows by how much resampling shifts
        it, and the percentiles are shifted back: noise in the accuracies flattens a line, and a
        resample has that noise twice.
    n_clusters : int, optional
        What a resample draws, if that is few: the percentiles are spread as Student's t and the
        variance's divisor demand.

    References
    ----------
    Efron 1987 (bias-corrected percentiles); Hesterberg 2015 (expanded percentiles).
    """
    finite = values[np.isfinite(values)]
    if values.size == 0 or finite.size < MIN_DEFINED * values.size:
        return None, None
    shift, reach = 0.0, Z95
    if estimate is not None:
        below = np.count_nonzero(finite < estimate) + 0.5 * np.count_nonzero(finite == estimate)
        shift = normal_quantile((below + 0.5) / (finite.size + 1))
    if n_clusters is not None:
        if n_clusters < 2:
            return None, None
        reach = _reach(n_clusters) * (n_clusters / (n_clusters - 1)) ** 0.5
    shares = [normal_cdf(2 * shift - reach), normal_cdf(2 * shift + reach)]
    low, high = np.quantile(finite, shares)
    return float(low), float(high)


def t_ends(estimate: float | None, left_out: Floats) -> Ends:
    """Return the ends of a statistic's 95% jackknife interval; nulls where it is undefined.

    Parameters
    ----------
    estimate : float or None
    left_out : ndarray, shape (n_groups,)
        The statistic with one group left out at a time.

    References
    ----------
    Kott 2001 (delete-a-group jackknife, Student's t with one degree less than groups).
    """
    known = left_out[np.isfinite(left_out)]
    if estimate is None or len(known) < max(2.0, MIN_DEFINED * len(left_out)):
        return None, None
    reach = _reach(len(known)) * float(np.sqrt(_jackknife_covariance(known, known)))
    return estimate - reach, estimate + reach


def root_ends(a: float, b: float, left_a: Floats, left_b: Floats) -> Ends:
    """Return Fieller's 95% interval of the root −a / b, by the jackknife.

    It holds every t at which a + b·t is no further from zero than chance allows. It has two ends,
    with the root between them, where b differs from zero by more than chance, and none otherwise.

    Parameters
    ----------
    a, b : float
    left_a, left_b : ndarray, shape (n_groups,)
        Both with one group left out at a time.

    References
    ----------
    Fieller 1954.
    """
    known = np.isfinite(left_a) & np.isfinite(left_b)
    n = int(known.sum())
    if not np.isfinite([a, b]).all() or n < max(2.0, MIN_DEFINED * len(known)):
        return None, None
    var_a, cov, var_b = (
        _jackknife_covariance(left[known], right[known])
        for left, right in ((left_a, left_a), (left_a, left_b), (left_b, left_b))
    )
    square = _reach(n) ** 2
    # (a + b·t)² <= reach² · (var_a + 2·cov·t + var_b·t²): a quadratic in t.
    leading, half, rest = b * b - square * var_b, a * b - square * cov, a * a - square * var_a
    if b == 0 or leading <= 0:
        return None, None
    spread = float(np.sqrt(max(half * half - leading * rest, 0.0)))
    root, low, high = -a / b, (-half - spread) / leading, (-half + spread) / leading
    return min(low, root), max(high, root)


def _reach(n_groups: int) -> float:
    return student_quantile(n_groups - 1, 0.975)


def _jackknife_covariance(left: Floats, right: Floats) -> float:
    n = len(left)
    return float((left - left.mean()) @ (right - right.mean())) * (n - 1) / n
