"""Statistics of conditions, with intervals from resamples and from jackknives of three kinds."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from escalometer.stats.interval_ends import Ends, percentiles, t_ends
from escalometer.stats.resamples import (
    N_GROUPS,
    Counts,
    Floats,
    leave_dialogues_out,
    resample_conditions,
    resample_dialogues,
)

Interval: TypeAlias = dict[str, float | None]
#: Of counts (b, n_conditions, 4) and weights (b, n_conditions), either b may be 1, the statistic
#: (b,); how often a condition counts is its weight.
Statistic: TypeAlias = Callable[[Counts, Floats], Floats]

#: Where a number is undefined.
NO_INTERVAL: Interval = dict.fromkeys(
    ("estimate", "low", "high", "clustered_low", "clustered_high", "scenario_low", "scenario_high")
)


def plain(value: float | np.floating | None) -> float | None:
    """Return a Python float, or None where the value is absent or not finite."""
    return float(value) if value is not None and np.isfinite(value) else None


Of = TypeVar("Of")
Part = TypeVar("Part")


@dataclass(frozen=True)
class Each(Generic[Of]):
    """A measurement of the observed counts, and of their resamples (or groups) of each kind."""

    observed: Of
    dialogues: Of
    conditions: Of
    scenarios: Of | None

    def of(self, part: Callable[[Of], Part]) -> Each[Part]:
        """Return a part of each."""
        scenarios = None if self.scenarios is None else part(self.scenarios)
        return Each(part(self.observed), part(self.dialogues), part(self.conditions), scenarios)

    @property
    def by_prefix(self) -> dict[str, Of]:
        """Results by the prefix of their interval's keys; scenarios where known."""
        found = {"": self.dialogues, "clustered_": self.conditions}
        return found if self.scenarios is None else {**found, "scenario_": self.scenarios}


def part(found: Each[dict[str, Floats]], name: str) -> Each[Floats]:
    """Return one of several statistics that were measured together."""
    return found.of(lambda numbers: numbers[name])


class Draws:
    """The resamples of all conditions that were measured together, kept by kind of outcome.

    Most of an analysis adds up the resamples of some rows: those of a row lie together.

    Parameters
    ----------
    dialogues : ndarray, shape (4, n_rows, n_bootstrap)
    scenarios : ndarray, shape (4, n_rows, n_bootstrap), or None
    """

    def __init__(self, dialogues: Counts, scenarios: Counts | None) -> None:
        self.dialogues, self.scenarios = dialogues, scenarios
        #: Of conditions in the order of some rows: the rows' weights in their resamples, and with
        #: a group of them left out. Many statistics are of the same conditions.
        self.weights: dict[tuple[Hashable, ...], Floats] = {}
        self.left_out: dict[tuple[Hashable, ...], Floats] = {}

    def without(self) -> Draws:
        """Return the same rows without a resample."""
        scenarios = None if self.scenarios is None else self.scenarios[:, :, :0]
        return Draws(self.dialogues[:, :, :0], scenarios)


def _by_outcome(counts: Counts) -> Counts:
    """Return counts (n_bootstrap, n_rows, 4) as `Draws`, half as wide where their size allows."""
    is_small = counts.max(initial=0) < 2**29  # so is the sum of four
    return np.ascontiguousarray(counts.T, dtype=np.int32 if is_small else np.int64)


def _of_rows(by_outcome: Counts, rows: NDArray[np.intp]) -> Counts:
    """Return the resamples of some rows: (n_bootstrap, len(rows), 4)."""
    return by_outcome.take(rows, axis=1).T


@dataclass(frozen=True)
class Resamples:
    """Conditions, each under some intervention, and their resamples of all three kinds.

    What is drawn for a row depends on the seed and the row's own name alone: the interval of one
    intervention does not change with what else was measured.

    Attributes
    ----------
    names : sequence of tuple
        Of each row: its intervention and all that tells it apart, then its condition.
    conditions : sequence of hashable
        Each row's condition; rows of one condition are drawn together.
    counts : ndarray, shape (n_rows, 4)
        As `outcome_counts` gives them.
    n_scenarios : ndarray of int, shape (n_rows,)
        Scenarios that each row's dialogues are about.
    seed : int
    left_out : ndarray, shape (N_GROUPS, n_rows, 4)
        The counts with one group of dialogues left out, a share of every row's.
    scenarios_left_out : ndarray, shape (N_GROUPS, n_rows, 4), or None
        The same with groups of scenarios; None where the scenario of a dialogue is not recorded.
    draws : Draws
        Those of all rows that were measured together.
    places : ndarray of int, shape (n_rows,)
        Where these rows are among them.
    fits : dict
        What is fitted to rows that were measured together, by kind and places: a threshold of the
        same rows is asked for several times, and does not depend on `draws`.
    """

    names: tuple[tuple[Hashable, ...], ...]
    conditions: tuple[Hashable, ...]
    counts: Counts
    n_scenarios: NDArray[np.int64]
    seed: int
    left_out: Counts
    scenarios_left_out: Counts | None
    draws: Draws
    places: NDArray[np.intp]
    fits: dict[tuple[Hashable, ...], Any]

    @classmethod
    def draw(
        cls,
        names: Sequence[tuple[Hashable, ...]],
        conditions: Sequence[Hashable],
        counts: Counts,
        seed: int,
        n_bootstrap: int,
        scenarios: Counts | None = None,
        n_scenarios: NDArray[np.int64] | None = None,
        scenarios_left_out: Counts | None = None,
    ) -> Resamples:
        """Return rows with their resamples and groups; see the attributes.

        `scenarios` are the resamples of scenarios, of shape (n_bootstrap, n_rows, 4).
        """
        dialogues = np.zeros((n_bootstrap, len(names), 4), dtype=np.int64)
        for i, name in enumerate(names):
            rng = generator(seed, name)
            dialogues[:, i] = resample_dialogues(rng, counts[i : i + 1], n_bootstrap)[:, 0]
        left_out = np.zeros((N_GROUPS, len(names), 4), dtype=np.int64)
        for i, name in enumerate(names):
            left_out[:, i] = leave_dialogues_out(generator(seed, ("groups", *name)), counts[i])
        known = np.zeros(len(names), dtype=np.int64) if n_scenarios is None else n_scenarios
        return cls(
            tuple(names),
            tuple(conditions),
            counts,
            known,
            seed,
            left_out,
            scenarios_left_out,
            Draws(_by_outcome(dialogues), None if scenarios is None else _by_outcome(scenarios)),
            np.arange(len(names), dtype=np.intp),
            {},
        )

    def take(self, rows: Sequence[int]) -> Resamples:
        """Return these rows alone."""
        chosen = np.asarray(rows, dtype=np.intp)
        return Resamples(
            tuple(self.names[i] for i in rows),
            tuple(self.conditions[i] for i in rows),
            self.counts[chosen],
            self.n_scenarios[chosen],
            self.seed,
            self.left_out[:, chosen],
            None if self.scenarios_left_out is None else self.scenarios_left_out[:, chosen],
            self.draws,
            self.places[chosen],
            self.fits,
        )

    def without_draws(self) -> Resamples:
        """Return the rows without resamples: statistics have no intervals but by the jackknife."""
        return replace(self, draws=self.draws.without())

    @cached_property
    def dialogues(self) -> Counts:
        """Counts in each resample of dialogues: (n_bootstrap, n_rows, 4)."""
        return _of_rows(self.draws.dialogues, self.places)

    @cached_property
    def scenarios(self) -> Counts | None:
        """Counts in each resample of scenarios; None where a dialogue's scenario is unknown."""
        if self.draws.scenarios is None or not self.has_scenarios:
            return None
        return _of_rows(self.draws.scenarios, self.places)

    @property
    def n_bootstrap(self) -> int:
        """Number of resamples of each kind."""
        return int(self.draws.dialogues.shape[2])

    @property
    def n_conditions(self) -> int:
        """Number of distinct conditions."""
        return len(set(self.conditions))

    @property
    def most_scenarios(self) -> int:
        """Most scenarios that a row draws from; 0 where scenarios are unknown."""
        return int(self.n_scenarios.max(initial=0))

    @property
    def has_scenarios(self) -> bool:
        """True if the scenario of every dialogue is known."""
        return self.draws.scenarios is not None and bool((self.n_scenarios > 0).all())

    def condition_weights(self) -> Floats:
        """Return how often each resample of conditions has each row: (n_bootstrap, n_rows)."""
        found = self.draws.weights.get(self.conditions)
        if found is None:
            different = sorted(set(self.conditions), key=repr)
            place = {condition: i for i, condition in enumerate(different)}
            rng = generator(self.seed, tuple(different))
            times = resample_conditions(rng, len(different), self.n_bootstrap)
            found = times.T.take([place[condition] for condition in self.conditions], axis=0).T
            self.draws.weights[self.conditions] = found
        return found

    def conditions_left_out(self) -> Floats:
        """Return the rows' weights with one group of conditions left out: (n_groups, n_rows).

        Groups are single conditions where there are at most `N_GROUPS`.
        """
        found = self.draws.left_out.get(self.conditions)
        if found is None:
            different = sorted(set(self.conditions), key=repr)
            order = generator(self.seed, ("groups", *different)).permutation(len(different))
            n_groups = min(N_GROUPS, len(different))
            group = {different[i]: place % n_groups for place, i in enumerate(order)}
            of_row = np.array([group[condition] for condition in self.conditions], dtype=np.int64)
            found = (of_row != np.arange(n_groups)[:, None]).astype(np.float64)
            self.draws.left_out[self.conditions] = found
        return found

    def value(self, statistic: Statistic) -> float | None:
        """Return a statistic."""
        return plain(statistic(self.counts[None], np.ones((1, len(self.counts))))[0])

    def each(self, measure: Callable[[Counts, Floats], Of]) -> Each[Of]:
        """Return what `measure` makes of the rows themselves and of each kind of resample."""
        ones, observed = np.ones((1, len(self.counts))), self.counts[None]
        return Each(
            measure(observed, ones),
            measure(self.dialogues, ones),
            measure(observed, self.condition_weights()),
            None if self.scenarios is None else measure(self.scenarios, ones),
        )

    def jackknife(self, measure: Callable[[Counts, Floats], Of]) -> Each[Of]:
        """Return what `measure` makes of the rows, and of the rows without one group at a time."""
        ones, observed = np.ones((1, len(self.counts))), self.counts[None]
        return Each(
            measure(observed, ones),
            measure(self.left_out, ones),
            measure(observed, self.conditions_left_out()),
            measure(self.scenarios_left_out, ones)
            if self.has_scenarios and self.scenarios_left_out is not None
            else None,
        )

    def jackknife_interval(self, statistic: Statistic) -> Interval:
        """Return a statistic with its 95% intervals by the jackknife.

        For statistics of measured accuracies that are corrected for their noise, such as a
        threshold: a bootstrap's resamples have that noise twice.
        """
        found = self.jackknife(statistic)
        value = plain(found.observed[0])
        numbers = dict(NO_INTERVAL)
        if value is None:
            return numbers
        numbers["estimate"] = value
        for prefix, left_out in found.by_prefix.items():
            numbers[f"{prefix}low"], numbers[f"{prefix}high"] = t_ends(value, left_out)
        return numbers

    def interval(
        self,
        statistic: Statistic,
        estimate: float | None = None,
        ends: Ends | None = None,
        n_conditions: int | None = None,
    ) -> Interval:
        """Return a statistic with its 95% intervals.

        Parameters
        ----------
        statistic : callable
            See `Statistic`.
        estimate : float, optional
            The statistic's value, where it is known already.
        ends : pair of float, optional
            The interval for these conditions, where there is a better one than the bootstrap's.
        n_conditions : int, optional
            How many conditions the statistic rests on, where some rows serve another purpose.
        """
        return self.interval_from(self.each(statistic), estimate, ends, n_conditions)

    def interval_from(
        self,
        found: Each[Floats],
        estimate: float | None = None,
        ends: Ends | None = None,
        n_conditions: int | None = None,
    ) -> Interval:
        """Return the same of a statistic whose values `each` has given."""
        return interval(
            plain(found.observed[0]) if estimate is None else estimate,
            ends or found.dialogues,
            found.conditions,
            found.scenarios,
            n_conditions or self.n_conditions,
            self.most_scenarios,
        )


def interval(
    estimate: float | None,
    dialogues: Floats | Ends,
    conditions: Floats,
    scenarios: Floats | None = None,
    n_conditions: int | None = None,
    n_scenarios: int | None = None,
) -> Interval:
    """Return an estimate with its 95% intervals.

    Parameters
    ----------
    estimate : float or None
        Null gives nulls throughout.
    dialogues : ndarray, shape (n_bootstrap,), or pair of float
        The statistic in resamples of dialogues, or the ends themselves (Wilson's, for shares).
    conditions, scenarios : ndarray, shape (n_bootstrap,)
        The statistic in resamples of conditions, and of scenarios where they are known.
    n_conditions, n_scenarios : int, optional
        How many of them a resample draws.
    """
    value = plain(estimate)
    numbers = dict(NO_INTERVAL)
    if value is None:
        return numbers
    ends = dialogues if isinstance(dialogues, tuple) else percentiles(dialogues, value)
    numbers["estimate"] = value
    numbers["low"], numbers["high"] = ends
    numbers["clustered_low"], numbers["clustered_high"] = percentiles(
        conditions, value, n_conditions
    )
    if scenarios is not None:
        numbers["scenario_low"], numbers["scenario_high"] = percentiles(
            scenarios, value, n_scenarios
        )
    return numbers


def generator(seed: int, name: Hashable) -> np.random.Generator:
    """Return the generator of what has this name: the same draws whatever else is drawn."""
    return np.random.default_rng([seed, zlib.crc32(repr(name).encode())])
