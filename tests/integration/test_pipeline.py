"""Bringing stages up to date: what DVC itself would run, in its order, with its dvc.lock."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from escalometer.errors import BudgetError, DataError, UsageError
from escalometer.pipeline import StageFailed, bring_up_to_date, first_outdated, stage_addresses
from tests.command_line import BIN, environment

pytestmark = pytest.mark.timeout(240)


def write(root: Path, **changes: str) -> None:
    stages = {
        "first": {
            "matrix": {"n": [1, 2]},
            "cmd": "echo ${item.n} >> log; cat source.txt > first-${item.n}.txt",
            "deps": ["source.txt"],
            "outs": ["first-${item.n}.txt"],
        },
        "second": {
            "cmd": "echo second >> log; cat first-1.txt first-2.txt > second.txt",
            "deps": ["first-1.txt", "first-2.txt"],
            "outs": ["second.txt"],
        },
        "third": {
            "cmd": "echo third >> log; cat second.txt > third.txt",
            "deps": ["second.txt"],
            "outs": ["third.txt"],
        },
    }
    for name, cmd in changes.items():
        stages[name]["cmd"] = cmd
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False), "utf-8")


def dvc(root: Path, *arguments: str) -> str:
    command = [str(BIN / "dvc"), *arguments]
    done = subprocess.run(
        command, cwd=root, env=environment(), capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    dvc(root, "init", "-q")
    (root / "source.txt").write_text("a\n", "utf-8")
    write(root)
    monkeypatch.chdir(root)
    return root


def logged(root: Path) -> list[str]:
    path = root / "log"
    said = path.read_text("utf-8").split() if path.exists() else []
    path.unlink(missing_ok=True)
    return said


def test_stages_run_once_in_order_and_dvc_agrees(root: Path) -> None:
    addresses = stage_addresses()
    assert addresses == ["first@1", "first@2", "second", "third"]
    assert first_outdated(list) == (addresses, "first@1")
    assert bring_up_to_date(addresses) == addresses
    assert logged(root) == ["1", "2", "second", "third"]
    assert first_outdated(list) == (addresses, None)
    assert bring_up_to_date(addresses) == []
    assert "up to date" in dvc(root, "status")
    lock = (root / "dvc.lock").read_bytes()
    (root / "dvc.lock").unlink()
    dvc(root, "repro", "--force")
    assert (root / "dvc.lock").read_bytes() == lock


def test_only_what_changed_or_is_forced_runs(root: Path) -> None:
    addresses = stage_addresses()
    bring_up_to_date(addresses)
    logged(root)
    assert bring_up_to_date(addresses, is_forced=lambda address: address == "second") == ["second"]
    assert logged(root) == ["second"]
    (root / "source.txt").write_text("b\n", "utf-8")
    assert first_outdated(lambda all_: all_[2:])[1] is None  # its inputs are as they were
    assert bring_up_to_date(addresses[:2]) == ["first@1", "first@2"]
    assert first_outdated(list)[1] == "second"


def test_a_failed_stage_leaves_what_was_done_before_it_in_the_lock(root: Path) -> None:
    write(root, third="exit 7")
    addresses = stage_addresses()
    with pytest.raises(StageFailed, match="stage third stopped") as failed:
        bring_up_to_date(addresses)
    assert failed.value.exit_code == 7
    assert set(yaml.safe_load((root / "dvc.lock").read_text())["stages"]) == set(addresses[:3])
    logged(root)
    write(root)
    assert bring_up_to_date(addresses) == ["third"]


def test_an_error_between_stages_ends_the_run_as_itself(root: Path) -> None:
    def around(address: str, bring) -> bool:
        if address == "third":
            raise BudgetError("enough")
        return bring()

    with pytest.raises(BudgetError, match="enough"):
        bring_up_to_date(stage_addresses(), around=around)
    assert logged(root) == ["1", "2", "second"]
    assert bring_up_to_date(stage_addresses()) == ["third"]


def test_a_missing_input_is_an_error_of_data(root: Path) -> None:
    (root / "source.txt").unlink()
    with pytest.raises(DataError, match=r"first@1.*source\.txt"):
        bring_up_to_date(stage_addresses())


def test_a_pipeline_that_is_none_is_an_error_of_configuration(root: Path) -> None:
    (root / "dvc.yaml").write_text("stages: [", "utf-8")
    with pytest.raises(UsageError, match="DVC cannot read the pipeline"):
        bring_up_to_date(["first@1"])
