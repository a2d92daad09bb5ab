"""Shares of cases that were observed with known probabilities, and shares of strata combined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from escalometer.stats.shares import wilson


class WeightedShare(NamedTuple):
    """A share with its 95% interval, and the number of cases that it rests on."""

    estimate: float
    low: float
    high: float
    n: int


def weighted_share(hits: Sequence[bool], propensities: Sequence[float]) -> WeightedShare | None:
    """Return the share of hits among all cases, from those that were observed.

    Each observed case counts for 1 / propensity cases (Hájek's estimate). The interval is Wilson's,
    with Kish's effective number of cases, (Σw)² / Σw²; where all propensities are the same, it is
    Wilson's of the observed cases.

    Parameters
    ----------
    hits : sequence of bool
        Of the observed cases.
    propensities : sequence of float
        The probability with which each was observed, in (0, 1].

    Returns
    -------
    WeightedShare or None
        None where nothing was observed.

    References
    ----------
    Hájek, in Godambe and Sprott (eds.), Foundations of Statistical Inference (1971) 236.
    Kish, Survey Sampling (1965), section 11.7.
    """
    if not hits:
        return None
    weights = [1 / propensity for propensity in propensities]
    total = math.fsum(weights)
    of_hits = math.fsum(w for w, hit in zip(weights, hits, strict=True) if hit)
    share = 0.0 if not any(hits) else 1.0 if all(hits) else of_hits / total
    effective = total * total / math.fsum(w * w for w in weights)
    low, high = wilson(share * effective, effective)
    return WeightedShare(share, low, high, len(hits))


def combined(
    parts: Sequence[tuple[float, WeightedShare | None]],
) -> tuple[float, float, float] | None:
    """Return a sum of shares of separate strata with its 95% interval.

    The interval is the MOVER's: squared distances of the ends of the strata's intervals add up.

    Parameters
    ----------
    parts : sequence of tuple of (float, WeightedShare or None)
        The weight of each stratum, at least 0, and its share; strata of weight 0 are left out.

    Returns
    -------
    tuple of float or None
        Estimate and ends; None where a stratum has no share, or all weights are 0.

    References
    ----------
    Zou and Donner, Statistics in Medicine 27 (2008) 1693–1702.
    """
    present = [(weight, share) for weight, share in parts if weight > 0]
    shares = [(weight, share) for weight, share in present if share is not None]
    if not shares or len(shares) < len(present):
        return None
    estimate = math.fsum(weight * share.estimate for weight, share in shares)
    below = math.fsum((weight * (share.estimate - share.low)) ** 2 for weight, share in shares)
    above = math.fsum((weight * (share.high - share.estimate)) ** 2 for weight, share in shares)
    return estimate, estimate - math.sqrt(below), estimate + math.sqrt(above)
