"""Reading raw files: typed, with every row numbered, and every value that does not fit named."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterable
from pathlib import Path

import duckdb

from escalometer.errors import DataError
from escalometer.warehouse.table_files import (
    RawFile,
    RawTable,
    decoded_lines,
    not_utf8,
    opened,
    read_csv_header,
)

#: Of a header that lacks something, messages list so many names.
MOST_NAMES = 200

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


def identifier(name: str) -> str:
    """Return a name quoted as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    """Return a text quoted as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def _ending(path: Path) -> str:
    """Return what kind of file it is: csv, tsv or parquet; whether it is gzipped is left aside."""
    return path.name.removesuffix(".gz").rpartition(".")[2].lower()


def _delimiter(raw_table: RawTable, path: Path) -> str:
    return raw_table.delimiter or ("\t" if _ending(path) == "tsv" else ",")


def _unreadable(raw_table: RawTable, path: Path, error: Exception) -> DataError:
    """Return why the rows of a file cannot be read: its encoding, if it is that."""
    n_rows = 0
    if _ending(path) != "parquet":
        try:
            for _ in csv.reader(decoded_lines(path), delimiter=_delimiter(raw_table, path)):
                n_rows += 1
        except UnicodeDecodeError as found:
            return not_utf8(path, n_rows + 1, found)
        except (csv.Error, OSError, EOFError, zlib.error):
            pass  # DuckDB's message is clearer
    return DataError(f"{path} is not readable: {first_lines(error)}")


def _n_quotes(path: Path) -> int:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        return sum(chunk.count(b'"') for chunk in iter(lambda: file.read(1 << 20), b""))


def _check_quotes(
    connection: duckdb.DuckDBPyConnection, raw_table: RawTable, path: Path, found: list[str]
) -> None:
    """Refuse a file in which a quotation mark opens and none closes.

    Reading on one thread, DuckDB drops all rows from there on without a word; on several, it tells.
    """
    source = _csv_source(raw_table, path, [(name, "varchar") for name in found], True)
    try:
        connection.execute(f"select count(*) from {source}", {"path": str(path)})  # noqa: S608
    except duckdb.Error as error:
        if "unterminated quote" in str(error):
            line = re.search(r"Line: (\d+)", str(error))
            raise DataError(
                f"{path}{f', line {line[1]}' if line else ''}: unbalanced quotation mark: "
                "double quotation marks within a text, or download the file again"
            ) from error


def _csv_source(
    raw_table: RawTable, path: Path, columns: Iterable[tuple[str, str]], parallel: bool
) -> str:
    """Return the reading of a CSV file with `columns`, names and types; binds `$path`.

    Types are declared, never guessed from the rows, so that a bad value is found and named. Columns
    that the table leaves aside get names of ours, since theirs may be empty or stand twice.
    """
    declared = ", ".join(
        f"{_literal(name if name in raw_table.columns else f'column {place} left aside')}: '{kind}'"
        for place, (name, kind) in enumerate(columns)
    )
    # An empty list is refused; no field that is read as text holds a zero byte.
    nulls = ", ".join(_literal(text) for text in raw_table.nulls) or "chr(0)"
    return (
        "read_csv($path, header = true, auto_detect = false, "
        f"delim = {_literal(_delimiter(raw_table, path))}, quote = '\"', escape = '\"', "
        f"nullstr = [{nulls}], parallel = {parallel}, "
        f"columns = {{{declared}}})"
    )


def _text_source(raw_table: RawTable, path: Path, found: list[str]) -> str:
    """Return a query for the wanted columns as text, with `source_row`; binds `$path`."""
    if _ending(path) != "parquet":
        names = ", ".join(identifier(name) for name in raw_table.columns)
        source = _csv_source(raw_table, path, [(name, "varchar") for name in found], False)
        # One thread: only so are the rows numbered as they stand in the file.
        return f"select row_number() over () + 1 as source_row, {names} from {source}"  # noqa: S608
    texts = ", ".join(_without_nulls(raw_table, name) for name in raw_table.columns)
    return (
        f"select file_row_number + 1 as source_row, {texts} "  # noqa: S608 (names are quoted)
        "from read_parquet($path, file_row_number = true)"
    )


def _without_nulls(raw_table: RawTable, name: str) -> str:
    """Return SQL for a column of a Parquet file as text."""
    column = identifier(name)
    nulls = ", ".join(_literal(text) for text in raw_table.nulls)
    is_null = f"list_contains([{nulls}]::varchar[], cast({column} as varchar))"
    return f"case when not {is_null} then cast({column} as varchar) end as {column}"


def _parquet_source(
    connection: duckdb.DuckDBPyConnection, raw_table: RawTable, path: Path
) -> str | None:
    """Return the reading of a Parquet file in the types that `_typed` takes; binds `$path`.

    None where a column's own type is another, whose values may read otherwise as text: a single
    precision 0.1 is 0.1 there.
    """
    described = "describe select * from read_parquet($path)"
    found = {
        name: kind
        for name, kind, *_ in connection.execute(described, {"path": str(path)}).fetchall()
    }
    values = []
    for name, kind in raw_table.columns.items():
        if kind == found[name] == "VARCHAR":
            values.append(_without_nulls(raw_table, name))
        elif kind in (*_WHOLE, "DOUBLE") and found[name] in (*_WHOLE, "DOUBLE"):
            values.append(f"cast({identifier(name)} as double) as {identifier(name)}")
        else:
            return None
    return f"(select {', '.join(values)} from read_parquet($path))"  # noqa: S608 (names are quoted)


def _conversion(name: str, kind: str) -> tuple[str, str]:
    """Return SQL for the converted value, and for whether the text cannot be converted."""
    column = identifier(name)
    value = f"try_cast({column} as {kind})"
    if kind in _WHOLE:
        # A cast alone would round 2.5 to 3 without a word.
        bad = f"({value} is null or try_cast({column} as double) <> {value})"
    elif kind in ("FLOAT", "DOUBLE"):
        bad = f"not coalesce(isfinite({value}), false)"
    else:
        bad = f"{value} is null"
    return value, f"{column} is not null and {bad}"


def read_raw(
    connection: duckdb.DuckDBPyConnection,
    raw_table: RawTable,
    path: Path,
    is_numbered: bool = True,
) -> int:
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
        A `.csv` or `.tsv` (UTF-8, header, commas or tabs; plain or `.gz`) or `.parquet` file.
    is_numbered : bool, default True
        Whether to add `source_row`. Where it is left out, which saves a copy, rows are in the
        file's order; it may be there nevertheless.

    Raises
    ------
    DataError
        If the file is absent, unreadable or has no rows, lacks a column, or has a value that does
        not fit its column's type; the message names file, row and rule.
    """
    try:
        if _ending(path) == "parquet":
            described = "select name from parquet_schema($path) where num_children is null"
            found = [
                str(name)
                for (name,) in connection.execute(described, {"path": str(path)}).fetchall()
            ]
        else:
            found = read_csv_header(path, _delimiter(raw_table, path))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except (duckdb.Error, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not readable: {first_lines(error)}") from error
    if not found:
        raise DataError(f"{path} is empty: it needs a header row and at least one row")
    lacking = [name for name in raw_table.columns if name not in found]
    if lacking:
        raise DataError(
            f"{path}, row 1: lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}; "
            f"it has {_listed(found)}{_other_delimiter(raw_table, path, found)}"
        )
    twice = sorted({name for name in raw_table.columns if found.count(name) > 1})
    if twice:
        raise DataError(f"{path}, row 1: has more than one column {', '.join(twice)}")
    try:
        n_quotes = 0 if _ending(path) == "parquet" else _n_quotes(path)
        if n_quotes % 2:
            _check_quotes(connection, raw_table, path, found)
        if not _load_typed(connection, raw_table, path, found, n_quotes > 0, is_numbered):
            _load_text(connection, raw_table, path, found)
    except (duckdb.Error, OSError, EOFError, zlib.error) as error:
        raise _unreadable(raw_table, path, error) from error
    counted = connection.execute(f"select count(*) from {identifier(raw_table.name)}")  # noqa: S608
    n_rows = int(counted.fetchall()[0][0])
    if n_rows == 0:
        raise DataError(f"{path} has a header but no rows")
    return n_rows


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(name[:200] for name in names[:MOST_NAMES]) + more


def _other_delimiter(raw_table: RawTable, path: Path, found: list[str]) -> str:
    wanted = _delimiter(raw_table, path)
    if len(found) > 1 or not any(mark in found[0] for mark in ",;\t|"):
        return ""
    names = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}
    return f". Values must be separated by {names.get(wanted, wanted)}"


def first_lines(error: Exception) -> str:
    # DuckDB adds advice on its options, which users of escalometer cannot set.
    return " ".join(line.strip() for line in str(error).splitlines()[:3] if line.strip())


#: Whole numbers below this are exact as doubles, which is how they are read.
_EXACT = 2**53
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")


def _typed(name: str, kind: str) -> tuple[str, str]:
    """Return the type to read a column in, and SQL for its value that fails where it does not fit.

    What it accepts it must give the very value that `_conversion` gives.
    """
    column = identifier(name)
    if kind in _WHOLE:  # read as such, 2.5 would be 3 without a word
        is_bad = f"{column} <> trunc({column}) or abs({column}) >= {_EXACT}"
        return "double", f"cast(case when {is_bad} then error('') else {column} end as {kind})"
    if kind in ("FLOAT", "DOUBLE"):
        return kind, f"case when not isfinite({column}) then error('') else {column} end"
    return "varchar", column if kind == "VARCHAR" else f"cast({column} as {kind})"


def _load_typed(
    connection: duckdb.DuckDBPyConnection,
    raw_table: RawTable,
    path: Path,
    found: list[str],
    has_quotes: bool,
    is_numbered: bool = True,
) -> bool:
    """Load a file in one fast pass, or return False: some value or column does not fit."""
    read = {name: _typed(name, kind) for name, kind in raw_table.columns.items()}
    if _ending(path) == "parquet":
        first, source = 1, _parquet_source(connection, raw_table, path)
        if source is None:
            return False
    else:
        columns = [(name, read[name][0] if name in read else "varchar") for name in found]
        # Without quotes every line is a row, wherever in the file a thread begins.
        parallel = path.suffix != ".gz" and not has_quotes
        first, source = 2, _csv_source(raw_table, path, columns, parallel)
    values = ", ".join(f"{value} as {identifier(name)}" for name, (_, value) in read.items())
    names = ", ".join(identifier(name) for name in read)
    target = "temp table _typed" if is_numbered else f"table {identifier(raw_table.name)}"
    try:
        connection.execute(
            f"create or replace {target} as select {values} from {source}",  # noqa: S608
            {"path": str(path)},
        )
    except (duckdb.ConversionException, duckdb.InvalidInputException):
        return False
    if not is_numbered:
        return True
    # Rows keep their order, whatever the number of threads; row_number() would forbid a second one.
    connection.execute(
        f"create or replace table {identifier(raw_table.name)} as "  # noqa: S608 (names are quoted)
        f"select rowid + {first} as source_row, {names} from _typed"
    )
    connection.execute("drop table _typed")
    return True


def _load_text(
    connection: duckdb.DuckDBPyConnection, raw_table: RawTable, path: Path, found: list[str]
) -> None:
    """Load a file by way of its texts, which tells each value that does not fit."""
    conversions = {name: _conversion(name, kind) for name, kind in raw_table.columns.items()}
    source = _text_source(raw_table, path, found)
    connection.execute(f"create or replace temp table _text as {source}", {"path": str(path)})
    bad = []
    for name, (_, is_bad) in conversions.items():
        query = (
            f"select source_row, {identifier(name)} from _text "  # noqa: S608 (names are quoted)
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
    values = ", ".join(f"{value} as {identifier(name)}" for name, (value, _) in conversions.items())
    connection.execute(
        f"create or replace table {identifier(raw_table.name)} as "  # noqa: S608 (names are quoted)
        f"select source_row, {values} from _text order by source_row"
    )
    connection.execute("drop table _text")


def load_raw(connection: duckdb.DuckDBPyConnection, raw_table: RawTable, raw: RawFile) -> int:
    """Load a raw file in any packing, as `read_raw` does, and return its number of rows.

    Raises
    ------
    DataError
        As `read_raw`, in the name of the file that the user knows.
    """
    with opened(raw) as path:
        try:
            return read_raw(connection, raw_table, path)
        except DataError as error:
            raise DataError(str(error).replace(str(path), str(raw))) from error
