"""Table files: names and packings, unpacking, encoding and header, for every reader of tables."""

from __future__ import annotations

import contextlib
import csv
import gzip
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from escalometer.errors import DataError

KINDS = (".csv", ".tsv", ".parquet")
ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar")
#: What the standard library raises for packings that are broken, encrypted or of an unknown method.
DAMAGE = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class RawTable:
    """One raw file of an edition, in its published columns.

    Attributes
    ----------
    name : str
        Name of the table and of its suite, unique in the project.
    columns : mapping of str to str
        Published column names and their DuckDB types; other columns of the file are left aside.
    stems : tuple of str
        How the published file may be called, without its endings; ``*`` stands for any characters.
        `name` itself always counts. See `escalometer.cases.raw_files` for the endings.
    nulls : tuple of str
        Texts that stand for nothing.
    delimiter : str
        What stands between values, where it is not what the file's ending says: ``";"``.
    """

    name: str
    columns: Mapping[str, str]
    stems: tuple[str, ...] = ()
    nulls: tuple[str, ...] = ("", "NA")
    delimiter: str = ""


@dataclass(frozen=True)
class RawFile:
    """A file of a raw table: a path, and inside an archive the member of that name."""

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return f"{self.path}" if self.member is None else f"{self.path} ({self.member})"


def without_gz(name: str) -> str:
    """Return a file's name without the ending of gzip."""
    return name[: -len(".gz")] if name.lower().endswith(".gz") else name


def name_parts(name: str) -> tuple[str, str]:
    """Return a file's name without its endings, and its kind; no kind where it holds no table."""
    plain = without_gz(name)
    for kind in KINDS:
        if plain.lower().endswith(kind):
            return plain[: -len(kind)], kind
    return plain, ""


def archive_members(path: Path) -> list[str]:
    """Return the members of an archive that can hold a table.

    Raises
    ------
    DataError
        If the archive is damaged.
    """
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        else:
            with tarfile.open(path) as archive:
                names = [member.name for member in archive.getmembers() if member.isfile()]
                while archive.fileobj and archive.fileobj.read(1 << 20):
                    pass  # on to the checksum of what the archive is packed in
    except DAMAGE as error:
        raise DataError(f"{path} cannot be unpacked: {error}; download it again") from error
    # Files that macOS adds beside each file are ignored.
    return [n for n in names if name_parts(n)[1] and not n.startswith("__MACOSX")]


@contextlib.contextmanager
def _stream(raw: RawFile) -> Iterator[IO[bytes]]:
    """Open the table's bytes, unpacked."""
    with contextlib.ExitStack() as stack:
        name = raw.member or raw.path.name
        stream: IO[bytes] | None
        if raw.member is None:
            stream = stack.enter_context(raw.path.open("rb"))
        elif raw.path.name.lower().endswith(".zip"):
            archive = stack.enter_context(zipfile.ZipFile(raw.path))
            stream = stack.enter_context(archive.open(raw.member))
        else:
            stream = stack.enter_context(tarfile.open(raw.path)).extractfile(raw.member)
        if stream is None:
            raise DataError(f"{raw} is not a file")
        if name.lower().endswith(".gz"):
            stream = cast(IO[bytes], gzip.GzipFile(fileobj=stream))
        yield stream


def read_unpacked(raw: RawFile) -> bytes:
    """Return the table's bytes, unpacked.

    Raises
    ------
    DataError
        If the packing is damaged.
    """
    try:
        with _stream(raw) as stream:
            return stream.read()
    except DAMAGE as error:
        raise DataError(f"{raw} cannot be unpacked: {error}; download it again") from error


@contextlib.contextmanager
def opened(raw: RawFile) -> Iterator[Path]:
    """Give a path to the table's unpacked file while the block runs.

    Raises
    ------
    DataError
        If the packing is damaged.
    """
    if raw.member is None and not raw.path.name.lower().endswith(".gz"):
        yield raw.path
        return
    with tempfile.TemporaryDirectory(prefix="escalometer-") as folder:
        name = PurePosixPath(raw.member or raw.path.name).name
        path = Path(folder) / without_gz(name)
        try:
            with _stream(raw) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        except DAMAGE as error:
            raise DataError(f"{raw} cannot be unpacked: {error}; download it again") from error
        yield path


#: How files begin that are not text, whatever their names say, and what their names should end in.
_MAGIC = {b"\x1f\x8b": ".gz", b"PK\x03\x04": ".zip", b"PAR1": ".parquet"}


def decoded_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, plain or .gz, decoded one by one.

    Raises
    ------
    UnicodeDecodeError
        At the line that is not UTF-8; see `not_utf8`.
    """
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file):
            yield line.decode("utf-8" if number else "utf-8-sig")


def csv_header(lines: Iterable[str], delimiter: str) -> list[str]:
    """Return the column names in the first line of a CSV text; none where it is not CSV."""
    try:
        return next(csv.reader(lines, delimiter=delimiter), [])
    except csv.Error:
        return []


def read_csv_header(path: Path, delimiter: str = ",") -> list[str]:
    """Return the column names of a CSV file, unchanged.

    Raises
    ------
    DataError
        If the file is not text, or not UTF-8.
    """
    with path.open("rb") as file:
        start = file.read(4)
    for magic, ending in _MAGIC.items():
        if start.startswith(magic) and not path.name.endswith(ending):
            raise DataError(f"{path} is not text but a {ending} file: rename it")
    try:
        header = next(csv.reader(decoded_lines(path), strict=True, delimiter=delimiter), [])
    except UnicodeDecodeError as error:
        raise not_utf8(path, 1, error) from error
    except csv.Error as error:
        if "new-line" in str(error):
            raise DataError(
                f"{path}, row 1: its lines end in a carriage return alone; save it with line feeds"
            ) from error
        raise DataError(f"{path}, row 1: the header is not readable as CSV: {error}") from error
    if any("\0" in name for name in header):  # UTF-16 of English text is UTF-8 with many zeros
        raise DataError(f"{path}, row 1: is not UTF-8 text (found zero bytes); save it as UTF-8")
    return header


def not_utf8(path: Path, row: int, error: UnicodeDecodeError) -> DataError:
    """Return the error that says which row of a file is not UTF-8, and what to do."""
    byte = error.object[error.start]
    looks = " as in UTF-16" if row == 1 and byte in (0xFE, 0xFF) and not error.start else ""
    return DataError(
        f"{path}, row {row}: is not UTF-8 text (found the byte 0x{byte:02x}{looks}); save it as "
        "UTF-8"
    )


def decoded(path: Path, data: bytes) -> bytes:
    """Return the bytes without a byte order mark, once they are known to be UTF-8.

    Raises
    ------
    DataError
        If they are not; the message names the row and says how to convert the file.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in data[:4096]:
        raise DataError(f"{path} is UTF-16, or not text: save it as CSV in UTF-8")
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
