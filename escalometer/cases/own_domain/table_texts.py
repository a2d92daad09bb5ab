"""Reading a table of one's own as texts, so that what is wrong with it can be said in words."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from escalometer.errors import DataError, UsageError
from escalometer.warehouse.table_files import (
    KINDS,
    RawFile,
    archive_members,
    csv_header,
    decoded,
    name_parts,
    read_unpacked,
)

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}


@dataclass(frozen=True)
class Texts:
    """A file's rows as texts.

    Attributes
    ----------
    file : Path
        Where they come from.
    names : tuple of str
        The header, unchanged.
    table : pyarrow.Table
        One text column for each name that stands once; null where a Parquet file has null.
    raw_names : dict of str to str
        The header's own spelling of each, which may begin or end with spaces.
    rows : pyarrow.Array
        Each row's number as a spreadsheet shows it (the header of a CSV file is row 1).
    kind : {"csv", "tsv", "parquet"}
        What the file is.
    delimiter : str
        What stands between values; empty for Parquet.
    notes : tuple of str
        What was read in a way that its owner should know of.
    """

    file: Path
    names: tuple[str, ...]
    table: pa.Table
    raw_names: dict[str, str]
    rows: pa.Array
    kind: str
    delimiter: str
    notes: tuple[str, ...]


def ending(path: Path) -> str:
    """Return what the file's name says it is: ``".csv"``, ``".csv.gz"``, ``".zip"``, …

    Raises
    ------
    UsageError
        If no table is read from such files.
    """
    name = path.name.lower()
    for kind in KINDS:
        for packing in ("", ".gz", ".zip"):
            if name.endswith(kind + packing):
                return kind + packing
    if name.endswith(".zip"):
        return ".zip"
    if name.endswith((".xlsx", ".xls", ".ods", ".numbers")):
        raise UsageError(f"{path} is a spreadsheet: save it as CSV (UTF-8) and name that file")
    raise UsageError(f"{path} is none of .csv, .tsv and .parquet (plain, .gz or .zip)")


def read(path: Path, wanted: Iterable[str]) -> Texts:
    """Return the file's rows as texts.

    Parameters
    ----------
    path : Path
        A CSV, TSV or Parquet file; plain, .gz or .zip (of one table).
    wanted : iterable of str
        Columns that it should have: the delimiter is the one that gives most of them.

    Raises
    ------
    UsageError
        If there is no such file, or it is of no kind that can be read.
    DataError
        If it cannot be read as what its name says; the message says where.
    """
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*") if _is_table(p))[:8]
        beside = f" Files there: {', '.join(near)}." if near else ""
        raise UsageError(
            f"`file` names {path}, which does not exist (paths are relative to the YAML's "
            f"folder).{beside}"
        )
    raw = _only_table(path, ending(path))
    kind, data = name_parts(raw.member or path.name)[1], read_unpacked(raw)
    if not data:
        raise DataError(f"{path} is empty: it needs a header and rows")
    return _parquet(path, data) if kind == ".parquet" else _text(path, kind, data, set(wanted))


def _is_table(path: Path) -> bool:
    try:
        return path.is_file() and bool(ending(path))
    except UsageError:
        return False


def _only_table(path: Path, ending: str) -> RawFile:
    """Return the file, or the one table in an archive."""
    if not ending.endswith(".zip"):
        return RawFile(path)
    members = archive_members(path)
    if len(members) != 1:
        raise DataError(
            f"{path} must contain one table (.csv, .tsv or .parquet), found {len(members)}: "
            f"{', '.join(members) or 'none'}. Unzip it and name the right file"
        )
    return RawFile(path, members[0])


def _parquet(path: Path, data: bytes) -> Texts:
    try:
        table = pa.parquet.read_table(io.BytesIO(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} is not readable as Parquet: {error}") from error
    columns = {}
    for field in table.schema:
        column = table.column(field.name) if table.column_names.count(field.name) == 1 else None
        if column is None or pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
            continue  # the header does not name it; using such a column is an error later
        if pa.types.is_dictionary(field.type):
            column = column.cast(field.type.value_type)
        columns[field.name] = column.cast(pa.string())
    return Texts(
        file=path,
        names=tuple(table.column_names),
        table=pa.table(columns),
        raw_names={name: name for name in columns},
        rows=pa.array(range(1, table.num_rows + 1), pa.int64()),
        kind="parquet",
        delimiter="",
        notes=(),
    )


def _text(path: Path, kind: str, data: bytes, wanted: set[str]) -> Texts:
    data = decoded(path, data)
    # Enough for any header; decoding may end within a character.
    start = data[: 1 << 20].decode("utf-8", "ignore")
    headers = {mark: csv_header(io.StringIO(start, newline=""), mark) for mark in DELIMITERS}
    usual = "\t" if kind == ".tsv" else ","
    delimiter = max(
        headers,
        key=lambda d: (len(wanted & {n.strip() for n in headers[d]}), len(headers[d]), d == usual),
    )
    names = headers[delimiter]
    if not any(name.strip() for name in names):
        raise DataError(f"{path}, row 1: the first row must name the columns, but is empty")
    if len(names) == 1:
        raise DataError(
            f"{path}, row 1: found only one column ({names[0][:60]!r}); separate values by "
            "commas, semicolons, tabs or vertical bars"
        )
    table = _records(path, data, delimiter, len(names))
    notes = []
    if delimiter != usual:
        notes.append(f"Values are separated by a {DELIMITERS[delimiter]}.")
    bare = [name.strip() for name in names]
    kept = {name: i for i, name in enumerate(bare) if name and bare.count(name) == 1}
    return Texts(
        file=path,
        names=tuple(bare),
        table=pa.table({name: table.column(place) for name, place in kept.items()}),
        raw_names={name: names[place] for name, place in kept.items()},
        rows=pa.array(range(2, table.num_rows + 2), pa.int64()),
        kind=kind.removeprefix("."),
        delimiter=delimiter,
        notes=tuple(notes),
    )


def _records(path: Path, data: bytes, delimiter: str, n_columns: int) -> pa.Table:
    """Return the rows below the header; a blank line is a row of empty values."""
    odd: list[tuple[int, int, str]] = []

    def keep(row: pa.csv.InvalidRow) -> str:
        odd.append((int(row.number), int(row.actual_columns), str(row.text)))
        return "skip"

    names = [str(place) for place in range(n_columns)]
    try:
        table = pa.csv.read_csv(
            io.BytesIO(data),
            # One thread, or the odd rows would have no numbers.
            read_options=pa.csv.ReadOptions(
                use_threads=False, column_names=names, block_size=1 << 24
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=delimiter,
                newlines_in_values=True,
                ignore_empty_lines=False,
                invalid_row_handler=keep,
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{path} is not readable as CSV: {error}. A quotation mark may not be closed"
        ) from error
    if odd:
        shown = "; ".join(f"row {n} has {found} ({text[:60]!r})" for n, found, text in odd[:3])
        raise DataError(
            f"{path}: each row must have {n_columns} values like the header, but {len(odd)} "
            f"{'does' if len(odd) == 1 else 'do'} not: {shown}. A text with a "
            f"{DELIMITERS[delimiter]} or a line break must be in double quotes"
        )
    if table.num_rows < 2:
        raise DataError(f"{path} has a header but no rows")
    return table.slice(1)
