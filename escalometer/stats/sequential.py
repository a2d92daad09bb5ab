"""A test of a mean that may be looked at after every observation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Bets, as shares of the capital: whichever suits the true mean best dominates their average.
_BETS = np.array([0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64])
#: Steps of the bisection: the bound is exact to 1e-9.
_STEPS = 30


class SequentialTest(NamedTuple):
    """The state of the test after all observations.

    Attributes
    ----------
    e_value : float
        The largest evidence against the limit so far; 1 is none.
    first : int or None
        The number of observations after which it reached 1 / level; None if it never did.
    bound : float
        The mean is at least this, with confidence 1 − level at all times together.
    """

    e_value: float
    first: int | None
    bound: float


def mean_above(values: Sequence[float], limit: float, level: float = 0.05) -> SequentialTest:
    """Return the test that the mean of values, in the order of their arrival, is above a limit.

    The capital of a gambler who bets a share c of it on each value at odds that are fair if the
    mean is the limit: Π (1 − c + c · x / limit), averaged over several c. If the mean is at most
    the limit, given what was seen before, the capital is a supermartingale, and the chance that it
    ever reaches 1 / level is at most the level (Ville).

    Parameters
    ----------
    values : sequence of float
        At least 0.
    limit : float
        In (0, 1).
    level : float
        The chance of a false alarm, over all looks together.

    References
    ----------
    Ville, Étude critique de la notion de collectif (1939).
    Waudby-Smith and Ramdas, JRSS B 86 (2024) 1–27, arXiv 2010.09686.
    """
    found = np.asarray(values, dtype=float)
    path = _log_capital(found, limit)
    reached = np.flatnonzero(path >= -math.log(level))
    largest = max(0.0, float(path.max())) if len(path) else 0.0
    # A double holds no more.
    e_value = math.exp(min(largest, 700.0))
    first = int(reached[0]) + 1 if len(reached) else None
    return SequentialTest(e_value, first, _lower_bound(found, level))


def _log_capital(values: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """Return the logarithm of the capital after each value."""
    steps = np.log1p(_BETS[:, None] * (values[None, :] / limit - 1))
    paths = np.cumsum(steps, axis=1)
    if not paths.size:
        return np.zeros(0)
    largest = paths.max(axis=0)
    average = np.exp(paths - largest).mean(axis=0)
    capital: NDArray[np.float64] = largest + np.log(average)
    return capital


def _lower_bound(values: NDArray[np.float64], level: float) -> float:
    """Return the largest limit that the test rejects; the capital falls as the limit rises."""
    if not values.any():
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _log_capital(values, middle).max() >= -math.log(level):
            low = middle
        else:
            high = middle
    return low
