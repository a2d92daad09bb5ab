"""Suites of expectations evaluated in SQL: they confirm a table, they never refuse one.

A table is confirmed only where Great Expectations, on the same rows in a pandas frame, finds every
expectation satisfied. Where SQL is not certain of that, it does not confirm.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from escalometer.warehouse._raw import identifier
from escalometer.warehouse._statements import connect
from escalometer.warehouse.suites.columns import Column, UncompiledError, columns_of
from escalometer.warehouse.suites.rules import Rule, compiled


@dataclass(frozen=True)
class Verdict:
    """The result of one rule.

    Attributes
    ----------
    holds : bool
        Whether the rule is satisfied for certain.
    n_broken : int
        How many rows break it; 0 where it is about the whole table.
    rule : Rule
        The rule.
    """

    holds: bool
    n_broken: int
    rule: Rule

    @property
    def is_by_row(self) -> bool:
        """True if the rows that break it show all that is wrong."""
        return self.rule.is_by_row and self.n_broken > 0


def satisfies(table: pa.Table, suite: Mapping[str, Any]) -> bool:
    """Return whether a table satisfies a suite for certain.

    Parameters
    ----------
    table : pyarrow.Table
        At least one row.
    suite : mapping
        As Great Expectations takes it.
    """
    try:
        columns = zip(table.column_names, table.columns, strict=True)
        gaps = [name for name, values in columns if values.null_count]
        rules = compile_suite(suite, columns_of(table.schema, gaps))
    except UncompiledError:
        return False
    with connect() as connection:
        connection.register("checked", table)
        try:
            return all(verdict.holds for verdict in verdicts(connection, "checked", rules))
        except duckdb.Error:  # an expression that RE2 refuses, say
            return False


def judge(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    schema: pa.Schema,
    suite: Mapping[str, Any],
) -> list[Verdict] | None:
    """Return the results of a suite's rules over a table or view; None where they have no SQL.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Holds the table.
    relation : str
        Its name; it has at least one row.
    schema : pyarrow.Schema
        Its columns.
    suite : mapping
        As Great Expectations takes it.
    """
    columns = columns_of(schema, gaps_of(connection, relation, schema))
    try:
        return verdicts(connection, relation, compile_suite(suite, columns))
    except (UncompiledError, duckdb.InvalidInputException):
        return None


def gaps_of(connection: duckdb.DuckDBPyConnection, relation: str, schema: pa.Schema) -> list[str]:
    """Return the columns of a table or view that have missing values."""
    counts = ", ".join(f"count({identifier(name)})" for name in schema.names)
    found = connection.execute(f"select count(*), {counts} from {relation}").fetchall()[0]  # noqa: S608
    return [name for name, n in zip(schema.names, found[1:], strict=True) if n < found[0]]


def broken_rows(
    connection: duckdb.DuckDBPyConnection, relation: str, rules: Sequence[Rule], most: int
) -> pa.Table:
    """Return the first rows that break each rule, and those that they share a key with.

    Parameters
    ----------
    connection, relation
        As in `judge`; the table has `source_row`.
    rules : sequence of Rule
        Rules that rows break.
    most : int
        How many rows of each rule.
    """
    connection.execute("create or replace temp table shown (source_row bigint)")
    for rule in rules:
        if rule.key:
            _add_sharing(connection, relation, rule, most)
        else:
            connection.execute(
                f"insert into shown select source_row from {relation} "  # noqa: S608
                f"where {rule.broken} order by source_row limit {int(most)}"
            )
    query = f"select * from {relation} where source_row in (from shown) order by source_row"  # noqa: S608
    return connection.sql(query).to_arrow_table()


def _add_sharing(
    connection: duckdb.DuckDBPyConnection, relation: str, rule: Rule, most: int
) -> None:
    """Note the first rows that share a key: they are of the keys that begin first."""
    names = [f"k{place}" for place in range(len(rule.key))]
    key = ", ".join(rule.key)
    connection.execute(
        "create or replace temp table shared as "  # noqa: S608
        f"select min(source_row) as first, {', '.join(map(_aliased, rule.key, names))} "
        f"from {relation} where {rule.considered} group by {key} having count(*) > 1 "
        f"order by first limit {int(most)}"
    )
    same = " and ".join(
        f"({sql}) is not distinct from shared.{name}"
        for sql, name in zip(rule.key, names, strict=True)
    )
    connection.execute(
        "insert into shown select source_row from ("  # noqa: S608
        f"select source_row, shared.first from {relation}, shared "
        f"where {rule.considered} and {same}) "
        f"qualify row_number() over (partition by first order by source_row) <= {int(most) + 1}"
    )


def _aliased(sql: str, name: str) -> str:
    return f"{sql} as {name}"


def compile_suite(suite: Mapping[str, Any], columns: Mapping[str, Column]) -> list[Rule]:
    """Return the rules of a suite in its order.

    Raises
    ------
    UncompiledError
        If one of them has no SQL, or the suite more than Great Expectations would take.
    """
    expectations = suite["expectations"]
    if not set(suite) <= {"name", "expectations", "meta", "notes"}:
        raise UncompiledError("an attribute of the suite")
    if not isinstance(expectations, list) or not all(
        isinstance(one, dict) and isinstance(one.get("type"), str) for one in expectations
    ):
        raise UncompiledError("what is no list of expectations")
    written = [json.dumps([one["type"], one.get("kwargs")], sort_keys=True) for one in expectations]
    if len(set(written)) < len(written):
        raise UncompiledError("a duplicate expectation")
    return [compiled(one, columns) for one in expectations]


def verdicts(
    connection: duckdb.DuckDBPyConnection, relation: str, rules: Sequence[Rule]
) -> list[Verdict]:
    """Return the results of rules over all rows of a table or view."""
    selected: list[str] = []
    for rule in rules:
        selected += rule.aggregates
        if rule.broken:
            selected += [f"count_if({rule.broken})", f"count_if({rule.considered})"]
    query = f"select count(*), {', '.join(selected) or '0'} from {relation}"  # noqa: S608
    values = list(connection.execute(query).fetchall()[0][1:])
    found = []
    for rule in rules:
        if rule.key:
            found.append(_unique(connection, relation, rule))
        elif rule.broken:
            n_broken, n_considered = int(values.pop(0)), int(values.pop(0))
            found.append(Verdict(holds_mostly(rule, n_broken, n_considered), n_broken, rule))
        else:
            taken = [values.pop(0) for _ in rule.aggregates]
            found.append(Verdict(rule.holds(*taken), 0, rule))
    return found


def holds_mostly(rule: Rule, n_broken: int, n_considered: int) -> bool:
    """Return whether enough of the considered rows satisfy a rule."""
    # Written as Great Expectations divides: another order may round to the other side.
    if not n_considered:
        return not rule.needs_rows
    return (n_considered - n_broken) / n_considered >= rule.mostly


def _unique(connection: duckdb.DuckDBPyConnection, relation: str, rule: Rule) -> Verdict:
    """Return whether no two rows share a key: by its hash, and where hashes are shared by itself.

    Rows that share a key share its hash, so that different hashes are proof enough.
    """
    key = ", ".join(rule.key)
    n_rows, n_hashes = connection.execute(
        f"select count(*), count(distinct hash({key})) from {relation} "  # noqa: S608
        f"where {rule.considered}"
    ).fetchall()[0]
    if n_rows == n_hashes:
        return Verdict(True, 0, rule)
    [[n_broken]] = connection.execute(
        "select coalesce(sum(n), 0)::bigint from ("  # noqa: S608
        f"select count(*) as n from {relation} where {rule.considered} group by {key} "
        "having count(*) > 1)"
    ).fetchall()
    return Verdict(holds_mostly(rule, int(n_broken), int(n_rows)), int(n_broken), rule)
