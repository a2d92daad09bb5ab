"""Rows of decisions, chosen, counted and sampled: as Arrow tables, without pandas.

Arrow's own filters and groups import pandas, which takes longer than a small profile.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from escalometer.errors import DataError, UsageError
from escalometer.warehouse._raw import first_lines, identifier
from escalometer.warehouse._statements import connect, open_file

#: Values that a column may have, by column.
Where = Mapping[str, Collection[str]]

#: The first row of every kind, rarest status first. Structs are compared field by field.
_SAMPLE = """
with kinds as (
    select
        filename,
        model,
        domain,
        status,
        intervention,
        min({'scenario_id': scenario_id, 'condition': condition, 'number': file_row_number})
            as first_place,
        count(*) as n
    from read_parquet($files, filename = true, file_row_number = true)
    group by all
),

add_frequencies as (
    select
        *,
        sum(n) over (partition by filename, model, domain, status) as frequency
    from kinds
),

rank_kinds as (
    select
        *,
        row_number() over (
            partition by filename, model, domain
            order by frequency, status, intervention
        ) as place
    from add_frequencies
)

select
    filename,
    first_place.number as number
from rank_kinds
where place <= $most
order by list_position($files, filename), model, domain, place
"""

#: Of all files, those rows alone are read whole: texts can be gigabytes.
_READ_SAMPLE = """
select *
from read_parquet($files, filename = true, file_row_number = true)
where file_row_number in (select unnest($numbers))
"""


def read_rows(
    files: Sequence[Path], columns: Sequence[str], where: Where | None = None
) -> pa.Table:
    """Return rows of Parquet files, in their order; no other row or column is loaded.

    Raises
    ------
    DataError
        If a file is absent, unreadable or lacks a column.
    """
    names = ", ".join(identifier(name) for name in columns)
    query = f"select {names} from read_parquet($files){_condition(where or {})}"  # noqa: S608
    with _reading(files) as (connection, paths):
        return connection.sql(
            query, params={"files": paths, **_bound(where or {})}
        ).to_arrow_table()


def distinct_rows(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[str]
) -> pa.Table:
    """Return the different rows of a table in these columns, in their order."""
    names = ", ".join(identifier(name) for name in columns)
    query = f"select distinct {names} from {identifier(table)} order by all"  # noqa: S608
    return connection.sql(query).to_arrow_table()


#: What decisions that are measured may use of memory; the rest goes to a temporary folder.
MEASURING_MEMORY = "2GB"

#: Isolated second turns counted among the others, as `analysis.decisions.pool_isolated` does.
_POOLED = {
    "intervention": (
        "case when intervention <> 'isolated' then intervention "
        "when cost_ratio is null then 'baseline' else 'cost_framing' end"
    ),
    "is_isolated": "false",
}


@contextmanager
def measured_rows(
    file: Path, columns: Sequence[str], where: Where, is_pooled: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection whose table `decisions` has the chosen rows; its memory is bounded.

    Parameters
    ----------
    file : Path
        A Parquet file of decisions.
    columns : sequence of str
    where : mapping
        Values that columns may have.
    is_pooled : bool
        True to count isolated dialogues among the others.

    Raises
    ------
    DataError
        As `read_rows`.
    UsageError
        If there is no room on the disk.
    """
    if not file.exists():
        raise DataError(f"{file} does not exist; run `dvc repro` to create it")
    replaced = _POOLED if is_pooled else {}
    values = ", ".join(
        f"{replaced.get(name, identifier(name))} as {identifier(name)}" for name in columns
    )
    query = f"select {values} from read_parquet($files){_condition(where)}"  # noqa: S608
    with tempfile.TemporaryDirectory(prefix="escalometer-") as folder:
        connection = open_file(Path(folder), memory_limit=MEASURING_MEMORY)
        try:
            try:
                connection.execute(
                    f"create table decisions as {query}", {"files": [str(file)], **_bound(where)}
                )
            except (duckdb.BinderException, duckdb.InvalidInputException) as error:
                raise DataError(
                    f"{file} does not have the expected columns: {first_lines(error)}"
                ) from error
            yield connection
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            raise UsageError(
                f"no room for the decisions of {file} while they are measured: "
                f"{first_lines(error)}. Free disk space and memory, or set TMPDIR to a folder with "
                "about the size of the file"
            ) from error
        finally:
            connection.close()


def choose_rows(table: pa.Table, where: Where) -> pa.Table:
    """Return the rows of a table whose columns have one of these values, in their order."""
    left = {
        name: values
        for name, values in where.items()
        if not set(table.column(name).unique().to_pylist()) <= set(values)
    }
    if not left:
        return table
    with connect() as connection:
        connection.from_arrow(table).create_view("rows")
        query = f"select * from rows{_condition(left)}"  # noqa: S608
        return connection.sql(query, params=_bound(left)).to_arrow_table()


def count_rows(table: pa.Table, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return the number ``n`` of rows of each combination of values, in their order."""
    if table.num_rows == 0:
        return []
    with connect() as connection:
        connection.from_arrow(table.select(list(columns))).create_view("rows")
        return _counted(connection.table("rows"), columns)


def count_rows_of(files: Sequence[Path], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return the same of Parquet files; raises as `read_rows`."""
    with _reading(files) as (connection, paths):
        return _counted(connection.read_parquet(paths), columns)


def sample_rows(files: Sequence[Path], columns: Sequence[str], most: int) -> list[dict[str, Any]]:
    """Return decisions that show each intervention and each status of a model in a domain.

    The first of every (status, intervention), by scenario and condition, rarest status first.

    Parameters
    ----------
    files : sequence of Path
        Parquet files of decisions.
    columns : sequence of str
        What is returned of them.
    most : int
        Rows of a model in a domain and a file.

    Raises
    ------
    DataError
        As `read_rows`.
    """
    with _reading(files) as (connection, paths):
        found = connection.sql(_SAMPLE, params={"files": paths, "most": most}).fetchall()
        places = {key: place for place, key in enumerate(found)}
        chosen = {
            "files": sorted({file for file, _ in found}),
            "numbers": sorted({number for _, number in found}),
        }
        if not found:
            return []
        rows = connection.sql(_READ_SAMPLE, params=chosen).to_arrow_table().to_pylist()
    sampled: list[dict[str, Any]] = [{}] * len(places)
    for row in rows:
        place = places.get((row["filename"], row["file_row_number"]))
        if place is not None:
            sampled[place] = {name: row[name] for name in columns}
    return sampled


def has_values(file: Path, column: str) -> bool:
    """Return whether any row of a Parquet file has a value in a column; raises as `read_rows`."""
    query = f"select 1 from read_parquet($files) where {identifier(column)} is not null limit 1"  # noqa: S608
    with _reading([file]) as (connection, paths):
        return bool(connection.sql(query, params={"files": paths}).fetchall())


@contextmanager
def _reading(files: Sequence[Path]) -> Iterator[tuple[duckdb.DuckDBPyConnection, list[str]]]:
    """Yield a connection and the names of files; what DuckDB cannot read of them is data's error.

    The names are taken literally: what they contain is no pattern.
    """
    for file in files:
        if not file.exists():
            raise DataError(f"{file} does not exist; run `dvc repro` to create it")
    paths = [str(file) for file in files]
    try:
        with connect() as connection:
            yield connection, paths
    except duckdb.Error as error:
        raise DataError(
            f"{', '.join(paths)} does not have the expected columns: {first_lines(error)}"
        ) from error


def _counted(rows: duckdb.DuckDBPyRelation, columns: Sequence[str]) -> list[dict[str, Any]]:
    names = ", ".join(identifier(name) for name in columns)
    counted = rows.aggregate(f"{names}, count(*)::bigint as n").order("all")
    found: list[dict[str, Any]] = counted.to_arrow_table().to_pylist()
    return found


def _condition(where: Where) -> str:
    parts = [f"list_contains(${name}::varchar[], {identifier(name)})" for name in where]
    return f" where {' and '.join(parts)}" if parts else ""


def _bound(where: Where) -> dict[str, list[str]]:
    return {name: list(values) for name, values in where.items()}
