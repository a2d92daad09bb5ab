"""Extraction of named members from an archive."""

from __future__ import annotations

import functools
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from escalometer.cases.downloads.published import check_space
from escalometer.errors import DataError
from escalometer.runtime.files import partial_of
from escalometer.runtime.progress import Meter, progress

_CHUNK = 1 << 20


def unpack(archive: Path, members: Mapping[str, Path]) -> None:
    """Extract the named members of an archive to the given files, all of them or none.

    No name in the archive decides where anything is written.

    Parameters
    ----------
    archive : Path
        A .zip or .tar.gz file; its content tells which, not its name.
    members : mapping of str to Path
        Base name of each member, whatever folder of the archive it is in (``"ratings.csv"`` is also
        ``ml-latest-small/ratings.csv``), and the file to write; one that is there is replaced.

    Raises
    ------
    DataError
        If a member is missing or duplicate, the archive is damaged or of another kind, or there is
        no room.
    """
    partials: dict[str, Path] = {}
    try:
        with progress(f"unpacking {archive.name}", None, "bytes") as meter:
            for name, n_bytes, opened in _entries(archive):
                base = PurePosixPath(name.replace("\\", "/")).name
                if base not in members:
                    continue
                if base in partials:
                    raise DataError(f"{archive} contains {base} twice, which is ambiguous")
                target = members[base]
                partials[base] = partial_of(target)
                target.parent.mkdir(parents=True, exist_ok=True)
                check_space(target, n_bytes)
                _extract(opened, partials[base], meter)
            meter.total = meter.done
        if missing := sorted(set(members) - set(partials)):
            raise DataError(f"{archive} does not contain {', '.join(missing)}")
        for base, partial in partials.items():
            partial.replace(members[base])
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        NotImplementedError,  # a compression that Python's zipfile does not know
        OSError,
    ) as error:
        raise DataError(
            f"{archive} cannot be unpacked: {error}. If it is damaged, remove it and download it "
            "again."
        ) from error
    finally:
        for partial in partials.values():
            partial.unlink(missing_ok=True)


def _entries(archive: Path) -> Iterator[tuple[str, int, Callable[[], IO[bytes] | None]]]:
    """Yield name, size in bytes and opener of each file in the archive, in its order."""
    with archive.open("rb") as file:
        magic = file.read(2)
    if magic == b"PK":
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                if info.flag_bits & 1:
                    raise DataError(f"{archive} is encrypted: unpack it by hand")
                if not info.is_dir():
                    yield info.filename, info.file_size, functools.partial(zipped.open, info)
    elif magic == b"\x1f\x8b":
        with gzip.open(archive) as raw, tarfile.open(fileobj=raw, mode="r:") as tar:
            for member in tar:
                if member.isreg():  # a link's name does not identify its bytes
                    yield member.name, member.size, functools.partial(tar.extractfile, member)
            while raw.read(_CHUNK):  # gzip's checksum is at the end
                pass
    else:
        raise DataError(f"{archive} is neither a .zip nor a .tar.gz archive")


def _extract(opened: Callable[[], IO[bytes] | None], partial: Path, meter: Meter) -> None:
    stream = opened()
    if stream is None:
        raise tarfile.ReadError("a member is not a file")
    with stream, partial.open("wb") as out:
        while chunk := stream.read(_CHUNK):
            out.write(chunk)
            meter.advance(len(chunk))
