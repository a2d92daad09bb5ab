"""Which raw files a folder holds, of which edition, in whatever packing people have them.

A table's file is found by its name without endings; the endings say what it is: `.csv`, `.tsv` or
`.parquet`, plain or inside `.gz`, `.zip` or `.tar.gz`.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, cast

from escalometer.cases.domains import Domain, Edition, RawTable
from escalometer.errors import DataError

KINDS = (".csv", ".tsv", ".parquet")
_ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar")
#: What the standard library raises for packings that are broken, encrypted or of an unknown method.
_DAMAGE = (
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
class RawFile:
    """A file of a raw table: a path, and inside an archive the member of that name."""

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return f"{self.path}" if self.member is None else f"{self.path} ({self.member})"


class Found(NamedTuple):
    """An edition that is there, with the file of each of its tables."""

    edition: Edition
    files: dict[str, RawFile]


def _without_gz(name: str) -> str:
    return name[: -len(".gz")] if name.lower().endswith(".gz") else name


def _parts(name: str) -> tuple[str, str]:
    """Return a file's name without its endings, and its kind; no kind where it holds no table."""
    plain = _without_gz(name)
    for kind in KINDS:
        if plain.lower().endswith(kind):
            return plain[: -len(kind)], kind
    return plain, ""


def _archive_members(path: Path) -> list[str]:
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        else:
            with tarfile.open(path) as archive:
                names = [member.name for member in archive.getmembers() if member.isfile()]
                while archive.fileobj and archive.fileobj.read(1 << 20):
                    pass  # on to the checksum of what the archive is packed in
    except _DAMAGE as error:
        raise DataError(f"{path} is a damaged archive: {error}; get it again") from error
    # What macOS adds beside each file is none of ours.
    return [n for n in names if _parts(n)[1] and not n.startswith("__MACOSX")]


def _matches(stem: str, raw_table: RawTable) -> bool:
    patterns = (raw_table.name, *raw_table.stems)
    return any(fnmatch(stem.lower(), pattern.lower()) for pattern in patterns)


def data_files(folder: Path) -> list[Path]:
    """Return the files in `folder` that can hold a table, in alphabetical order."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and (_parts(path.name)[1] or path.name.lower().endswith(_ARCHIVES))
    )


def candidates(raw_table: RawTable, folder: Path) -> list[RawFile]:
    """Return the files in `folder` that are called like the table."""
    found = []
    for path in data_files(folder):
        stem, kind = _parts(path.name)
        if not path.name.lower().endswith(_ARCHIVES):
            if kind and _matches(stem, raw_table):
                found.append(RawFile(path))
            continue
        members = _archive_members(path)
        named = [n for n in members if _matches(_parts(PurePosixPath(n).name)[0], raw_table)]
        bare = path.name.lower()
        for ending in (*_ARCHIVES, *KINDS):
            bare = bare.removesuffix(ending)
        if not named and len(members) == 1 and _matches(bare, raw_table):
            named = members
        found += [RawFile(path, name) for name in named]
    return found


def expected_names(raw_table: RawTable) -> str:
    """Return how the table's file may be called, for messages."""
    stems = " or ".join(f"{stem}.csv" for stem in (raw_table.stems or (raw_table.name,)))
    return f"{stems} (or .tsv, .parquet; plain, .gz or .zip)"


def find(raw_table: RawTable, folder: Path) -> RawFile | None:
    """Return the file of `raw_table` in `folder`, None where there is none.

    Raises
    ------
    DataError
        If several files could be it, or an archive is damaged.
    """
    found = candidates(raw_table, folder)
    if len(found) > 1:
        listed = " and ".join(str(raw) for raw in found)
        raise DataError(
            f"{listed} could each be the table {raw_table.name}; remove what does not count"
        )
    return found[0] if found else None


def present(domain: Domain, folder: Path) -> Found | None:
    """Return the edition of `domain` whose files `folder` holds, None where it holds no files.

    Where the published rows are there, a derived edition beside them does not count.

    Raises
    ------
    DataError
        If files of two editions are there, if an edition is there in part, or if the files that
        are there are called like no table of the domain.
    """
    whole: list[Found] = []
    parts: list[tuple[Edition, dict[str, RawFile | None]]] = []
    for edition in domain.editions:
        files = {table.name: find(table, folder) for table in edition.raw_tables}
        complete = {name: raw for name, raw in files.items() if raw is not None}
        if len(complete) == len(files):
            whole.append(Found(edition, complete))
        elif complete:
            parts.append((edition, files))
    published = [found for found in whole if not found.edition.is_derived]
    whole = published or whole  # what was derived from rows says nothing that they do not
    if len(whole) > 1:
        listed = "; ".join(
            f"{found.edition.name}: {', '.join(raw.path.name for raw in found.files.values())}"
            for found in whole
        )
        raise DataError(
            f"{folder} holds files of {len(whole)} editions ({listed}); remove those that do not "
            "count"
        )
    if whole:
        return whole[0]
    if parts:
        edition, files = parts[0]
        tables = {table.name: table for table in edition.raw_tables}
        lacking = [expected_names(tables[name]) for name, raw in files.items() if raw is None]
        there = [raw.path.name for raw in files.values() if raw is not None]
        raise DataError(f"{folder}: beside {', '.join(there)} it needs {' and '.join(lacking)}")
    strangers = [path.name for path in data_files(folder)]
    if strangers:
        wanted = "; or ".join(
            " and ".join(expected_names(table) for table in edition.raw_tables)
            for edition in domain.editions
        )
        raise DataError(
            f"{folder} holds {', '.join(strangers)}, which is called like no table of "
            f"{domain.name}: rename it to {wanted}"
        )
    return None


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
        path = Path(folder) / _without_gz(name)
        try:
            with _stream(raw) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        except _DAMAGE as error:
            raise DataError(f"{raw} cannot be unpacked: {error}; get it again") from error
        yield path


def digest(path: Path) -> str:
    """Return the sha256 of a file's content in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
