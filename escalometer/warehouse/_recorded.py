"""Reading decisions that others recorded: every value as text first, then converted exactly.

No type is guessed from the rows, so that a value which does not fit is found, and named by its row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from escalometer.errors import DataError
from escalometer.warehouse._raw import first_lines, identifier, read_raw
from escalometer.warehouse._statements import connect
from escalometer.warehouse.table_files import RawTable, read_csv_header

#: Whole numbers below this are exact as doubles, which is how they are read.
_EXACT = 2**53

#: How people and programs write the two truth values, in lower case; 1.0 is how pandas writes a
#: column of them that has gaps.
_TRUE, _FALSE = ("true", "1", "1.0"), ("false", "0", "0.0")


def recorded_columns(path: Path) -> dict[str, str]:
    """Return the columns of a CSV or Parquet file and their types; VARCHAR is all that CSV has.

    Columns without a name stand there as one, called by the empty text.

    Raises
    ------
    DataError
        If the file is not readable, or two names differ in case at most.
    """
    if path.suffix.lower() == ".parquet":
        try:
            with connect() as connection:
                described = connection.execute(
                    "describe select * from read_parquet($path)", {"path": str(path)}
                ).fetchall()
        except duckdb.Error as error:
            raise DataError(f"{path} is not readable: {first_lines(error)}") from error
        found = [(str(name), str(kind)) for name, kind, *_ in described]
    else:
        found = [(name, "VARCHAR") for name in read_csv_header(path)]
    refuse_twins(path, [name for name, _ in found if name.strip()])
    return {name if name.strip() else "": kind for name, kind in found}


def refuse_twins(path: Path, names: Sequence[str]) -> None:
    """Refuse columns whose names differ in case at most: nobody could tell which one is meant.

    Raises
    ------
    DataError
        If there are such.
    """
    folded = Counter(name.casefold() for name in names)
    twins = [name for name in names if folded[name.casefold()] > 1]
    if twins:
        raise DataError(f"{path} has more than one column {', '.join(twins)}: rename or drop one")


def read_recorded(path: Path, columns: Mapping[str, str]) -> pa.Table:
    """Return `columns` of a CSV or Parquet file as text, and `source_row` as `read_raw` counts.

    An empty text counts as nothing in all of them.

    Raises
    ------
    DataError
        If the file is not readable or has no rows.
    """
    with connect() as connection:
        if path.suffix.lower() == ".parquet":
            return _read_parquet(connection, path, columns)
        raw_table = RawTable("recorded", dict.fromkeys(columns, "VARCHAR"), nulls=("",))
        read_raw(connection, raw_table, path)
        return connection.sql("select * from recorded order by source_row").to_arrow_table()


def _read_parquet(
    connection: duckdb.DuckDBPyConnection, path: Path, columns: Mapping[str, str]
) -> pa.Table:
    texts = ", ".join(
        f"nullif(cast({identifier(name)} as varchar), '') as {identifier(name)}" for name in columns
    )
    query = (
        f"select file_row_number + 1 as source_row, {texts} "  # noqa: S608 (names are quoted)
        "from read_parquet($path, file_row_number = true) order by source_row"
    )
    try:
        table = connection.sql(query, params={"path": str(path)}).to_arrow_table()
    except duckdb.Error as error:
        raise DataError(f"{path} is not readable: {first_lines(error)}") from error
    if not table.num_rows:
        raise DataError(f"{path} has no rows")
    return table


def convert_recorded(texts: pa.Table, kinds: Mapping[str, str]) -> pa.Table:
    """Return texts converted exactly, in their order; null where a text cannot be converted.

    Parameters
    ----------
    texts : Table
        Texts, and `source_row`.
    kinds : mapping of str to str
        The columns to convert, in the order to return them: ``text``, ``whole``, ``number`` or
        ``truth``. Truth values convert to 0 and 1 where whole numbers are wanted.
    """
    values = [f"{_converted(name, kind)} as {identifier(name)}" for name, kind in kinds.items()]
    with connect() as connection:
        connection.from_arrow(texts).create("texts")
        query = f"select source_row, {', '.join(values)} from texts order by source_row"  # noqa: S608
        return connection.sql(query).to_arrow_table()


def _converted(name: str, kind: str) -> str:
    """Return SQL for the value of a text, null where it is none."""
    column = identifier(name)
    if kind == "text":
        return column
    low = f"lower(trim({column}))"
    truth = f"case when {low} in {_TRUE} then 1 when {low} in {_FALSE} then 0 end"
    if kind == "truth":
        return f"cast({truth} as boolean)"
    number = f"try_cast({column} as double)"
    if kind == "number":
        return f"case when isfinite({number}) then {number} end"
    # A cast alone would round 2.5 to 2 without a word.
    exact = f"{number} = trunc({number}) and abs({number}) < {_EXACT}"
    whole = f"when {exact} then cast({number} as bigint)"
    return f"case when {low} in ('true', 'false') then {truth} {whole} end"


def number_scenarios(rows: pa.Table, key: list[str]) -> pa.Table:
    """Return rows with scenarios named by what they say, and repeats numbered as they stand.

    Parameters
    ----------
    rows : Table
        With `source_row`, and a prompt in every row.
    key : list of str
        What tells dialogues apart beside `replicate`, `scenario_id` among it.
    """
    # As in our own runs: a scenario is a distinct text with its label.
    named = "select * replace (sha256(prompt || chr(0) || label)[:16] as scenario_id) from given"
    keys = ", ".join(identifier(name) for name in key)
    counted = f"row_number() over (partition by {keys} order by replicate, source_row) - 1"
    with connect() as connection:
        connection.from_arrow(rows).create("given")
        return connection.sql(
            f"select * replace ({counted} as replicate) from ({named}) order by source_row"  # noqa: S608
        ).to_arrow_table()


def count_same(rows: pa.Table) -> int:
    """Return how many rows are like an earlier one in every column but `source_row`."""
    with connect() as connection:
        connection.from_arrow(rows.drop_columns(["source_row"])).create("given")
        query = "select count(*) - (select count(*) from (select distinct * from given)) from given"
        return int(connection.execute(query).fetchall()[0][0])
