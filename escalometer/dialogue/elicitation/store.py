"""The completion store: answers are durable on arrival, and never requested again.

One SQLite file, outside of DVC's outputs. A completion's key is the SHA-256 of everything that
determines the answer (see `keys`), so a changed prompt, budget or model revision is a new request,
and a stopped run resumes. An answer that is requested again on purpose moves to `superseded`: paid
answers are never deleted.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from escalometer.dialogue.elicitation.keys import request_key, request_parts
from escalometer.dialogue.providers import Completion, Request
from escalometer.errors import DataError, UsageError
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
"""
_ADDED = {"run": "text not null default ''", "cost_usd": "real not null default 0"}
#: Prefix length of a key that suffices to find it absent.
KEY_START = 16
_AT_ONCE = 500  # well under SQLite's limit of bound values
_DEFAULTS = {field.name: field.default for field in fields(Completion)}


@dataclass(frozen=True)
class Entry:
    """An answer to be stored.

    Attributes
    ----------
    key : str
        From `keys.request_key`.
    identity, request, parameters : mapping, Request, mapping
        What the key was made of.
    completion : Completion
        The answer.
    run : str
        Whose budget pays for it.
    cost_usd : float
        What it cost.
    replaces : bool
        Whether it takes the place of the one that is there; elsewhere the first of a key stays.
    """

    key: str
    identity: Mapping[str, str]
    request: Request
    parameters: Mapping[str, Any]
    completion: Completion
    run: str = ""
    cost_usd: float = 0.0
    replaces: bool = False


class CompletionStore:
    """Completions by key, in one SQLite file, for any number of processes.

    Parameters
    ----------
    path : Path
        The file; made where it is absent.

    Raises
    ------
    DataError
        If the file is not a completion store.
    UsageError
        If the file cannot be made or written there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Writing may happen in a separate thread (see `writer`); reading has a separate
            # connection, so that it never waits for the disk.
            self._db = sqlite3.connect(path, timeout=60, check_same_thread=False)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")  # durable, not only written
            self._db.executescript(_SCHEMA)
            there = {row[1] for row in self._db.execute("pragma table_info(completions)")}
            for name, kind in _ADDED.items():
                if name not in there:
                    self._db.execute(f"alter table completions add column {name} {kind}")
            self._db.execute("create index if not exists by_run on completions (run)")
            self._db.commit()
            self._reader = sqlite3.connect(path, timeout=60)
        except (sqlite3.OperationalError, OSError) as error:
            raise UsageError(
                f"the completion store {path} cannot be opened: {error}. Free disk space, or "
                "set ESCALOMETER_STORE to another file."
            ) from error
        except sqlite3.DatabaseError as error:
            raise DataError(f"{path} is not a completion store: {error}. Move it away.") from error

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
        self._db.close()

    @contextlib.contextmanager
    def asking(self, *models: str) -> Iterator[None]:
        """Be the only process that asks these models, for the block, once others have ended.

        What another process was answered is in the store then, and not requested again. Others may
        ask other models meanwhile.

        Parameters
        ----------
        *models : str
            Cards.
        """

        def say(model: str) -> Callable[[str], None]:
            return lambda who: print(
                f"waiting for another run that asks {model} ({who}) …", file=sys.stderr
            )

        folder = self.path.with_name(self.path.name + ".locks")
        with contextlib.ExitStack() as stack:
            for model in sorted(set(models)):  # always in this order, or two wait for each other
                stack.enter_context(locked(folder / f"{model}.lock", say(model)))
            yield

    def get(self, keys: Iterable[str]) -> dict[str, Completion]:
        """Return the completions that the store has, by key."""
        wanted = list(keys)
        found: dict[str, Completion] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            query = f"select key, completion from completions where key in ({marks})"  # noqa: S608
            for key, completion in self._reader.execute(query, some):
                found[key] = completion_of(completion)
        return found

    def stored_since(self, time: str, keys: Iterable[str]) -> set[str]:
        """Return those of `keys` whose completions were stored at `time` (ISO, UTC) or later."""
        wanted = list(keys)
        found: set[str] = set()
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            query = f"select key from completions where created_at >= ? and key in ({marks})"  # noqa: S608
            found |= {key for (key,) in self._reader.execute(query, [time, *some])}
        return found

    def keys(self, identity: Mapping[str, str]) -> set[str]:
        """Return the keys of all of a model's completions, each cut to `KEY_START` characters."""
        rows = self._reader.execute(
            f"select substr(key, 1, {KEY_START}) from completions where identity = ?",  # noqa: S608
            (json.dumps(dict(identity), sort_keys=True),),
        )
        return {key for (key,) in rows}

    def put(
        self,
        identity: Mapping[str, str],
        request: Request,
        completion: Completion,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        """Store one completion; it is durable when this returns. The first one of a key stays."""
        key = request_key(identity, request, parameters)
        self.put_all([Entry(key, identity, request, parameters or {}, completion)])

    def put_all(self, entries: Sequence[Entry]) -> None:
        """Store completions, all or none; they are durable when this returns.

        Raises
        ------
        sqlite3.Error
            If the file cannot be written, such as on a full disk.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        rows = [
            (
                entry.key,
                now,
                json.dumps(dict(entry.identity), sort_keys=True),
                json.dumps(
                    request_parts(entry.request, entry.parameters),
                    sort_keys=True,
                    ensure_ascii=False,
                ),
                completion_text(entry.completion),
                entry.run,
                entry.cost_usd,
            )
            for entry in entries
        ]
        replaced = [(entry.key,) for entry in entries if entry.replaces]
        with self._db:
            if replaced:
                self._db.executemany(
                    "insert into superseded select key, created_at, identity, request, completion, "
                    "run, cost_usd from completions where key = ?",
                    replaced,
                )
                self._db.executemany("delete from completions where key = ?", replaced)
            self._db.executemany(
                "insert or ignore into completions "
                "(key, created_at, identity, request, completion, run, cost_usd) "
                "values (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def spent(self, run: str) -> tuple[int, float]:
        """Return the number of a run's requests, and their cost in dollars."""
        n, cost = 0, 0.0
        for table in ("completions", "superseded"):
            query = f"select count(*), coalesce(sum(cost_usd), 0) from {table} where run = ?"  # noqa: S608
            n_here, cost_here = self._reader.execute(query, (run,)).fetchone()
            n, cost = n + int(n_here), cost + float(cost_here)
        return n, cost

    def sample(
        self, identity: Mapping[str, str], n: int
    ) -> list[tuple[str, dict[str, Any], Completion]]:
        """Return up to `n` of a model's completions with their keys and requests, by key.

        Keys are hashes: their order has nothing to do with what was asked.
        """
        rows = self._reader.execute(
            "select key, request, completion from completions where identity = ? "
            "order by key limit ?",
            (json.dumps(dict(identity), sort_keys=True), n),
        )
        return [(key, json.loads(request), completion_of(text)) for key, request, text in rows]

    def requests(self, marker: str) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
        """Yield identity and request parts of all completions that ended with `marker`."""
        rows = self._reader.execute(
            "select identity, request from completions where request like ?",
            (f'%"marker": "{marker}"%',),
        )
        for identity, request in rows:
            parts = json.loads(request)
            if parts["marker"] == marker:
                yield json.loads(identity), parts

    def open_batches(self, identity: Mapping[str, str]) -> list[tuple[str, list[str]]]:
        """Return the ids of batches whose answers are not collected yet, with their keys."""
        rows = self._reader.execute(
            "select id, keys from batches where is_open and identity = ? order by rowid",
            (json.dumps(dict(identity), sort_keys=True),),
        )
        return [(name, json.loads(keys)) for name, keys in rows]

    def n_batches(self, keys: Sequence[str]) -> int:
        """Return the number of batches of exactly these requests submitted before."""
        query = "select count(*) from batches where keys = ?"
        return int(self._reader.execute(query, (json.dumps(list(keys)),)).fetchone()[0])

    def note_batch(
        self, name: str, identity: Mapping[str, str], run: str, keys: Sequence[str]
    ) -> None:
        """Record a submitted batch and its requests; durable when this returns."""
        with self._db:
            self._db.execute(
                "insert or replace into batches values (?, ?, ?, ?, 1)",
                (name, json.dumps(dict(identity), sort_keys=True), run, json.dumps(list(keys))),
            )

    def close_batch(self, name: str) -> None:
        """Record that a batch is finished: all answers are collected, or will never come."""
        with self._db:
            self._db.execute("update batches set is_open = 0 where id = ?", (name,))

    def __len__(self) -> int:
        (count,) = self._reader.execute("select count(*) from completions").fetchone()
        return int(count)


def completion_text(completion: Completion) -> str:
    """Return a completion as the store's text: fields with default values are left out."""
    said = {
        name: value for name, value in asdict(completion).items() if value != _DEFAULTS.get(name)
    }
    return json.dumps(said, sort_keys=True, ensure_ascii=False)


def completion_of(text: str) -> Completion:
    """Return the completion of the store's `text`."""
    said = json.loads(text)
    if said.get("probabilities") is not None:
        said["probabilities"] = tuple(said["probabilities"])
    return Completion(**said)
