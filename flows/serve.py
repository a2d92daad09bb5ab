"""A project served on this machine: Prefect's server, a worker, the deployments, MLflow's pages.

Run it as `escalometer serve`. It ends with Ctrl-C; started again, it goes on: runs that were
interrupted are started anew, and of missed schedules the last one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from prefect import settings

from escalometer.cli import workspace
from escalometer.errors import EscalometerError, ProviderError
from escalometer.layout import serve_lock
from escalometer.runtime.ending import leave_with
from escalometer.runtime.interruption import Interruption, end_with_parent
from escalometer.runtime.locks import holder, try_lock
from escalometer.tracking import prepare_store
from flows._artifacts import MLFLOW_PAGES
from flows._place import PROJECT
from flows._resume import resume
from flows._schedule import POOL, deploy, notify_at
from flows._server import HOME, Role, answers
from flows._words import say

_START_S = 120.0
_LOOK_S = 0.5
_AGAIN_S = 5.0  # before a process that ended is started again
_END_S = 20.0

#: Added to the process id in the lock by one that stops its parts.
_ENDING = ", which is ending"


@dataclass
class _Part:
    """A process that is kept running; its messages go into a file."""

    name: str
    command: list[str]
    environment: dict[str, str]
    messages: Path
    process: subprocess.Popen[bytes] | None = None
    began: float = field(default=-_AGAIN_S)

    def keep_running(self) -> None:
        """Start it, unless it runs or was started a moment ago."""
        if self.process is not None and self.process.poll() is None:
            return
        if time.monotonic() - self.began < _AGAIN_S:
            return
        if self.process is not None:
            code = self.process.returncode
            say(f"{self.name} ended with code {code} ({self.messages}): it is started again")
        self.began = time.monotonic()
        self.messages.parent.mkdir(parents=True, exist_ok=True)
        with self.messages.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,
            )

    def stop(self) -> None:
        """Ask it to end, and end it after a while."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def serve(port: int, mlflow_port: int, notify_url: str | None) -> None:
    """Serve the project of this folder until it is interrupted.

    Parameters
    ----------
    port : int
        Of Prefect's pages on 127.0.0.1, if it is free.
    mlflow_port : int
        Of MLflow's pages; 0 for none.
    notify_url : str, optional
        Where notices are posted.

    Raises
    ------
    ProviderError
        If a server does not come up.
    """
    root = workspace().root.resolve()
    path = serve_lock(root)
    while (lock := try_lock(path)) is None:
        if not holder(path).endswith(_ENDING):
            address = Role(HOME.resolve()).address() or {"url": "its address is not known yet"}
            say(f"this project is served already ({holder(path)}): {_pages(address['url'])}")
            return
        say(f"waiting for {holder(path)} …")
        time.sleep(2)
    interruption = Interruption()
    parts: list[_Part] = []
    try:
        url = _serve_api(port, parts)
        environment = {**os.environ, "PREFECT_API_URL": url, PROJECT: str(root)}
        environment.pop("ESCALOMETER_RUN", None)  # every run has a budget of its own
        environment.setdefault("PREFECT_WORKER_QUERY_SECONDS", "3")  # a person waits for a run
        if mlflow_port:
            environment[MLFLOW_PAGES] = _serve_mlflow(root, mlflow_port, parts)
        with settings.temporary_settings(updates={settings.PREFECT_API_URL: url}):
            deploy(root, _prefect_yaml(root), environment)
            if notify_url:
                notify_at(notify_url)
            for line in resume(HOME.resolve()):
                say(line)
        worker = [*_PREFECT, "worker", "start", "--pool", POOL, "--type", "process"]
        parts.append(_Part("the worker", worker, environment, _messages("worker")))
        say(f"Prefect: {_pages(url)} (Ctrl-C ends it)")
        while True:
            interruption.check()
            for part in parts:
                part.keep_running()
            time.sleep(_LOOK_S)
    finally:
        os.write(lock, _ENDING.encode())
        for part in reversed(parts):
            part.stop()


_PREFECT = [sys.executable, "-m", "flows._child", "prefect"]


def _messages(name: str) -> Path:
    return serve_lock().resolve().with_name("messages") / f"{name}.log"


def _pages(url: str) -> str:
    return url.removesuffix("/api")


def _serve_api(port: int, parts: list[_Part]) -> str:
    """Start Prefect's server and return its URL once it answers."""
    home = HOME.resolve()
    home.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "flows._api_server", str(port)]
    part = _Part("Prefect's server", command, dict(os.environ), _messages("prefect"))
    parts.append(part)
    say("starting Prefect's server …")
    part.keep_running()
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and part.process is not None:
        address = Role(home).address()
        if address and address["pid"] == part.process.pid and answers(address["url"]):
            return str(address["url"])
        if part.process.poll() is not None:
            break
        time.sleep(0.2)
    raise ProviderError(f"Prefect's server did not start: {part.messages} has its messages")


def _serve_mlflow(root: Path, port: int, parts: list[_Part]) -> str:
    """Start MLflow's pages and return their URL."""
    uri = workspace().tracking or prepare_store(root)
    if uri.startswith("http"):
        return uri
    command = [*_MLFLOW, "ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", uri]
    # Its jobs (scoring, archives) are not used here.
    off = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    part = _Part("MLflow", command, {**os.environ, **off}, _messages("mlflow"))
    part.keep_running()
    parts.append(part)
    pages = f"http://127.0.0.1:{port}"
    say(f"MLflow:  {pages}")
    return pages


_MLFLOW = [sys.executable, "-m", "flows._child", "mlflow"]


def _prefect_yaml(root: Path) -> Path:
    """Return the project's prefect.yaml, or the built-in one."""
    from escalometer.resources import folder_path

    own = root / "prefect.yaml"
    return own if own.exists() else folder_path("prefect.yaml")


def main() -> int:
    """Serve, with ports from the arguments; return an exit code."""
    end_with_parent()
    try:
        port, mlflow_port = (int(word) for word in sys.argv[1:3])
        serve(port, mlflow_port, os.environ.get("ESCALOMETER_NOTIFY_URL"))
    except EscalometerError as error:
        say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say("ended; `escalometer serve` goes on")
    return 0


if __name__ == "__main__":
    leave_with(main)
