"""The only door to DuckDB: reading raw files, running the statements under sql/."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from escalometer.domains import RawTable
from escalometer.errors import DataError

SQL_FOLDER = Path("sql")

#: How messages call the types that raw columns are declared in.
_KINDS = {
    "TINYINT": "a whole number",
    "SMALLINT": "a whole number",
    "INTEGER": "a whole number",
    "BIGINT": "a whole number",
    "FLOAT": "a finite number",
    "DOUBLE": "a finite number",
    "BOOLEAN": "true or false",
    "DATE": "a date (YYYY-MM-DD)",
    "TIMESTAMP": "a time (YYYY-MM-DD HH:MM:SS)",
}


def connect(n_threads: int = 2) -> duckdb.DuckDBPyConnection:
    """Return a connection to a fresh in-memory database that never reaches for the network."""
    connection = duckdb.connect(config={"threads": n_threads})
    connection.execute("set autoinstall_known_extensions = false")
    connection.execute("set autoload_known_extensions = false")
    return connection


def run_file(
    connection: duckdb.DuckDBPyConnection, path: Path, values: Mapping[str, Any] | None = None
) -> pa.Table:
    """Return what the one statement in `path` selects.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Holds the tables that the statement reads.
    path : Path
        A file with one statement.
    values : mapping, optional
        Values to bind by name; those that the statement does not name are left aside.
    """
    statements = connection.extract_statements(path.read_text(encoding="utf-8"))
    if len(statements) != 1:
        raise ValueError(f"{path} must hold one statement, not {len(statements)}")
    wanted = statements[0].named_parameters
    bound = {name: value for name, value in (values or {}).items() if name in wanted}
    return connection.sql(statements[0].query, params=bound).to_arrow_table()


def raw_file(raw_table: RawTable, folder: Path) -> Path:
    """Return the file of `raw_table` in `folder`: `<name>.csv`, or `<name>.parquet` instead.

    Raises
    ------
    DataError
        If neither file exists, or both do.
    """
    found = [
        path
        for path in (folder / f"{raw_table.name}.csv", folder / f"{raw_table.name}.parquet")
        if path.exists()
    ]
    if not found:
        raise DataError(
            f"{folder / raw_table.name}.csv does not exist (nor .parquet); "
            f"`escalometer stage ingest --cell {folder.name}` brings it, or put a file of your "
            f"own there with the columns {', '.join(raw_table.columns)}"
        )
    if len(found) == 2:
        raise DataError(f"{found[0]} and {found[1]} both exist; remove the one that does not count")
    return found[0]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file, strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path}, row 1: the header is not readable as UTF-8 CSV: {error}"
        ) from error


def _text_source(path: Path, wanted: Iterable[str], found: list[str]) -> str:
    """Return a query for the wanted columns as text, with `source_row`; binds `$path`."""
    texts = ", ".join(f"cast({_quoted(name)} as varchar) as {_quoted(name)}" for name in wanted)
    if path.suffix == ".parquet":
        return (
            f"select file_row_number + 1 as source_row, {texts} "  # noqa: S608 (names are quoted)
            "from read_parquet($path, file_row_number = true)"
        )
    # Types are declared, never guessed from the rows, so that a bad value is found and named.
    kinds = ", ".join(f"'{name.replace(chr(39), chr(39) * 2)}': 'varchar'" for name in found)
    return (
        f"select row_number() over () + 1 as source_row, {texts} "  # noqa: S608 (names are quoted)
        "from read_csv($path, header = true, auto_detect = false, delim = ',', quote = '\"', "
        f"escape = '\"', nullstr = ['', 'NA'], parallel = false, columns = {{{kinds}}})"
    )


def _conversion(name: str, kind: str) -> tuple[str, str]:
    """Return SQL for the converted value, and for whether the text cannot be converted."""
    column = _quoted(name)
    value = f"try_cast({column} as {kind})"
    if kind in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT"):
        # A cast alone would round 2.5 to 3 without a word.
        bad = f"({value} is null or try_cast({column} as double) <> {value})"
    elif kind in ("FLOAT", "DOUBLE"):
        bad = f"not coalesce(isfinite({value}), false)"
    else:
        bad = f"{value} is null"
    return value, f"{column} is not null and {bad}"


def read_raw(connection: duckdb.DuckDBPyConnection, raw_table: RawTable, path: Path) -> int:
    """Load a raw file as the table `raw_table.name` and return its number of rows.

    The table has the declared columns in their declared types (others are left out), and
    `source_row`, the row as a spreadsheet numbers it: the header of a CSV file is row 1, its first
    case row 2; the first row of a Parquet file is row 1.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Receives the table; one of the same name is replaced.
    raw_table : RawTable
        The columns to expect.
    path : Path
        A `.csv` (UTF-8, comma, header; empty and NA are null) or `.parquet` file.

    Raises
    ------
    DataError
        If the file is absent, unreadable or has no rows, lacks a column, or has a value that does
        not fit its column's type; the message names file, row and rule.
    """
    try:
        if path.suffix == ".parquet":
            described = "select name from parquet_schema($path) where num_children is null"
            found = [
                str(name)
                for (name,) in connection.execute(described, {"path": str(path)}).fetchall()
            ]
        else:
            found = _header(path)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except (duckdb.Error, OSError) as error:
        raise DataError(f"{path} is not readable: {_first_lines(error)}") from error
    if not found:
        raise DataError(f"{path} is empty: it needs a header row and at least one row below it")
    lacking = [name for name in raw_table.columns if name not in found]
    if lacking:
        raise DataError(
            f"{path}, row 1: lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}; "
            f"it has {', '.join(found)}"
        )
    twice = sorted({name for name in raw_table.columns if found.count(name) > 1})
    if twice:
        raise DataError(f"{path}, row 1: has more than one column {', '.join(twice)}")
    return _load_text(connection, raw_table, path, found)


def _first_lines(error: Exception) -> str:
    # DuckDB adds paragraphs of advice on its own options, which a user of ours cannot set.
    return " ".join(line.strip() for line in str(error).splitlines()[:3] if line.strip())


def _load_text(
    connection: duckdb.DuckDBPyConnection, raw_table: RawTable, path: Path, found: list[str]
) -> int:
    conversions = {name: _conversion(name, kind) for name, kind in raw_table.columns.items()}
    source = _text_source(path, raw_table.columns, found)
    try:
        connection.execute(f"create or replace temp table _text as {source}", {"path": str(path)})
    except duckdb.Error as error:
        raise DataError(f"{path} is not readable: {_first_lines(error)}") from error
    bad = []
    for name, (_, is_bad) in conversions.items():
        query = (
            f"select source_row, {_quoted(name)} from _text "  # noqa: S608 (names are quoted)
            f"where {is_bad} order by source_row limit 10"
        )
        bad += [(row, name, text) for row, text in connection.execute(query).fetchall()]
    if bad:
        lines = [
            f"{path}, row {row}: column {name!r} must be {_KINDS.get(raw_table.columns[name])} "
            f"(found {text!r})"
            for row, name, text in sorted(bad)[:10]
        ]
        raise DataError("\n".join(lines))
    values = ", ".join(f"{value} as {_quoted(name)}" for name, (value, _) in conversions.items())
    connection.execute(
        f"create or replace table {_quoted(raw_table.name)} as "  # noqa: S608 (names are quoted)
        f"select source_row, {values} from _text order by source_row"
    )
    connection.execute("drop table _text")
    counted = connection.execute(f"select count(*) from {_quoted(raw_table.name)}")  # noqa: S608
    n_rows = int(counted.fetchall()[0][0])
    if n_rows == 0:
        raise DataError(f"{path} has a header and no rows below it")
    return n_rows


def stage_cases(
    connection: duckdb.DuckDBPyConnection, domain: str, folder: Path = SQL_FOLDER
) -> pa.Table:
    """Return the domain's cases, one a row, as `staging/<domain>.sql` selects them.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Holds the domain's raw tables, from `read_raw`.
    domain : str
        Name of the domain.
    folder : Path, default sql
        The folder of all statements.
    """
    return run_file(connection, folder / "staging" / f"{domain}.sql")


def members(
    connection: duckdb.DuckDBPyConnection, cases: pa.Table, predicates: Mapping[str, str]
) -> dict[str, set[str]]:
    """Return the case_ids under each condition.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Any; it is left as it was.
    cases : pyarrow.Table
        Staged cases with the columns that a predicate may use, and no others.
    predicates : mapping of str to str
        SQL expressions by condition, from the domain's own code; null counts as false.
    """
    connection.register("_cases", cases)
    try:
        return {
            condition: {
                case_id
                for (case_id,) in connection.execute(
                    f"select case_id from _cases where {predicate}"  # noqa: S608 (our own code)
                ).fetchall()
            }
            for condition, predicate in predicates.items()
        }
    finally:
        connection.unregister("_cases")


def add_table(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """Copy `table` into the database as `name`."""
    connection.from_arrow(table).create(name)


def load_macros(connection: duckdb.DuckDBPyConnection, folder: Path = SQL_FOLDER) -> None:
    """Define every macro under `folder`/macros, one a file."""
    for path in sorted((folder / "macros").glob("*.sql")):
        connection.execute(path.read_text(encoding="utf-8"))


def metric_sources(path: Path) -> list[str]:
    """Return the tables that the statement in `path` reads, as its header's third line says.

    Raises
    ------
    ValueError
        If there is no such line.
    """
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("-- source:"):
            return [name.strip() for name in line.removeprefix("-- source:").split(",")]
    raise ValueError(f"{path} must name what it reads: -- source: decisions")


def metric_files(folder: Path = SQL_FOLDER) -> Iterator[Path]:
    """Yield the files under `folder`/metrics, each after those whose tables it reads.

    Raises
    ------
    ValueError
        If metrics read each other in a circle.
    """
    paths = {path.stem: path for path in sorted((folder / "metrics").glob("*.sql"))}
    needs = {stem: metric_sources(path) for stem, path in paths.items()}
    for stem in TopologicalSorter(needs).static_order():
        if stem in paths:
            yield paths[stem]


def run_metrics(
    connection: duckdb.DuckDBPyConnection, values: Mapping[str, Any], folder: Path = SQL_FOLDER
) -> dict[str, pa.Table]:
    """Return every metric's table by the stem of its file, and keep each in the database.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Holds the table `decisions` with the columns of `schema.DECISIONS` (texts may be absent).
    values : mapping
        Values to bind: ``cost_ratios`` (list of float, each above 1), ``human_error_rate`` (in
        [0, 1)) and ``side_domains`` (list of str, left out of what pools domains).
    folder : Path
        Where macros/ and metrics/ are.
    """
    load_macros(connection, folder)
    tables = {}
    for path in metric_files(folder):
        tables[path.stem] = run_file(connection, path, values)
        add_table(connection, path.stem, tables[path.stem])
    return tables
