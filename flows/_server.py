"""A Prefect API for the runs of a project, whose history stays there.

One process serves it: `escalometer serve`, or else the first run, in a thread, as that has imported
Prefect anyway. It holds a lock that ends with it. The other runs use its address; once the lock is
free, one of them serves at the same port, and what they send meanwhile is sent again by Prefect's
client. Prefect's own temporary server can end before it has written all task runs; this one runs
until it has.
"""

from __future__ import annotations

import contextlib
import contextvars
import itertools
import json
import os
import socket
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from escalometer.errors import DataError, ProviderError
from escalometer.layout import prefect_folder
from escalometer.runtime.files import read_json, write_json
from escalometer.runtime.locks import try_lock
from flows._database import create

HOME = prefect_folder()
DATABASE = "prefect.db"

#: Held by the process that serves.
_LOCK = "server.lock"
#: Its address: ``url``, ``port`` and ``pid``.
_ADDRESS = "server.json"
#: The id of a process that is to serve in place of a run: `escalometer serve`.
_WANTED = "server.wanted"

_START_S = 180.0
_SETTLE_S = 60.0
_DELIVER_S = 10.0
_LOOK_S = 0.3
_PAGE = 200  # the most that Prefect's API returns at once


@contextlib.contextmanager
def served(home: Path = HOME, is_prepared: bool = True) -> Iterator[str]:
    """Yield the URL of a Prefect API: the user's PREFECT_API_URL, or that of the project's server.

    Parameters
    ----------
    home : Path
        Where the server keeps its history.
    is_prepared : bool
        Whether a new history begins with the database that is ready; false for Prefect's own
        migrations.

    Raises
    ------
    ProviderError
        If the server does not come up.
    """
    from prefect import settings

    user_url = settings.PREFECT_API_URL.value()
    if user_url:
        yield str(user_url)
        return
    home = home.resolve()
    with settings.temporary_settings(updates=database_settings(home, is_prepared)):
        member = _Member(home)
        url = member.join()
        try:
            with settings.temporary_settings(updates={settings.PREFECT_API_URL: url}):
                yield url
        finally:
            member.leave()


def database_settings(home: Path, is_prepared: bool = True) -> dict[Any, Any]:
    """Return the settings of a server that keeps its history in a folder, which is made."""
    from prefect import settings

    home.mkdir(parents=True, exist_ok=True)
    database = home / DATABASE
    if is_prepared:
        create(database)
    return {
        settings.PREFECT_API_DATABASE_CONNECTION_URL: f"sqlite+aiosqlite:///{database}",
        settings.PREFECT_API_BLOCKS_REGISTER_ON_START: False,
    }


class Role:
    """The right to serve a project's API, which one process has at a time."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock: int | None = None

    def take(self) -> bool:
        """Return whether this process has it, or has taken it now."""
        if self._lock is not None:
            return True
        self._lock = try_lock(self._home / _LOCK)
        return self._lock is not None

    def give_up(self) -> None:
        """Leave it to another process."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def bind(self, *preferred: int) -> socket.socket:
        """Return a socket for the API, and record its address.

        Parameters
        ----------
        *preferred : int
            Ports to try first. Then comes that of the server before, then any free one.
        """
        before = self.address()
        for port in (*preferred, before["port"] if before else 0, 0):
            bound = socket.socket()
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                bound.bind(("127.0.0.1", port))
            except OSError:
                bound.close()
                continue
            port = bound.getsockname()[1]
            url = f"http://127.0.0.1:{port}/api"
            write_json({"url": url, "port": port, "pid": os.getpid()}, self._home / _ADDRESS)
            return bound
        raise ProviderError("no port is free on 127.0.0.1")

    def address(self) -> dict[str, Any] | None:
        """Return ``url``, ``port`` and ``pid`` of the server, or of the one before."""
        with contextlib.suppress(DataError, ValueError, KeyError):
            found = read_json(self._home / _ADDRESS)
            return {"url": str(found["url"]), "port": int(found["port"]), "pid": found["pid"]}
        return None

    def is_wanted(self) -> bool:
        """Return whether another process asks for it, and lives."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self._home / _WANTED).read_text("utf-8"))
            os.kill(pid, 0)
            return pid != os.getpid()
        return False

    def want(self) -> None:
        """Ask the run that has it to give it up."""
        (self._home / _WANTED).write_text(str(os.getpid()), "utf-8")

    def want_no_more(self) -> None:
        """Withdraw `want`."""
        (self._home / _WANTED).unlink(missing_ok=True)


class _Member:
    """A run of a project: serves the API if no other process does, and uses it."""

    def __init__(self, home: Path) -> None:
        self._role = Role(home)
        self._server: tuple[Any, threading.Thread] | None = None
        self._left = threading.Event()
        self._watch: threading.Thread | None = None

    def join(self) -> str:
        """Return the URL of the API, once it answers."""
        deadline = time.monotonic() + _START_S
        while True:
            if self._server is None and not self._role.is_wanted() and self._role.take():
                self._serve()
            address = self._role.address()
            if address and answers(address["url"]):
                break
            if time.monotonic() > deadline:
                self._stop()
                raise _not_started()
            time.sleep(0.05)
        self._watch = threading.Thread(
            target=contextvars.copy_context().run, args=(self._stand_by,), daemon=True
        )
        self._watch.start()
        return str(address["url"])

    def leave(self) -> None:
        """Serve no longer; a run that still goes does it now."""
        self._left.set()
        if self._watch is not None:
            self._watch.join(30)
        self._stop()

    def _stand_by(self) -> None:
        while not self._left.wait(_LOOK_S):
            if self._server is not None:
                if self._role.is_wanted():
                    self._stop()
            elif not self._role.is_wanted() and self._role.take():
                with contextlib.suppress(ProviderError):  # the next look tries again
                    self._serve()

    def _serve(self) -> None:
        try:
            self._server = _started(self._role.bind())
        except ProviderError:
            self._role.give_up()
            raise

    def _stop(self) -> None:
        if self._server is not None:
            server, thread = self._server
            server.should_exit = True
            thread.join(20)
            self._server = None
        self._role.give_up()


def _started(bound: socket.socket) -> tuple[Any, threading.Thread]:
    """Return a server that has started in a thread, and the thread."""
    import uvicorn
    from prefect.server.api.server import create_app

    app = create_app(ephemeral=True, ignore_cache=True)
    # The logging of a run that is under way stays as it is; connections of other runs are not
    # waited for.
    config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    # The settings of this context hold in the thread as well.
    run = contextvars.copy_context().run
    thread = threading.Thread(target=run, args=(server.run, [bound]), name="prefect", daemon=True)
    thread.start()
    deadline = time.monotonic() + _START_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            bound.close()
            raise _not_started()
        time.sleep(0.05)
    return server, thread


def _not_started() -> ProviderError:
    return ProviderError(
        "Prefect's server did not start; PREFECT_LOGGING_SERVER_LEVEL=INFO shows why"
    )


def answers(url: str) -> bool:
    """Return whether an API answers on this machine."""
    import urllib.request

    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as reply:  # noqa: S310
            return json.load(reply) is True
    except (OSError, ValueError):
        return False


def deliver() -> None:
    """Send what logs and events of this process are left to the API, for a while at most.

    Call it before the end of `served`: afterwards there may be no server to take them.
    """
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=_DELIVER_S)


def wait_for_tasks(task_runs: Collection[UUID]) -> None:
    """Wait until the history holds the end of task runs, for a while at most.

    Call it before the end of a cluster: its workers send what they have not sent yet.

    Parameters
    ----------
    task_runs : collection of UUID
        Task runs that have ended.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterId

    deadline = time.monotonic() + _DELIVER_S
    left = list(task_runs)
    with get_client(sync_client=True) as client:
        while left and time.monotonic() < deadline:
            some = left[:_PAGE]
            these = TaskRunFilter(id=TaskRunFilterId(any_=some))
            runs = client.read_task_runs(task_run_filter=these, limit=_PAGE)
            done = {run.id for run in runs if run.state is not None and run.state.is_final()}
            left = [one for one in left if one not in done]
            if len(done) < len(some):
                time.sleep(0.3)


def wait_for_history(flow_run_id: UUID, n_tasks: int) -> int:
    """Return the number of finished task runs in the history, once it has `n_tasks`."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    deadline = time.monotonic() + _SETTLE_S
    of_flow = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        while True:
            n_done = 0
            for offset in itertools.count(0, _PAGE):
                runs = client.read_task_runs(flow_run_filter=of_flow, limit=_PAGE, offset=offset)
                n_done += sum(run.state is not None and run.state.is_final() for run in runs)
                if len(runs) < _PAGE:
                    break
            if n_done >= n_tasks or time.monotonic() > deadline:
                return n_done
            time.sleep(0.3)
