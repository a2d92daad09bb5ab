"""The completion store: every answer is kept from the moment it arrives, and never asked for twice.

One SQLite file, outside of DVC's outputs. A completion's key is the SHA-256 of everything that
determines the answer, so a changed prompt, budget or model revision is a new request, and any run
that was stopped goes on where it was.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from escalometer.errors import DataError
from escalometer.parsing import BINARY
from escalometer.providers import Completion, Request

_SCHEMA = """
create table if not exists completions (
    key text primary key,
    created_at text not null,
    identity text not null,
    request text not null,
    completion text not null
)
"""
_AT_ONCE = 500  # well under SQLite's limit of bound values


def request_parts(request: Request, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a request, and hashed: its fields, and what else is sent with it.

    What was added to requests later is left out where it says nothing, so that old keys hold.
    """
    parts: dict[str, Any] = {
        "messages": request.messages,
        "marker": request.marker,
        "max_tokens": request.max_tokens,
        "force_answer": request.force_answer,
        "is_thinking": request.is_thinking,
        "replicate": request.replicate,
    }
    if request.choices != BINARY:
        parts["choices"] = request.choices
    if request.reads_choice:
        parts["reads_choice"] = True
    if parameters:
        parts["parameters"] = dict(parameters)
    return parts


def request_key(
    identity: Mapping[str, str], request: Request, parameters: Mapping[str, Any] | None = None
) -> str:
    """Return the key of `request` to the model with `identity`: a SHA-256 in hexadecimal."""
    parts = request_parts(request, parameters or {})
    content = json.dumps([dict(identity), parts], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


class CompletionStore:
    """Completions by key, in one SQLite file with one writer and any number of readers.

    Parameters
    ----------
    path : Path
        The file; made where it is absent.

    Raises
    ------
    DataError
        If the file is not a completion store.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        try:
            self._db = sqlite3.connect(path, timeout=60)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")  # durable, not only written
            self._db.execute(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise DataError(f"{path} is not a completion store: {error}. Move it away.") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the right to write, waiting for a process that holds it now."""
        with self._path.with_name(self._path.name + ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"another run is writing to {self._path}; waiting for it …", file=sys.stderr)
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def get(self, keys: Iterable[str]) -> dict[str, Completion]:
        """Return the completions that the store has, by key."""
        wanted = list(keys)
        found: dict[str, Completion] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            query = f"select key, completion from completions where key in ({marks})"  # noqa: S608
            for key, completion in self._db.execute(query, some):
                found[key] = Completion(**json.loads(completion))
        return found

    def put(self, identity: Mapping[str, str], request: Request, completion: Completion) -> None:
        """Keep a completion; it is durable when this returns. The first one of a key stays."""
        with self._db:
            self._db.execute(
                "insert or ignore into completions values (?, ?, ?, ?, ?)",
                (
                    request_key(identity, request),
                    datetime.now(UTC).isoformat(timespec="seconds"),
                    json.dumps(dict(identity), sort_keys=True),
                    json.dumps(request_parts(request, {}), sort_keys=True, ensure_ascii=False),
                    json.dumps(asdict(completion), sort_keys=True, ensure_ascii=False),
                ),
            )

    def __len__(self) -> int:
        (count,) = self._db.execute("select count(*) from completions").fetchone()
        return int(count)
