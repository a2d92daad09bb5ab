"""The file of decisions that a user names: its format, and a plain file to read it from."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from escalometer.errors import DataError, UsageError
from escalometer.runtime import object_storage
from escalometer.runtime.object_storage import Location, S3Address
from escalometer.warehouse.table_files import DAMAGE, without_gz

#: Formats of decisions, by their names and the endings of their files.
FORMATS = ("parquet", "csv", "jsonl")
#: Endings of files that are recognized, plain and packed.
ENDINGS = (*(f".{name}" for name in FORMATS), ".csv.gz", ".jsonl.gz")

STANDARD_INPUT = "-"
_MAGIC_PARQUET, _MAGIC_GZIP = b"PAR1", b"\x1f\x8b"
_CHUNK = 1 << 20
#: A path with one of these is a pattern to DuckDB, and may match other files.
_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True)
class GivenFile:
    """A file of decisions as it is read.

    Attributes
    ----------
    path : Path
        A plain file whose name ends with its format.
    name : str
        How messages call what the user named.
    given : Path
        What the user named, or the copy of what has no place of its own; its digest identifies the
        decisions.
    """

    path: Path
    name: str
    given: Path

    def renamed(self, message: str) -> str:
        """Return a message about `path` as one about the file that the user knows."""
        return message.replace(str(self.path), self.name)


def has_known_ending(name: str) -> bool:
    """Return whether a name ends like a file of decisions."""
    return name.lower().endswith(ENDINGS)


def given_file(
    file: Location,
    work: Path,
    kind: str | None = None,
    standard_input: Callable[[], BinaryIO] | None = None,
    name: str | None = None,
) -> GivenFile:
    """Return a plain file to read decisions from; what is packed or piped is copied into `work`.

    Parameters
    ----------
    file : Path or S3Address
        A file, plain or gzipped, a pipe, or ``-`` for standard input; an object on object storage,
        or a folder there, whose Parquet objects are one table.
    work : Path
        A folder for copies.
    kind : {"parquet", "csv", "jsonl"}, optional
        The format; by default that of the file's ending, and of a pipe that of its content.
    standard_input : callable, optional
        Opens standard input; without it, ``-`` is the name of a file.
    name : str, optional
        How messages call the file; as it is given by default.

    Raises
    ------
    UsageError
        If there is no such file, or its format is unknown.
    DataError
        If it is damaged, or standard input is empty.
    """
    if isinstance(file, S3Address):
        return _fetched(file, work, kind, name or str(file))
    if str(file) == STANDARD_INPUT and standard_input is not None:
        return _copied(standard_input(), name or "standard input", work, kind)
    if file.is_dir() or not file.exists():
        raise UsageError(f"{file} is a folder" if file.is_dir() else f"{file} does not exist")
    try:
        if not file.is_file():  # a pipe, as of `<(…)` of a shell
            with file.open("rb") as stream:
                return _copied(stream, name or str(file), work, kind)
        if kind is None and not has_known_ending(file.name):
            raise UsageError(
                f"{file}: unknown kind of file; its name must end in {', '.join(ENDINGS)}, or "
                "name the format: --format csv"
            )
        is_packed = file.name.lower().endswith(".gz")
        found = kind or without_gz(file.name).rpartition(".")[2].lower()
        is_usual = file.suffix.lower() == f".{found}" and not set(str(file)) & _WILDCARDS
        if not is_packed:
            path = file if is_usual else _linked(file, work / f"given.{found}")
            return GivenFile(path, name or str(file), file)
        with file.open("rb") as stream:
            return _unpacked(stream, name or str(file), work, file, found)
    except PermissionError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error


def _linked(file: Path, path: Path) -> Path:
    path.symlink_to(file.resolve())
    return path


def _copied(stream: BinaryIO, name: str, work: Path, kind: str | None) -> GivenFile:
    """Return a copy of a pipe; its content tells its format, and whether it is gzipped."""
    copy = work / "piped"
    _write(stream, copy, name)
    with copy.open("rb") as source:
        start = source.read(_CHUNK)
        if not start:
            raise DataError(f"{name} is empty: it needs decisions as Parquet, CSV or JSON lines")
        if not start.startswith(_MAGIC_GZIP):
            return GivenFile(_linked(copy, work / f"given.{kind or format_of(start)}"), name, copy)
        source.seek(0)
        return _unpacked(source, name, work, copy, kind)


def _fetched(address: S3Address, work: Path, kind: str | None, name: str) -> GivenFile:
    """Return a copy of what is on object storage, which is read once and in parts."""
    if address.is_folder:
        if kind not in (None, "parquet"):
            raise UsageError(f"{name}: of a folder, only Parquet objects are read, not {kind}")
        path = work / "given.parquet"
        _join(object_storage.objects(address, ".parquet"), path)
        return GivenFile(path, name, path)
    if kind is None and has_known_ending(address.name):
        kind = without_gz(address.name).rpartition(".")[2].lower()
    with object_storage.opened(address) as stream:
        return _copied(stream, name, work, kind)


def _join(addresses: list[S3Address], path: Path) -> None:
    """Write the rows of several Parquet objects to one file, in their order and in parts.

    Raises
    ------
    DataError
        If an object is not Parquet, or has other columns than the first one.
    UsageError
        If there is no room, or an object cannot be read.
    """
    schemas = []
    for address in addresses:
        with _opened_parquet(address) as file:
            schemas.append(file.schema_arrow.remove_metadata())
    for address, schema in zip(addresses, schemas, strict=True):
        if sorted(schema.names) != sorted(schemas[0].names):
            odd = ", ".join(sorted(set(schema.names) ^ set(schemas[0].names))[:5]) or "duplicates"
            raise DataError(
                f"{address} and {addresses[0]} have different columns: {odd}; name one of them"
            )
    try:
        common = pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(
            f"{addresses[0]} and the objects next to it have columns of different types: {error}"
        ) from error
    with contextlib.ExitStack() as stack:
        try:
            writer = stack.enter_context(pq.ParquetWriter(path, common))
            for address in addresses:
                with _opened_parquet(address) as file:
                    for batch in file.iter_batches():
                        rows = pa.Table.from_batches([batch]).select(common.names)
                        writer.write_table(rows.cast(common))
        except OSError as error:
            raise no_room(path.parent, error) from error


@contextlib.contextmanager
def _opened_parquet(address: S3Address) -> Iterator[pq.ParquetFile]:
    with object_storage.opened(address) as stream:
        try:
            with pq.ParquetFile(stream, pre_buffer=False) as file:
                yield file
        except pa.ArrowException as error:
            reason = str(error).strip().splitlines()[0]
            raise DataError(f"{address} is not readable as Parquet: {reason}") from error


def _unpacked(stream: BinaryIO, name: str, work: Path, given: Path, kind: str | None) -> GivenFile:
    """Return what is in a gzipped stream; its content tells its format, where `kind` does not."""
    plain = work / "plain"
    _write(cast(BinaryIO, gzip.GzipFile(fileobj=stream)), plain, name)
    with plain.open("rb") as file:
        found = kind or format_of(file.read(_CHUNK))
    return GivenFile(plain.rename(work / f"given.{found}"), name, given)


def _write(source: BinaryIO, path: Path, name: str) -> None:
    """Copy a stream to a file.

    Raises
    ------
    UsageError
        If there is no room.
    DataError
        If the stream is damaged.
    """
    with contextlib.ExitStack() as stack:
        try:
            target = stack.enter_context(path.open("wb"))
            while True:
                try:
                    part = source.read(_CHUNK)
                except DAMAGE as error:
                    raise DataError(f"{name} cannot be unpacked: {error}") from error
                if not part:
                    break
                target.write(part)
            target.flush()
        except OSError as error:
            raise no_room(path.parent, error) from error


def no_room(folder: Path, error: OSError) -> UsageError:
    """Return the error for a folder of temporary files that cannot be written."""
    return UsageError(
        f"{folder} cannot be written: {error.strerror or error}. Free disk space, or set TMPDIR to "
        "a folder with about three times the size of the decisions"
    )


def format_of(start: bytes) -> str:
    """Return the format of a file that begins with these bytes.

    JSON lines begin with a brace, and so may no header of a CSV file that has our columns.
    """
    if start.startswith(_MAGIC_PARQUET):
        return "parquet"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    return "jsonl" if text.startswith((b"{", b"[")) else "csv"
