"""A project that `escalometer serve` serves, with a provider and a webhook on loopback."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests import command_line
from tests.command_line import environment
from tests.integration._remote import KEY, card
from tests.integration._server_http import Server

#: Rules that the few dialogues of a test can decide.
GATE = {
    "against": "in-use",
    "min_dialogues": 60,
    "max_regret": 0.35,
    "max_threshold_distance": None,
}


def answered(body: dict[str, Any], made: dict[str, Any]) -> None:
    """Answer by the model's name: `better` follows signal and rule, `worse` the contrary."""
    is_better = body["model"].startswith("better")
    if not is_better and not body["model"].startswith("worse"):
        return
    text = body["messages"][0]["content"]
    share, negated = re.search(r"(\d+)% were (not )?", text).groups()  # type: ignore[union-attr]
    marker, choice = "PREDICTION", int(bool(negated) != is_better)
    if len(body["messages"]) > 1:
        marker, choice = "DECISION", int((int(share) < 75) == is_better)
    made["choices"][0]["message"]["content"] = f"By the signal. {marker}: {choice}"


def make(root: Path, url: str, **watch: object) -> None:
    """Create a project on the tickets of the example, with one model of a server in use."""
    assert command_line.run(root.parent, "init", str(root), "--example").returncode == 0
    one = card(url, key_env="THE_KEY", model="fake-1").model_dump(mode="json", exclude_none=True)
    (root / "models" / "remote.yaml").write_text(yaml.safe_dump(one), "utf-8")
    params = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
    params |= {"models": ["remote"], "watch": {"patterns": ["better*", "worse*"], **watch}}
    params["query"]["force_answer"] = False
    params["canary"] = {"n_prompts": 12, "n_baseline": 20}
    params["gate"] |= GATE
    # The model in use has no threshold, and few dialogues show no small difference.
    params["gate"]["min_effect"] |= {"threshold_distance": None, "share_answered": 0.05}
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), "utf-8")


class Hook:
    """A server that keeps the notices that are posted to it."""

    def __init__(self) -> None:
        self.notices: list[dict[str, Any]] = []
        notices = self.notices

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                notices.append(json.loads(content))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def kinds(self) -> list[str]:
        return [notice["kind"] for notice in self.notices]


@dataclass
class Served:
    """The project, the provider behind its models, and the webhook.

    Attributes
    ----------
    process : Popen
        `escalometer serve`.
    said : list of str
        Lines that it printed.
    """

    root: Path
    provider: Server
    hook: Hook
    process: subprocess.Popen[str] | None = None
    said: list[str] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        return {"THE_KEY": KEY, "ESCALOMETER_NOTIFY_URL": self.hook.url}

    def start(self) -> None:
        """Serve, and wait until runs are taken."""
        self.said.clear()
        command = [*command_line.COMMAND, "serve", "--port", "4791", "--mlflow-port", "0"]
        process = subprocess.Popen(
            command,
            cwd=self.root,
            env=environment(**self.variables),
            stderr=subprocess.PIPE,
            text=True,
        )
        self.process = process

        def read() -> None:
            assert process.stderr is not None
            self.said.extend(iter(process.stderr.readline, ""))

        threading.Thread(target=read, daemon=True).start()
        wait(lambda: process.poll() is not None or any("Ctrl-C" in line for line in self.said))
        assert process.poll() is None, self.said

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it."""
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(60)

    @property
    def url(self) -> str:
        address = self.root / ".escalometer" / "prefect" / "server.json"
        return str(json.loads(address.read_text("utf-8"))["url"])

    def call(self, path: str, content: Any = None) -> Any:
        """Return what Prefect's API answers; while its database is busy it is asked again."""
        return wait(lambda: [self._call(path, content)], 30)[0]

    def _call(self, path: str, content: Any) -> Any:
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}{path}", data, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
            raw = reply.read()
        return json.loads(raw) if raw else None

    def begin(self, name: str, **parameters: Any) -> str:
        """Start a run of a deployment, ``"watch/daily"``, and return its id."""
        deployment = self.call(f"/deployments/name/{name}")["id"]
        made = self.call(
            f"/deployments/{deployment}/create_flow_run",
            {"parameters": parameters, "state": {"type": "SCHEDULED"}},
        )
        return str(made["id"])

    def ended(self, run: str, within_s: float = 150) -> dict[str, Any]:
        """Return a run once it has ended."""

        def is_final() -> Any:
            found = self.call(f"/flow_runs/{run}")
            return found if found["state_type"] in _FINAL else None

        return dict(wait(is_final, within_s))

    def run(self, name: str, **parameters: Any) -> dict[str, Any]:
        """Return a run of a deployment, once it has ended."""
        return self.ended(self.begin(name, **parameters))

    def runs(self, **where: Any) -> list[dict[str, Any]]:
        """Return flow runs, the latest first."""
        content = {"sort": "START_TIME_DESC", "flow_runs": where}
        return list(self.call("/flow_runs/filter", content))


_FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def wait(condition: Callable[[], Any], within_s: float = 120) -> Any:
    """Return what a condition returns once that is true."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, FileNotFoundError):
            if found := condition():
                return found
        time.sleep(0.2)
    raise AssertionError("waited for nothing")


@contextlib.contextmanager
def serving(root: Path, provider: Server) -> Iterator[Served]:
    """Serve a project of `make`; it ends with the block."""
    hook = Hook()
    served = Served(root, provider, hook)
    try:
        served.start()
        yield served
    finally:
        if served.process is not None and served.process.poll() is None:
            served.stop()
        hook.close()
