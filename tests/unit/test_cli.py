"""The command line: help that is quick, errors that say what to do, exit codes as documented."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from escalometer.cli import cli


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "escalometer", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["", *sorted(cli.commands)])
def test_help_teaches_every_command(project, command):
    done = run(project, *command.split(), "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout
    assert len(done.stdout.splitlines()) > 4


def test_help_imports_nothing_heavy():
    code = "import sys, escalometer.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {
        "torch",
        "transformers",
        "pandas",
        "numpy",
        "duckdb",
        "prefect",
        "dvc",
        "mlflow",
        "pydantic",
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evaluate", "nope"], "unknown model 'nope'. There are: tiny."),
        (["evaluate", "tiny", "--domains", "movielense"], "Did you mean 'movielens'?"),
        (["evaluate", "tiny", "--interventions", "baselin"], "Did you mean 'baseline'?"),
        (["evaluate", "tiny", "--cost-ratios", "0.5"], "cost_ratios"),
        (["evaluate", "tiny", "--cost-ratios", "four"], "numbers above 1"),
        (["evaluate", "tiny", "--samples", "0"], "--samples"),
        (["evaluate"], "MODEL"),
        (["evaluate", "tiny", "--retry", "nope"], "unknown outcome"),
        (["evaluate", "tiny", "--max-cost", "0"], "0"),
        (["profile", "nope"], "unknown model 'nope'"),
        (["profile", "tiny", "--source", "elsewhere"], "unknown source 'elsewhere'"),
        (["stage", "query", "--cell", "tiny"], "model,domain"),
        (["stage", "nope"], "nope"),
        (["nope"], "No such command"),
    ],
)
def test_wrong_usage_says_what_is_right_and_exits_3(project, arguments, said):
    before = (project / "params.yaml").read_text("utf-8")
    done = run(project, *arguments)
    assert done.returncode == 3, done.stderr
    assert said in done.stderr
    assert done.stdout == ""
    assert (project / "params.yaml").read_text("utf-8") == before
    assert not (project / ".escalometer").exists()


def test_a_misspelt_parameter_exits_3(project):
    path = project / "params.yaml"
    path.write_text(path.read_text("utf-8").replace("n_bootstrap", "n_botstrap"), "utf-8")
    done = run(project, "evaluate", "tiny")
    assert done.returncode == 3
    assert "unknown key 'analyze.n_botstrap'. Did you mean 'n_bootstrap'?" in done.stderr


def test_outside_of_a_project_the_error_says_where_to_go(tmp_path):
    done = run(tmp_path, "evaluate", "tiny")
    assert done.returncode == 3
    assert "project's root" in done.stderr


def test_a_profile_before_any_decisions_says_how_to_make_them(project):
    began = time.monotonic()
    done = run(project, "profile", "tiny", "--json")
    assert done.returncode == 4
    assert done.stdout == ""
    assert "does not exist" in done.stderr
    assert time.monotonic() - began < 60
