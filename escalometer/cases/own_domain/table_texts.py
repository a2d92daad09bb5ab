"""Reading a table of one's own as texts, so that what is wrong with it can be said in words."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from escalometer.errors import DataError, UsageError

KINDS = (".csv", ".tsv", ".parquet")
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}


@dataclass(frozen=True)
class Texts:
    """A file's rows as texts.

    Attributes
    ----------
    file : Path
        Where they come from.
    names : tuple of str
        The header, as it stands there.
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
            f"`file` names {path}, which does not exist (the path counts from the YAML's "
            f"folder).{beside}"
        )
    kind, data = _unpacked(path, ending(path))
    if not data:
        raise DataError(f"{path} is empty: it needs a header and rows below it")
    return _parquet(path, data) if kind == ".parquet" else _text(path, kind, data, set(wanted))


def _is_table(path: Path) -> bool:
    try:
        return path.is_file() and bool(ending(path))
    except UsageError:
        return False


def _unpacked(path: Path, packed: str) -> tuple[str, bytes]:
    """Return the kind of the table and its bytes."""
    data = path.read_bytes()
    try:
        if packed.endswith(".gz"):
            return packed.removesuffix(".gz"), gzip.decompress(data)
        if packed.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                inside = [
                    name
                    for name in archive.namelist()
                    if name.lower().endswith(KINDS) and not name.startswith("__MACOSX")
                ]
                if len(inside) != 1:
                    listed = ", ".join(inside) or "none"
                    raise DataError(
                        f"{path} must hold one table (.csv, .tsv or .parquet); it holds "
                        f"{len(inside)}: {listed}. Unzip it and name the file that counts"
                    )
                return PurePosixPath(inside[0]).suffix.lower(), archive.read(inside[0])
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError) as error:
        raise DataError(f"{path} cannot be unpacked: {error}; get it again") from error
    return packed, data


def _parquet(path: Path, data: bytes) -> Texts:
    try:
        table = pa.parquet.read_table(io.BytesIO(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} is not readable as Parquet: {error}") from error
    columns = {}
    for field in table.schema:
        column = table.column(field.name) if table.column_names.count(field.name) == 1 else None
        if column is None or pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
            continue  # no text says what it holds; naming such a column is an error later on
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


def _decoded(path: Path, data: bytes) -> bytes:
    """Return the bytes without a byte order mark, once they are known to be UTF-8."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in data[:4096]:
        raise DataError(f"{path} is in UTF-16, or no text: save it as CSV in UTF-8")
    data = data.removeprefix(b"\xef\xbb\xbf")
    if data[:4] == b"PK\x03\x04":
        raise DataError(f"{path} is a spreadsheet or an archive, not a CSV: save it as CSV (UTF-8)")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        start = data.rfind(b"\n", 0, error.start) + 1
        shown = data[start : error.start + 20].splitlines()[0].decode("latin-1")
        raise DataError(
            f"{path}, row {line}: not in UTF-8 (it may be Latin-1 or Windows-1252, where this "
            f"reads {shown[-60:]!r}): save the file as UTF-8, or convert it: "
            f"iconv -f WINDOWS-1252 -t UTF-8 {path.name} > new.csv"
        ) from error
    return data


def _header(data: bytes, delimiter: str) -> list[str]:
    # Enough for any header; decoding may end within a character.
    start = data[: 1 << 20].decode("utf-8", "ignore")
    try:
        return next(csv.reader(io.StringIO(start, newline=""), delimiter=delimiter), [])
    except csv.Error:
        return []


def _text(path: Path, kind: str, data: bytes, wanted: set[str]) -> Texts:
    data = _decoded(path, data)
    headers = {delimiter: _header(data, delimiter) for delimiter in DELIMITERS}
    usual = "\t" if kind == ".tsv" else ","
    delimiter = max(
        headers,
        key=lambda d: (len(wanted & {n.strip() for n in headers[d]}), len(headers[d]), d == usual),
    )
    names = headers[delimiter]
    if not any(name.strip() for name in names):
        raise DataError(f"{path}, row 1: the first row must name the columns, and is empty")
    if len(names) == 1:
        raise DataError(
            f"{path}, row 1: only one column is found ({names[0][:60]!r}); values must be "
            "separated by commas, semicolons, tabs or vertical bars"
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
            f"{path} is not readable as CSV: {error}. A quotation mark may be open to the end"
        ) from error
    if odd:
        shown = "; ".join(f"row {n} has {found} ({text[:60]!r})" for n, found, text in odd[:3])
        raise DataError(
            f"{path}: each row must have {n_columns} values like the header, and {len(odd)} "
            f"{'does' if len(odd) == 1 else 'do'} not: {shown}. A text that holds a "
            f"{DELIMITERS[delimiter]} or a line break must stand in double quotes"
        )
    if table.num_rows < 2:
        raise DataError(f"{path} has a header and no rows below it")
    return table.slice(1)
