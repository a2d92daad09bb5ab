"""The completion store as tables of a PostgreSQL database, for processes on many machines.

Table names have a prefix, and the tables are in the first schema of the search path, so that a
store can be in a database of other programs. A lost connection is made anew, and what it was doing
is repeated: every transaction of a store may be repeated without an effect.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import socket
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo

from escalometer.config import DatabaseAddress
from escalometer.dialogue.elicitation.sqlite_store import SqliteStore
from escalometer.dialogue.elicitation.store import CompletionStore, Entry, no_store
from escalometer.dialogue.elicitation.store_rows import (
    PATIENCE_S,
    VERSION,
    Made,
    StoreUnavailable,
    Transaction,
    check_version,
)
from escalometer.errors import EscalometerError, UsageError

_SCHEMA = """
create table if not exists completions (
    key text collate "C" primary key,
    created_at text collate "C" not null,
    identity text not null,
    request text not null,
    completion text not null,
    run text not null default '',
    cost_usd double precision not null default 0
);
create index if not exists escalometer_costs_of_run on completions (run, cost_usd);
create table if not exists superseded (
    rowid bigint generated always as identity primary key,
    key text collate "C" not null,
    created_at text collate "C" not null,
    identity text not null,
    request text not null,
    completion text not null,
    run text not null,
    cost_usd double precision not null
);
create index if not exists escalometer_superseded_costs_of_run on superseded (run, cost_usd);
create index if not exists escalometer_superseded_keys on superseded (key);
create table if not exists batches (
    rowid bigint generated always as identity,
    id text primary key,
    identity text not null,
    run text not null,
    keys text not null,
    is_open integer not null
);
create table if not exists reservations (
    run text not null,
    holder text not null,
    n_requests bigint not null,
    cost_usd double precision not null,
    primary key (run, holder)
)
"""
_HOLDER = """
select l.pid = pg_backend_pid(), a.application_name, a.client_addr::text, l.pid
from pg_locks l
left join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
    and l.classid = %s::bigint::oid and l.objid = %s::bigint::oid
    and l.database = (select d.oid from pg_database d where d.datname = current_database())
"""
_TABLES = re.compile(r"\b(completions|superseded|batches|reservations)\b")
#: How long the first connection is tried for: a server may be starting.
_FIRST_PATIENCE_S = 20.0
_EVERY_S = 0.5
#: How often it is checked that this process still has the locks of its models.
_CHECK_S = 2.0
#: How long a process that waits for a lock leaves it, after the server was away, to its holder.
_GRACE_S = 10.0
#: Parameters of connections; those in the address take precedence. With keepalives, a machine that
#: is gone is noticed within half a minute.
_CONNECTION: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
#: Settings of every session. The server notices a machine that is gone, and releases its locks,
#: after about as long. A commit is durable even if the database's default is faster and unsafe.
_SETTINGS = b"""
select set_config('tcp_keepalives_idle', '10', false),
    set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '3', false),
    case when current_setting('synchronous_commit') = 'off'
        then set_config('synchronous_commit', 'on', false) end
"""
#: What the driver says if the same connection may succeed later.
_PASSING = re.compile(
    "refused|timeout|timed out|starting up|shutting down|recovery mode|too many clients|"
    "remaining connection slots|No such file or directory|server closed|reset by peer|"
    "Network is unreachable|No route to host|consistent recovery",
    re.IGNORECASE,
)


@functools.lru_cache(maxsize=1024)
def _in_dialect(query: str) -> bytes:
    """Return a statement with PostgreSQL's placeholders and the store's table names."""
    return _TABLES.sub(r"escalometer_\1", query).replace("?", "%s").encode()


class _Cursor:
    """A transaction of the store; see `Transaction`."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self._cursor = cursor

    def execute(self, query: str, values: Sequence[Any] = ()) -> psycopg.Cursor[Any]:
        return self._cursor.execute(_in_dialect(query), values)

    def executemany(self, query: str, values: Iterable[Sequence[Any]]) -> psycopg.Cursor[Any]:
        self._cursor.executemany(_in_dialect(query), values)
        return self._cursor


class _Session:
    """A connection to the database, made anew when it is lost; for any number of threads."""

    def __init__(self, address: DatabaseAddress) -> None:
        self._address = address
        self._connection: psycopg.Connection[Any] | None = None
        self._lock = threading.RLock()

    def run(
        self, work: Callable[[psycopg.Connection[Any]], Made], patience_s: float, done: str
    ) -> Made:
        """Return what `work` returns for a connection; repeat it while the server is away.

        A connection that turns out to be lost is made anew once even without patience.
        """
        until = time.monotonic() + patience_s
        is_first, has_said = True, False
        while True:
            try:
                with self._lock:
                    return work(self._opened())
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                self.close()
                if not is_first and time.monotonic() >= until:
                    raise self.unavailable(done, error) from None
                failure = self.reason(error)
            except psycopg.Error as error:
                raise self.unavailable(done, error) from None
            if not is_first:
                if not has_said:
                    print(
                        f"the completion store {self._address} cannot be {done} ({failure}); "
                        f"waiting for the server up to {patience_s:.0f} s …",
                        file=sys.stderr,
                    )
                    has_said = True
                time.sleep(_EVERY_S)
            is_first = False

    def opened(self) -> psycopg.Connection[Any]:
        """Return the connection, made if there is none."""
        with self._lock:
            return self._opened()

    def _opened(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            defaults = {"application_name": _own_name(), **_CONNECTION}
            given = conninfo.conninfo_to_dict(self._address.secret)
            self._connection = psycopg.connect(**{**defaults, **given, "autocommit": True})
            self._connection.execute(_SETTINGS)
        return self._connection

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def reason(self, error: psycopg.Error) -> str:
        """Return the first line of an error of the driver, without secrets."""
        said = self._address.redacted(str(error)).strip() or type(error).__name__
        return said.splitlines()[0]

    def unavailable(self, done: str, error: psycopg.Error) -> StoreUnavailable:
        reason = self.reason(error)
        return StoreUnavailable(
            f"the completion store {self._address} cannot be {done}: {reason}. All answers that it "
            "confirmed are stored. Check the server, then run the same command again.",
            reason,
        )


class PostgresqlStore(CompletionStore):
    """Completions in a PostgreSQL database.

    Parameters
    ----------
    address : DatabaseAddress
        The database. As for every program of PostgreSQL, what it lacks is taken from the variables
        ``PGHOST``, ``PGUSER``, ``PGPASSWORD`` and so on, and from ``~/.pgpass``.
    make : bool
        Whether the tables are made where they are absent.

    Raises
    ------
    UsageError
        If the server refuses the connection, or the store is from a newer version.
    StoreUnavailable
        If the server does not answer.
    """

    _at_once = 5000

    def __init__(self, address: DatabaseAddress, make: bool = True) -> None:
        self.place = self.address = address
        self._writer, self._reader = _Session(address), _Session(address)
        self._held: dict[str, _ModelLock] = {}
        self._rescued: Path | None = None
        try:
            connection = self._connected()
            self._set_up(connection, make)
        except BaseException:
            self.close()
            raise

    def _connected(self) -> psycopg.Connection[Any]:
        until, has_said = time.monotonic() + _FIRST_PATIENCE_S, False
        while True:
            try:
                return self._writer.opened()
            except psycopg.Error as error:
                reason = self._writer.reason(error)
                if not isinstance(error, psycopg.OperationalError) or not _PASSING.search(reason):
                    raise UsageError(
                        f"the completion store {self.address} cannot be opened: {reason}. Correct "
                        "the address in ESCALOMETER_STORE; PGPASSWORD or ~/.pgpass may have the "
                        "password."
                    ) from None
                if time.monotonic() >= until:
                    raise StoreUnavailable(
                        f"the completion store {self.address} does not answer: {reason}. Start "
                        "the server, or correct the address in ESCALOMETER_STORE.",
                        reason,
                    ) from None
            if not has_said:
                print(
                    f"the completion store {self.address} does not answer ({reason}); waiting "
                    f"for the server up to {_FIRST_PATIENCE_S:.0f} s …",
                    file=sys.stderr,
                )
                has_said = True
            time.sleep(_EVERY_S)

    def _set_up(self, connection: psycopg.Connection[Any], make: bool) -> None:
        """Make the tables where they are absent, once of all processes that start."""
        try:
            row = connection.execute("select current_schema()").fetchone()
            if row is None or row[0] is None:
                raise UsageError(
                    f"the completion store {self.address}: no schema of the search path exists. "
                    "Create the schema, or correct `options` in ESCALOMETER_STORE."
                )
            self._schema = str(row[0])
            if self._version(connection) == VERSION:
                return
            if not make:
                raise no_store(self.address)
            with connection.transaction():
                lock = _number("tables", self._schema)
                connection.execute("select pg_advisory_xact_lock(%s)", (lock,))
                if self._version(connection) is not None:
                    return
                for statement in _SCHEMA.split(";"):
                    connection.execute(_in_dialect(statement))
                connection.execute("create table escalometer_store (version integer not null)")
                connection.execute("insert into escalometer_store values (%s)", (VERSION,))
        except psycopg.OperationalError as error:
            raise self._writer.unavailable("opened", error) from None
        except psycopg.Error as error:
            raise UsageError(
                f"the tables of the completion store {self.address} cannot be made: "
                f"{self._writer.reason(error)}. Give the user the right to create tables in the "
                "first schema of the search path."
            ) from None

    def _version(self, connection: psycopg.Connection[Any]) -> int | None:
        # Not `to_regclass`: what it found before a lock is cached.
        query = "select 1 from pg_tables where schemaname = %s and tablename = 'escalometer_store'"
        if connection.execute(query, (self._schema,)).fetchone() is None:
            return None
        found = connection.execute("select version from escalometer_store").fetchone()
        version = 0 if found is None else int(found[0])
        check_version(version, self.address)
        return version

    def close(self) -> None:
        """Close the connections."""
        self._reader.close()
        self._writer.close()

    def _read(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        def work(connection: psycopg.Connection[Any]) -> list[Any]:
            return connection.execute(_in_dialect(query), values).fetchall()

        return self._reader.run(work, PATIENCE_S, "read")

    def _write(self, work: Callable[[Transaction], Made], patience_s: float = PATIENCE_S) -> Made:
        def transact(connection: psycopg.Connection[Any]) -> Made:
            with connection.transaction(), connection.cursor() as cursor:
                return work(_Cursor(cursor))

        made = self._writer.run(transact, patience_s, "written")
        for lock in list(self._held.values()):  # after answers that are paid for
            lock.check()
        return made

    def _among(self, keys: Sequence[str]) -> tuple[str, Sequence[Any]]:
        return "key = any(?)", [list(keys)]

    def _lock_run(self, transaction: Transaction, run: str) -> None:
        transaction.execute(
            "select pg_advisory_xact_lock(?)", (_number("run", f"{self._schema}.{run}"),)
        )

    @contextlib.contextmanager
    def _locked(self, model: str, on_wait: Callable[[str], object]) -> Iterator[None]:
        lock = _ModelLock(self.address, self._schema, model)
        try:
            lock.take(on_wait)
            self._held[model] = lock
            yield
        finally:
            self._held.pop(model, None)
            lock.release()

    @property
    def awaits(self) -> str:
        """The condition for which a failed write is repeated, in words."""
        return "the server"

    def unwritable(
        self, error: StoreUnavailable, entries: Sequence[Entry] = ()
    ) -> EscalometerError:
        """Return the error of a run some of whose answers could not be stored.

        They are in a file on this machine then, which the error names.
        """
        kept = ""
        if entries:
            if self._rescued is None:
                folder = Path(".escalometer").resolve()
                if not folder.is_dir():  # a worker without a project
                    folder = Path(tempfile.gettempdir())
                self._rescued = folder / f"unwritten-{uuid.uuid4().hex[:12]}.sqlite"
            with contextlib.closing(SqliteStore(self._rescued)) as store:
                store.put_all(entries)
            kept = (
                f"{len(entries)} answers that it did not confirm are in {self._rescued}: "
                f"`escalometer store merge {self._rescued}` adds them. "
            )
        return StoreUnavailable(
            f"the completion store {self.address} cannot be written: {error.reason}. {kept}Check "
            "the server and run the same command: stored answers are not requested again.",
            error.reason,
        )


class _ModelLock:
    """The right to ask a model: an advisory lock of a session, with a thread that keeps it.

    A restart of the server ends sessions and with them their locks. The thread then takes the lock
    again, and a process that waits for it leaves it to its holder for a while.
    """

    def __init__(self, address: DatabaseAddress, schema: str, model: str) -> None:
        self._address = address
        self._model = model
        self._number = _number("model", f"{schema}.{model}")
        self._session = _Session(address)
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._new_holder: str | None = None

    def take(self, on_wait: Callable[[str], object]) -> None:
        """Return when this process has the lock; `on_wait` is called once with the holder."""
        has_said = False
        before: psycopg.Connection[Any] | None = None
        lost_at = time.monotonic() - _GRACE_S

        def attempt(connection: psycopg.Connection[Any]) -> str | None:
            nonlocal before, lost_at
            if before is not None and connection is not before:
                lost_at = time.monotonic()
            before = connection
            if time.monotonic() - lost_at < _GRACE_S:  # its holder takes it again meanwhile
                connection.execute("select 1")
                return "another process"
            return self._try(connection)

        while (holder := self._session.run(attempt, PATIENCE_S, "read")) is not None:
            if not has_said:
                on_wait(holder)
                has_said = True
            time.sleep(_EVERY_S)
        self._thread = threading.Thread(target=self._keep, name="model-lock", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise StoreUnavailable if another process has the lock."""
        if self._new_holder is not None:
            reason = f"{self._new_holder} asks {self._model} since the server was away"
            raise StoreUnavailable(
                f"the completion store {self._address}: {reason}. All answers that the store "
                "confirmed are stored: run the same command again.",
                reason,
            )

    def release(self) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        self._session.close()

    def _keep(self) -> None:
        while not self._end.wait(_CHECK_S):
            with contextlib.suppress(StoreUnavailable):
                holder = self._session.run(self._try, 0, "read")
                # The server may not know yet that a former session of this process is lost.
                self._new_holder = None if holder == _named(_own_name(), None, 0) else holder

    def _try(self, connection: psycopg.Connection[Any]) -> str | None:
        """Take the lock unless this session has it; return another session that has it."""
        number = self._number
        mine = (number >> 32 & 0xFFFFFFFF, number & 0xFFFFFFFF)
        row = connection.execute(_HOLDER, mine).fetchone()
        if row is not None:
            return None if row[0] else _named(*row[1:])
        taken = connection.execute("select pg_try_advisory_lock(%s)", (number,)).fetchone()
        return None if taken is not None and taken[0] else "another process"


def _own_name() -> str:
    """Return the name under which this process is known to the server."""
    return f"escalometer {socket.gethostname()[:40]}:{os.getpid()}"


def _named(application: str | None, address: str | None, pid: int) -> str:
    """Return a session for a message."""
    if application and application.startswith("escalometer "):
        machine, _, process = application.partition(" ")[2].rpartition(":")
        return f"process {process} on {machine}"
    return f"session {pid} of the server" + (f", from {address}" if address else "")


def _number(kind: str, name: str) -> int:
    """Return the number of an advisory lock."""
    digest = hashlib.sha256(f"escalometer {kind} {name}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
