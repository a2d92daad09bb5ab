"""The completion store as one SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from escalometer.dialogue.elicitation.store import CompletionStore, Entry
from escalometer.dialogue.elicitation.store_rows import (
    PATIENCE_S,
    VERSION,
    Made,
    StoreUnavailable,
    Transaction,
    check_version,
)
from escalometer.errors import DataError, EscalometerError, UsageError
from escalometer.runtime.locks import locked

_SCHEMA = """
create table if not exists completions (
    key text primary key,
    created_at text not null,
    identity text not null,
    request text not null,
    completion text not null
);
create table if not exists superseded (
    key text not null,
    created_at text not null,
    identity text not null,
    request text not null,
    completion text not null,
    run text not null,
    cost_usd real not null
);
create table if not exists batches (
    id text primary key,
    identity text not null,
    run text not null,
    keys text not null,
    is_open integer not null
);
create table if not exists reservations (
    run text not null,
    holder text not null,
    n_requests integer not null,
    cost_usd real not null,
    primary key (run, holder)
);
"""
_ADDED = {"run": "text not null default ''", "cost_usd": "real not null default 0"}
#: With the cost in the index, a run's costs are added up without its answers.
_INDEXES = """
create index if not exists costs_of_run on completions (run, cost_usd);
create index if not exists superseded_costs_of_run on superseded (run, cost_usd);
create index if not exists superseded_keys on superseded (key);
drop index if exists by_run;
"""


class SqliteStore(CompletionStore):
    """Completions in one SQLite file.

    Parameters
    ----------
    path : Path
        The file; made where it is absent.

    Raises
    ------
    DataError
        If the file is not a completion store.
    UsageError
        If the file cannot be made or written there, or is from a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.place = self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Writing may happen in a separate thread (see `writer`); reading has a separate
            # connection, so that it never waits for the disk.
            self._db = sqlite3.connect(path, timeout=60, check_same_thread=False)
            (version,) = self._db.execute("pragma user_version").fetchone()
            if version > VERSION:
                self._db.close()
                check_version(version, path)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")  # durable, not only written
            self._set_up(version)
            self._reader = sqlite3.connect(path, timeout=60)
        except (sqlite3.OperationalError, OSError) as error:
            raise UsageError(
                f"the completion store {path} cannot be opened: {error}. Free disk space, or "
                "set ESCALOMETER_STORE to another file."
            ) from error
        except sqlite3.DatabaseError as error:
            raise DataError(f"{path} is not a completion store: {error}. Move it away.") from error

    def _set_up(self, version: int) -> None:
        """Make the tables; add what a file of an earlier version lacks."""
        self._db.executescript(_SCHEMA)
        if version == VERSION:
            return
        self._db.execute("begin immediate")  # several processes may open the file at once
        there = {row[1] for row in self._db.execute("pragma table_info(completions)")}
        for name, kind in _ADDED.items():
            if name not in there:
                self._db.execute(f"alter table completions add column {name} {kind}")
        for statement in filter(str.strip, _INDEXES.split(";")):
            self._db.execute(statement)
        self._db.execute(f"pragma user_version = {VERSION}")
        self._db.commit()

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
        self._db.close()

    def _read(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._reader.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._unavailable("read", error) from error

    def _scan(self, query: str, values: Sequence[Any]) -> Iterator[Any]:
        return self._reader.execute(query, values)

    def _write(self, work: Callable[[Transaction], Made], patience_s: float = PATIENCE_S) -> Made:
        del patience_s  # SQLite waits for other writers itself, and `writer` for disk space
        try:
            with self._lock, self._db:
                return work(self._db)
        except sqlite3.Error as error:
            raise self._unavailable("written", error) from error

    def _lock_run(self, transaction: Transaction, run: str) -> None:
        del run  # there is one lock for all
        transaction.execute("begin immediate")

    @contextlib.contextmanager
    def _locked(self, model: str, on_wait: Callable[[str], object]) -> Iterator[None]:
        folder = self.path.with_name(self.path.name + ".locks")
        with locked(folder / f"{model}.lock", on_wait):
            yield

    @property
    def awaits(self) -> str:
        """The condition for which a failed write is repeated, in words."""
        return "disk space"

    def unwritable(
        self,
        error: StoreUnavailable,
        entries: Sequence[Entry] = (),  # noqa: ARG002 - there is no other place for them
    ) -> EscalometerError:
        """Return the error of a run some of whose answers could not be stored."""
        return UsageError(
            f"the completion store {self.path} cannot be written: {error.reason}. "
            "Free disk space and run the same command: stored answers are not requested again."
        )

    def _unavailable(self, done: str, error: sqlite3.Error) -> StoreUnavailable:
        message = f"the completion store {self.path} cannot be {done}: {error}. Free disk space, "
        return StoreUnavailable(message + "or set ESCALOMETER_STORE to another file.", str(error))
