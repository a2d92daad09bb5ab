"""Distributions in numpy alone: normal, Student's t, binomial, and Fisher's exact test.

Tails have their full relative precision, so that a small p-value is not lost in 1 − p. Chances are
written in Loader's saddle-point form, in which large numbers do not cancel, as they do in
differences of log-gamma values. docs/decisions/0032-small-core.md has the reason for this module.
"""

from __future__ import annotations

import functools
import math
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]

_NORMAL = NormalDist()

#: From here on Stirling's series has full precision with the coefficients below.
_STIRLING_FROM = 16
#: B(2i) / (2i (2i − 1)), i = 1, 2, …
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)

#: A density is integrated, and not expanded, where both parameters are at least this.
_INTEGRATED_FROM = 100.0
#: Natural logarithm of the density's fall at which the integral ends, relative to its first value.
_FALL = 42.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)
#: Values that are integrated at once: their nodes fit into a processor's cache.
_BLOCK = 2048

#: Logarithms of 1 + u lose digits to their first term where u / (2 + u) is smaller.
_NEAR = 0.1

_MOST_STEPS = 100_000
_CONVERGED = 1e-15
_TINY = 1e-300
_LARGEST = 709.0

#: Two tables whose chances differ by less, relatively, are equally likely: their products are
#: rounded. (scipy: 1e-14, of products rounded in another way.)
_TIE = 1e-10


def normal_cdf(x: float) -> float:
    """Return the chance that a standard normal value is at most `x`."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def normal_quantile(p: float) -> float:
    """Return the value that a standard normal value does not exceed with chance `p`.

    Parameters
    ----------
    p : float
        In [0, 1]; infinite at its ends.

    References
    ----------
    Wichura, Applied Statistics 37 (1988) 477–484, as in `statistics`.
    """
    if p in (0, 1):
        return math.copysign(math.inf, p - 0.5)
    return _NORMAL.inv_cdf(p)


@functools.lru_cache(maxsize=4096)
def student_quantile(df: float, p: float) -> float:
    """Return the value that Student's t does not exceed with chance `p`.

    Parameters
    ----------
    df : float
        Degrees of freedom, above 0; infinite is the normal distribution.
    p : float
        In [0, 1]; infinite at its ends.

    Raises
    ------
    ValueError
        If `df` or `p` is out of its range.

    Notes
    -----
    Newton's method on logarithms: of the tail, or of the centre where that is the smaller part.
    Both are concave in the logarithm of t, so that it converges from any start.
    """
    if not (df > 0 and 0 <= p <= 1):
        raise ValueError(f"needs df > 0 and 0 <= p <= 1, not {df} and {p}")
    if math.isinf(df) or p in (0, 0.5, 1):
        return 0.0 if p == 0.5 else normal_quantile(p)
    tail = min(p, 1 - p)
    is_centre = tail > 0.25
    wanted = math.log(1 - 2 * tail if is_centre else 2 * tail)
    # The square of t is a ratio of beta values: both parts are incomplete beta functions.
    a, b = (0.5, df / 2) if is_centre else (df / 2, 0.5)
    log_t = math.log(-normal_quantile(tail))
    if not is_centre:
        log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
        log_y = (wanted + math.log(a) + log_beta) / a  # of I_y(a, b) for a vanishing y
        if log_y < -200:
            log_t = (math.log(df) - log_y) / 2
            return math.copysign(math.exp(log_t) if log_t < _LARGEST else math.inf, p - 0.5)
    for _ in range(100):
        odds = math.exp(2 * log_t - math.log(df))
        x, y = odds / (1 + odds), 1 / (1 + odds)
        part = float(regularized_beta(a, b, *((x, y) if is_centre else (y, x))))
        slope = 2 * float(_beta_power(0.5, df / 2, x, y)) / part
        step = (math.log(part) - wanted) / (slope if is_centre else -slope)
        log_t -= step
        if abs(step) < 1e-9:  # its square is the error that remains
            break
    return math.copysign(math.exp(log_t), p - 0.5)


def binomial_pmf(k: ArrayLike, n: ArrayLike, p: float) -> Floats:
    """Return the chance of exactly `k` successes.

    Parameters
    ----------
    k, n : array_like of int
        Successes and trials, broadcast together; 0 where k is not in [0, n].
    p : float
        Chance of a success, in [0, 1].

    References
    ----------
    Loader, Fast and Accurate Computation of Binomial Probabilities (2000).
    """
    k, n = np.broadcast_arrays(np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64))
    found = np.zeros(k.shape)
    if p in (0, 1):
        found[k == n * p] = 1.0
        return found
    inside = (k > 0) & (k < n)
    found[inside] = _saddle(k[inside], n[inside] - k[inside], p, 1 - p)
    for end, chance in ((k == 0, 1 - p), (k == n, p)):
        # log1p: 1 − p is rounded where p is small, and n times its logarithm is not small.
        logarithm = math.log1p(-p) if chance is not p else math.log(p)
        found[end] = np.exp(n[end] * logarithm)
    found[n < 0] = 0.0
    return found


def binomial_cdf(k: ArrayLike, n: ArrayLike, p: float) -> Floats:
    """Return the chance of at most `k` successes.

    Parameters
    ----------
    k, n : array_like of int
        Successes and trials, broadcast together; any k, also below 0 and above n.
    p : float
        Chance of a success, in [0, 1].
    """
    k, n = np.broadcast_arrays(np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64))
    found = np.where(k >= n, 1.0, 0.0)
    inside = (k >= 0) & (k < n)
    found[inside] = regularized_beta(n[inside] - k[inside], k[inside] + 1, 1 - p, p)
    return found


def regularized_beta(
    a: ArrayLike, b: ArrayLike, x: ArrayLike, y: ArrayLike | None = None
) -> Floats:
    """Return the regularized incomplete beta function I_x(a, b).

    Parameters
    ----------
    a, b : array_like
        Parameters, above 0.
    x : array_like
        In [0, 1].
    y : array_like, optional
        1 − x, where it is known more precisely than by subtraction.

    Returns
    -------
    ndarray
        Of the shape to which the arguments are broadcast. Values near 0 have full relative
        precision; values near 1 are one minus such a value.

    References
    ----------
    Didonato and Morris, ACM Transactions on Mathematical Software 18 (1992) 360–373: the
    symmetry, and the continued fraction (equation 9), here by Lentz's method. For two large
    parameters the density is integrated from x on, by Gauss and Legendre's rule.
    """
    x = np.asarray(x, dtype=np.float64)
    y = 1 - x if y is None else np.asarray(y, dtype=np.float64)
    arrays = np.broadcast_arrays(
        np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64), x, y
    )
    shape = arrays[0].shape
    a, b, x, y = (np.ravel(one) for one in arrays)
    # From the middle on, the other tail is the smaller part.
    is_integrated = np.minimum(a, b) >= _INTEGRATED_FROM
    middle = np.where(is_integrated, (a - 1) * y < (b - 1) * x, (a + 1) * y < (b + 1) * x)
    a, b = np.where(middle, b, a), np.where(middle, a, b)
    x, y = np.where(middle, y, x), np.where(middle, x, y)
    tail = np.zeros(len(a))
    for chosen, method in ((is_integrated, _integral), (~is_integrated, _fraction)):
        chosen = chosen & (x > 0)
        if chosen.any():
            tail[chosen] = method(a[chosen], b[chosen], x[chosen], y[chosen])
    return np.where(middle, 1 - tail, tail).reshape(shape)


def fisher_exact(k1: int, n1: int, k2: int, n2: int) -> float:
    """Return the two-sided p-value of Fisher's exact test that two shares are the same.

    Parameters
    ----------
    k1, n1, k2, n2 : int
        ``k1`` of ``n1`` against ``k2`` of ``n2``, with 0 ≤ k ≤ n.

    Returns
    -------
    float
        The chance of all tables with these margins that are at most as likely as this one; 1 where
        a margin is 0. Below about 1e-300 it is given as 0.

    References
    ----------
    Fisher, Journal of the Royal Statistical Society 98 (1935) 39–82.
    """
    k = k1 + k2
    if n1 == 0 or n2 == 0 or k in (0, n1 + n2):
        return 1.0
    low, high = max(0, k - n2), min(n1, k)
    j = np.arange(low, high, dtype=np.float64)
    # Of each table and the one before it; chances relative to the most likely table.
    ratios = ((n1 - j) * (k - j)) / ((j + 1) * (n2 - k + j + 1))
    mode = int(np.count_nonzero(ratios >= 1))
    below = np.cumprod(1 / ratios[:mode][::-1])[::-1]
    chances = np.concatenate([below, [1.0], np.cumprod(ratios[mode:])])
    at_most = chances <= chances[k1 - low] * (1 + _TIE)
    return min(1.0, float(chances[at_most].sum() / chances.sum()))


def _stirling_error(n: Floats) -> Floats:
    """Return log Γ(n + 1) − log(√(2πn) (n/e)ⁿ), for n above 0."""
    n = np.array(n)
    found = np.zeros(n.shape)
    while (small := n < _STIRLING_FROM).any():
        found[small] += (n[small] + 0.5) * np.log1p(1 / n[small]) - 1
        n[small] += 1
    square, term = n * n, 1 / n
    for coefficient in _STIRLING:
        found += coefficient * term
        term /= square
    return found


def _deviance(x: Floats, mean: Floats) -> Floats:
    """Return x log(x / mean) + mean − x, precisely also where x is close to the mean."""
    difference = x - mean
    v = difference / (x + mean)
    near = np.abs(v) < _NEAR
    found = np.empty(x.shape)
    found[near] = difference[near] * v[near] + 2 * x[near] * _cubic_artanh(v[near])
    far = ~near
    with np.errstate(divide="ignore", over="ignore"):
        found[far] = x[far] * np.log(x[far] / mean[far]) - difference[far]
    return found


def _saddle(a: ArrayLike, b: ArrayLike, x: ArrayLike, y: ArrayLike) -> Floats:
    """Return Γ(a + b + 1) / (Γ(a + 1) Γ(b + 1)) xᵃ yᵇ, where x + y = 1 and all are above 0."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    n = a + b
    exponent = (
        _stirling_error(n)
        - _stirling_error(a)
        - _stirling_error(b)
        - _deviance(a, n * x)
        - _deviance(b, n * y)
    )
    return np.asarray(np.exp(exponent) * np.sqrt(n / (2 * math.pi * a * b)))


def _beta_power(a: ArrayLike, b: ArrayLike, x: ArrayLike, y: ArrayLike) -> Floats:
    """Return xᵃ yᵇ / B(a, b)."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return np.asarray(_saddle(a, b, x, y) * (a * b / (a + b)))


def _fraction(a: Floats, b: Floats, x: Floats, y: Floats) -> Floats:
    """Return I_x(a, b) by its continued fraction, for x at most about a / (a + b)."""
    above_mode = a * y - b * x + 1  # as one value: with a + 1 and (a + b) x, digits would cancel

    def denominator(n: int) -> Floats:
        first = n * (b - n) * x / (a + 2 * n - 1) if n else 0.0
        return n + first + (a + n) * (above_mode + n * (1 + y)) / (a + 2 * n + 1)

    value = _not_zero(denominator(0))
    c, d = value, np.zeros(len(a))
    for n in range(1, _MOST_STEPS):
        odd = a + 2 * n - 1
        numerator = (a + n - 1) * (a + b + n - 1) * n * (b - n) * (x / odd) ** 2
        d = 1 / _not_zero(denominator(n) + numerator * d)
        c = _not_zero(denominator(n) + numerator / c)
        value = value * (c * d)
        if (np.abs(c * d - 1) < _CONVERGED).all():
            break
    return _beta_power(a, b, x, y) / value


def _not_zero(value: Floats) -> Floats:
    return np.where(np.abs(value) < _TINY, _TINY, value)


def _integral(a: Floats, b: Floats, x: Floats, y: Floats) -> Floats:
    """Return I_x(a, b) as the integral of the density below x, which is at most the mode."""
    if len(a) > _BLOCK:
        blocks = (slice(start, start + _BLOCK) for start in range(0, len(a), _BLOCK))
        return np.concatenate([_integral(a[i], b[i], x[i], y[i]) for i in blocks])
    slope = ((a - 1) * y - (b - 1) * x) / (x * y)  # of the log-density at x, at least 0

    def fall(distance: Floats, at: tuple[Floats, ...]) -> Floats:
        """Return by how much the log-density is lower at x − distance."""
        one, other, left, right, steep = at
        return (
            steep * distance
            - (one - 1) * _log1p_minus(-distance / left)
            - (other - 1) * _log1p_minus(distance / right)
        )

    at = (a, b, x, y, slope)
    curvature = (a - 1) / (x * x) + (b - 1) / (y * y)
    reach = 2 * _FALL / (slope + np.sqrt(slope * slope + 2 * _FALL * curvature))
    reach = np.minimum(reach, x * (1 - 1e-9))
    for _ in range(6):  # Newton's method: the fall is convex
        steepness = (a - 1) / (x - reach) - (b - 1) / (y + reach)
        step = (fall(reach, at) - _FALL) / np.maximum(steepness, _TINY)
        reach = np.clip(reach - step, reach / 4, x * (1 - 1e-9))
    distances = reach[:, None] * (_NODES + 1) / 2
    falls = fall(distances, tuple(one[:, None] for one in at))
    return _beta_power(a, b, x, y) / (x * y) * (np.exp(-falls) @ _WEIGHTS) * reach / 2


def _log1p_minus(u: Floats) -> Floats:
    """Return log(1 + u) − u, precisely also where u is close to 0."""
    v = u / (2 + u)
    if u.size and np.abs(v).max() < _NEAR:
        return 2 * _cubic_artanh(v) - u * v  # log(1 + u) = 2 artanh(v), and 2v − u = −uv
    near = np.abs(v) < _NEAR
    found: Floats = np.log1p(u) - u
    found[near] = 2 * _cubic_artanh(v[near]) - u[near] * v[near]
    return found


def _cubic_artanh(v: Floats) -> Floats:
    """Return artanh(v) − v by its series, for v between −0.1 and 0.1."""
    square = v * v
    largest = max(float(square.max(initial=0)), _TINY)
    n_terms = min(9, math.ceil(math.log(_CONVERGED / 100) / math.log(largest)) + 1)
    series = np.full(v.shape, 1 / (2 * n_terms + 1))
    for odd in range(2 * n_terms - 1, 2, -2):
        series *= square
        series += 1 / odd
    series *= square
    series *= v
    return series
