"""The requested file: its public address, published size and checksum, and target path."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from escalometer.errors import DataError, ProviderError, UsageError
from escalometer.runtime.progress import Meter, progress

_CHUNK = 1 << 20
_LARGE = 256 << 20  # bytes that take over a second to hash
_DIGITS = {"sha256": 64, "md5": 32}
_SECRET = re.compile(
    r"(?:^|[-_])(?:key|token|sig|signature|secret|pass|passwd|password|auth|credential)s?(?:[-_]|$)"
    r"|(?:api|access)key",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Published:
    """A public file.

    Attributes
    ----------
    url : str
        Its http or https address.
    path : Path
        Where it goes.
    n_bytes : int or None
        Its published size.
    algorithm, digest : str or None
        Its published checksum: ``"sha256"`` or ``"md5"``, and the digits.
    """

    url: str
    path: Path
    n_bytes: int | None
    algorithm: str | None
    digest: str | None

    @classmethod
    def of(cls, url: str, path: Path, n_bytes: int | None, checksum: str | None) -> Published:
        """Return the file of that address and checksum (``"sha256:<hex>"``, ``"md5:<hex>"``).

        Raises
        ------
        UsageError
            If the address or the checksum is malformed, or the address holds a user's name.
        """
        try:
            parts = urlsplit(url)
            is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # an invalid port or host
            is_address = False
        if not is_address:
            # The address is malformed, so the part before an @ may be a password.
            shown = spell_url(url).rpartition("@")[2]
            raise UsageError(f"{shown!r} is not an http:// or https:// address")
        if "@" in parts.netloc:
            raise UsageError(
                f"the address {spell_url(url)} contains a user's name: only public files are "
                "downloaded; remove the name"
            )
        if checksum is None:
            return cls(url, path, n_bytes, None, None)
        algorithm, _, digest = checksum.strip().lower().partition(":")
        if len(digest) != _DIGITS.get(algorithm) or not re.fullmatch("[0-9a-f]+", digest):
            raise UsageError(
                f"checksum {checksum!r} is neither sha256:<64 digits> nor md5:<32 digits>"
            )
        return cls(url, path, n_bytes, algorithm, digest)

    def examine(self, file: Path) -> tuple[str, str]:
        """Return the sha256 of `file`, and its fault: empty where it is the published file."""
        size = file.stat().st_size
        if self.n_bytes not in (None, size):
            return "", f"it has {size:,} bytes, expected {self.n_bytes:,}"
        names = {"sha256", self.algorithm or "sha256"}
        hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
        shown: contextlib.AbstractContextManager[Meter | None] = contextlib.nullcontext()
        if size > _LARGE:
            shown = progress(f"checking {self.path.name}", size, "bytes")
        with file.open("rb") as stream, shown as meter:
            while chunk := stream.read(_CHUNK):
                for hasher in hashes.values():
                    hasher.update(chunk)
                if meter:
                    meter.advance(len(chunk))
        actual = hashes[self.algorithm].hexdigest() if self.algorithm else None
        fault = f"its {self.algorithm} is {actual}, expected {self.digest}"
        return hashes["sha256"].hexdigest(), "" if actual == self.digest else fault

    def check_space(self, n_bytes: int) -> None:
        """Raise DataError unless `n_bytes` more fit where the file goes."""
        check_space(self.path, n_bytes)

    def changed(self, fault: str) -> DataError:
        """Return the error for bytes that are not the published ones."""
        return DataError(
            f"{spell_url(self.url)} is not the expected file: {fault}. It was discarded. The "
            "published file may have changed: see its publisher's page. For a new edition, "
            "size and checksum in the domain's file must be updated."
        )

    def failed(self, reason: str, n_kept: int) -> ProviderError:
        """Return the error for a file that cannot be had now, of which `n_kept` bytes stay."""
        again = f": it resumes at {spell_bytes(n_kept)}" if n_kept else ""
        return ProviderError(
            f"could not download {spell_url(self.url)}: {reason}. Run the command again{again}; "
            f"or download it by hand and put it at {self.path}."
        )


def check_space(path: Path, n_bytes: int) -> None:
    """Raise DataError unless `n_bytes` more fit on the disk that holds the folder of `path`."""
    free = shutil.disk_usage(path.parent).free
    if n_bytes > free:
        raise DataError(
            f"not enough disk space for {path}: {spell_bytes(n_bytes)} are needed and "
            f"{spell_bytes(free)} are free. Free some and run the command again."
        )


def spell_url(url: str) -> str:
    """Return the address for display: without a user's name or anything like a key."""
    head, mark, query = url.partition("?")
    scheme, slashes, rest = head.partition("//")
    host, slash, place = rest.partition("/")
    values = [
        f"{value.partition('=')[0]}=…" if holds_secret(f"?{value}") else value
        for value in query.partition("#")[0].split("&")
    ]
    shown = f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{place.partition('#')[0]}"
    return shown + mark + "&".join(values)


def holds_secret(url: str) -> bool:
    """Return true if the address has a user's name in it, or anything named like a key."""
    head, _, query = url.partition("?")
    keys = [key for key, _ in parse_qsl(query, keep_blank_values=True)]
    return "@" in head.partition("//")[2].partition("/")[0] or any(map(_SECRET.search, keys))


def spell_bytes(n_bytes: int) -> str:
    """Return an amount in megabytes, for display."""
    return f"{n_bytes / 1e6:,.1f} MB"
