"""Runs that are interrupted, killed or refused: what is kept, and what is left running."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests import command_line
from tests.command_line import environment
from tests.e2e.runs import enlarge, n_stored, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def validated(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one domain, large enough to be stopped, whose scenarios DVC has validated."""
    root = shutil.copytree(clone, tmp_path_factory.mktemp("validated") / "project")
    enlarge(root, n_per_condition=6)
    run(root, "dvc", "repro", "validate_scenarios")
    return root


@pytest.fixture
def ready(validated: Path, tmp_path: Path) -> Path:
    """A copy of that for one test."""
    return shutil.copytree(validated, tmp_path / "project")


def stopped(root: Path, how: signal.Signals, *command: str) -> tuple[int, str]:
    """Start a program, stop it once an answer is kept, and return its exit code and words."""
    process = subprocess.Popen(
        command, cwd=root, env=environment(), stderr=subprocess.PIPE, text=True
    )
    while n_stored(root) == 0 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(how)
    if how == signal.SIGKILL:  # a child may hold its standard error a little longer
        process.wait()
        return process.returncode, ""
    _, said = process.communicate(timeout=60)
    return process.returncode, said


def test_an_interrupt_keeps_what_was_answered(ready: Path):
    done = command_line.run(ready, "stage", "design", "--cell", "tiny")
    assert done.returncode == 0, done.stderr
    query = ("escalometer", "stage", "query", "--cell", "tiny")
    code, said = stopped(ready, signal.SIGINT, *query)
    assert code == 130
    assert "kept" in said
    assert n_stored(ready) > 0


def test_a_killed_run_leaves_nothing_running_and_goes_on_where_it_was(ready: Path):
    address = "query@tiny"
    stopped(ready, signal.SIGKILL, "dvc", "repro", address)
    time.sleep(2)
    kept = n_stored(ready)
    time.sleep(3)
    assert n_stored(ready) == kept > 0  # the stage ended with it
    rerun = run(ready, "dvc", "repro", address)
    assert f" {n_stored(ready) - kept} model calls," in rerun.stderr
    assert " 0 model calls," not in rerun.stderr


def test_bad_raw_data_stops_the_pipeline_before_any_model_call(project: Path, prefect_url: str):
    command_line.run(project, "stage", "ingest", "--cell", "hmda_mortgages")
    path = project / "data" / "raw" / "hmda_mortgages" / "hmda_mortgages_applications.csv"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    lines[6] = lines[6].replace("no,", "maybe,", 1)
    path.write_text("".join(lines), "utf-8")
    command = ("escalometer", "evaluate", "tiny", "--domains", "hmda_mortgages")
    done = run(project, *command, code=4, PREFECT_API_URL=prefect_url)
    assert "hmda_mortgages_applications.csv" in done.stderr
    assert "maybe" in done.stderr
    assert "row 7" in done.stderr
    assert "Traceback" not in done.stderr
    assert path.read_text("utf-8") == "".join(lines)
    assert n_stored(project) == 0
