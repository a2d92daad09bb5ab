"""Profiles of imported sources that are kept: computed once for the same decisions, settings, code.

docs/decisions/0028-kept-profiles.md has the reasons.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from escalometer import layout, resources
from escalometer.analysis.decisions import side_domains
from escalometer.config import Params
from escalometer.documents import Profile
from escalometer.errors import DataError
from escalometer.runtime.files import digest, read_json, write_json

#: Distributions whose versions can change the last digits of a profile, or a figure.
_LIBRARIES = ("duckdb", "matplotlib", "numpy", "pyarrow")
#: Of a model's name, so much begins a file's name: most file systems allow 255 bytes.
_MOST_NAME = 100


@dataclass(frozen=True)
class Asked:
    """A profile that is asked for.

    Attributes
    ----------
    source, model : str
    params : Params
        `seed` and `analyze` determine the profile.
    domains : tuple of str, or None
        Only these.
    is_pooled : bool
        True where isolated dialogues count among the others.
    file : Path, optional
        The decisions, where `source` is not one that was imported.
    """

    source: str
    model: str
    params: Params
    domains: tuple[str, ...] | None = None
    is_pooled: bool = False
    file: Path | None = None


class Keeper:
    """Where the profiles of a source are kept, as of its decisions and the code at this moment.

    Parameters
    ----------
    source : str
    present : iterable of str
        Domains of the source's decisions.
    root : Path
        The project.
    """

    def __init__(self, source: str, present: Iterable[str], root: Path = Path()) -> None:
        self._decisions = layout.source_decisions_file(source, root)
        self._folder = layout.kept_profiles_folder(source, root)
        self._present = sorted(present)
        self._basis = self._current()

    def read(self, asked: Asked) -> Profile | None:
        """Return a profile that is kept; None where there is none, or it is damaged."""
        content = self._read(self._path(asked, "profile"))
        try:
            return None if content is None else Profile.model_validate(content)
        except ValidationError:
            return None

    def read_figures(self, asked: Asked) -> dict[str, str] | None:
        """Return the figures of a profile that are kept; None as `read`."""
        return self._read(self._path(asked, "figures"))

    def write(
        self, asked: Asked, profile: Profile, figures: Mapping[str, str] | None = None
    ) -> None:
        """Keep a profile in place of the last one that was asked for in the same way.

        Nothing is kept where the decisions or the code have changed since this object was made, or
        where the folder cannot be written.
        """
        if self._current() != self._basis:
            return
        contents = {"profile": profile.as_json()}
        if figures is not None:
            contents["figures"] = dict(figures)
        # A disk that is full or read-only costs time, not the result.
        with contextlib.suppress(OSError):
            for part, content in contents.items():
                path = self._path(asked, part)
                write_json({"sha256": _checksum(content), "content": content}, path)
                for other in self._folder.glob("*.json"):
                    if other != path and _without_key(other) == _without_key(path):
                        other.unlink(missing_ok=True)

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            kept = read_json(path)
            content: dict[str, Any] = kept["content"]
            return content if kept["sha256"] == _checksum(content) else None
        except (DataError, KeyError, OSError, TypeError, AttributeError):
            return None

    def _path(self, asked: Asked, part: str) -> Path:
        analyze = asked.params.analyze.model_dump(mode="json")
        chosen = None if asked.domains is None else sorted(asked.domains)
        scope = _checksum({"domains": chosen, "is_pooled": asked.is_pooled})
        key = _checksum(
            {
                **self._basis,
                "source": asked.source,
                "model": asked.model,
                "seed": asked.params.seed,
                "analyze": analyze,
                # A domain may become a side domain without a change of code: in its YAML file.
                "side_domains": side_domains(self._present),
            }
        )
        name = quote(asked.model, safe="")[:_MOST_NAME]
        return self._folder / f"{name}-{part}-{scope[:8]}-{key[:32]}.json"

    def _current(self) -> dict[str, Any]:
        return {"decisions": self._decisions_digest(), "code": code_digest()}

    def _decisions_digest(self) -> str:
        """Return the digest of the decisions, computed once for a file that is not touched.

        No program can set the time of a file's last change of any kind (ctime): a file that has
        all of these in common is the one that was digested.
        """
        record = self._folder / "decisions.json"
        identity = _identity(self._decisions)
        try:
            known = read_json(record)
            if known["identity"] == identity:
                return str(known["sha256"])
        except (DataError, KeyError, OSError, TypeError):
            pass  # none yet, or a damaged one
        found = digest(self._decisions)
        if _identity(self._decisions) == identity:  # not replaced meanwhile
            # A disk that is full or read-only costs time, not the result.
            with contextlib.suppress(OSError):
                write_json({"identity": identity, "sha256": found}, record)
        return found


def code_digest() -> str:
    """Return a digest of what computes profiles and figures: package, statements, libraries."""
    combined = hashlib.sha256(platform.python_version().encode())
    for name in _LIBRARIES:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = "absent"
        combined.update(f"{name} {version}\n".encode())
    for folder, suffix in ((resources.package(), ".py"), (resources.resource("sql"), ".sql")):
        for name, path in resources.walk(folder, suffix):
            content = path.read_bytes()
            combined.update(f"{name} {len(content)}\n".encode() + content)
    return combined.hexdigest()


def _identity(path: Path) -> list[int]:
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; import the source again") from error
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _checksum(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _without_key(path: Path) -> Sequence[str]:
    return path.stem.rsplit("-", 1)[0]
