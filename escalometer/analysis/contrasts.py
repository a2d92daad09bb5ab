"""One number of two models: its difference, with an interval and a p-value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from escalometer import stats
from escalometer.analysis import CELL, Row
from escalometer.analysis.headlines import put_bounds
from escalometer.analysis.measure import Measured, condition_counts
from escalometer.analysis.paired_dialogues import FourFold
from escalometer.stats import Counts, Floats, Resamples, Statistic
from escalometer.stats.shares import Z95, mcnemar_exact, newcombe, paired_interval, unpaired_p

#: How a p-value came about.
MCNEMAR, RESAMPLES, INDEPENDENT = "mcnemar", "resamples", "independent"


@dataclass(frozen=True)
class Side:
    """What one of two models contributes: rows of the curve, and what is computed of them."""

    places: Sequence[int]
    statistic: Statistic


def missing_ways(measured: Measured) -> list[Counts]:
    """Return the counts of the curve's rows, all missing answers having gone one way or another.

    Empty where no answer is missing.
    """
    made = []
    for tables in measured.completed:
        found = {
            tuple(row[name] for name in CELL): row for row in tables["escalation_curve"].to_pylist()
        }
        own = [found[tuple(row[name] for name in CELL)] for row in measured.curve]
        made.append(condition_counts(own))
    return made


def contrast(
    resamples: Resamples,
    first: Side,
    second: Side,
    is_paired: bool,
    ways: Sequence[Counts] = (),
    n_conditions: int | None = None,
) -> Row:
    """Return a statistic of both sides, and second minus first with intervals and p-value.

    Parameters
    ----------
    resamples : Resamples
        Of the whole curve.
    first, second : Side
    is_paired : bool
        Whether both are about the same scenarios. If so ``low`` and ``high`` come from resamples of
        scenarios, which are the same for both; else from resamples of dialogues, one by one.
    ways : sequence of ndarray
        From `missing_ways`, for ``bound_low`` and ``bound_high``.
    n_conditions : int, optional
        How many conditions the statistic rests on, where some rows serve another purpose.
    """
    n_first = len(first.places)
    together = resamples.take([*first.places, *second.places])

    def difference(counts: Counts, weight: Floats) -> Floats:
        return second.statistic(counts[:, n_first:], weight[:, n_first:]) - first.statistic(
            counts[:, :n_first], weight[:, :n_first]
        )

    values = [_value(resamples.counts, side) for side in (first, second)]
    made = together.interval(difference, n_conditions=n_conditions)
    if is_paired:
        made["low"], made["high"] = made["scenario_low"], made["scenario_high"]
    # However the missing answers of either side had gone.
    firsts, seconds = ([_value(way, side) for way in ways] for side in (first, second))
    put_bounds(
        made,
        [
            None if earlier is None or later is None else later - earlier
            for earlier in firsts
            for later in seconds
        ],
    )
    n_bootstrap = together.dialogues.shape[0]
    return {
        "first": values[0],
        "second": values[1],
        "difference": made,
        "is_paired": is_paired,
        "test": RESAMPLES,
        "p_value": interval_p(made["estimate"], made["low"], made["high"], n_bootstrap),
    }


def undefined(values: tuple[float | None, float | None], reason: str) -> Row:
    """Return a comparison that cannot be made, and why."""
    nothing = {**stats.NO_INTERVAL, "bound_low": None, "bound_high": None}
    return {
        "first": values[0],
        "second": values[1],
        "difference": nothing,
        "is_paired": False,
        "test": None,
        "p_value": None,
        "reason": reason,
    }


def interval_p(
    estimate: float | None, low: float | None, high: float | None, n_bootstrap: int
) -> float | None:
    """Return the two-sided p-value that goes with a 95 % interval of a difference.

    It is that of a normal whose 95 % interval reaches as far towards zero as this one does: below
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
    found: Row, first: tuple[int, int], second: tuple[int, int], table: FourFold | None
) -> Row:
    """Return the contrast of two shares, by exact methods where these hold.

    Parameters
    ----------
    found : dict
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
    if table is not None:
        both, only_first, only_second, neither = table
        low, high = paired_interval(both, only_second, only_first, neither)
        test, p_value = MCNEMAR, mcnemar_exact(only_first, only_second)
    elif not found["is_paired"]:
        low, high = newcombe(*second, *first)
        test, p_value = INDEPENDENT, unpaired_p(*second, *first)
    else:
        return found
    ends = {**found["difference"], "low": low, "high": high}
    return {**found, "difference": ends, "test": test, "p_value": p_value}


def _value(counts: Counts, side: Side) -> float | None:
    own = counts[np.asarray(side.places, dtype=np.intp)]
    return stats.plain(side.statistic(own[None], np.ones((1, len(own))))[0])
