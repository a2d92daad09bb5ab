"""Stages in a warm process end as they do in one of their own, whatever happens to either."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from escalometer.runtime import warm_process
from escalometer.runtime.warm_client import VARIABLE
from tests import command_line
from tests.conftest import ROOT

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="stages share a process on Linux alone"),
]

STAGE = ("stage", "ingest", "--cell", "movielens")
#: Holds a stage up where it reads its table, for as long as a file exists.
SLOW = """
import time
from pathlib import Path
while Path({hold!r}).exists():
    time.sleep(0.05)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, which a test may change."""
    ignore = shutil.ignore_patterns("__pycache__")
    (tmp_path / "code").mkdir()
    for name in ("dvc.yaml", "expectations", "models", "params.yaml", "sql"):
        (tmp_path / "code" / name).symlink_to(ROOT / name)
    return shutil.copytree(ROOT / "escalometer", tmp_path / "code" / "escalometer", ignore=ignore)


class Warm:
    """A server, and how commands are started beside it."""

    def __init__(self, folder: Path, package: Path) -> None:
        self.socket = folder / "socket"
        self.usage = folder / warm_process.USAGE
        self._path = str(package.parent)
        self.server = self._start(warm_process.COMMAND, str(self.socket))
        while not self.socket.exists():
            time.sleep(0.02)

    def _start(self, *arguments: str, **options) -> subprocess.Popen[str]:
        changes = {"PYTHONPATH": self._path, VARIABLE: str(self.socket)}
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "escalometer", *arguments],
            env=command_line.environment() | changes,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def start(self, root: Path, *arguments: str) -> subprocess.Popen[str]:
        return self._start(*(arguments or STAGE), cwd=root)

    def run(self, root: Path, *arguments: str) -> tuple[int, str]:
        process = self.start(root, *arguments)
        _, said = process.communicate(timeout=120)
        return process.returncode, said

    def n_run(self) -> int:
        return len(self.usage.read_text("utf-8").splitlines()) if self.usage.exists() else 0

    def child(self) -> psutil.Process:
        """The process of the stage that runs now."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if found := psutil.Process(self.server.pid).children():
                return found[0]
            time.sleep(0.02)
        raise AssertionError("no stage was begun")


@pytest.fixture
def warm(package: Path, tmp_path: Path) -> Iterator[Warm]:
    folder = tmp_path / "warm"
    folder.mkdir()
    one = Warm(folder, package)
    yield one
    one.server.kill()
    one.server.communicate()


@pytest.fixture
def held(package: Path, tmp_path: Path) -> Iterator[Path]:
    """A file that holds every stage up while it exists."""
    hold = tmp_path / "hold"
    hold.touch()
    path = package / "stages" / "ingest.py"
    path.write_text(
        path.read_text("utf-8").replace(
            "    plugin = catalog.load(domain, root)\n",
            "".join(f"    {line}\n" for line in SLOW.format(hold=str(hold)).strip().splitlines())
            + "    plugin = catalog.load(domain, root)\n",
        ),
        "utf-8",
    )
    yield hold
    hold.unlink(missing_ok=True)


def provenance(root: Path) -> dict:
    return json.loads((root / "data/raw/movielens/provenance.json").read_text("utf-8"))


def test_a_stage_runs_in_the_warm_process_with_its_streams_and_exit_code(
    warm: Warm, project: Path
) -> None:
    assert warm.run(project) == (0, "")
    assert provenance(project)["edition"]
    assert warm.n_run() == 1
    code, said = warm.run(project, "stage", "ingest", "--cell", "nothing")
    assert code == 3
    assert "error: unknown domain 'nothing'" in said
    assert warm.n_run() == 2
    used = json.loads(warm.usage.read_text("utf-8").splitlines()[0])
    assert used["arguments"] == list(STAGE)
    assert 0 < used["processor_s"] < 60
    assert used["peak_bytes"] > 1e6


def test_what_a_stage_leaves_behind_is_not_reported_as_leaked(warm: Warm, project: Path) -> None:
    for stage in ("ingest", "sample"):
        code, said = warm.run(project, "stage", stage, "--cell", "hmda_mortgages")
        assert code == 0
        assert "leaked" not in said
    assert warm.n_run() == 2


def test_changed_code_is_not_run_warm(warm: Warm, package: Path, project: Path) -> None:
    path = package / "stages" / "ingest.py"
    line = "    plugin = catalog.load(domain, root)\n"
    text = path.read_text("utf-8").replace(line, f'    print("changed", file=sys.stderr)\n{line}')
    path.write_text(text.replace("from pathlib", "import sys\nfrom pathlib", 1), "utf-8")
    assert warm.run(project) == (0, "changed\n")
    assert warm.n_run() == 0


def test_a_changed_parameter_and_card_are_read_anew(warm: Warm, project: Path) -> None:
    for domain in ("movielens", "hmda_mortgages"):
        for stage in ("ingest", "sample"):
            assert warm.run(project, "stage", stage, "--cell", domain)[0] == 0
    path = project / "params.yaml"
    path.write_text(path.read_text("utf-8").replace("n_per_condition: 1", "n_per_condition: x"))
    code, said = warm.run(project, "stage", "sample", "--cell", "movielens")
    assert code == 3
    assert "n_per_condition" in said
    path.write_text(path.read_text("utf-8").replace("n_per_condition: x", "n_per_condition: 1"))
    assert warm.run(project, "stage", "design", "--cell", "tiny")[0] == 0
    card = project / "models" / "tiny.yaml"
    card.write_text(card.read_text("utf-8") + "nonsense: 1\n", "utf-8")
    code, said = warm.run(project, "stage", "query", "--cell", "tiny")
    assert code == 3
    assert "nonsense" in said
    assert warm.n_run() == 7


def test_without_a_server_the_stage_runs_by_itself(warm: Warm, project: Path) -> None:
    warm.server.kill()
    warm.server.wait()
    assert warm.run(project) == (0, "")
    assert provenance(project)["edition"]


def test_a_killed_server_ends_its_stage_and_the_next_run_goes_on(
    held: Path, warm: Warm, project: Path
) -> None:
    client = warm.start(project)
    child = warm.child()
    warm.server.kill()
    _, said = client.communicate(timeout=60)
    assert client.returncode == 128 + signal.SIGKILL
    assert "run the same command again" in said
    child.wait(30)
    assert not (project / "data/raw/movielens/provenance.json").exists()
    held.unlink()
    assert warm.run(project) == (0, "")


def test_a_killed_stage_is_reported_by_its_client(held: Path, warm: Warm, project: Path) -> None:
    client = warm.start(project)
    warm.child().kill()
    client.communicate(timeout=60)
    assert client.returncode == 128 + signal.SIGKILL
    held.unlink()
    assert warm.run(project) == (0, "")


def test_a_killed_client_ends_its_stage(held: Path, warm: Warm, project: Path) -> None:
    client = warm.start(project)
    child = warm.child()
    client.kill()
    client.communicate()
    child.wait(30)
    assert held.exists()  # it did not end because it was done
    held.unlink()
    assert warm.run(project) == (0, "")


def test_an_interrupt_reaches_the_stage(held: Path, warm: Warm, project: Path) -> None:
    client = warm.start(project)
    child = warm.child()
    time.sleep(0.3)
    for pid in (client.pid, child.pid):  # as a terminal does, and `evaluate`
        os.kill(pid, signal.SIGINT)
    _, said = client.communicate(timeout=60)
    assert client.returncode == 130
    assert "interrupted" in said
    held.unlink()


def test_the_server_ends_with_its_parent(package: Path, tmp_path: Path) -> None:
    socket = tmp_path / "socket"
    code = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-P', '-m', 'escalometer', "
        f"{warm_process.COMMAND!r}, {str(socket)!r}])\n"
        "print(p.pid, flush=True)\ntime.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        env=command_line.environment(PYTHONPATH=str(package.parent)),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    server = psutil.Process(int(parent.stdout.readline()))
    while not socket.exists():
        time.sleep(0.02)
    parent.kill()
    parent.communicate()
    server.wait(30)


def test_where_nothing_can_be_started_stages_run_by_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(warm_process.subprocess, "Popen", refuse)
    with warm_process.warmed() as folder:
        assert folder is None
        assert VARIABLE not in os.environ


def test_a_server_that_cannot_fork_leaves_the_stage_to_its_client(
    package: Path, tmp_path: Path, project: Path
) -> None:
    path = package / "runtime" / "warm_process.py"
    text = path.read_text("utf-8")
    assert text.count("pid = os.fork()") == 1
    refusing = text.replace("pid = os.fork()", 'raise OSError(12, "Cannot allocate memory")')
    path.write_text(refusing, "utf-8")
    folder = tmp_path / "warm"
    folder.mkdir()
    one = Warm(folder, package)
    try:
        assert one.run(project) == (0, "")
        assert one.n_run() == 0
    finally:
        one.server.kill()
        one.server.communicate()
