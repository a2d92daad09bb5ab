"""Contrasts: the difference of one number of two models, with an interval and a p-value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from escalometer import stats
from escalometer.analysis import curve_key
from escalometer.analysis.bounds import UNDEFINED, bounded
from escalometer.analysis.measure import Measured, condition_counts
from escalometer.analysis.paired_dialogues import FourFold
from escalometer.documents.interval import BoundedInterval
from escalometer.stats import Counts, Floats, Resamples, Statistic
from escalometer.stats.shares import Z95, mcnemar_exact, newcombe, paired_interval, unpaired_p

Test: TypeAlias = Literal["mcnemar", "resamples", "independent"]


@dataclass(frozen=True)
class Term:
    """One of the two numbers of a contrast: rows of the curve, and a statistic of them."""

    places: Sequence[int]
    statistic: Statistic


@dataclass(frozen=True)
class Contrast:
    """A statistic of two models, and second minus first with interval and p-value.

    Attributes
    ----------
    first, second : float or None
        The statistic of each; null where it is undefined.
    difference : BoundedInterval
    is_paired : bool
        True if both are about the same scenarios, and paired.
    test : {"mcnemar", "resamples", "independent"} or None
        The source of the p-value.
    p_value : float or None
    reason : str or None
        Why there is no difference; null where there is one.
    """

    first: float | None
    second: float | None
    difference: BoundedInterval
    is_paired: bool
    test: Test | None
    p_value: float | None
    reason: str | None = None


def completed_counts(measured: Measured) -> list[Counts]:
    """Return the counts of the curve's rows for each way that missing answers could have gone.

    Empty where no answer is missing.
    """
    completed = []
    for tables in measured.completed:
        rows = {curve_key(row): row for row in tables["escalation_curve"].to_pylist()}
        completed.append(condition_counts([rows[curve_key(row)] for row in measured.curve]))
    return completed


def contrast(
    resamples: Resamples,
    first: Term,
    second: Term,
    is_paired: bool,
    completed: Sequence[Counts] = (),
    is_fit: bool = False,
) -> Contrast:
    """Return a statistic of both terms, and second minus first with intervals and p-value.

    Parameters
    ----------
    resamples : Resamples
        Of the whole curve.
    first, second : Term
    is_paired : bool
        True if both are about the same scenarios. If so ``low`` and ``high`` come from resamples of
        scenarios, which are the same for both; else from resamples of dialogues, one by one.
    completed : sequence of ndarray
        From `completed_counts`, for ``bound_low`` and ``bound_high``.
    is_fit : bool
        True for what is read off a line that is corrected for noise: by the jackknife, since a
        resample has that noise twice.
    """
    n_first = len(first.places)
    together = resamples.take([*first.places, *second.places])

    def difference(counts: Counts, weight: Floats) -> Floats:
        return second.statistic(counts[:, n_first:], weight[:, n_first:]) - first.statistic(
            counts[:, :n_first], weight[:, :n_first]
        )

    how = together.jackknife_interval if is_fit else together.interval
    interval = how(difference)
    if is_paired:
        interval["low"], interval["high"] = interval["scenario_low"], interval["scenario_high"]
    # However the missing answers of either model had gone.
    firsts, seconds = ([_value(counts, term) for counts in completed] for term in (first, second))
    differences = [
        None if earlier is None or later is None else later - earlier
        for earlier in firsts
        for later in seconds
    ]
    return Contrast(
        first=_value(resamples.counts, first),
        second=_value(resamples.counts, second),
        difference=bounded(interval, differences),
        is_paired=is_paired,
        test="resamples",
        p_value=interval_p(
            interval["estimate"], interval["low"], interval["high"], together.n_bootstrap
        ),
    )


def undefined(first: float | None, second: float | None, reason: str) -> Contrast:
    """Return a contrast of numbers that cannot be compared, and why."""
    return Contrast(first, second, UNDEFINED, False, None, None, reason)


def interval_p(
    estimate: float | None, low: float | None, high: float | None, n_bootstrap: int
) -> float | None:
    """Return the two-sided p-value that goes with a 95% interval of a difference.

    It is that of a normal whose 95% interval reaches as far towards zero as this one does: below
    0.05 exactly where the interval leaves out zero. Counting resamples beyond zero would give
    nothing below 2 / (n_bootstrap + 1), too much once it is corrected for a whole table.

    Parameters
    ----------
    estimate, low, high : float or None
        Null gives null.
    n_bootstrap : int
        Resamples; where all gave the same, their number alone bounds the p-value.
    """
    if estimate is None or low is None or high is None:
        return None
    if estimate == 0:
        return 1.0
    reach = estimate - low if estimate > 0 else high - estimate
    if reach <= 0:
        return 2 / (n_bootstrap + 1)
    return math.erfc(Z95 * abs(estimate) / reach / math.sqrt(2))


def share_contrast(
    found: Contrast, first: tuple[int, int], second: tuple[int, int], table: FourFold | None
) -> Contrast:
    """Return the contrast of two shares, by exact methods where these hold.

    Parameters
    ----------
    found : Contrast
        From `contrast`.
    first, second : pair of int
        So many of so many dialogues.
    table : tuple of int or None
        The pairs, where every dialogue of both is in exactly one of them and no scenario stands in
        two; the interval is then Newcombe's for pairs and the test McNemar's. Otherwise shares that
        are not paired get Newcombe's interval and the test for independent shares, and those that
        are keep what resamples of scenarios say.
    """
    low: float | None
    high: float | None
    p_value: float | None
    test: Test
    if table is not None:
        n_both, n_only_first, n_only_second, n_neither = table
        low, high = paired_interval(n_both, n_only_second, n_only_first, n_neither)
        test, p_value = "mcnemar", mcnemar_exact(n_only_first, n_only_second)
    elif not found.is_paired:
        low, high = newcombe(*second, *first)
        test, p_value = "independent", unpaired_p(*second, *first)
    else:
        return found
    difference = found.difference.model_copy(update={"low": low, "high": high})
    return replace(found, difference=difference, test=test, p_value=p_value)


def _value(counts: Counts, term: Term) -> float | None:
    rows = counts[np.asarray(term.places, dtype=np.intp)]
    return stats.plain(term.statistic(rows[None], np.ones((1, len(rows))))[0])
