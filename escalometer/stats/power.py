"""Sample sizes for a difference between two arms, and the power of a given number.

All for two-sided tests at 5%. An arm is one side of a comparison: a model, a release or an
intervention. Dialogues are taken as independent; repeated scenarios have less information than
their number of dialogues.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from escalometer.stats.distributions import Floats

NORMAL = NormalDist()
Z95 = NORMAL.inv_cdf(0.975)

#: The largest sample size that is tried, in dialogues an arm.
MAX_DIALOGUES = 10**9

_TAIL = 9.0  # standard deviations beyond which a count's chance is left out


def unpaired_power(n: int, difference: float, rate: float) -> float:
    """Return the power of `n` dialogues in each of two arms for a difference of two shares.

    Parameters
    ----------
    n : int
        Dialogues in each arm, at least 1.
    difference : float
        Second arm's share minus the first's, in [-1, 1], not 0.
    rate : float
        The first arm's share, in [0, 1]; so must be ``rate + difference``.

    References
    ----------
    Fleiss, Levin, Paik, Statistical Methods for Rates and Proportions, 3rd ed., section 4.2: the
    normal approximation to the test with the pooled variance.
    """
    pooled, unpooled = _spreads(difference, rate)
    reach = abs(difference) * math.sqrt(n)
    if unpooled == 0:  # nothing varies: the difference is seen or it is not
        return float(reach > Z95 * pooled)
    return NORMAL.cdf((reach - Z95 * pooled) / unpooled) + NORMAL.cdf(
        (-reach - Z95 * pooled) / unpooled
    )


def unpaired_dialogues(difference: float, rate: float, power: float = 0.8) -> int:
    """Return the dialogues in each of two arms that show a difference of two shares.

    Parameters
    ----------
    difference, rate : float
        As in `unpaired_power`.
    power : float, default 0.8
        Chance of seeing it, in (0.05, 1).
    """
    return _least(lambda n: unpaired_power(n, difference, rate), power)


def paired_power(n: int, difference: float, discordance: float) -> float:
    """Return the power of `n` pairs for a difference, by the exact test of McNemar.

    Parameters
    ----------
    n : int
        Pairs: scenarios on which both arms were asked, at least 1.
    difference : float
        Second arm's share minus the first's, in [-1, 1], not 0.
    discordance : float
        Share of pairs in which the arms differ, in [abs(difference), 1].

    References
    ----------
    Duffy, Biometrics 40 (1984) 1005–1015: over all numbers of pairs that may differ.
    """
    if not 0 < abs(difference) <= discordance <= 1:
        raise ValueError(
            f"needs 0 < |difference| <= discordance <= 1, not {difference} and {discordance}"
        )
    import numpy as np

    from escalometer.stats.distributions import binomial_cdf, binomial_pmf

    middle, spread = n * discordance, math.sqrt(n * discordance * (1 - discordance))
    lowest = max(0, math.floor(middle - _TAIL * spread))
    differing = np.arange(lowest, min(n, math.ceil(middle + _TAIL * spread)) + 1)
    critical = _critical(differing.astype(np.float64))
    favouring = (1 + abs(difference) / discordance) / 2
    rejects = binomial_cdf(critical, differing, 1 - favouring) + binomial_cdf(
        critical, differing, favouring
    )
    return float((binomial_pmf(differing, n, discordance) * rejects).sum())


def _critical(differing: Floats) -> Floats:
    """Return the most pairs for either arm with which the test rejects; -1 where none does."""
    import numpy as np

    from escalometer.stats.distributions import binomial_cdf

    normal = (
        differing / 2 - Z95 * np.sqrt(differing) / 2 - 0.5
    )  # with the correction for continuity
    critical = np.floor(normal)
    nearest = np.round(normal)
    # The approximation's error is below 0.5 / √n: only close to a whole number does it matter.
    close = np.abs(normal - nearest) * np.sqrt(differing) <= 1
    rejects = binomial_cdf(nearest[close], differing[close], 0.5) <= 0.025
    critical[close] = np.where(rejects, nearest[close], nearest[close] - 1)
    return critical


def paired_dialogues(difference: float, discordance: float, power: float = 0.8) -> int:
    """Return the number of scenarios, in both arms, that shows a difference of two shares.

    Parameters
    ----------
    difference, discordance : float
        As in `paired_power`.
    power : float, default 0.8
        Chance of seeing it, in (0.05, 1).
    """
    return _least(lambda n: paired_power(n, difference, discordance), power)


def threshold_power(
    n: float, difference: float, variance: float, correlation: float = 0.0
) -> float:
    """Return the power of `n` dialogues a condition for a difference of two thresholds.

    Parameters
    ----------
    n : float
        Dialogues in each condition of each arm, above 0.
    difference : float
        Between the thresholds, as accuracies; not 0.
    variance : float
        Of a threshold from one dialogue a condition: a pilot's squared standard error times its
        dialogues per condition. Above 0.
    correlation : float, default 0
        Between the two estimates: 0 for different scenarios, in [-1, 1) for the same.

    Notes
    -----
    Takes the squared standard error to be `variance` / `n`, which holds once the line is steep
    beside its own error: not for thresholds that are unidentified.
    """
    if not (variance > 0 and -1 <= correlation < 1 and difference and n > 0):
        raise ValueError(
            "needs n and variance above 0, a difference other than 0 and a correlation in "
            f"[-1, 1), not {n}, {variance}, {difference} and {correlation}"
        )
    reach = abs(difference) / math.sqrt(2 * variance * (1 - correlation) / n)
    return NORMAL.cdf(reach - Z95) + NORMAL.cdf(-reach - Z95)


def threshold_dialogues(
    difference: float, variance: float, correlation: float = 0.0, power: float = 0.8
) -> int:
    """Return the dialogues a condition that show a difference of two thresholds.

    Parameters
    ----------
    difference, variance, correlation : float
        As in `threshold_power`.
    power : float, default 0.8
        Chance of seeing it, in (0.05, 1).
    """
    return _least(lambda n: threshold_power(n, difference, variance, correlation), power)


def discordance_bounds(difference: float, rate: float) -> tuple[float, float]:
    """Return the least and the largest share of pairs in which such arms can differ."""
    _spreads(difference, rate)
    total = 2 * rate + difference
    return abs(difference), min(total, 2 - total)


def _spreads(difference: float, rate: float) -> tuple[float, float]:
    """Return √n times the difference's standard error, under the null and the alternative."""
    second_rate = rate + difference
    # A sum of decimals such as 0.7 + 0.3 may lie a rounding above 1.
    if not (0 <= rate <= 1 and -1e-12 <= second_rate <= 1 + 1e-12 and difference):
        raise ValueError(
            "needs a difference other than 0 and both shares in [0, 1], not "
            f"{rate} and {second_rate:g}"
        )
    second_rate = min(max(second_rate, 0.0), 1.0)
    middle = (rate + second_rate) / 2
    return (
        math.sqrt(2 * middle * (1 - middle)),
        math.sqrt(rate * (1 - rate) + second_rate * (1 - second_rate)),
    )


def _least(achieved: Callable[[int], float], power: float) -> int:
    """Return the least n from which on `achieved` reaches `power`, to within its sawtooth."""
    if not 0.05 < power < 1:
        raise ValueError(f"power must be in (0.05, 1), not {power}")
    high = 1
    while achieved(high) < power:
        high *= 2
        if high > MAX_DIALOGUES:
            raise ValueError(f"more than {MAX_DIALOGUES:,} dialogues would be needed")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if achieved(middle) >= power else (middle, high)
    return high
