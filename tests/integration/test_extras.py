"""The core without the packages of any extra: what works, and what names the extra that it needs.

`make test-core` sets ESCALOMETER_CORE to the Python of an environment that holds the core alone.
Elsewhere the packages of the extras are hidden in each process.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
from pathlib import Path

import pytest

from escalometer.errors import MissingExtra
from escalometer.runtime import extras
from tests.absent import OUTSIDE, absent, command_without
from tests.command_line import environment
from tests.conftest import ROOT

CORE = os.environ.get("ESCALOMETER_CORE")
COMMAND = [CORE, "-m", "escalometer"] if CORE else command_without(OUTSIDE)


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = environment()
    if CORE:  # the installed package, not the checkout
        del env["PYTHONPATH"]
    return subprocess.run(
        [*COMMAND, *arguments], cwd=root, env=env, capture_output=True, text=True, check=False
    )


def rows() -> list[dict[str, object]]:
    """Decisions of two releases on the same scenarios: some escalate, some are wrong."""
    return [
        {
            "model": model,
            "domain": "movielens",
            "condition": f"condition_{condition}",
            "scenario_id": f"s{condition}-{i}",
            "signal_accuracy": 0.5 + 0.05 * condition,
            "has_signal": True,
            "label": i % 2,
            "prediction": i % 2 if i % 20 < 10 + condition else 1 - i % 2,
            "escalate": int(i % (4 + shift) > condition // 2),
            "intervention": intervention,
            "cost_ratio": "" if intervention == "baseline" else 4,
        }
        for shift, model in enumerate(("old", "new"))
        for intervention in ("baseline", "cost_framing")
        for condition in range(8)
        for i in range(25)
    ]


def write(file: Path, content: list[dict[str, object]]) -> Path:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(content[0]))
        writer.writeheader()
        writer.writerows(content)
    return file


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with an imported source, both made without any extra."""
    root = tmp_path_factory.mktemp("core")
    done = run(root, "init")
    assert done.returncode == 0, done.stderr
    assert "Next: escalometer import FILE --as NAME" in done.stdout
    assert "pip install 'escalometer[pipeline]'" in done.stderr
    done = run(root, "import", str(write(root / "d.csv", rows())), "--as", "theirs")
    assert done.returncode == 0, done.stderr
    return root


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("profile", "old", "--source", "theirs"), 0, "Cost per decision"),
        (("profile", "old", "--source", "theirs", "--full"), 0, "condition_3"),
        (("compare", "old", "new", "--source", "theirs"), 0, "escalation"),
        (("gate", "new", "--against", "old", "--source", "theirs", "--json"), None, "verdict"),
        (("report", "--source", "theirs"), 0, "index.html"),
        (("profile", "d.csv", "--model", "old"), 0, "Cost per decision"),
        (("compare", "d.csv", "old", "new"), 0, "escalation"),
        (("gate", "d.csv", "--model", "new", "--against", "old"), None, "new"),
        (("policy", "export", "d.csv", "--model", "new", "--cost-ratio", "4"), 0, "always_act"),
        (("power", "--difference", "0.05"), 0, "needs 32 dialogues"),
        (("models", "list"), 0, "smollm2-135m-instruct"),
        (("init",), 0, "up to date"),
    ],
)
def test_commands_on_recorded_decisions_need_no_extra(project, arguments, code, said):
    done = run(project, *arguments)
    assert done.returncode in ((0, 1, 2) if code is None else (code,)), done.stderr
    assert said in done.stdout


def test_the_python_interface_needs_no_extra(project):
    code = (
        "import duckdb, escalometer\n"
        "table = duckdb.sql(\"from 'd.csv'\").to_arrow_table()\n"
        "print(escalometer.profile(table, model='old').n_decisions)\n"
    )
    command = [CORE] if CORE else command_without(OUTSIDE, "interface.py")
    (project / "interface.py").write_text(code, "utf-8")
    done = subprocess.run(
        [*command, *(["interface.py"] if CORE else [])],
        cwd=project,
        env={k: v for k, v in environment().items() if not (CORE and k == "PYTHONPATH")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "400\n"


def test_recorded_decisions_that_break_their_suite_are_named(project):
    broken = rows()
    broken[2]["label"] = 7
    broken[4]["signal_accuracy"] = 2
    broken[6]["model"] = " old"
    done = run(project, "import", str(write(project / "broken.csv", broken)), "--as", "broken")
    assert done.returncode == 4
    for line in ("row 4: found label = 7", "row 6: found signal_accuracy = 2", "row 8: found"):
        assert line in done.stderr


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("evaluate", "smollm2-135m-instruct"), "pipeline"),
        (("evaluate", "--dry-run", "smollm2-135m-instruct"), "pipeline"),
        (("demo",), "local"),
        (("train", "smollm2-135m-instruct"), "train"),
        (("domains", "check", "domains/support_tickets.yaml"), "pipeline"),
        (("data", "fetch", "movielens"), "pipeline"),
        (("stage", "ingest", "--cell", "movielens"), "pipeline"),
    ],
)
def test_other_commands_name_the_extra_that_they_need(project, arguments, extra):
    if "domains" in arguments:
        run(project, "init", "--example")
    before = (project / "params.yaml").read_bytes()
    done = run(project, *arguments)
    assert done.returncode == 3, done.stderr
    [message] = [line for line in done.stderr.splitlines() if "…" not in line]
    assert message.startswith("error: ")
    assert message.endswith(f"Install the extra {extra!r}: pip install 'escalometer[{extra}]'")
    assert (project / "params.yaml").read_bytes() == before


def test_a_flow_names_the_extra(project):
    command = [CORE, str(ROOT / "flows" / "evaluate.py")] if CORE else None
    done = subprocess.run(
        command or command_without(OUTSIDE, str(ROOT / "flows" / "evaluate.py")),
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr.startswith("error: a flow needs the package ")
    assert "pip install 'escalometer[pipeline]'" in done.stderr


def test_a_provider_names_its_extra_before_the_first_stage(project):
    """With the pipeline, and without what local models need."""
    packages = [*extras.PACKAGES["local"], *extras.PACKAGES["train"]]
    done = subprocess.run(
        [*command_without(packages), "stage", "validate", "--cell", "raw"],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "pip install" not in done.stderr  # stages of hosted models need no local ones
    with absent("torch"), pytest.raises(MissingExtra, match=r"needs the package torch.*\[local\]"):
        extras.need("local", "the provider local")


def test_packages_of_no_extra_are_not_hidden_by_the_message():
    with pytest.raises(ModuleNotFoundError), extras.named("a command"):
        raise ModuleNotFoundError(
            "No module named 'escalometer.nothing'", name="escalometer.nothing"
        )
    with (
        pytest.raises(MissingExtra, match="'escalometer\\[pipeline\\]'"),
        extras.named("a command"),
    ):
        raise ModuleNotFoundError("No module named 'dvc.repo'", name="dvc.repo")


def test_a_suite_without_sql_names_the_extra(project):
    rule = {
        "type": "expect_column_values_to_be_of_type",
        "kwargs": {"column": "model", "type_": "str"},
    }
    suite = {"name": "recorded", "expectations": [rule]}
    file = project / "expectations" / "recorded.json"
    file.write_text(json.dumps(suite), "utf-8")
    try:
        done = run(project, "import", str(project / "d.csv"), "--as", "typed")
    finally:
        file.unlink()
    assert done.returncode == 3
    assert "only Great Expectations evaluates" in done.stderr
    assert "pip install 'escalometer[pipeline]'" in done.stderr
