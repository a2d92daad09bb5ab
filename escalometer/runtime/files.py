"""Files written whole or not at all, JSON documents, digests."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from escalometer.errors import DataError

_PARTIAL = ".partial"


def partial_of(path: Path) -> Path:
    """Return the name of a file or folder while it is incomplete."""
    return path.with_name(path.name + _PARTIAL)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a file to write, and put it in the place of `path` once the block has ended.

    If the block raises, `path` stays as it was and the incomplete file is removed. The folder is
    made where it does not exist.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_of(path)
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_text(text: str, path: Path) -> None:
    """Write `text` as UTF-8 at `path`, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write `content` as JSON at `path`, whole or not at all; NaN and infinities are refused."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(text + "\n", path)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON document at `path`.

    Raises
    ------
    DataError
        If it is absent or not JSON.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; run `dvc repro` to create it") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}; remove it and run `dvc repro`") from error
    return content


def digest(path: Path) -> str:
    """Return the sha256 of a file's content in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_files(paths: list[Path]) -> str:
    """Return one sha256, in hexadecimal, for the contents of several files in this order.

    Raises
    ------
    FileNotFoundError
        If one of them does not exist.
    """
    combined = hashlib.sha256()
    for path in paths:
        combined.update(bytes.fromhex(digest(path)))
    return combined.hexdigest()
