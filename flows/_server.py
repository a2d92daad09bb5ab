"""A Prefect server for one run, whose history stays in the project.

Prefect's own temporary server can end before it has written all task runs; this one runs until it
has.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from escalometer.errors import ProviderError
from escalometer.layout import prefect_folder

HOME = prefect_folder()
_START_S = 180.0
_SETTLE_S = 60.0


@contextlib.contextmanager
def served(home: Path = HOME) -> Iterator[str]:
    """Yield the URL of a Prefect API: the user's PREFECT_API_URL, or that of a new server.

    Parameters
    ----------
    home : Path
        Where our own server keeps its history.

    Raises
    ------
    ProviderError
        If our own server does not come up.
    """
    from prefect.settings import PREFECT_API_URL, temporary_settings

    user_url = PREFECT_API_URL.value()
    if user_url:
        yield str(user_url)
        return
    home.mkdir(parents=True, exist_ok=True)
    _stop_left_over(home)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (home / "server.log").open("ab")
    settings = {
        "PREFECT_HOME": str(home.resolve()),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [sys.executable, "-m", "prefect", "server", "start"]
    server = subprocess.Popen(  # noqa: S603
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        env={**os.environ, **settings},
        stdout=log,
        stderr=log,
        start_new_session=True,  # Ctrl-C is ours to handle: the history is written first
    )
    (home / "server.pid").write_text(str(server.pid), encoding="utf-8")
    url = f"http://127.0.0.1:{port}/api"
    try:
        _wait_until_up(server, url, home)
        with temporary_settings(updates={PREFECT_API_URL: url}):
            yield url
    finally:
        server.terminate()
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        (home / "server.pid").unlink(missing_ok=True)
        log.close()


def _stop_left_over(home: Path) -> None:
    """Stop the server of a killed run: two servers would lock each other's history."""
    import psutil

    try:
        process = psutil.Process(int((home / "server.pid").read_text(encoding="utf-8")))
        if "prefect" in " ".join(process.cmdline()):
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)
    except (FileNotFoundError, ValueError, psutil.Error):
        return


def _wait_until_up(server: subprocess.Popen[bytes], url: str, home: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):  # noqa: S310
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise ProviderError(f"Prefect's server did not start; it says why in {home / 'server.log'}")


def wait_for_history(flow_run_id: UUID, n_tasks: int) -> int:
    """Return the number of finished task runs in the history, once it has `n_tasks`."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    deadline = time.monotonic() + _SETTLE_S
    with get_client(sync_client=True) as client:
        while True:
            runs = client.read_task_runs(
                flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id])), limit=200
            )
            n_done = sum(run.state is not None and run.state.is_final() for run in runs)
            if n_done >= n_tasks or time.monotonic() > deadline:
                return n_done
            time.sleep(0.3)
