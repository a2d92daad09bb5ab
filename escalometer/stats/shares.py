"""Tests and intervals for two shares, paired or not, and the correction for making many tests.

Paired is what two models, or two releases, are on the same scenarios: only the scenarios on which
they differ tell them apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

Bounds: TypeAlias = tuple[float, float] | tuple[None, None]

#: Normal quantile of two-sided 95% intervals.
Z95 = 1.959963984540054

#: Least expected count for which the chi-squared test of a two-by-two table holds its level.
MIN_EXPECTED = 1


def mcnemar_exact(first_only: int, second_only: int) -> float:
    """Return the two-sided exact p-value that two paired shares are the same.

    Parameters
    ----------
    first_only, second_only : int
        Pairs in which only the first, or only the second, has what is counted, at least 0. Pairs
        in which both or neither have it do not matter.

    Returns
    -------
    float
        In (0, 1]; 1 where no pair differs. Below about 1e-300 it is given as 0.

    References
    ----------
    McNemar, Psychometrika 12 (1947) 153–157: given their number, the pairs that differ are fair
    coin flips.
    """
    _check_counts(first_only, second_only)
    fewer, more = sorted((first_only, second_only))
    if fewer == more:
        return 1.0
    from escalometer.stats.distributions import regularized_beta

    # The chance of at most `fewer` heads; summing binomial terms would not do for large counts.
    return min(1.0, 2 * float(regularized_beta(more, fewer + 1, 0.5)))


def unpaired_p(k1: int, n1: int, k2: int, n2: int) -> float | None:
    """Return the two-sided p-value that two independent shares are the same.

    Parameters
    ----------
    k1, n1, k2, n2 : int
        ``k1`` of ``n1`` against ``k2`` of ``n2``, with 0 ≤ k ≤ n.

    Returns
    -------
    float or None
        None where one of them has no rows. The chi-squared test with (n − 1) / n, where every
        expected count is at least 1, else Fisher's exact test.

    References
    ----------
    Campbell, Statistics in Medicine 26 (2007) 3661–3675.
    """
    _check_shares(k1, n1, k2, n2)
    if n1 == 0 or n2 == 0:
        return None
    n, k = n1 + n2, k1 + k2
    if min(n1, n2) * min(k, n - k) < MIN_EXPECTED * n:
        from escalometer.stats.distributions import fisher_exact

        return fisher_exact(k1, n1, k2, n2)
    # Python's integers, so that no product of counts overflows or rounds.
    chi2 = (n - 1) * (k1 * n2 - k2 * n1) ** 2 / (k * (n - k) * n1 * n2)
    return math.erfc(math.sqrt(chi2 / 2))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for how many there are, in the order given.

    Parameters
    ----------
    p_values : sequence of float or None
        In [0, 1]. None, of a comparison that could not be made, stays None and is not counted.

    Returns
    -------
    list of float or None
        Those below 0.05 are significant with a chance of 5% that any of them is so wrongly,
        however the tests depend on each other.

    References
    ----------
    Holm, Scandinavian Journal of Statistics 6 (1979) 65–70.
    """
    known = [(p, i) for i, p in enumerate(p_values) if p is not None]
    if any(not 0 <= p <= 1 for p, _ in known):
        raise ValueError(f"p-values must be in [0, 1]: {list(p_values)}")
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(sorted(known)):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        corrected[i] = largest
    return corrected


def wilson(k: float, n: float) -> tuple[float, float]:
    """Return the 95% score interval of k out of n, n above 0."""
    share, spread = k / n, Z95 * Z95 / n
    half = Z95 * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    low = 0.0 if k == 0 else (share + spread / 2 - half) / (1 + spread)
    high = 1.0 if k == n else (share + spread / 2 + half) / (1 + spread)
    return low, high


def newcombe(k1: int, n1: int, k2: int, n2: int) -> Bounds:
    """Return the 95% interval of the difference of two independent shares.

    Parameters
    ----------
    k1, n1, k2, n2 : int
        ``k1 / n1`` minus ``k2 / n2``, with 0 ≤ k ≤ n.

    Returns
    -------
    tuple of float, or of None where one of them has no rows

    References
    ----------
    Newcombe, Statistics in Medicine 17 (1998) 873–890, method 10.
    """
    _check_shares(k1, n1, k2, n2)
    if n1 == 0 or n2 == 0:
        return None, None
    return _square_and_add(k1, n1, k2, n2, 0.0)


def paired_interval(both: int, first_only: int, second_only: int, neither: int) -> Bounds:
    """Return the 95% interval of the difference of two paired shares, first minus second.

    Parameters
    ----------
    both, first_only, second_only, neither : int
        Pairs in which both have what is counted, and so on, at least 0.

    Returns
    -------
    tuple of float, or of None where there are no pairs

    References
    ----------
    Newcombe, Statistics in Medicine 17 (1998) 2635–2650, method 10.
    """
    _check_counts(both, first_only, second_only, neither)
    n = both + first_only + second_only + neither
    if n == 0:
        return None, None
    first, second = both + first_only, both + second_only
    margins = first * (n - first) * second * (n - second)
    product: float = both * neither - first_only * second_only
    if product > 0:  # the method's correction: small samples look too much alike
        product = max(0.0, product - n / 2)
    correlation = product / math.sqrt(margins) if margins else 0.0
    return _square_and_add(first, n, second, n, correlation)


def _square_and_add(k1: int, n1: int, k2: int, n2: int, correlation: float) -> tuple[float, float]:
    (low1, high1), (low2, high2) = wilson(k1, n1), wilson(k2, n2)
    p1, p2 = k1 / n1, k2 / n2

    def distance(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a - 2 * correlation * a * b + b * b))

    difference = p1 - p2
    return (
        difference - distance(p1 - low1, high2 - p2),
        difference + distance(high1 - p1, p2 - low2),
    )


def _check_counts(*counts: int) -> None:
    if any(count < 0 for count in counts):
        raise ValueError(f"counts must be at least 0: {counts}")


def _check_shares(k1: int, n1: int, k2: int, n2: int) -> None:
    if not (0 <= k1 <= n1 and 0 <= k2 <= n2):
        raise ValueError(f"needs 0 <= k <= n: {k1} of {n1}, {k2} of {n2}")
