"""Rules that a table does not satisfy, found in SQL: the same that Great Expectations finds.

`verdicts` may leave a table unconfirmed that satisfies its suite. Here each of these cases is
decided: a regular expression by `re`, on the rows that its translation finds, and a mean close to
its bound by the sum that pandas makes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from escalometer.warehouse._raw import first_lines, identifier
from escalometer.warehouse.suites import (
    Verdict,
    compile_suite,
    gaps_of,
    holds_mostly,
    verdicts,
)
from escalometer.warehouse.suites.columns import Column, UncompiledError, columns_of
from escalometer.warehouse.suites.conditions import condition
from escalometer.warehouse.suites.failures import columns_of_rule
from escalometer.warehouse.suites.rules import Rule, is_within

Expectation = Mapping[str, Any]

_COLUMN_SET = "expect_table_columns_to_match_set"
_MEAN = "expect_column_mean_to_be_between"
_CONTAINED = "expect_column_distinct_values_to_contain_set"
_NOT_REGEX = "expect_column_values_to_not_match_regex"
_FETCHED = 10_000


@dataclass(frozen=True)
class Finding:
    """A rule that is not satisfied.

    Attributes
    ----------
    expectation : mapping
        The rule, as the suite has it.
    n_rows : int
        How many rows break it; 0 where it is about the whole table.
    rows : sequence of mapping
        The first of them: values by column.
    found : tuple of str
        What was found, where no single row breaks it.
    """

    expectation: Expectation
    n_rows: int = 0
    rows: Sequence[Mapping[str, Any]] = ()
    found: tuple[str, ...] = ()


def findings(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    schema: pa.Schema,
    suite: Mapping[str, Any],
    shown: Sequence[str],
    order: str,
    most: int,
) -> list[Finding]:
    """Return the rules that a table or view does not satisfy, in Great Expectations' order.

    Parameters
    ----------
    connection, relation, schema, suite
        As in `judge`; the relation may have other columns beside those of the schema.
    shown : sequence of str
        Columns that name a row.
    order : str
        A column of whole numbers by which rows are ordered, each with its own.
    most : int
        How many rows to return of each rule.

    Raises
    ------
    UncompiledError
        If a rule has no SQL.
    """
    columns = columns_of(schema, gaps_of(connection, relation, schema))
    table = _Table(connection, relation, columns, shown, identifier(order), most)
    ordered = _in_order(suite["expectations"])
    absent = [one for one in ordered if not set(columns_of_rule(one)) <= set(columns)]
    known = [one for one in ordered if one not in absent]
    unlike = {place: table.mismatch(one) for place, one in enumerate(known)}
    mismatched = {place: lines for place, lines in unlike.items() if lines}
    compiled = [place for place in range(len(known)) if place not in mismatched]
    found: list[Finding | None] = []
    try:
        rules = compile_suite({**suite, "expectations": [known[i] for i in compiled]}, columns)
        results = dict(zip(compiled, verdicts(connection, relation, rules), strict=True))
        for place, one in enumerate(known):
            if place in mismatched:
                found.append(Finding(one, found=mismatched[place]))
            else:
                found.append(table.finding(one, results[place]))
    except duckdb.InvalidInputException as error:  # an expression that RE2 refuses, say
        raise UncompiledError(first_lines(error)) from error
    return [*map(table.absence, absent), *(one for one in found if one is not None)]


def _in_order(expectations: Sequence[Expectation]) -> list[Expectation]:
    """Return expectations as they are evaluated: by column, in the order of first appearance."""
    groups: dict[str, list[Expectation]] = {}
    for one in expectations:
        groups.setdefault(str(one["kwargs"].get("column", "")), []).append(one)
    return [one for group in groups.values() for one in group]


@dataclass(frozen=True)
class _Table:
    """A table that is held against a suite."""

    connection: duckdb.DuckDBPyConnection
    relation: str
    columns: Mapping[str, Column]
    shown: Sequence[str]
    order: str
    most: int

    def absence(self, one: Expectation) -> Finding:
        """Return the finding of a rule about a column that the table lacks."""
        name = next(name for name in columns_of_rule(one) if name not in self.columns)
        error = f'Error: The column "{name}" in BatchData does not exist.'
        return Finding(one, found=(f"not evaluated: {error}",))

    def mismatch(self, one: Expectation) -> tuple[str, ...]:
        """Return the columns that a table has or lacks against a rule about them all."""
        wanted = one["kwargs"].get("column_set")
        if one["type"] != _COLUMN_SET or not isinstance(wanted, list):
            return ()
        unlike = {
            "unexpected": set(self.columns) - set(wanted),
            "missing": set(wanted) - set(self.columns),
        }
        return tuple(
            f"{kind}: {', '.join(sorted(names))}" for kind, names in unlike.items() if names
        )

    def finding(self, one: Expectation, verdict: Verdict) -> Finding | None:
        """Return what is wrong; None where the rule is satisfied."""
        rule = verdict.rule
        if verdict.holds:
            return None
        if one["type"] == _MEAN:
            mean = self._mean(one)
            is_met = mean is not None and is_within(one["kwargs"], mean)
            return None if is_met else Finding(one, found=(f"found {mean}",))
        if not (rule.broken or rule.key):
            value = None if one["type"] == _CONTAINED else self._value(rule.aggregates[0])
            return Finding(one, found=(f"found {value}",))
        if not verdict.n_broken:  # no row is considered
            return None
        if rule.key:
            return Finding(one, verdict.n_broken, self._sharing(one, rule))
        if not rule.is_exact:
            return self._by_regex(one, rule)
        return Finding(one, verdict.n_broken, self._rows(one, rule.broken))

    def _by_regex(self, one: Expectation, rule: Rule) -> Finding | None:
        """Return what `re` finds among the rows that the translated expression finds."""
        column, pattern = self.columns[one["kwargs"]["column"]], re.compile(one["kwargs"]["regex"])
        is_refused = one["type"] == _NOT_REGEX
        n_broken = 0
        first: list[int] = []
        cursor = self.connection.execute(
            f"select {self.order}, {column.sql} from {self.relation} "  # noqa: S608
            f"where {rule.broken} order by {self.order}"
        )
        while rows := cursor.fetchmany(_FETCHED):
            broken = [row for row, text in rows if bool(pattern.search(text)) == is_refused]
            n_broken += len(broken)
            first += broken[: self.most - len(first)]
        n_considered = self._value(f"count_if({rule.considered})")
        if holds_mostly(rule, n_broken, n_considered):
            return None
        numbers = ", ".join(str(int(row)) for row in first)
        return Finding(one, n_broken, self._rows(one, f"{self.order} in ({numbers})"))

    def _mean(self, one: Expectation) -> float | None:
        kwargs = one["kwargs"]
        rows = condition(kwargs["row_condition"], self.columns) if "row_condition" in kwargs else ""
        table = self.connection.sql(
            f"select {self.columns[kwargs['column']].double} as x from {self.relation} "  # noqa: S608
            f"where {rows or 'true'} order by {self.order}"
        ).to_arrow_table()
        values = table.column("x").to_numpy()
        given = ~np.isnan(values)
        # Summed as pandas does: missing values are zeros, in their places.
        total = float(np.where(given, values, 0.0).sum())
        return total / int(given.sum()) if given.any() else None

    def _value(self, sql: str) -> Any:
        query = f"select {sql} from {self.relation}"  # noqa: S608
        return self.connection.execute(query).fetchall()[0][0]

    def _sharing(self, one: Expectation, rule: Rule) -> list[dict[str, Any]]:
        """Return the first rows that share a key with another one."""
        names = [f'"key {place}"' for place in range(len(rule.key))]
        keys = ", ".join(f"{sql} as {name}" for sql, name in zip(rule.key, names, strict=True))
        shared = (
            f"(select {keys} from {self.relation} where {rule.considered} "  # noqa: S608
            f"group by {', '.join(rule.key)} having count(*) > 1)"
        )
        same = " and ".join(
            f"({sql}) is not distinct from {name}"
            for sql, name in zip(rule.key, names, strict=True)
        )
        return self._rows(one, f"{rule.considered} and {same}", f", {shared}")

    def _rows(self, one: Expectation, where: str, joined: str = "") -> list[dict[str, Any]]:
        """Return of the first rows the values that the rule is about, and the rows' names."""
        names = list(dict.fromkeys([*columns_of_rule(one), *self.shown]))
        query = (
            f"select {', '.join(map(identifier, names))} "  # noqa: S608
            f"from {self.relation}{joined} where {where} "
            f"order by {self.order} limit {int(self.most)}"
        )
        rows: list[dict[str, Any]] = self.connection.sql(query).to_arrow_table().to_pylist()
        for row in rows:
            row.update((k, v.isoformat()) for k, v in row.items() if isinstance(v, date))
        return rows
