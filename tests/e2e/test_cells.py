"""Cells side by side: several processes by default, a Dask cluster that loses workers, budgets."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import psutil
import pytest
import yaml

from tests.command_line import COMMAND, environment
from tests.conftest import ROOT
from tests.e2e.served import wait
from tests.integration._remote import KEY, card
from tests.integration._server import running
from tests.integration._server_http import Server
from tests.postgresql_server import PASSWORD
from tests.postgresql_server import Server as Database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: Where `make test-ray` has installed Ray.
RAY = os.environ.get("ESCALOMETER_RAY")
WITH_RAY = {"PYTHONPATH": f"{ROOT}{os.pathsep}{RAY}"} if RAY else {}
NEEDS_RAY = [
    pytest.mark.long,
    pytest.mark.skipif(not RAY, reason="Ray is not in the lock: `make test-ray` installs it"),
]

STORE = Path(".escalometer", "completions.sqlite")


@pytest.fixture
def provider() -> Iterator[Server]:
    with running(key=KEY, latency=0.2) as one:
        yield one


@pytest.fixture
def root(clone: Path, tmp_path: Path) -> Path:
    return shutil.copytree(clone, tmp_path / "project")


def add_models(root: Path, url: str, *names: str, **endpoint: object) -> None:
    for name in names:
        one = card(url, key_env="THE_KEY", model="fake-1", **endpoint)
        content = {**one.model_dump(mode="json", exclude_none=True), "id": name}
        content["endpoint"]["body"] = {"user": name}  # another model to the store
        (root / "models" / f"{name}.yaml").write_text(yaml.safe_dump(content), "utf-8")


def evaluate(
    root: Path, *arguments: str, code: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*COMMAND, "evaluate", *arguments, "--domains", "hmda_mortgages"],
        cwd=root,
        env=environment(THE_KEY=KEY, **WITH_RAY, **variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done


def decisions(root: Path, model: str) -> list[tuple[object, ...]]:
    """The table of a model, without what the clock determines."""
    path = root / "data" / "decisions" / model / "hmda_mortgages.parquet"
    return duckdb.sql(f"select * exclude latency_s from '{path}' order by all").fetchall()


def task_names(root: Path) -> list[str]:
    with sqlite3.connect(root / ".escalometer" / "prefect" / "prefect.db") as history:
        return [name for (name,) in history.execute("select name from task_run order by name")]


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes of Dask's workers that are descendants of a run."""
    found = []
    for one in psutil.Process(process.pid).children(recursive=True):
        try:
            if any("ask-shard" in word for word in one.cmdline()):
                found.append(one.parent())
        except psutil.Error:
            continue
    return [one for one in found if one is not None]


def test_models_are_asked_side_by_side_by_default_also_after_an_interruption(
    root: Path, provider: Server
):
    provider.latency = 0.25
    add_models(root, provider.url, "first", "second", max_in_flight=4)
    arguments = ("first", "second", "--domains", "hmda_mortgages", "--samples", "4")
    process = subprocess.Popen(
        [*COMMAND, "evaluate", *arguments],
        cwd=root,
        env=environment(THE_KEY=KEY),
        stderr=subprocess.PIPE,
        text=True,
    )
    wait(lambda: provider.n_asked > 20)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 130, said
    assert "of 2 cells by processes" in said
    names = [body["user"] for body in provider.bodies]
    assert names.index("second") < len(names) - 1 - names[::-1].index("first")
    provider.latency = 0.0
    done = evaluate(root, "first", "second", "--samples", "4")
    assert done.stderr.count(" 0 model calls") == 2
    assert set(provider.asked.values()) == {2}  # by each model once
    asked = {name for name in task_names(root) if name.startswith("ask ")}
    assert asked == {"ask first on hmda_mortgages", "ask second on hmda_mortgages"}
    again = evaluate(root, "first", "second", "--samples", "4", "--retry", "all")
    assert set(provider.asked.values()) == {4}  # by each model once more
    assert again.stderr.count(" 0 model calls") == 2


@pytest.mark.parametrize("runner", ["dask", pytest.param("ray", marks=NEEDS_RAY)])
def test_a_cluster_loses_workers_and_the_tables_are_those_of_one_process(
    root: Path, tmp_path: Path, provider: Server, runner: str
):
    add_models(root, provider.url, "first", max_in_flight=8)
    alone = shutil.copytree(root, tmp_path / "alone")
    evaluate(alone, "first", "--samples", "16")
    alone_asked = Counter(provider.asked)
    provider.asked.clear()
    arguments = ("--domains", "hmda_mortgages", "--samples", "16", "--runner", runner)
    process = subprocess.Popen(
        [*COMMAND, "evaluate", "first", *arguments, "--workers", "4"],
        cwd=root,
        env=environment(THE_KEY=KEY, **WITH_RAY),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(process.stdout or ()))
    reader.start()
    n_killed, n_seen = 0, provider.n_asked
    while n_killed < 2 and process.poll() is None:
        enough = n_seen + 20
        wait(lambda n=enough: provider.n_asked > n or process.poll() is not None)
        if workers := workers_of(process):
            workers[0].kill()
            n_killed, n_seen = n_killed + 1, provider.n_asked
    process.wait(200)
    reader.join()
    text = "".join(said)
    assert process.returncode == 0, text
    assert n_killed == 2
    assert decisions(root, "first") == decisions(alone, "first")
    assert not alone_asked - provider.asked
    again = (provider.asked - alone_asked).total()
    assert again <= 2 * 8  # in flight on the workers that were killed
    assert " 0 model calls" in text
    asked = [name for name in task_names(root) if name.startswith("ask first")]
    assert len(asked) == int(re.search(r"first on hmda_mortgages 1/(\d+)", asked[0])[1])
    assert "warning: Prefect's history" not in text


@pytest.mark.parametrize(
    "runner",
    [
        "processes",
        pytest.param("dask", marks=pytest.mark.long),
        pytest.param("ray", marks=NEEDS_RAY),
    ],
)
def test_a_budget_holds_over_all_workers(root: Path, provider: Server, runner: str):
    add_models(root, provider.url, "first", "second")
    limits = ("--samples", "30", "--max-requests", "75", "--runner", runner, "--workers", "2")
    done = evaluate(root, "first", "second", *limits, code=6)
    assert "budget reached" in done.stderr
    with sqlite3.connect(root / STORE) as store:
        ((n,),) = store.execute("select count(*) from completions").fetchall()
        assert store.execute("select count(*) from reservations").fetchall() == [(0,)]
    assert 60 <= n <= 75
    assert provider.n_asked == n


def test_a_refused_key_ends_the_run_with_its_reason(root: Path, provider: Server):
    add_models(root, provider.url, "first", "second")
    provider.key = "another"
    done = evaluate(root, "first", "second", "--samples", "3", code=5)
    assert KEY not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("runner", "address", "kind"),
    [
        ("dask", "tcp://127.0.0.1:9", "Dask scheduler"),
        pytest.param("ray", "127.0.0.1:9", "Ray cluster", marks=NEEDS_RAY),
    ],
)
def test_no_cluster_is_an_error_before_anything_is_asked(
    root: Path, provider: Server, runner: str, address: str, kind: str
):
    add_models(root, provider.url, "first")
    arguments = ("--samples", "3", "--runner", runner, "--cluster", address)
    done = evaluate(root, "first", *arguments, code=5)
    assert f"no {kind} answers at {address}" in done.stderr
    assert provider.n_asked == 0


def test_a_cluster_without_a_runner_is_refused(root: Path, provider: Server):
    add_models(root, provider.url, "first")
    done = evaluate(root, "first", "--cluster", "tcp://127.0.0.1:9", code=3)
    assert "--cluster needs --runner dask or --runner ray" in done.stderr


def test_two_runs_share_a_store_in_postgresql_and_its_limits(
    root: Path, tmp_path: Path, provider: Server, postgresql: Database
):
    add_models(root, provider.url, "first", "second")
    other = shutil.copytree(root, tmp_path / "other")  # as on another machine
    postgresql.execute("create schema cells")
    address = postgresql.address(schema="cells")
    arguments = ("--domains", "hmda_mortgages", "--samples", "4")
    processes = [
        subprocess.Popen(
            [*COMMAND, "evaluate", "first", "second", *arguments],
            cwd=folder,
            env=environment(THE_KEY=KEY, ESCALOMETER_STORE=address),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for folder in (root, other)
    ]
    texts = [process.communicate(timeout=250)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], texts
    assert any("waiting for another run that asks first" in text for text in texts)
    assert set(provider.asked.values()) == {2}  # by each model once
    assert decisions(root, "first") == decisions(other, "first")
    assert not (root / STORE).exists()
    assert not any(PASSWORD in text for text in texts)
