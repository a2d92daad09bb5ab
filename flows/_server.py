"""A Prefect API for one run, whose history stays in the project.

It is served by a thread of this process, which has imported Prefect anyway: a process of its own
imports it again. Prefect's own temporary server can end before it has written all task runs; this
one runs until it has.
"""

from __future__ import annotations

import contextlib
import contextvars
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from escalometer.errors import ProviderError
from escalometer.layout import prefect_folder
from flows._database import create

HOME = prefect_folder()
DATABASE = "prefect.db"
_START_S = 180.0
_SETTLE_S = 60.0
_PAGE = 200  # the most that Prefect's API returns at once


@contextlib.contextmanager
def served(home: Path = HOME, is_prepared: bool = True) -> Iterator[str]:
    """Yield the URL of a Prefect API: the user's PREFECT_API_URL, or that of a new server.

    Parameters
    ----------
    home : Path
        Where our own server keeps its history.
    is_prepared : bool
        Whether a new history begins with the database that is ready; false for Prefect's own
        migrations.

    Raises
    ------
    ProviderError
        If our own server does not come up.
    """
    from prefect import settings

    user_url = settings.PREFECT_API_URL.value()
    if user_url:
        yield str(user_url)
        return
    home.mkdir(parents=True, exist_ok=True)
    database = home.resolve() / DATABASE
    if is_prepared:
        create(database)
    own = {
        settings.PREFECT_API_DATABASE_CONNECTION_URL: f"sqlite+aiosqlite:///{database}",
        settings.PREFECT_API_BLOCKS_REGISTER_ON_START: False,
    }
    with (
        settings.temporary_settings(updates=own),
        _running() as url,
        settings.temporary_settings(updates={settings.PREFECT_API_URL: url}),
    ):
        yield url


@contextlib.contextmanager
def _running() -> Iterator[str]:
    """Run a server on a free port of this machine in a thread, and yield its URL."""
    import uvicorn
    from prefect.server.api.server import create_app

    app = create_app(ephemeral=True, ignore_cache=True)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical")
    server = uvicorn.Server(config)
    # The settings of this context hold in the thread as well.
    run = contextvars.copy_context().run
    thread = threading.Thread(target=run, args=(server.run,), name="prefect", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{_port(server, thread)}/api"
    finally:
        server.should_exit = True
        thread.join(20)


def _port(server: Any, thread: threading.Thread) -> int:
    deadline = time.monotonic() + _START_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise ProviderError(
                "Prefect's server did not start; PREFECT_LOGGING_SERVER_LEVEL=INFO shows why"
            )
        time.sleep(0.05)
    return int(server.servers[0].sockets[0].getsockname()[1])


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
