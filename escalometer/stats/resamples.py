"""Outcomes of dialogues as counts, resamples of them, and counts with groups left out."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]

#: Columns of the counts.
RIGHT_IMPLEMENTED, WRONG_IMPLEMENTED, RIGHT_ESCALATED, WRONG_ESCALATED = range(4)

#: Groups of a jackknife: Student's t with 24 degrees of freedom is 5% above the normal.
N_GROUPS = 25

#: Scenario resamples that are drawn at a time: bounds the memory that their weights take.
_CHUNK = 100


def ratios(above: ArrayLike, below: ArrayLike) -> Floats:
    """Return `above` / `below` elementwise, NaN where `below` is zero."""
    top, bottom = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    result = np.full(np.broadcast_shapes(top.shape, bottom.shape), np.nan)
    np.divide(top, bottom, out=result, where=bottom != 0)
    return result


def outcome_counts(
    n: ArrayLike, n_correct: ArrayLike, n_escalated: ArrayLike, n_wrong_implemented: ArrayLike
) -> Counts:
    """Return each condition's counts of its four outcomes.

    Parameters
    ----------
    n, n_correct, n_escalated, n_wrong_implemented : array_like, shape (n_conditions,)
        Dialogues; those predicted right; those escalated; those wrong and implemented.

    Returns
    -------
    ndarray, shape (n_conditions, 4)
        Right and implemented, wrong and implemented, right and escalated, wrong and escalated.
    """
    total, right, escalated, wrong_implemented = (
        np.asarray(values, dtype=np.int64)
        for values in (n, n_correct, n_escalated, n_wrong_implemented)
    )
    wrong_escalated = total - right - wrong_implemented
    right_escalated = escalated - wrong_escalated
    right_implemented = right - right_escalated
    return np.stack(
        [right_implemented, wrong_implemented, right_escalated, wrong_escalated], axis=-1
    )


def resample_dialogues(rng: np.random.Generator, counts: Counts, n_bootstrap: int) -> Counts:
    """Return the counts of resamples that draw dialogues within each condition.

    Parameters
    ----------
    rng : Generator
        Where the randomness comes from.
    counts : ndarray, shape (n_conditions, 4)
    n_bootstrap : int
        Number of resamples, at least 1.

    Returns
    -------
    ndarray, shape (n_bootstrap, n_conditions, 4)
    """
    n = counts.sum(axis=1)
    shares = np.where(n[:, None] > 0, counts / np.maximum(n, 1)[:, None], [1.0, 0.0, 0.0, 0.0])
    return rng.multinomial(n, shares, size=(n_bootstrap, len(n)))


def leave_dialogues_out(rng: np.random.Generator, counts: Counts) -> Counts:
    """Return a condition's counts with one of `N_GROUPS` random groups of dialogues left out.

    Parameters
    ----------
    rng : Generator
    counts : ndarray, shape (4,)

    Returns
    -------
    ndarray, shape (N_GROUPS, 4)
        Groups differ in size by one dialogue at most.
    """
    outcome = np.repeat(np.arange(4), counts)
    rng.shuffle(outcome)
    group = (np.arange(len(outcome)) + rng.integers(N_GROUPS)) % N_GROUPS
    inside = np.bincount(group * 4 + outcome, minlength=4 * N_GROUPS).reshape(N_GROUPS, 4)
    left: Counts = counts - inside
    return left


def leave_scenarios_out(
    rng: np.random.Generator,
    scenario: NDArray[np.integer],
    cell: NDArray[np.integer],
    outcome: NDArray[np.integer],
    n: NDArray[np.integer],
    n_cells: int,
) -> Counts:
    """Return counts with one of `N_GROUPS` groups of scenarios left out; as `resample_scenarios`.

    Scenarios of one condition are spread evenly over the groups.

    Returns
    -------
    ndarray, shape (N_GROUPS, n_cells, 4)
    """
    n_scenarios = int(scenario.max()) + 1 if len(scenario) else 0
    first_cell = np.full(n_scenarios, n_cells)
    np.minimum.at(first_cell, scenario, cell)
    order = np.lexsort((rng.random(n_scenarios), first_cell))
    group = np.empty(n_scenarios, dtype=np.int64)
    group[order] = np.arange(n_scenarios) % N_GROUPS
    place = (group[scenario] * n_cells + cell) * 4 + outcome
    shape = (N_GROUPS, n_cells, 4)
    inside = np.bincount(place, weights=n, minlength=N_GROUPS * n_cells * 4).reshape(shape)
    inside = np.rint(inside).astype(np.int64)
    left: Counts = inside.sum(axis=0) - inside
    return left


def resample_conditions(rng: np.random.Generator, n_conditions: int, n_bootstrap: int) -> Floats:
    """Return how often each resample of whole conditions has each: (n_bootstrap, n_conditions)."""
    if n_conditions == 0:
        return np.zeros((n_bootstrap, 0))
    drawn = rng.integers(0, n_conditions, size=(n_bootstrap, n_conditions), dtype=np.intp)
    return multiplicities(drawn)


def multiplicities(rows: NDArray[np.intp]) -> Floats:
    """Return how often each condition occurs in each resample, shape as `rows`."""
    n_bootstrap, n_conditions = rows.shape
    flat = rows + n_conditions * np.arange(n_bootstrap)[:, None]
    times = np.bincount(flat.ravel(), minlength=n_bootstrap * n_conditions)
    return times.reshape(n_bootstrap, n_conditions).astype(np.float64)


def predictive_accuracies(counts: Counts) -> Floats:
    """Return the share of right predictions; the last axis of `counts` goes away; NaN at n = 0."""
    right = counts[..., RIGHT_IMPLEMENTED] + counts[..., RIGHT_ESCALATED]
    return ratios(right, counts.sum(axis=-1))


def escalation_rates(counts: Counts) -> Floats:
    """Return the share of escalations; the last axis of `counts` goes away; NaN at n = 0."""
    escalated = counts[..., RIGHT_ESCALATED] + counts[..., WRONG_ESCALATED]
    return ratios(escalated, counts.sum(axis=-1))


def resample_scenarios(
    rng: np.random.Generator,
    scenario: NDArray[np.integer],
    cell: NDArray[np.integer],
    outcome: NDArray[np.integer],
    n: NDArray[np.integer],
    n_cells: int,
    n_bootstrap: int,
) -> Counts:
    """Return the counts of resamples that draw whole scenarios, with all dialogues about them.

    A scenario that stands under several conditions, or that several interventions ask about, takes
    all of these dialogues along.

    Parameters
    ----------
    rng : Generator
        Where the randomness comes from.
    scenario, cell, outcome, n : ndarray of int, shape (n_rows,)
        Per row a scenario's number (0 to the largest, none left out), the condition that it is
        counted in, a column of the counts, and how many such dialogues there are.
    n_cells : int
        Conditions (of one intervention each).
    n_bootstrap : int
        Number of resamples.

    Returns
    -------
    ndarray, shape (n_bootstrap, n_cells, 4)

    References
    ----------
    Cameron and Miller 2015, section VI (pairs cluster bootstrap).
    """
    n_scenarios = int(scenario.max()) + 1 if len(scenario) else 0
    drawn = np.zeros((n_bootstrap, n_cells * 4), dtype=np.int64)
    if n_scenarios == 0:
        return drawn.reshape(n_bootstrap, n_cells, 4)
    kind_of, kind, column, times = _kinds(scenario, cell * 4 + outcome, n, n_scenarios)
    n_kinds = int(kind_of.max()) + 1
    columns, first = np.unique(column, return_index=True)
    for start in range(0, n_bootstrap, _CHUNK):
        size = min(_CHUNK, n_bootstrap - start)
        chosen = rng.integers(0, n_scenarios, size=(size, n_scenarios), dtype=np.int32)
        for i in range(size):
            found = np.bincount(kind_of[chosen[i]], minlength=n_kinds)
            drawn[start + i, columns] = np.add.reduceat(found[kind] * times, first)
    return drawn.reshape(n_bootstrap, n_cells, 4)


def _kinds(
    scenario: NDArray[np.integer],
    column: NDArray[np.integer],
    n: NDArray[np.integer],
    n_scenarios: int,
) -> tuple[NDArray[np.intp], ...]:
    """Return each scenario's kind, and the rows of every kind: kind, column and count, by column.

    Scenarios with the same rows are of one kind. Of many scenarios there are few kinds, so that a
    resample is the number of its scenarios of each.
    """
    order = np.lexsort((n, column, scenario))
    by_scenario, by_column, count = scenario[order], column[order], n[order]
    begin = np.searchsorted(by_scenario, np.arange(n_scenarios + 1))
    numbers: dict[bytes, int] = {}
    kind_of = np.empty(n_scenarios, dtype=np.intp)
    representatives: list[NDArray[np.int64]] = []
    rows = np.stack([by_column, count], axis=1).astype(np.int64)
    for i in range(n_scenarios):
        found = rows[begin[i] : begin[i + 1]]
        number = numbers.setdefault(found.tobytes(), len(numbers))
        if number == len(representatives):
            representatives.append(found)
        kind_of[i] = number
    kind = np.repeat(np.arange(len(representatives)), [len(found) for found in representatives])
    columns, times = np.concatenate(representatives).T
    by = np.argsort(columns, kind="stable")
    return kind_of, kind[by], columns[by], times[by]
