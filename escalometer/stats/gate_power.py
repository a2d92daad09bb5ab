"""Probabilities that a rule with a tolerance fails or passes, by a normal approximation.

A rule fails where the estimated worsening is above the tolerance and significant, and passes where
the upper end of its interval is at most the tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

NORMAL = NormalDist()

#: Probability of failing that `least_failing` looks for.
USUAL_POWER = 0.8


def fail_probability(worsening: float, tolerance: float, error: float, alpha: float) -> float:
    """Return the probability that a rule fails.

    Parameters
    ----------
    worsening : float
        The true one.
    tolerance : float
        At least 0, in the same unit.
    error : float
        Standard error of the estimate, at least 0.
    alpha : float
        Level of the two-sided test of this rule, in (0, 1).
    """
    bar = max(tolerance, NORMAL.inv_cdf(1 - alpha / 2) * error)
    return _beyond(worsening - bar, error)


def pass_probability(worsening: float, tolerance: float, error: float, reach: float) -> float:
    """Return the probability that a rule passes.

    Parameters
    ----------
    worsening, tolerance, error : float
        As in `fail_probability`.
    reach : float
        How far above the estimate what must be within the tolerance ends: the interval, or what
        missing answers could add.
    """
    return _beyond(tolerance - reach - worsening, error)


def least_failing(failing: Callable[[float], float], scale: float) -> float | None:
    """Return the least worsening that fails with `USUAL_POWER`; None if there is none in reach.

    Parameters
    ----------
    failing : callable
        The probability of failing, by worsening; it does not decrease.
    scale : float
        Any worsening above 0, from which the search begins.
    """
    high = scale
    while failing(high) < USUAL_POWER:
        high *= 2
        if high > 1e6 * scale:
            return None
    low = 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if failing(middle) >= USUAL_POWER else (middle, high)
    return high


def _beyond(distance: float, error: float) -> float:
    """Return the chance that an estimate with this mean is above 0."""
    if error == 0:
        return float(distance >= 0)
    return 0.5 * math.erfc(-distance / error / math.sqrt(2))
