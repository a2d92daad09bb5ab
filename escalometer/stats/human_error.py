"""The error rate of one person, from cases that several people judged."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from escalometer.stats.shares import Z95


class PersonsError(NamedTuple):
    """Disagreement of two people about one case, and the error rate that explains it.

    Attributes
    ----------
    disagreement : float
        Probability that two people who judge the same case disagree.
    estimate, low, high : float or None
        Error rate of one person with its 95% interval; None where the disagreement is above one
        half, which no error rate explains.
    n_cases : int
        Cases with at least two judgements.
    """

    disagreement: float
    estimate: float | None
    low: float | None
    high: float | None
    n_cases: int


def persons_error(cases: Iterable[tuple[int, int, int]]) -> PersonsError | None:
    """Return the error rate of one person, from pairwise disagreement about cases with two labels.

    If each person errs with probability e, independently of the others given the case, two disagree
    with probability d = 2e(1 − e), so that e = (1 − √(1 − 2d)) / 2. Where cases differ in
    difficulty, this is a lower bound of the mean error rate, since e is a convex function of d
    (Jensen), as long as e is below one half in each case. Errors that people have in common are not
    part of it.

    Parameters
    ----------
    cases : iterable of tuple of (int, int, int)
        People who judged, those of them who chose the first label, and the number of such cases.

    Returns
    -------
    PersonsError or None
        None where no case has two judgements. The interval is by the normal approximation of the
        mean over cases, each of which counts once.
    """
    total, n_cases, squares = 0.0, 0, 0.0
    for n, k, times in cases:
        if n < 2:
            continue
        share = 2 * k * (n - k) / (n * (n - 1))
        total += times * share
        squares += times * share * share
        n_cases += times
    if not n_cases:
        return None
    mean = total / n_cases
    variance = max(0.0, squares / n_cases - mean * mean)
    half = Z95 * math.sqrt(variance / max(1, n_cases - 1))
    estimate, low, high = (_error(d) for d in (mean, max(0.0, mean - half), mean + half))
    return PersonsError(mean, estimate, low, high, n_cases)


def _error(disagreement: float) -> float | None:
    return None if disagreement > 0.5 else (1 - math.sqrt(1 - 2 * disagreement)) / 2
