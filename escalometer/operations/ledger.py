"""The ledger of a project: decisions and outcomes from files, and its summary."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from escalometer import layout
from escalometer.analysis.ledger_results import summarize
from escalometer.documents import PolicyDocument
from escalometer.documents.ledger import LedgerSummary
from escalometer.errors import DataError, UsageError
from escalometer.ledger import DecidedCase, Ledger, LedgerError, Outcome
from escalometer.recorded.given_file import given_file
from escalometer.recorded.ledger_rows import read_decisions, read_outcomes, refused

_Row = TypeVar("_Row", DecidedCase, Outcome)


def add(
    file: Path,
    path: Path,
    kind: str | None = None,
    standard_input: Callable[[], BinaryIO] | None = None,
) -> tuple[int, int]:
    """Return how many rows a file of decisions has and how many are new, once they are stored.

    Parameters
    ----------
    file : Path
        JSON lines, CSV or Parquet, also gzipped or ``-``; columns as of `DecidedCase`.
    path : Path
        The ledger.
    kind : {"parquet", "csv", "jsonl"}, optional
        The format, where the file's ending does not tell it.
    standard_input : callable, optional
        Opens standard input, for the file ``-``.

    Raises
    ------
    UsageError
        If there is no such file, or the ledger cannot be opened.
    DataError
        If a row is not valid, or differs from what the ledger has; nothing is written then.
    """
    return _write(file, path, kind, standard_input, read_decisions, lambda ledger: ledger.add)


def join(
    file: Path,
    path: Path,
    kind: str | None = None,
    standard_input: Callable[[], BinaryIO] | None = None,
) -> tuple[int, int]:
    """Return the same for a file of outcomes, with the columns of `Outcome`; errors as of `add`.

    An outcome of a case that nobody decided, or earlier than its decision, is an error.
    """
    existing(path)
    return _write(file, path, kind, standard_input, read_outcomes, lambda ledger: ledger.join)


def show(path: Path, policy: PolicyDocument | None = None) -> LedgerSummary:
    """Return the summary of a ledger; with a policy, that of its own cases.

    Raises
    ------
    UsageError
        If there is no ledger, or it cannot be opened.
    """
    ledger = existing(path)
    with _opening(path):
        return summarize(list(ledger.decisions()), list(ledger.outcomes()), policy)


def existing(path: Path) -> Ledger:
    """Return the ledger of a file that must exist.

    Raises
    ------
    UsageError
        If it does not, or cannot be opened.
    """
    if not path.is_file():
        raise UsageError(f"there is no ledger at {path}: `escalometer ledger add FILE` makes one")
    with _opening(path):
        return Ledger(path)


def place(root: Path | None, given: Path | None) -> Path:
    """Return the file of the ledger: the given one, else that of the project.

    Raises
    ------
    UsageError
        If none is given outside of a project.
    """
    if given is not None:
        return given
    if root is None:
        raise UsageError("no project here, so no ledger: name its file (--ledger FILE)")
    return layout.ledger_file(root)


def _write(
    file: Path,
    path: Path,
    kind: str | None,
    standard_input: Callable[[], BinaryIO] | None,
    read: Callable[[Path], list[tuple[int, _Row]]],
    write: Callable[[Ledger], Callable[[list[_Row]], int]],
) -> tuple[int, int]:
    with tempfile.TemporaryDirectory(prefix="escalometer-") as work:
        given = given_file(file, Path(work), kind, standard_input)
        try:
            rows = read(given.path)
        except DataError as error:
            raise DataError(given.renamed(str(error))) from error
    with _opening(path):
        try:
            return len(rows), write(Ledger(path))([row for _, row in rows])
        except LedgerError as error:
            numbered = [(rows[place][0], words) for place, words in error.problems]
            raise refused(given.name, numbered) from error


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and the file system into one that names the ledger."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise UsageError(f"{path} cannot be used as a ledger: {error}") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
