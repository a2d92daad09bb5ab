"""Rows of a completion store: what SQLite and PostgreSQL have to offer, and statements for both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from escalometer.config import DatabaseAddress
from escalometer.errors import Outage, UsageError

#: The version of the tables. A store of a newer one is refused.
VERSION = 1
#: How long reads and writes wait for a store that is not available, in seconds.
PATIENCE_S = 60.0
#: Columns of answers, superseded ones too, and of batches.
ENTRY_COLUMNS = ("key", "created_at", "identity", "request", "completion", "run", "cost_usd")
BATCH_COLUMNS = ("id", "identity", "run", "keys", "is_open")
LISTED = ", ".join(ENTRY_COLUMNS)
#: Answers of keys that follow.
ANSWERS = "select key, completion from completions where"

Made = TypeVar("Made")


class StoreUnavailable(Outage):
    """A completion store that cannot be read or written at the moment.

    Attributes
    ----------
    reason : str
        The cause in the words of SQLite or PostgreSQL, without any password.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Result(Protocol):
    """The rows of a statement."""

    @property
    def rowcount(self) -> int:
        """The number of rows that the statement wrote."""

    def fetchone(self) -> Any:
        """Return the next row, None at the end."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""


class Transaction(Protocol):
    """Statements that take effect together."""

    def execute(self, query: str, values: Sequence[Any] = ()) -> Result:
        """Run a statement."""

    def executemany(self, query: str, values: Iterable[Sequence[Any]]) -> Result:
        """Run a statement once for each row of values."""


class StoreRows(ABC):
    """Rows of a completion store, read and written by statements.

    Statements are written for both engines: ``?`` for a value, table names without a prefix.

    Attributes
    ----------
    place : Path or DatabaseAddress
        The file or the address.
    """

    place: Path | DatabaseAddress
    _at_once = 500  # keys of one statement: well under SQLite's limit of bound values

    @abstractmethod
    def close(self) -> None:
        """Close the store."""

    @abstractmethod
    def _read(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a query."""

    def _scan(self, query: str, values: Sequence[Any]) -> Iterable[Any]:
        """Return the rows of a query that may have many."""
        return self._read(query, values)

    @abstractmethod
    def _write(self, work: Callable[[Transaction], Made], patience_s: float = PATIENCE_S) -> Made:
        """Return what `work` returns; its statements are durable then, all or none.

        Raises
        ------
        StoreUnavailable
            If the store cannot be written within `patience_s` seconds.
        """

    def _by_key(
        self,
        query: str,
        keys: Iterable[str],
        *values: Any,
        transaction: Transaction | None = None,
    ) -> Iterator[Any]:
        """Yield the rows of a query that ends with ``where`` or ``and``, for these keys."""
        wanted = list(keys)
        for start in range(0, len(wanted), self._at_once):
            condition, some = self._among(wanted[start : start + self._at_once])
            query_values = f"{query} {condition}", [*values, *some]
            if transaction is None:
                yield from self._read(*query_values)
            else:
                yield from transaction.execute(*query_values).fetchall()

    def _among(self, keys: Sequence[str]) -> tuple[str, Sequence[Any]]:
        """Return a condition that holds for these keys, with its values."""
        return f"key in ({','.join('?' * len(keys))})", keys

    def _insert(self, transaction: Transaction, rows: Sequence[Sequence[Any]]) -> int:
        """Insert rows whose keys are absent; return their number."""
        result = transaction.executemany(
            f"insert into completions ({LISTED}) "  # noqa: S608
            "values (?, ?, ?, ?, ?, ?, ?) on conflict (key) do nothing",
            rows,
        )
        return result.rowcount


def check_version(version: int, place: Path | DatabaseAddress) -> None:
    """Raise UsageError if a store's version is newer than this code."""
    if version > VERSION:
        raise UsageError(
            f"the completion store {place} is from a newer version of escalometer (format "
            f"{version}; this version reads formats up to {VERSION}). Nothing was changed. "
            "Upgrade escalometer: pip install --upgrade escalometer"
        )
