"""Running the statements under sql/: cases from raw tables, conditions over cases, metrics."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from graphlib import TopologicalSorter
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import numpy as np
import pyarrow as pa

from escalometer.errors import DataError
from escalometer.resources import files, resource, stem
from escalometer.warehouse._raw import first_lines, identifier

Connection: TypeAlias = duckdb.DuckDBPyConnection


def connect(n_threads: int = 2) -> duckdb.DuckDBPyConnection:
    """Return a connection to a fresh in-memory database that never reaches for the network."""
    connection = duckdb.connect(config={"threads": n_threads})
    connection.execute("set autoinstall_known_extensions = false")
    connection.execute("set autoload_known_extensions = false")
    return connection


#: What a database file may use of memory; the rest goes to its folder.
MEMORY_LIMIT = "700MB"


def open_file(
    folder: Path, n_threads: int = 2, memory_limit: str = MEMORY_LIMIT
) -> duckdb.DuckDBPyConnection:
    """Return a connection to a fresh database file in `folder`, whose memory is bounded."""
    settings: dict[str, str | bool | int | float | list[str]] = {
        "threads": n_threads,
        "memory_limit": memory_limit,
        "temp_directory": str(folder / "spilled"),
        "max_temp_directory_size": "1TB",
    }
    connection = duckdb.connect(str(folder / "rows.duckdb"), config=settings)
    connection.execute("set autoinstall_known_extensions = false")
    connection.execute("set autoload_known_extensions = false")
    return connection


def run_file(
    connection: duckdb.DuckDBPyConnection,
    path: Traversable,
    values: Mapping[str, Any] | None = None,
) -> pa.Table:
    """Return what the one statement in `path` selects.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Holds the tables that the statement reads.
    path : Traversable
        A file with one statement.
    values : mapping, optional
        Values to bind by name; those that the statement does not name are left aside.
    """
    return _selected(connection, path, values or {}).to_arrow_table()


def fetch_file(
    connection: duckdb.DuckDBPyConnection,
    path: Traversable,
    values: Mapping[str, Any] | None = None,
) -> dict[str, np.ndarray[Any, Any]]:
    """Return what the one statement in `path` selects, by column; as `run_file`."""
    return _selected(connection, path, values or {}).fetchnumpy()


def _selected(
    connection: duckdb.DuckDBPyConnection, path: Traversable, values: Mapping[str, Any]
) -> duckdb.DuckDBPyRelation:
    statements = connection.extract_statements(path.read_text(encoding="utf-8"))
    if len(statements) != 1:
        raise ValueError(f"{path} must contain one statement, not {len(statements)}")
    wanted = statements[0].named_parameters
    bound = {name: value for name, value in values.items() if name in wanted}
    return connection.sql(statements[0].query, params=bound)


def spread_rows(connection: duckdb.DuckDBPyConnection, name: str, most: int) -> pa.Table:
    """Return a loaded raw table, or where it has more rows than `most`, evenly spread ones."""
    table = identifier(name)
    n_rows = int(connection.execute(f"select count(*) from {table}").fetchall()[0][0])  # noqa: S608
    step = -(-n_rows // most)
    query = f"select * from {table} where source_row % $step = 0 or $step = 1"  # noqa: S608
    return connection.sql(query, params={"step": step}).to_arrow_table()


def members(cases: pa.Table, predicates: Mapping[str, str]) -> dict[str, np.ndarray[Any, Any]]:
    """Return for each condition which cases it holds for: an array of bool, in the cases' order.

    Parameters
    ----------
    cases : pyarrow.Table
        Staged cases with the columns that a predicate may use, and no others.
    predicates : mapping of str to str
        SQL expressions by condition; null counts as false. They see `cases` and nothing else: no
        file, no network, no other table.

    Raises
    ------
    DataError
        If a predicate is not an expression over the columns.
    """
    found = {}
    with connect() as connection:
        connection.from_arrow(cases).create("cases")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        for condition, predicate in predicates.items():
            query = f"select coalesce(({predicate}\n), false) as holds from cases"  # noqa: S608
            try:
                if len(connection.extract_statements(query)) != 1:
                    raise DataError(f"condition {condition}: {predicate!r} must be one expression")
                holds = connection.execute(query).fetchnumpy()["holds"]
            except duckdb.Error as error:
                raise DataError(
                    f"condition {condition}: {predicate!r} is not a valid condition: "
                    f"{first_lines(error)}. Columns: {', '.join(cases.column_names)}"
                ) from error
            if holds.dtype != bool or len(holds) != cases.num_rows:
                raise DataError(
                    f"condition {condition}: {predicate!r} must be true or false for each row"
                )
            found[condition] = holds
    return found


def add_view(connection: duckdb.DuckDBPyConnection, name: str, path: Traversable) -> None:
    """Let statements read, as `name`, what the one statement in `path` selects."""
    query = path.read_text(encoding="utf-8")
    connection.execute(f"create or replace temp view {identifier(name)} as {query}")


def add_table(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """Copy `table` into the database as `name`."""
    connection.from_arrow(table).create(name)


def view_decisions(connection: duckdb.DuckDBPyConnection, files: str) -> None:
    """Let the metrics read `decisions` from Parquet files, however many rows these have.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
    files : str
        A path or a pattern of paths; columns by name, also those that folders name (`model=m`).
    """
    read = connection.read_parquet(files, union_by_name=True, hive_partitioning=True)
    read.create_view("decisions")


def load_macros(connection: duckdb.DuckDBPyConnection) -> None:
    """Define every macro under sql/macros, one a file."""
    for path in files(resource("sql", "macros"), ".sql"):
        connection.execute(path.read_text(encoding="utf-8"))


def metric_sources(path: Traversable) -> list[str]:
    """Return the tables that the statement in `path` reads, as its header's third line says.

    Raises
    ------
    ValueError
        If there is no such line.
    """
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("-- source:"):
            return [name.strip() for name in line.removeprefix("-- source:").split(",")]
    raise ValueError(f"{path} must name its source: -- source: decisions")


def metric_files(folder: Traversable | None = None) -> Iterator[Traversable]:
    """Yield the files of metrics, each after those whose tables it reads.

    Parameters
    ----------
    folder : Traversable, optional
        In place of sql/metrics.

    Raises
    ------
    ValueError
        If metrics read each other in a circle.
    """
    found = files(resource("sql", "metrics") if folder is None else folder, ".sql")
    paths = {stem(path): path for path in found}
    needs = {name: metric_sources(path) for name, path in paths.items()}
    for name in TopologicalSorter(needs).static_order():
        if name in paths:
            yield paths[name]


def dependents(metric: str, without: str) -> set[str]:
    """Return what is computed from `metric`, itself included, but not from `without`."""
    found = {metric}
    for path in metric_files():
        sources = set(metric_sources(path))
        if found & sources and without not in sources:
            found.add(stem(path))
    return found


def run_metrics(
    connection: duckdb.DuckDBPyConnection,
    values: Mapping[str, Any],
    only: Collection[str] | None = None,
    known: Mapping[str, pa.Table] | None = None,
) -> dict[str, pa.Table]:
    """Return every metric's table by the stem of its file, and keep each in the database.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Holds the table or view `decisions` with the columns of `analysis.decisions.COLUMNS`.
    values : mapping
        Values to bind: ``cost_ratios`` (list of float, each above 1), ``curve_ratios`` (list of
        float, at least 1), ``human_error_rate`` (in [0, 1)), ``side_domains`` (list of str, left
        out of what pools domains) and, where missing answers are to count as having gone one way,
        ``filled_correct`` and ``filled_escalated`` (bool).
    only : collection of str, optional
        Metrics to run; what they read must be in the database already.
    known : mapping of str to Table, optional
        Metrics that were computed elsewhere, and are not run.
    """
    load_macros(connection)
    bound = {"filled_correct": None, "filled_escalated": None, **values}
    tables = {}
    for path in metric_files():
        name = stem(path)
        if only is None or name in only:
            given = None if known is None else known.get(name)
            tables[name] = run_file(connection, path, bound) if given is None else given
            connection.execute(f"drop table if exists {identifier(name)}")
            add_table(connection, name, tables[name])
    return tables
