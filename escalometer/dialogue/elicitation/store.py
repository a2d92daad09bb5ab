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
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from escalometer.config import DatabaseAddress
from escalometer.dialogue.elicitation.keys import request_key, request_parts
from escalometer.dialogue.providers import Completion, Request
from escalometer.errors import EscalometerError, Outage, UsageError
from escalometer.runtime import extras

#: The version of the tables. A store of a newer one is refused.
VERSION = 1
#: Prefix length of a key that suffices to find it absent.
KEY_START = 16
#: How long reads and writes wait for a store that is not available, in seconds.
PATIENCE_S = 60.0
_DEFAULTS = {field.name: field.default for field in fields(Completion)}
#: Columns of answers, superseded ones too, and of batches.
ENTRY_COLUMNS = ("key", "created_at", "identity", "request", "completion", "run", "cost_usd")
BATCH_COLUMNS = ("id", "identity", "run", "keys", "is_open")
_ENTRY_COLUMNS = ", ".join(ENTRY_COLUMNS)
#: Rows that are transferred at once, so that memory is bounded.
_PAGE = 2000
Page = Sequence[Sequence[Any]]

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


@dataclass(frozen=True)
class Conflict:
    """A request that two stores have different answers to.

    Attributes
    ----------
    key : str
        The request's key.
    model : str
        The model, as its provider names it.
    stored, other : str
        The answer that stays, and the one that was not added.
    """

    key: str
    model: str
    stored: str
    other: str


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


class CompletionStore(ABC):
    """Completions by key, for any number of processes.

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

    @abstractmethod
    def _lock_run(self, transaction: Transaction, run: str) -> None:
        """Wait until no other transaction holds the reservations of a run."""

    @abstractmethod
    def _locked(self, model: str, on_wait: Callable[[str], object]) -> Any:
        """Return a context in which no other process asks a model."""

    @property
    @abstractmethod
    def awaits(self) -> str:
        """What a write that fails waits for: disk space, or the server."""

    @abstractmethod
    def unwritable(self, error: StoreUnavailable) -> EscalometerError:
        """Return the error of a run whose answers could not be stored."""

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
        rows = self._by_key(_ANSWERS, keys)
        return {key: completion_of(completion) for key, completion in rows}

    def stored_since(self, time: str, keys: Iterable[str]) -> set[str]:
        """Return those of `keys` whose completions were stored at `time` (ISO, UTC) or later."""
        query = "select key from completions where created_at >= ? and"
        return {key for (key,) in self._by_key(query, keys, time)}

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

    def keys(self, identity: Mapping[str, str]) -> set[str]:
        """Return the keys of all of a model's completions, each cut to `KEY_START` characters."""
        rows = self._scan(
            f"select substr(key, 1, {KEY_START}) from completions where identity = ?",  # noqa: S608
            (_identity_text(identity),),
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
                _identity_text(entry.identity),
                _json_text(request_parts(entry.request, entry.parameters)),
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
                    f"insert into superseded ({_ENTRY_COLUMNS}) "  # noqa: S608
                    f"select {_ENTRY_COLUMNS} from completions {other}",
                    replaced,
                )
                transaction.executemany(f"delete from completions {other}", replaced)  # noqa: S608
            if self._insert(transaction, rows) == len(rows):
                return []
            texts = {row[0]: row[4] for row in rows}
            found = self._by_key(_ANSWERS, sorted(texts), transaction=transaction)
            return [key for key, text in found if text != texts[key]]

        return self._write(work, patience_s) if rows else []

    def _insert(self, transaction: Transaction, rows: Sequence[Sequence[Any]]) -> int:
        """Insert rows whose keys are absent; return their number."""
        result = transaction.executemany(
            f"insert into completions ({_ENTRY_COLUMNS}) "  # noqa: S608
            "values (?, ?, ?, ?, ?, ?, ?) on conflict (key) do nothing",
            rows,
        )
        return result.rowcount

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
            (_identity_text(identity), n),
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
            (_identity_text(identity),),
        )
        return [(_batch_of(text), json.loads(keys)) for text, keys in rows]

    def n_batches(self, keys: Sequence[str]) -> int:
        """Return the number of batches of exactly these requests submitted before."""
        query = "select count(*) from batches where keys = ?"
        return int(self._read(query, (json.dumps(list(keys)),))[0][0])

    def note_batch(
        self, name: str, identity: Mapping[str, str], run: str, keys: Sequence[str]
    ) -> None:
        """Record a submitted batch and its requests; durable when this returns."""
        values = (_batch_text(name), _identity_text(identity), run, json.dumps(list(keys)))
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
        self._write(lambda transaction: transaction.execute(query, (_batch_text(name),)))

    def pages(self, kind: str) -> Iterator[Page]:
        """Yield all rows of a kind, some at a time.

        Parameters
        ----------
        kind : str
            ``completion`` or ``superseded`` (rows of `ENTRY_COLUMNS`), or ``batch`` (rows of
            `BATCH_COLUMNS`).
        """
        table, names, by = _TABLES[kind]
        last: Any = "" if by == "key" else -1
        query = (
            f"select {', '.join(names)}, {by} from {table} where {by} > ? "  # noqa: S608
            f"order by {by} limit {_PAGE}"
        )
        while rows := self._read(query, (last,)):
            last = rows[-1][-1]
            yield [row[:-1] for row in rows]

    def add_answers(self, page: Page) -> tuple[int, int, list[Conflict]]:
        """Add answers of another store, whose superseded answers this one has already.

        Parameters
        ----------
        page : sequence of rows of `ENTRY_COLUMNS`

        Returns
        -------
        tuple of int, int, list of Conflict
            Numbers of answers that were new and that replaced one which they superseded elsewhere,
            and requests with different answers.
        """
        rows = sorted(page, key=lambda row: str(row[0]))

        def work(transaction: Transaction) -> tuple[int, int, list[Conflict]]:
            keys = [row[0] for row in rows]
            there = dict(self._by_key(_ANSWERS, keys, transaction=transaction))
            differing = [row for row in rows if there.get(row[0], row[4]) != row[4]]
            earlier: dict[str, set[str]] = {}
            query = "select key, completion from superseded where"
            different_keys = [row[0] for row in differing]
            for key, text in self._by_key(query, different_keys, transaction=transaction):
                earlier.setdefault(key, set()).add(text)
            replaced, conflicts = [], []
            for key, _, identity, _, text, _, _ in differing:
                texts = earlier.get(key, set())
                if text in texts:
                    continue  # it was replaced here
                if there[key] in texts:
                    replaced.append((key, there[key]))
                elif _differ(there[key], text):
                    model = str(json.loads(identity).get("model", ""))
                    answers = completion_of(there[key]).text, completion_of(text).text
                    conflicts.append(Conflict(key, model, *answers))
            transaction.executemany(
                "delete from completions where key = ? and completion = ?", replaced
            )
            n_inserted = self._insert(transaction, rows)
            return n_inserted - len(replaced), len(replaced), conflicts

        return self._write(work)

    def add_superseded(self, page: Page) -> int:
        """Add superseded answers of another store; return the number of new ones."""

        def work(transaction: Transaction) -> int:
            keys = sorted({row[0] for row in page})
            query = f"select {_ENTRY_COLUMNS} from superseded where"  # noqa: S608
            found = self._by_key(query, keys, transaction=transaction)
            there = {(row[0], row[4], row[5]) for row in found}
            new = [row for row in page if (row[0], row[4], row[5]) not in there]
            transaction.executemany(
                f"insert into superseded ({_ENTRY_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                new,
            )
            return len(new)

        return self._write(work)

    def add_batches(self, page: Page) -> int:
        """Add batches of another store; return the number of new ones.

        A batch is closed if either store has all of its answers.
        """

        def work(transaction: Transaction) -> int:
            n_before = transaction.execute("select count(*) from batches").fetchone()[0]
            transaction.executemany(
                "insert into batches (id, identity, run, keys, is_open) values (?, ?, ?, ?, ?) "
                "on conflict (id) do update set is_open = excluded.is_open "
                "where excluded.is_open < batches.is_open",
                page,
            )
            n_after = transaction.execute("select count(*) from batches").fetchone()[0]
            return int(n_after - n_before)

        return self._write(work)

    def __len__(self) -> int:
        return int(self._read("select count(*) from completions")[0][0])


#: The table of each kind of row, its columns, and the column that orders it.
_TABLES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "completion": ("completions", ENTRY_COLUMNS, "key"),
    "superseded": ("superseded", ENTRY_COLUMNS, "rowid"),
    "batch": ("batches", BATCH_COLUMNS, "rowid"),
}
_ANSWERS = "select key, completion from completions where"
_SPENT = """
select coalesce(sum(n), 0), coalesce(sum(cost), 0)
from (
    select count(*) as n, sum(cost_usd) as cost from completions where run = ?
    union all
    select count(*) as n, sum(cost_usd) as cost from superseded where run = ?
) as parts
"""


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


def check_version(version: int, place: Path | DatabaseAddress) -> None:
    """Raise UsageError if a store's version is newer than this code."""
    if version > VERSION:
        raise UsageError(
            f"the completion store {place} is from a newer version of escalometer (format "
            f"{version}; this version reads formats up to {VERSION}). Nothing was changed. "
            "Upgrade escalometer: pip install --upgrade escalometer"
        )


def completion_text(completion: Completion) -> str:
    """Return a completion as the store's text: fields with default values are left out."""
    said = {
        name: value for name, value in asdict(completion).items() if value != _DEFAULTS.get(name)
    }
    return _json_text(said)


def completion_of(text: str) -> Completion:
    """Return the completion of the store's `text`."""
    said = json.loads(text)
    if said.get("probabilities") is not None:
        said["probabilities"] = tuple(said["probabilities"])
    return Completion(**said)


def _json_text(content: Any) -> str:
    """Return JSON that any engine can store: it has no NUL, and no half of a surrogate pair."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(content, sort_keys=True)
    return text


def _identity_text(identity: Mapping[str, str]) -> str:
    return json.dumps(dict(identity), sort_keys=True)


def _differ(left: str, right: str) -> bool:
    """Return whether two completions, as the store's texts, answer differently."""
    one, other = completion_of(left), completion_of(right)
    said = [(c.text, c.finish, c.thinking, c.probabilities) for c in (one, other)]
    return said[0] != said[1]


def _batch_text(name: str) -> str:
    """Return a batch's id, a foreign text, in a form that any engine can store."""
    is_plain = name.isprintable() and not name.startswith('"')
    return name if is_plain else json.dumps(name)


def _batch_of(text: str) -> str:
    return json.loads(text) if text.startswith('"') else text
