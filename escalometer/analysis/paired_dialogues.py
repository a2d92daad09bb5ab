"""Dialogues of two models about the same scenario: outcomes of the pairs, disagreements."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa

from escalometer import warehouse
from escalometer.analysis import (
    ANSWERED,
    ConditionKey,
    Row,
    VariantKey,
    condition_key,
    variant_key,
)
from escalometer.documents.comparison import (
    ConditionDisagreements,
    Disagreement,
    Disagreements,
)
from escalometer.resources import resource

#: Pairs in which both have what is counted, only the first, only the second, neither.
FourFold: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True)
class Pairs:
    """Pairs of dialogues of two models.

    Attributes
    ----------
    outcomes : list of dict
        Rows of sql/comparison/paired_outcomes.sql, with ``variant_key`` and
        ``condition_key`` beside.
    disagreements : Table
        From sql/comparison/disagreements.sql: one row a dialogue.
    """

    outcomes: list[Row]
    disagreements: pa.Table

    @property
    def n(self) -> int:
        """Number of pairs, whatever their outcomes."""
        return sum(row["n"] for row in self.outcomes)

    def within(self, variant: VariantKey, conditions: Iterable[ConditionKey]) -> list[Row]:
        """Return the outcomes under one variant of the protocol, in some conditions."""
        wanted = set(conditions)
        return [
            row
            for row in self.outcomes
            if row["variant_key"] == variant and row["condition_key"] in wanted
        ]


def pair(decisions: pa.Table, first: str, second: str) -> Pairs:
    """Return the dialogues of two models about the same scenario under the same circumstances.

    Parameters
    ----------
    decisions : Table
        Of both models, with at least the columns of `decisions.COLUMNS`.
    first, second : str
        Names of the models.
    """
    tables = {}
    with warehouse.connect() as connection:
        warehouse.add_table(connection, "decisions", decisions)
        for name in ("paired_dialogues", "paired_outcomes", "disagreements"):
            tables[name] = warehouse.run_file(
                connection,
                resource("sql", "comparison", f"{name}.sql"),
                {"first": first, "second": second},
            )
            warehouse.add_table(connection, name, tables[name])
    outcomes = tables["paired_outcomes"].to_pylist()
    for row in outcomes:
        row["variant_key"] = variant_key(row)
        row["condition_key"] = condition_key(row)
    return Pairs(outcomes, tables["disagreements"])


def usable(rows: Iterable[Row]) -> list[Row]:
    """Return the outcomes of pairs in which both gave a prediction and an action."""
    return [
        row for row in rows if row["first_status"] in ANSWERED and row["second_status"] in ANSWERED
    ]


def four_fold(
    rows: Iterable[Row], first_has: Callable[[Row], bool], second_has: Callable[[Row], bool]
) -> FourFold:
    """Return in how many pairs both, only the first, only the second and neither have something."""
    counts = {True: {True: 0, False: 0}, False: {True: 0, False: 0}}
    for row in rows:
        counts[first_has(row)][second_has(row)] += row["n"]
    return counts[True][True], counts[True][False], counts[False][True], counts[False][False]


def disagreements(pairs: Pairs, most: int) -> Disagreements:
    """Return the dialogues in which the models predict or act differently, and where they lie.

    Parameters
    ----------
    pairs : Pairs
    most : int
        Dialogues to list; `Pairs.disagreements` has all.
    """
    table = pairs.disagreements
    where = ["domain", "condition", "intervention"]
    n_pairs: dict[tuple[Any, ...], int] = {}
    for row in pairs.outcomes:
        key = tuple(row[name] for name in where)
        n_pairs[key] = n_pairs.get(key, 0) + row["n"]
    flags = ("is_other_prediction", "is_other_action")
    counts: dict[tuple[Any, ...], list[int]] = {}
    for row in warehouse.count_rows(table, [*where, *flags]):
        found = counts.setdefault(tuple(row[name] for name in where), [0, 0, 0])
        for place, is_counted in enumerate((True, *(row[name] for name in flags))):
            found[place] += row["n"] if is_counted else 0
    by_condition = [
        ConditionDisagreements(
            **dict(zip(where, key, strict=True)),
            n_pairs=n_pairs[key],
            n=n,
            n_other_prediction=n_other_prediction,
            n_other_action=n_other_action,
        )
        for key, (n, n_other_prediction, n_other_action) in counts.items()
    ]
    by_condition.sort(
        key=lambda row: (-row.n / row.n_pairs, row.domain, row.condition, row.intervention)
    )
    if not pairs.n:  # without pairs it is unknown whether there are any
        n = n_other_prediction = n_other_action = None
    else:
        n = table.num_rows
        n_other_prediction = sum(row.n_other_prediction for row in by_condition)
        n_other_action = sum(row.n_other_action for row in by_condition)
    return Disagreements(
        n=n,
        n_other_prediction=n_other_prediction,
        n_other_action=n_other_action,
        by_condition=tuple(by_condition),
        n_listed=min(most, table.num_rows),
        dialogues=tuple(Disagreement(**row) for row in table.slice(0, most).to_pylist()),
    )
