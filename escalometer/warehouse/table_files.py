"""Table files: what their names and packings mean, and how they are unpacked and decoded."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
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
        raise DataError(f"{path} is a damaged archive: {error}; get it again") from error
    # What macOS adds beside each file is none of ours.
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
            raise DataError(f"{raw} is no file")
        if name.lower().endswith(".gz"):
            stream = cast(IO[bytes], gzip.GzipFile(fileobj=stream))
        yield stream


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
            raise DataError(f"{raw} cannot be unpacked: {error}; get it again") from error
        yield path
