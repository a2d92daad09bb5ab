"""The completion store: answers are durable on arrival, and never requested again.

One SQLite file, or tables in a PostgreSQL database; in both cases outside of DVC's outputs. A
completion's key is the SHA-256 of everything that determines the answer (see `keys`), so a changed
prompt, budget or model revision is a new request, and a stopped run resumes. An answer that is
requested again on purpose moves to `superseded`: paid answers are never deleted.

`open_store` opens either. This module has what both share: the interface and its SQL, in the
dialect that SQLite and PostgreSQL have in common.
"""

from __future__ import annotations

import contextlib
import json
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from escalometer.config import DatabaseAddress
from escalometer.dialogue.elicitation.keys import request_key, request_parts
from escalometer.dialogue.elicitation.store_pages import StorePages
from escalometer.dialogue.elicitation.store_rows import (
    ANSWERS,
    LISTED,
    PATIENCE_S,
    StoreUnavailable,
    Transaction,
)
from escalometer.dialogue.elicitation.store_texts import (
    batch_of,
    batch_text,
    completion_of,
    completion_text,
    identity_text,
    json_text,
)
from escalometer.dialogue.providers import Completion, Request
from escalometer.errors import EscalometerError, UsageError
from escalometer.runtime import extras

#: Prefix length of a key that suffices to find it absent.
KEY_START = 16
_SPENT = """
select coalesce(sum(n), 0), coalesce(sum(cost), 0)
from (
    select count(*) as n, sum(cost_usd) as cost from completions where run = ?
    union all
    select count(*) as n, sum(cost_usd) as cost from superseded where run = ?
) as parts
"""


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


class CompletionStore(StorePages):
    """Completions by key, for any number of processes."""

    @abstractmethod
    def _lock_run(self, transaction: Transaction, run: str) -> None:
        """Wait until no other transaction holds the reservations of a run."""

    @abstractmethod
    def _locked(self, model: str, on_wait: Callable[[str], object]) -> Any:
        """Return a context in which no other process asks a model."""

    @property
    @abstractmethod
    def awaits(self) -> str:
        """The condition for which a failed write is repeated: disk space, or the server."""

    @abstractmethod
    def unwritable(
        self, error: StoreUnavailable, entries: Sequence[Entry] = ()
    ) -> EscalometerError:
        """Return the error of a run some of whose answers could not be stored: `entries`."""

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

        with contextlib.ExitStack() as stack:
            for model in sorted(set(models)):  # always in this order, or two wait for each other
                stack.enter_context(self._locked(model, say(model)))
            yield

    def get(self, keys: Iterable[str]) -> dict[str, Completion]:
        """Return the completions that the store has, by key."""
        rows = self._by_key(ANSWERS, keys)
        return {key: completion_of(completion) for key, completion in rows}

    def stored_since(self, time: str, keys: Iterable[str]) -> set[str]:
        """Return those of `keys` whose completions were stored at `time` (ISO, UTC) or later."""
        query = "select key from completions where created_at >= ? and"
        return {key for (key,) in self._by_key(query, keys, time)}

    def keys(self, identity: Mapping[str, str]) -> set[str]:
        """Return the keys of all of a model's completions, each cut to `KEY_START` characters."""
        rows = self._scan(
            f"select substr(key, 1, {KEY_START}) from completions where identity = ?",  # noqa: S608
            (identity_text(identity),),
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
        entry = Entry(key, identity, request, parameters or {}, completion)
        self.put_all([entry], patience_s=PATIENCE_S)

    def put_all(self, entries: Sequence[Entry], patience_s: float = 0.0) -> list[str]:
        """Store completions, all or none; they are durable when this returns.

        Parameters
        ----------
        entries : sequence of Entry
            The answers.
        patience_s : float
            How long to wait for a store that is not available.

        Returns
        -------
        list of str
            Keys that the store has another answer for, which stays.

        Raises
        ------
        StoreUnavailable
            If the store cannot be written, such as on a full disk.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        # In the order of keys, or two writers of the same keys wait for each other.
        rows = sorted(
            (
                entry.key,
                now,
                identity_text(entry.identity),
                json_text(request_parts(entry.request, entry.parameters)),
                completion_text(entry.completion),
                entry.run,
                entry.cost_usd,
            )
            for entry in entries
        )
        replacing = {entry.key for entry in entries if entry.replaces}
        # A transaction whose confirmation was lost is repeated: its answers replace nothing then.
        replaced = [(row[0], row[4], row[5]) for row in rows if row[0] in replacing]

        def work(transaction: Transaction) -> list[str]:
            if replaced:
                other = "where key = ? and not (completion = ? and run = ?)"
                transaction.executemany(
                    f"insert into superseded ({LISTED}) "  # noqa: S608
                    f"select {LISTED} from completions {other}",
                    replaced,
                )
                transaction.executemany(f"delete from completions {other}", replaced)  # noqa: S608
            if self._insert(transaction, rows) == len(rows):
                return []
            texts = {row[0]: row[4] for row in rows}
            found = self._by_key(ANSWERS, sorted(texts), transaction=transaction)
            return [key for key, text in found if text != texts[key]]

        return self._write(work, patience_s) if rows else []

    def spent(self, run: str) -> tuple[int, float]:
        """Return the number of a run's requests, and their cost in dollars."""
        n, cost = self._read(_SPENT, (run, run))[0]
        return int(n), float(cost)

    def reserve(
        self,
        run: str,
        holder: str,
        n_requests: int,
        cost_usd: float,
        *,
        max_requests: int | None,
        max_cost_usd: float | None,
    ) -> bool:
        """Set what a process may still spend of a run's budget, if the limits have room for it.

        Stored answers and all reservations of the run count together. Processes that reserve before
        they ask cannot exceed a limit together.

        Parameters
        ----------
        run, holder : str
            The run, and the process that reserves; its former reservation is replaced.
        n_requests, cost_usd : int, float
            Requests that are not stored yet, and the most that they cost, in dollars. No more than
            the former reservation is always accepted.
        max_requests, max_cost_usd : int or None, float or None
            Limits of the run; None for none.

        Returns
        -------
        bool
            False if a limit has no room; the former reservation stays then.
        """

        def work(transaction: Transaction) -> bool:
            self._lock_run(transaction, run)
            mine = transaction.execute(
                "select n_requests, cost_usd from reservations where run = ? and holder = ?",
                (run, holder),
            ).fetchone() or (0, 0.0)
            if n_requests > mine[0] or cost_usd > mine[1]:
                # Stored answers first: an answer that is stored meanwhile is reserved as well.
                n_spent, spent_usd = transaction.execute(_SPENT, (run, run)).fetchone()
                n_others, others_usd = transaction.execute(
                    "select coalesce(sum(n_requests), 0), coalesce(sum(cost_usd), 0) "
                    "from reservations where run = ? and holder <> ?",
                    (run, holder),
                ).fetchone()
                n, cost = int(n_spent + n_others) + n_requests, spent_usd + others_usd + cost_usd
                if max_requests is not None and n > max_requests:
                    return False
                if max_cost_usd is not None and cost > max_cost_usd * (1 + 1e-9):
                    return False
            transaction.execute(
                "insert into reservations (run, holder, n_requests, cost_usd) values (?, ?, ?, ?) "
                "on conflict (run, holder) do update "
                "set n_requests = excluded.n_requests, cost_usd = excluded.cost_usd",
                (run, holder, n_requests, cost_usd),
            )
            return True

        return self._write(work)

    def release(self, run: str, holder: str) -> None:
        """Remove the reservation of a process, if there is one."""
        query = "delete from reservations where run = ? and holder = ?"
        self._write(lambda transaction: transaction.execute(query, (run, holder)))

    def release_all(self, run: str) -> None:
        """Remove all reservations of a run."""
        query = "delete from reservations where run = ?"
        self._write(lambda transaction: transaction.execute(query, (run,)))

    def sample(
        self, identity: Mapping[str, str], n: int
    ) -> list[tuple[str, dict[str, Any], Completion]]:
        """Return up to `n` of a model's completions with their keys and requests, by key.

        Keys are hashes: their order has nothing to do with what was asked.
        """
        rows = self._read(
            "select key, request, completion from completions where identity = ? "
            "order by key limit ?",
            (identity_text(identity), n),
        )
        return [(key, json.loads(request), completion_of(text)) for key, request, text in rows]

    def requests(self, marker: str) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
        """Yield identity and request parts of all completions that ended with `marker`."""
        rows = self._scan(
            "select identity, request from completions where request like ?",
            (f'%"marker": "{marker}"%',),
        )
        for identity, request in rows:
            parts = json.loads(request)
            if parts["marker"] == marker:
                yield json.loads(identity), parts

    def open_batches(self, identity: Mapping[str, str]) -> list[tuple[str, list[str]]]:
        """Return the ids of batches whose answers are not collected yet, with their keys."""
        rows = self._read(
            "select id, keys from batches where is_open = 1 and identity = ? order by rowid",
            (identity_text(identity),),
        )
        return [(batch_of(text), json.loads(keys)) for text, keys in rows]

    def n_batches(self, keys: Sequence[str]) -> int:
        """Return the number of batches of exactly these requests submitted before."""
        query = "select count(*) from batches where keys = ?"
        return int(self._read(query, (json.dumps(list(keys)),))[0][0])

    def note_batch(
        self, name: str, identity: Mapping[str, str], run: str, keys: Sequence[str]
    ) -> None:
        """Record a submitted batch and its requests; durable when this returns."""
        values = (batch_text(name), identity_text(identity), run, json.dumps(list(keys)))
        self._write(
            lambda transaction: transaction.execute(
                "insert into batches (id, identity, run, keys, is_open) values (?, ?, ?, ?, 1) "
                "on conflict (id) do update set identity = excluded.identity, run = excluded.run, "
                "keys = excluded.keys, is_open = 1",
                values,
            )
        )

    def close_batch(self, name: str) -> None:
        """Record that a batch is finished: all answers are collected, or will never come."""
        query = "update batches set is_open = 0 where id = ?"
        self._write(lambda transaction: transaction.execute(query, (batch_text(name),)))

    def __len__(self) -> int:
        return int(self._read("select count(*) from completions")[0][0])


def open_store(place: Path | DatabaseAddress, make: bool = True) -> CompletionStore:
    """Return the completion store at a place.

    Parameters
    ----------
    place : Path or DatabaseAddress
        A file of SQLite, or the address of a PostgreSQL database.
    make : bool
        Whether a store is made where there is none; otherwise this is an error.

    Raises
    ------
    DataError
        If the file is not a completion store.
    UsageError
        If the store cannot be opened or is from a newer version of escalometer, or the packages
        for PostgreSQL are not installed.
    StoreUnavailable
        If the server does not answer.
    """
    if isinstance(place, DatabaseAddress):
        extras.need("postgresql", "A completion store in PostgreSQL")
        from escalometer.dialogue.elicitation.postgresql_store import PostgresqlStore

        return PostgresqlStore(place, make)
    if not make and not place.exists():
        raise no_store(place)
    from escalometer.dialogue.elicitation.sqlite_store import SqliteStore

    return SqliteStore(place)


def no_store(place: Path | DatabaseAddress) -> UsageError:
    """Return the error for a place without a completion store."""
    return UsageError(f"{place} has no completion store. Check the name; nothing was made there.")
