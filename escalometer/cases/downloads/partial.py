"""The partial file of a download, and the published version that its bytes belong to."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from escalometer.cases.downloads.published import Published, spell_bytes
from escalometer.errors import DataError, ProviderError, UsageError
from escalometer.runtime.files import partial_of, write_json


@dataclass(frozen=True)
class Version:
    """The version of the file that the server is sending, by its headers.

    Attributes
    ----------
    url : str
        The requested address.
    etag, last_modified : str or None
        Headers that change when the file does.
    n_bytes : int or None
        Its size.
    """

    url: str
    etag: str | None
    last_modified: str | None
    n_bytes: int | None

    def condition(self) -> str:
        """Return the value of an If-Range header, empty where no header identifies the bytes."""
        is_strong = self.etag and not self.etag.startswith("W/")
        return (self.etag if is_strong else self.last_modified) or ""


class Partial:
    """`<path>.partial`, open, and its sidecar `<path>.partial.json`."""

    def __init__(self, path: Path, file: IO[bytes], url: str) -> None:
        self.path, self._file = path, file
        self._sidecar = path.with_name(path.name + ".json")
        self.version = self._read(url)

    def _read(self, url: str) -> Version | None:
        try:
            version = Version(**json.loads(self._sidecar.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # absent or incomplete: the version is unknown
            return None
        return version if version.url == url else None

    @property
    def size(self) -> int:
        """Bytes in the partial file."""
        return os.fstat(self._file.fileno()).st_size

    @property
    def n_kept(self) -> int:
        """Bytes to resume from: 0 where their version is unknown."""
        return self.size if self.version is not None and self.version.condition() else 0

    def begin(self, version: Version) -> None:
        """Empty the file; the bytes that follow are of `version`."""
        self._file.truncate(0)
        self.version = version
        write_json(asdict(version), self._sidecar)

    def write(self, chunk: bytes) -> None:
        """Append bytes; the operating system has them when this returns."""
        try:
            self._file.write(chunk)
            self._file.flush()
        except OSError as error:
            raise DataError(
                f"cannot write {self.path}: {error.strerror}. Free disk space and run the "
                f"command again: it resumes at {spell_bytes(self.size)}."
            ) from error

    def finish(self, path: Path) -> None:
        """Move the whole, verified file to where it belongs."""
        os.fsync(self._file.fileno())  # a power cut could leave the name without the bytes
        self.path.replace(path)
        self._sidecar.unlink(missing_ok=True)

    def drop(self) -> None:
        """Remove the partial file and its sidecar."""
        self.path.unlink(missing_ok=True)
        self._sidecar.unlink(missing_ok=True)


@contextlib.contextmanager
def claimed(published: Published) -> Iterator[Partial]:
    """Open the partial file for this process alone, so that no two processes mix their bytes.

    Raises
    ------
    UsageError
        If its folder cannot be written to.
    ProviderError
        If another process has it.
    """
    path = published.path
    target = partial_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = target.open("ab")
    except OSError as error:
        raise UsageError(f"cannot write to {path.parent}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # If the other process has finished in between, the open file is `path` by now.
            is_ours = os.path.samestat(os.fstat(file.fileno()), target.stat())
        except (BlockingIOError, FileNotFoundError):
            is_ours = False
        if not is_ours:
            raise ProviderError(f"{path} is being downloaded by another process: wait for it")
        partial = Partial(target, file, published.url)
        try:
            yield partial
        finally:
            if not partial.size:
                partial.drop()
