"""Two runs in one project at once: one server of Prefect, no cell asked twice, no run lost."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.command_line import COMMAND, environment
from tests.e2e.served import wait
from tests.integration._remote import KEY, card
from tests.integration._server import running
from tests.integration._server_http import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def provider() -> Iterator[Server]:
    with running(key=KEY, latency=1.0) as one:
        yield one


@pytest.fixture
def root(clone: Path, tmp_path: Path, provider: Server) -> Path:
    """A project with two models of one server."""
    root = shutil.copytree(clone, tmp_path / "project")
    for name in ("first", "second"):
        one = card(provider.url, key_env="THE_KEY", model="fake-1")
        content = {**one.model_dump(mode="json", exclude_none=True), "id": name}
        content["endpoint"]["body"] = {"seed": len(name)}  # two models to the store
        (root / "models" / f"{name}.yaml").write_text(yaml.safe_dump(content), "utf-8")
    return root


def start(root: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "evaluate", *arguments, "--domains", "hmda_mortgages", "--samples", "3"],
        cwd=root,
        env=environment(THE_KEY=KEY),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str], code: int = 0) -> str:
    said, _ = process.communicate(timeout=200)
    assert process.returncode == code, said
    return said


def states(root: Path) -> list[str]:
    with sqlite3.connect(root / ".escalometer" / "prefect" / "prefect.db") as history:
        return [state for (state,) in history.execute("select state_type from flow_run")]


def address(root: Path) -> dict:
    path = root / ".escalometer" / "prefect" / "server.json"
    return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}


def test_runs_with_other_settings_go_on_side_by_side(root: Path, provider: Server):
    provider.latency = 12.0
    first = start(root, "first")
    wait(lambda: provider.n_asked > 0)
    second = start(root, "second")
    wait(lambda: any(body["seed"] == 6 for body in provider.bodies))
    provider.latency = 0.1
    said = ended(second)
    ended(first)
    assert "are asked beside it" in said
    assert provider.asked and set(provider.asked.values()) == {2}  # by each model once
    seeds = [body["seed"] for body in provider.bodies]
    assert seeds.index(6) < len(seeds) - 1 - seeds[::-1].index(5)  # meanwhile
    params = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
    assert params["models"] == ["second"]
    for model in ("first", "second"):
        assert (root / "data" / "profiles" / model / "profile.json").exists()
    assert states(root) == ["COMPLETED"] * 3


def test_runs_of_the_same_cell_wait_and_ask_once(root: Path, provider: Server):
    first, second = start(root, "first"), None
    wait(lambda: provider.n_asked > 0)
    second = start(root, "first")
    ended(first)
    assert "waiting for another run" in ended(second)
    assert set(provider.asked.values()) == {1}


def test_a_run_outlives_the_one_that_serves_prefect(root: Path, provider: Server):
    provider.latency = 4.0
    first = start(root, "first")
    wait(lambda: provider.n_asked > 0)
    server = address(root)
    second = start(root, "second")
    n_asked = provider.n_asked
    wait(lambda: provider.n_asked > n_asked)
    first.send_signal(signal.SIGKILL)
    first.wait()
    said = ended(second)
    assert "error" not in said, said
    assert address(root)["port"] == server["port"]
    assert states(root).count("COMPLETED") == 2
    time.sleep(1)
    assert set(provider.asked.values()) <= {1, 2}
