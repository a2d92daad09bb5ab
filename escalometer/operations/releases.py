"""New releases that wait for a verdict, what became of the others, and what people were told.

The record is a file of the project, so that a run that was killed loses no release.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

from escalometer import layout
from escalometer.config import load_card, yaml_names
from escalometer.errors import DataError
from escalometer.runtime.files import read_json, write_json

Status: TypeAlias = Literal["pending", "pass", "fail", "inconclusive"]


class Release(BaseModel):
    """A release that was found, and what became of it.

    Attributes
    ----------
    status : str
        ``pending`` until there is a verdict.
    since : str
        When it got this status, in UTC.
    reason : str
        Why there is no verdict yet.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    status: Status = "pending"
    since: str = ""
    reason: str = ""


class _Record(BaseModel):
    """The content of the file."""

    model_config = ConfigDict(extra="ignore")

    releases: dict[str, Release] = {}
    told: list[str] = []


def known(root: Path) -> dict[str, Release]:
    """Return the releases that were found, by card.

    Raises
    ------
    DataError
        If the record is damaged.
    """
    return _read(root).releases


def pending(found: list[str], root: Path) -> list[str]:
    """Return the releases that have no verdict yet, and record those that are new.

    Parameters
    ----------
    found : list of str
        Cards that were written now. Cards of the project that are marked as guessed and not known
        are new too: `escalometer models watch` wrote them.
    root : Path
        The project.

    Raises
    ------
    DataError
        If the record is damaged.
    """
    record, folder = _read(root), layout.cards_folder(root)
    cards = yaml_names(folder)
    guessed = [name for name in cards if load_card(name, folder).guessed_from]
    for model in (*found, *guessed):
        record.releases.setdefault(model, Release(since=_now()))
    _write(record, root)
    return [
        model
        for model, release in record.releases.items()
        if release.status == "pending" and model in cards
    ]


def record(model: str, status: Status, root: Path, reason: str = "") -> bool:
    """Record what became of a release, and return whether that is new.

    Raises
    ------
    DataError
        If the record is damaged.
    """
    content = _read(root)
    before = content.releases.get(model)
    if before is not None and (before.status, before.reason) == (status, reason):
        return False
    content.releases[model] = Release(status=status, since=_now(), reason=reason)
    _write(content, root)
    return True


def tell(text: str, root: Path) -> bool:
    """Record that people are told `text`, and return whether they were not told it before.

    Raises
    ------
    DataError
        If the record is damaged.
    """
    content = _read(root)
    if text in content.told:
        return False
    content.told.append(text)
    _write(content, root)
    return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read(root: Path) -> _Record:
    path = layout.releases_file(root)
    if not path.exists():
        return _Record()
    try:
        return _Record.model_validate(read_json(path))
    except (ValidationError, DataError) as error:
        raise DataError(
            f"{path} is damaged: restore it, or remove it; then every release whose card is marked "
            "by guessed_from is evaluated again, from stored answers"
        ) from error


def _write(record: _Record, root: Path) -> None:
    write_json(record.model_dump(), layout.releases_file(root))
