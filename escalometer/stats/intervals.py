"""Statistics of conditions, with intervals from resamples of three kinds."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import t as student

from escalometer.stats.resamples import Counts, Floats, resample_conditions, resample_dialogues
from escalometer.stats.shares import Z95

Interval: TypeAlias = dict[str, float | None]
Ends: TypeAlias = tuple[float | None, float | None]
#: Of counts (b, n_conditions, 4) and weights (b, n_conditions), either b may be 1, the statistic
#: (b,); how often a condition counts is its weight.
Statistic: TypeAlias = Callable[[Counts, Floats], Floats]

#: Least share of the resamples that must give a number before an interval is given at all.
MIN_DEFINED = 0.9

#: Where a number is undefined.
NO_INTERVAL: Interval = dict.fromkeys(
    ("estimate", "low", "high", "clustered_low", "clustered_high", "scenario_low", "scenario_high")
)


def plain(value: float | np.floating | None) -> float | None:
    """Return a Python float, or None where the value is absent or not finite."""
    return float(value) if value is not None and np.isfinite(value) else None


def percentiles(
    values: Floats, estimate: float | None = None, n_clusters: int | None = None
) -> Ends:
    """Return the ends of the 95 % bootstrap interval; nulls where too few values are finite.

    Parameters
    ----------
    values : ndarray, shape (n_bootstrap,)
        The statistic in each resample.
    estimate : float, optional
        The statistic itself. The share of resamples below it shows by how much resampling shifts
        it, and the percentiles are shifted back: noise in the accuracies flattens a line, and a
        resample has that noise twice.
    n_clusters : int, optional
        What a resample draws, if that is few: the percentiles are spread as Student's t and the
        variance's divisor demand.

    References
    ----------
    Efron 1987 (bias-corrected percentiles); Hesterberg 2015 (expanded percentiles).
    """
    finite = values[np.isfinite(values)]
    if values.size == 0 or finite.size < MIN_DEFINED * values.size:
        return None, None
    shift, reach = 0.0, Z95
    if estimate is not None:
        below = np.count_nonzero(finite < estimate) + 0.5 * np.count_nonzero(finite == estimate)
        shift = float(ndtri((below + 0.5) / (finite.size + 1)))
    if n_clusters is not None:
        if n_clusters < 2:
            return None, None
        reach = float(student.ppf(0.975, n_clusters - 1)) * (n_clusters / (n_clusters - 1)) ** 0.5
    low, high = np.quantile(finite, ndtr([2 * shift - reach, 2 * shift + reach]))
    return float(low), float(high)


Of = TypeVar("Of")


@dataclass(frozen=True)
class Each(Generic[Of]):
    """A measurement of the observed counts, and of their resamples of each kind."""

    observed: Of
    dialogues: Of
    conditions: Of
    scenarios: Of | None


def part(found: Each[dict[str, Floats]], name: str) -> Each[Floats]:
    """Return one of several statistics that were measured together."""
    scenarios = None if found.scenarios is None else found.scenarios[name]
    return Each(found.observed[name], found.dialogues[name], found.conditions[name], scenarios)


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
    dialogues : ndarray, shape (n_bootstrap, n_rows, 4)
    scenarios : ndarray, shape (n_bootstrap, n_rows, 4), or None
        None where nobody knows which scenario a dialogue is about.
    n_scenarios : ndarray of int, shape (n_rows,)
        Scenarios that each row's dialogues are about.
    seed : int
    """

    names: tuple[tuple[Hashable, ...], ...]
    conditions: tuple[Hashable, ...]
    counts: Counts
    dialogues: Counts
    scenarios: Counts | None
    n_scenarios: NDArray[np.int64]
    seed: int

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
    ) -> Resamples:
        """Return rows with their resamples; see the attributes."""
        # Half as wide where it can be: copies of resamples are most of an analysis.
        is_small = counts.sum(axis=1).max(initial=0) < 2**31
        kind = np.int32 if is_small else np.int64
        dialogues = np.zeros((n_bootstrap, len(names), 4), dtype=kind)
        for i, name in enumerate(names):
            rng = generator(seed, name)
            dialogues[:, i] = resample_dialogues(rng, counts[i : i + 1], n_bootstrap)[:, 0]
        known = np.zeros(len(names), dtype=np.int64) if n_scenarios is None else n_scenarios
        return cls(tuple(names), tuple(conditions), counts, dialogues, scenarios, known, seed)

    def take(self, rows: Sequence[int]) -> Resamples:
        """Return these rows alone."""
        chosen = np.asarray(rows, dtype=np.intp)
        return Resamples(
            tuple(self.names[i] for i in rows),
            tuple(self.conditions[i] for i in rows),
            self.counts[chosen],
            self.dialogues[:, chosen],
            None if self.scenarios is None else self.scenarios[:, chosen],
            self.n_scenarios[chosen],
            self.seed,
        )

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
        return self.scenarios is not None and bool((self.n_scenarios > 0).all())

    def condition_weights(self) -> Floats:
        """Return how often each resample of conditions has each row: (n_bootstrap, n_rows)."""
        different = sorted(set(self.conditions), key=repr)
        place = {condition: i for i, condition in enumerate(different)}
        rng = generator(self.seed, tuple(different))
        times = resample_conditions(rng, len(different), self.dialogues.shape[0])
        return times[:, [place[condition] for condition in self.conditions]]

    def value(self, statistic: Statistic) -> float | None:
        """Return a statistic."""
        return plain(statistic(self.counts[None], np.ones((1, len(self.counts))))[0])

    def each(self, measure: Callable[[Counts, Floats], Of]) -> Each[Of]:
        """Return what `measure` makes of the rows themselves and of each kind of resample."""
        ones, observed = np.ones((1, len(self.counts))), self.counts[None]
        has_scenarios = self.scenarios is not None and self.has_scenarios
        return Each(
            measure(observed, ones),
            measure(self.dialogues, ones),
            measure(observed, self.condition_weights()),
            measure(self.scenarios, ones) if has_scenarios and self.scenarios is not None else None,
        )

    def interval(
        self,
        statistic: Statistic,
        estimate: float | None = None,
        ends: Ends | None = None,
        n_conditions: int | None = None,
    ) -> Interval:
        """Return a statistic with its 95 % intervals.

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
    """Return an estimate with its 95 % intervals.

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
