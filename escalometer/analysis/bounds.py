"""Bounds of numbers for missing answers: the range over all ways that these could have gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from escalometer.documents.interval import BoundedInterval
from escalometer.stats import NO_INTERVAL, Interval

#: An interval of a number that is undefined.
UNDEFINED = BoundedInterval(**NO_INTERVAL, bound_low=None, bound_high=None)


def with_bounds(numbers: Mapping[str, Any], completed: Sequence[float | None]) -> dict[str, Any]:
    """Return the numbers of an interval or a fit with ``bound_low`` and ``bound_high``.

    Both are null where the estimate is, or where one of the ways leaves it undefined: it then has
    no bound.

    Parameters
    ----------
    numbers : mapping
        With ``estimate``: the number from the answers that there are.
    completed : sequence of float or None
        The number for each way that the missing answers could have gone; empty if none is missing.
    """
    known = [float(value) for value in (numbers["estimate"], *completed) if value is not None]
    has_bounds = len(known) == len(completed) + 1
    return {
        **numbers,
        "bound_low": min(known) if has_bounds else None,
        "bound_high": max(known) if has_bounds else None,
    }


def bounded(interval: Interval, completed: Sequence[float | None]) -> BoundedInterval:
    """Return an interval with the bounds of its estimate; `completed` as for `with_bounds`."""
    return BoundedInterval.model_validate(with_bounds(interval, completed))
