"""The only door to Great Expectations: tables checked against their suites, failing rows named.

Importing Great Expectations takes 5 to 7 seconds, so that a table which SQL confirms is not given
to it ([decision 27](../docs/decisions/0027-suites-in-sql.md)). Where it is not installed, SQL names
the same rows in the same words.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import pyarrow as pa

from escalometer import warehouse
from escalometer.errors import DataError, missing_extra
from escalometer.layout import SUITES_FOLDER
from escalometer.resources import resource
from escalometer.runtime.extras import is_installed
from escalometer.warehouse import ROW, Failure

__all__ = [
    "ROW",
    "Failure",
    "Result",
    "check",
    "check_rows",
    "evaluated",
    "flat",
    "found_in_sql",
    "number_rows",
    "read_suite",
    "suite_file",
]

#: Added to a table whose rows are ordered otherwise than by `source_row`, as those of two files.
_PLACE = "place of the row"

#: Offending rows that a message shows.
N_SHOWN = 10


@dataclass(frozen=True)
class Result:
    """The result of validating one table.

    Attributes
    ----------
    table, file : str
        The table's name (its suite's as well) and the file that holds it.
    n_rows, n_expectations : int
        Rows, and rules that were evaluated on them.
    failures : tuple of Failure
        The rules that the table breaks; empty where it passed.
    """

    table: str
    file: str
    n_rows: int
    n_expectations: int
    failures: tuple[Failure, ...]

    @property
    def passed(self) -> bool:
        """True if the table satisfies every rule of its suite."""
        return not self.failures


def flat(table: pa.Table) -> pa.Table:
    """Return the table with lists as joined text, so that rules can speak of them."""
    for place, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            joined = [None if v is None else ", ".join(v) for v in table.column(place).to_pylist()]
            table = table.set_column(place, field.name, pa.array(joined, pa.string()))
    return table


def number_rows(table: pa.Table) -> pa.Table:
    """Return a table as `check` takes it: with `source_row` from 1, and lists as joined text."""
    return flat(table).append_column(ROW, _numbers(table))


def _numbers(table: pa.Table) -> pa.Array:
    return pa.array(range(1, table.num_rows + 1), pa.int64())


def suite_file(table: str, folder: Path = SUITES_FOLDER) -> Traversable:
    """Return the file of a table's suite: the project's own, or else the built-in one."""
    project_file = folder / f"{table}.json"
    return project_file if project_file.exists() else resource("expectations", project_file.name)


def read_suite(table: str, folder: Path = SUITES_FOLDER) -> dict[str, Any]:
    """Return the suite of `table` as Great Expectations takes it.

    Raises
    ------
    DataError
        If the suite is absent, not JSON or has no expectation: nothing would be checked.
    """
    path = folder / f"{table}.json"
    try:
        suite: dict[str, Any] = json.loads(suite_file(table, folder).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; each table needs a suite of that name") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    if not suite.get("expectations"):
        raise DataError(f"{path} has no expectations")
    return suite


def check(
    table: pa.Table,
    name: str,
    file: Path,
    identifiers: Sequence[str] = (),
    suite: Mapping[str, Any] | None = None,
    folder: Path = SUITES_FOLDER,
) -> Result:
    """Return whether `table` satisfies the suite `name`, and which rows do not.

    Parameters
    ----------
    table : pyarrow.Table
        The rows, with `source_row`.
    name : str
        Name of the table; its suite is `<folder>/<name>.json`, or else the built-in one.
    file : Path
        Where the rows come from, for messages.
    identifiers : sequence of str
        Columns that name a row beside its number.
    suite : mapping, optional
        The suite to use where there is no such file, as Great Expectations takes it.
    folder : Path, default expectations
        The folder of the project's suites.

    Raises
    ------
    DataError
        If there is no such suite, or it holds nothing or what Great Expectations does not know.
    MissingExtra
        If the table breaks its suite, Great Expectations is not installed and a rule has no SQL.
    """
    path = folder / f"{name}.json"
    # A suite that is given is of a domain of the person's: a built-in one is not about it.
    rules = read_suite(name, folder) if suite is None or path.exists() else suite
    if not table.num_rows:
        failure = Failure(str(file), "", "the table must have rows", 0, ("found none",))
        return Result(name, str(file), 0, 0, (failure,))
    if ROW in table.column_names and warehouse.satisfies(table, rules):
        return Result(name, str(file), table.num_rows, len(rules["expectations"]), ())
    if not is_installed("great_expectations"):
        with warehouse.connect() as connection:
            connection.register("checked", table.append_column(_PLACE, _numbers(table)))
            return found_in_sql(
                connection, "checked", table.schema, rules, name, file, _PLACE, identifiers, path
            )
    return evaluated(table, rules, name, file, identifiers, path)


def found_in_sql(
    connection: warehouse.Connection,
    relation: str,
    schema: pa.Schema,
    suite: Mapping[str, Any],
    name: str,
    file: Path,
    order: str = ROW,
    identifiers: Sequence[str] = (),
    path: Path | None = None,
) -> Result:
    """Return what SQL finds, in the words of `evaluated`.

    Parameters
    ----------
    connection, relation, schema
        As in `check_rows`.
    order : str
        The column that orders the rows.
    suite, name, file, identifiers, path
        As in `evaluated`.

    Raises
    ------
    MissingExtra
        If a rule has no SQL, so that Great Expectations is needed.
    """
    shown = [ROW, *(column for column in identifiers if column in schema.names)]
    try:
        found = warehouse.findings(connection, relation, schema, suite, shown, order, N_SHOWN)
    except warehouse.UncompiledError as error:
        path = path or SUITES_FOLDER / f"{name}.json"
        raise missing_extra(
            f"{path} has a rule that only Great Expectations evaluates ({error}), which is not "
            "installed",
            "pipeline",
        ) from error
    [[n_rows]] = connection.execute(f"select count(*) from {relation}").fetchall()  # noqa: S608
    failures = tuple(
        warehouse.failure(
            one.expectation,
            str(file),
            one.n_rows,
            one.found or [warehouse.row_in_words(row, shown) for row in one.rows],
        )
        for one in found
    )
    return Result(name, str(file), n_rows, len(suite["expectations"]), failures)


def evaluated(
    table: pa.Table,
    suite: Mapping[str, Any],
    name: str,
    file: Path,
    identifiers: Sequence[str] = (),
    path: Path | None = None,
) -> Result:
    """Return what Great Expectations finds, as `check`, whatever SQL would find.

    Parameters
    ----------
    table : pyarrow.Table
        The rows, at least one, with `source_row`.
    suite : mapping
        As Great Expectations takes it.
    name, file, identifiers
        As in `check`.
    path : Path, optional
        The file of the suite, for messages.

    Raises
    ------
    DataError
        If the suite holds what Great Expectations does not know.
    """
    shown = [ROW, *(column for column in identifiers if column in table.column_names)]
    results = _run(table, suite, shown, path or SUITES_FOLDER / f"{name}.json")
    failures = [_failure(result, str(file), shown) for result in results if not _has_passed(result)]
    return Result(name, str(file), table.num_rows, len(results), tuple(failures))


def check_rows(
    connection: warehouse.Connection,
    relation: str,
    schema: pa.Schema,
    name: str,
    file: Path,
    folder: Path = SUITES_FOLDER,
) -> Result:
    """Return the same as `check` for a table in DuckDB, of any number of rows.

    Great Expectations sees only the first rows that break each rule, and those that they share a
    key with; SQL counts the others. It sees all rows where a rule has no SQL, or is about the whole
    table and broken.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Holds the table.
    relation : str
        Its name; it has at least one row.
    schema : pyarrow.Schema
        Its columns, `source_row` among them.
    name, file, folder
        As in `check`.

    Raises
    ------
    DataError
        If there is no such suite, or it holds nothing or what Great Expectations does not know.
    MissingExtra
        As in `check`.
    """
    path = folder / f"{name}.json"
    rules = read_suite(name, folder)
    verdicts = warehouse.judge(connection, relation, schema, rules)
    [[n_rows]] = connection.execute(f"select count(*) from {relation}").fetchall()  # noqa: S608
    n_expectations = len(rules["expectations"])
    if verdicts is not None and all(verdict.holds for verdict in verdicts):
        return Result(name, str(file), n_rows, n_expectations, ())
    if not is_installed("great_expectations"):
        return found_in_sql(connection, relation, schema, rules, name, file, ROW, (), path)
    if verdicts is not None and all(one.holds or one.is_by_row for one in verdicts):
        failures = _failures_of_rows(connection, relation, rules, verdicts, file, path)
        if failures is not None:
            return Result(name, str(file), n_rows, n_expectations, failures)
    table = connection.sql(f"select * from {relation} order by {ROW}").to_arrow_table()  # noqa: S608
    return evaluated(table, rules, name, file, (), path)


def _failures_of_rows(
    connection: warehouse.Connection,
    relation: str,
    suite: Mapping[str, Any],
    verdicts: Sequence[warehouse.Verdict],
    file: Path,
    path: Path,
) -> tuple[Failure, ...] | None:
    """Return the failures, from the rows that show them; None where these show something else."""
    broken = {place: one for place, one in enumerate(verdicts) if not one.holds}
    rules = [verdict.rule for verdict in broken.values()]
    table = warehouse.broken_rows(connection, relation, rules, N_SHOWN)
    expectations = []
    for place, expectation in enumerate(suite["expectations"]):  # all: their order depends on it
        kwargs = dict(expectation["kwargs"])
        if place in broken:
            kwargs.pop("mostly", None)
        expectations.append({**expectation, "kwargs": kwargs, "meta": {"place": place}})
    failures = []
    for result in _run(table, {**suite, "expectations": expectations}, [ROW], path):
        verdict = broken.get(result["expectation_config"]["meta"]["place"])
        if verdict is not None:
            if _has_passed(result) or _exception(result) is not None:
                return None
            failure = _failure(result, str(file), [ROW])
            failures.append(replace(failure, n_rows=verdict.n_broken))
    return tuple(failures)


def _run(
    table: pa.Table, suite: Mapping[str, Any], shown: list[str], path: Path
) -> list[dict[str, Any]]:
    # Read when the package is imported, so that it must be set here: no run reports home.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    try:
        expectations = gx.ExpectationSuite(**suite)
    except (gx.exceptions.GreatExpectationsError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not a suite of expectations: {error}") from error
    known = {expectation.expectation_type for expectation in expectations.expectations}
    unknown = sorted({item["type"] for item in suite["expectations"]} - known)
    if unknown:  # Great Expectations logs them and goes on without
        raise DataError(f"{path}: unknown to Great Expectations: {', '.join(unknown)}")
    asset = context.data_sources.add_pandas("frames").add_dataframe_asset(path.stem)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch(
        {"dataframe": table.to_pandas()}
    )
    validated = batch.validate(
        expectations,
        result_format={
            "result_format": "COMPLETE",
            "unexpected_index_column_names": shown,
            "return_unexpected_index_query": False,
        },
    )
    results: list[dict[str, Any]] = validated.to_json_dict()["results"]
    if len(results) != len(suite["expectations"]):
        raise DataError(
            f"{path}: {len(results)} of {len(suite['expectations'])} expectations were evaluated"
        )
    return results


def _exception(result: Mapping[str, Any]) -> str | None:
    """Return why an expectation could not be evaluated, if so."""
    info = result["exception_info"]
    # One flat record, or one record for each metric that failed.
    records = [info] if "raised_exception" in info else list(info.values())
    for record in records:
        if record["raised_exception"]:
            return str(record["exception_message"]).strip().splitlines()[0]
    return None


def _has_passed(result: Mapping[str, Any]) -> bool:
    return bool(result["success"]) and _exception(result) is None


def _failure(result: Mapping[str, Any], file: str, shown: Sequence[str]) -> Failure:
    found = result["result"]
    offending = found.get("unexpected_index_list") or []
    exception = _exception(result)
    if exception is not None:
        rows: tuple[str, ...] = (f"not evaluated: {exception}",)
    elif offending:
        rows = tuple(warehouse.row_in_words(row, shown) for row in offending[:N_SHOWN])
    elif "mismatched" in found.get("details", {}):
        mismatched = found["details"]["mismatched"]
        rows = tuple(f"{kind}: {', '.join(names)}" for kind, names in mismatched.items())
    else:
        rows = (f"found {found.get('observed_value')}",)
    return warehouse.failure(result["expectation_config"], file, len(offending), rows)
