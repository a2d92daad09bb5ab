"""The command line: help that is quick, errors that say what to do, exit codes as documented."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from escalometer.cli import cli
from escalometer.commands._options import read_limits, spell_limits
from escalometer.config import Workspace, default_params
from tests.command_line import process, run


def described(
    command: click.Command, *path: str
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield the command and those below it, each with the words that call it."""
    yield path, command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from described(below, *path, name)


COMMANDS = dict(described(cli))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_describes_a_command_and_each_of_its_options(path):
    done = run(Path(), *path, "--help")
    assert done.returncode == 0
    told = " ".join(done.stdout.split())
    assert " ".join(["escalometer", *path, ""]) in told.partition("]")[0]
    command = COMMANDS[path]
    assert " ".join(command.help.partition("\n\n")[0].split()) in told
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{option.opts[0]} has no help"
            assert option.opts[-1] in told


@pytest.mark.parametrize(
    "name", [name for name, command in cli.commands.items() if not command.hidden]
)
def test_the_programs_own_help_lists_every_command(name):
    listed = [line.split() for line in run(Path(), "--help").stdout.splitlines()]
    assert any(words[:1] == [name] and len(words) > 2 for words in listed)


def test_the_program_starts_as_a_module(tmp_path):
    done = process(tmp_path, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: python -m escalometer ")


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


@pytest.fixture(scope="module")
def untouched(tmp_path_factory, clone) -> Path:
    """A project for commands that must change nothing."""
    return shutil.copytree(clone, tmp_path_factory.mktemp("untouched") / "project")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evaluate", "nope"], "unknown model 'nope'. There are: "),
        (["evaluate", "tiny", "--domains", "movielense"], "Did you mean 'movielens'?"),
        (["evaluate", "tiny", "--interventions", "baselin"], "Did you mean 'baseline'?"),
        (["evaluate", "tiny", "--cost-ratios", "0.5"], "cost_ratios"),
        (["evaluate", "tiny", "--cost-ratios", "four"], "numbers above 1"),
        (["evaluate", "tiny", "--samples", "0"], "'--samples': 0 is not in the range x>=1"),
        (["evaluate"], "Missing argument 'MODEL...'"),
        (["evaluate", "tiny", "--retry", "nope"], "unknown outcome"),
        (["evaluate", "tiny", "--max-cost", "0"], "'--max-cost': 0.0 is not in the range x>0"),
        (["profile", "nope"], "unknown model 'nope'"),
        (["profile", "tiny", "--source", "elsewhere"], "unknown source 'elsewhere'"),
        (["stage", "query", "--cell", "tiny,movielens"], "stage query takes model as --cell"),
        (["stage", "nope"], "'nope' is not one of 'ingest', "),
        (["nope"], "No such command"),
    ],
)
def test_wrong_usage_says_what_is_right_and_exits_3(untouched, arguments, said):
    before = (untouched / "params.yaml").read_text("utf-8")
    done = run(untouched, *arguments)
    assert done.returncode == 3, done.stderr
    assert said in done.stderr
    assert done.stdout == ""
    assert (untouched / "params.yaml").read_text("utf-8") == before
    assert not (untouched / ".escalometer").exists()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("ESCALOMETER_MAX_COST", "five", "ESCALOMETER_MAX_COST: 'five' is not a valid float"),
        ("ESCALOMETER_MAX_COST", "nan", "ESCALOMETER_MAX_COST: nan is not in the range"),
        ("ESCALOMETER_MAX_REQUESTS", "0", "ESCALOMETER_MAX_REQUESTS: 0 is not in the range x>=1"),
        ("ESCALOMETER_BATCH", "perhaps", "ESCALOMETER_BATCH: 'perhaps' is not a valid boolean"),
    ],
)
def test_a_limit_in_the_environment_that_is_none_exits_3(untouched, variable, value, said):
    done = run(untouched, "evaluate", "tiny", **{variable: value})
    assert done.returncode == 3
    assert said in done.stderr


def test_a_limit_is_read_as_it_was_spelled():
    limits = {"max_cost_usd": 0.5, "max_requests": 7, "allow_unpriced": True, "use_batches": False}
    assert read_limits(spell_limits(limits)) == limits
    assert read_limits({"ESCALOMETER_MAX_COST": ""}) == {}


def test_a_limit_of_the_run_replaces_that_of_the_file():
    params = default_params()
    place = Workspace(Path(), Path(), Path(), limits={"max_requests": 7})
    assert place.asking(params) == params.ask.model_copy(update={"max_requests": 7})
    assert params.ask.max_requests is None


def test_a_misspelt_parameter_exits_3(project):
    path = project / "params.yaml"
    path.write_text(path.read_text("utf-8").replace("n_bootstrap", "n_botstrap"), "utf-8")
    done = run(project, "evaluate", "tiny")
    assert done.returncode == 3
    assert "unknown key 'analyze.n_botstrap'. Did you mean 'n_bootstrap'?" in done.stderr


def test_outside_of_a_project_the_error_says_where_to_go(tmp_path):
    done = run(tmp_path, "evaluate", "tiny")
    assert done.returncode == 3
    assert "no project in" in done.stderr
    assert "escalometer init" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_profile_before_any_decisions_says_how_to_make_them(project):
    done = run(project, "profile", "tiny", "--json")
    assert done.returncode == 4
    assert done.stdout == ""
    assert "run `escalometer evaluate tiny" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "fetch", "movielens"],
        ["data", "status"],
        ["demo"],
        ["evaluate", "tiny"],
        ["models", "add", "http://127.0.0.1:1/v1#m"],
        ["models", "watch"],
        ["report"],
        ["stage", "report"],
        ["store", "canary", "tiny"],
        ["store", "explain", "tiny", "movielens"],
        ["train", "tiny"],
    ],
    ids=" ".join,
)
def test_outside_of_a_project_commands_that_need_one_say_so_and_leave_nothing(tmp_path, arguments):
    done = run(tmp_path, *arguments)
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: no project in {tmp_path}")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
