"""Limits that hold with a stated confidence: learn-then-test, and exact bounds of a share."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from fractions import Fraction
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from escalometer.stats.distributions import binomial_cdf, binomial_pmf, regularized_beta

Floats = NDArray[np.float64]

#: Power of the further dialogues that a condition needs.
POWER = 0.8

_MOST_MORE, _MOST_EXACT = 10**9, 300


def limit_p_values(k: ArrayLike, n: ArrayLike, limit: float) -> Floats:
    """Return exact p-values of the hypotheses that shares are above a limit.

    Parameters
    ----------
    k, n : array_like of int, shape (m,)
        Counted cases and all cases of each rule; the cases of one rule are independent.
    limit : float
        The limit, in [0, 1].

    Returns
    -------
    ndarray, shape (m,)
        The chance of at most `k` where the share is the limit; 1 where there is no case.

    References
    ----------
    Angelopoulos et al., Learn then Test, arXiv 2110.01052: the binomial tail bound.
    """
    counts, total = np.asarray(k), np.asarray(n)
    return np.where(total > 0, binomial_cdf(counts, total, limit), 1.0)


def fixed_sequence(p_values: Sequence[float], order: Sequence[int], level: float) -> list[int]:
    """Return the hypotheses that are rejected in a fixed order, up to the first that is not.

    Parameters
    ----------
    p_values : sequence of float
        By hypothesis.
    order : sequence of int
        The order of the tests, which must not depend on the data of the p-values.
    level : float
        The chance that any true hypothesis is rejected is at most this.

    References
    ----------
    Angelopoulos et al., arXiv 2110.01052, section 2.2 (fixed sequence testing; with an order
    learned on other data: split fixed sequence testing).
    """
    rejected = []
    for place in order:
        if p_values[place] > level:
            break
        rejected.append(place)
    return rejected


def lower_bounds(k: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> Floats:
    """Return exact one-sided lower bounds of shares.

    Parameters
    ----------
    k, n : array_like of int, shape (m,)
        Counted cases and all cases.
    confidence : float
        In (0, 1).

    References
    ----------
    Clopper and Pearson, Biometrika 26 (1934) 404–413.
    """
    counts, total = np.broadcast_arrays(np.asarray(k), np.asarray(n))
    low, high = np.zeros(counts.shape), np.ones(counts.shape)
    for _ in range(52):  # the chance of at least k rises with the share
        middle = (low + high) / 2
        is_below = _at_least(counts, total, middle) < 1 - confidence
        low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
    return np.where(counts > 0, low, 0.0)


def upper_bounds(k: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> Floats:
    """Return exact one-sided upper bounds of shares; parameters as of `lower_bounds`."""
    counts, total = np.broadcast_arrays(np.asarray(k), np.asarray(n))
    return 1 - lower_bounds(total - counts, total, confidence)


@functools.lru_cache(maxsize=4096)  # conditions of one size share their numbers
def further_dialogues(
    k: int, n: int, threshold: Fraction, confidence: float = 0.95, power: float = POWER
) -> int | None:
    """Return how many more dialogues decide on which side of a threshold an accuracy is.

    Parameters
    ----------
    k, n : int
        Right predictions and dialogues so far, n above 0.
    threshold : Fraction
        In (0, 1).
    confidence, power : float
        Of the one-sided bound, and the chance that it decides.

    Returns
    -------
    int or None
        At least 1; None where the measured accuracy is the threshold itself, or the number is out
        of reach.

    Notes
    -----
    Supposes that the accuracy is the measured one. By the normal approximation of a share's test
    against a fixed value; it is too small for few dialogues, so that up to 300 the exact power
    counts.
    """
    gap = Fraction(k, n) - threshold
    if gap == 0:
        return None
    measured, fixed = k / n, float(threshold)
    normal = NormalDist()
    reach = normal.inv_cdf(confidence) * math.sqrt(fixed * (1 - fixed))
    reach += normal.inv_cdf(power) * math.sqrt(measured * (1 - measured))
    needed = max(n + 1, math.ceil((reach / float(gap)) ** 2))
    while needed <= _MOST_EXACT and _decided(needed, measured, fixed, confidence) < power:
        needed += 1 + needed // 100
    return None if needed - n > _MOST_MORE else needed - n


def _decided(n: int, accuracy: float, threshold: float, confidence: float) -> float:
    """Return the chance that the bound of n dialogues decides at this accuracy."""
    k = np.arange(n + 1)
    if accuracy > threshold:
        tail = binomial_cdf(n - k, n, 1 - threshold)
    else:
        tail = binomial_cdf(k, n, threshold)
    return float(binomial_pmf(k, n, accuracy)[tail <= 1 - confidence].sum())


def _at_least(k: NDArray[np.int64], n: NDArray[np.int64], share: Floats) -> Floats:
    """Return the chance of at least k, each at its own share strictly between 0 and 1."""
    inside = k > 0
    found = np.ones(share.shape)
    found[inside] = regularized_beta(k[inside], n[inside] - k[inside] + 1, share[inside])
    return found
