"""Commands compare and gate: exit codes, JSON, JUnit and errors."""

from __future__ import annotations

import csv
import functools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from escalometer import errors
from escalometer.commands.gate import INTERNAL_ERROR
from escalometer.operations import gate as gate_operation
from tests.command_line import process, run
from tests.conftest import ROOT, read_json
from tests.releases import DOMAINS, release, store

RELEASES: dict[str, dict[str, Any]] = {
    "used": {},
    "good": {"resolved_model": "good-2026-11-01"},
    "bold": {"threshold": 0.45},
    "worse": {"skill": -0.2},
    "small": {"n": 8},
    "mute": {"unanswered": 0.4},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with decisions of six releases on the same scenarios."""
    root = tmp_path_factory.mktemp("project")
    (root / "models").mkdir()
    for name, about in RELEASES.items():
        card = {"id": name, "title": name, "provider": "local", "licence": "x", "context": 1}
        (root / "models" / f"{name}.yaml").write_text(yaml.safe_dump(card), "utf-8")
        store(release(name, **about), root)
    params = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    params |= {"models": list(RELEASES), "domains": list(DOMAINS)}
    params["gate"]["intervention"] = "baseline"
    params["analyze"]["n_bootstrap"] = 200
    (root / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    return root


@pytest.fixture
def rules(place: Path) -> Iterator[Any]:
    """Edit the section `gate` of params.yaml for one test."""
    path = place / "params.yaml"
    before = path.read_text("utf-8")

    def edit(**changes: Any) -> None:
        content = yaml.safe_load(before)
        content["gate"] |= changes
        path.write_text(yaml.safe_dump(content), "utf-8")

    yield edit
    path.write_text(before, "utf-8")


@pytest.mark.parametrize(
    ("arguments", "code", "verdict"),
    [
        (["good", "--against", "used"], 0, "pass"),
        (["good"], 0, "pass"),
        (["bold", "--against", "used"], 1, "fail"),
        (["worse", "--against", "used"], 1, "fail"),
        (["mute", "--against", "used"], 1, "fail"),
        (["good", "--against", "used", "--cost-ratio", "10"], 1, "fail"),
        (["small", "--against", "used"], 2, "inconclusive"),
        (["good", "--against", "small"], 2, "inconclusive"),
    ],
)
def test_the_exit_code_is_the_verdict(
    place: Path, tmp_path: Path, arguments: list[str], code: int, verdict: str
) -> None:
    junit = tmp_path / "gate.xml"
    done = run(place, "gate", *arguments, "--json", "--junit", str(junit))
    assert done.returncode == code, done.stderr
    made = json.loads(done.stdout)
    assert made["verdict"] == verdict
    suite = ET.parse(junit).getroot()  # noqa: S314
    assert int(suite.get("tests", "")) == len(made["rules"])
    failed = [rule for rule in made["rules"] if rule["verdict"] == "fail"]
    skipped = [rule for rule in made["rules"] if rule["verdict"] == "inconclusive"]
    assert int(suite.get("failures", "")) == len(failed)
    assert int(suite.get("skipped", "")) == len(skipped)
    assert suite.get("errors") == "0"


@pytest.mark.parametrize(("arguments", "code"), [(["good"], 0), (["bold"], 1), (["small"], 2)])
def test_a_process_has_the_exit_code_too(place: Path, arguments: list[str], code: int) -> None:
    done = process(place, "gate", *arguments, "--against", "used")
    assert done.returncode == code, done.stderr


def test_the_text_contains_verdict_rules_and_reasons(place: Path) -> None:
    done = run(place, "gate", "bold", "--against", "used")
    assert done.returncode == 1
    assert "Gate for bold, compared with used: FAIL" in done.stdout
    assert "implicit threshold near τ*" in done.stdout
    assert "corrected p < 0.001" in done.stdout
    assert done.stderr == ""


def test_the_verdict_file_is_complete(place: Path) -> None:
    made = json.loads(run(place, "gate", "good", "--against", "used", "--json").stdout)
    assert made["resolved_models"] == {"good": ["good-2026-11-01"], "used": []}
    assert set(made["files"]) == {
        f"data/decisions/{model}/{domain}.parquet"
        for model in ("good", "used")
        for domain in DOMAINS
    }
    assert all(digest.startswith("sha256:") for digest in made["files"].values())
    assert made["params"]["against"] == "used"
    assert {"version", "python", "judged_at", "seed", "n_bootstrap", "source"} <= set(made)


def test_params_set_the_release_in_use_and_the_rules(place: Path, rules: Any) -> None:
    rules(against="used", max_threshold_distance=0.02, intervention="baseline")
    done = run(place, "gate", "good", "--json")
    assert json.loads(done.stdout)["against"] == "used"
    rules(min_dialogues=100_000)
    assert run(place, "gate", "bold").returncode == 2
    rules(intervention="cost_framing")
    assert run(place, "gate", "good").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["gate", "nobody"], 3, "unknown model 'nobody'"),
        (["gate", "good", "--against", "usd"], 3, "Did you mean 'used'?"),
        (["gate", "good", "--against", "good"], 3, "cannot be compared with itself"),
        (["gate", "good", "--cost-ratio", "1"], 3, "--cost-ratio"),
        (["gate", "good", "--source", "elsewhere"], 3, "unknown source 'elsewhere'"),
        (["gate"], 3, "MODEL"),
        (["gate", "good", "--junit", "/dev/null/x.xml"], 3, "cannot be written"),
        (["compare", "good"], 3, "MODEL"),
        (["compare", "good", "good"], 3, "cannot be compared with itself"),
        (["compare", "good", "used", "--out", "x.txt"], 3, ".csv or .parquet"),
    ],
)
def test_wrong_usage_exits_3(place: Path, arguments: list[str], code: int, said: str) -> None:
    done = run(place, *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stdout == ""


def test_a_wrong_rule_exits_3_and_names_it(place: Path, rules: Any) -> None:
    rules(max_regrets=1)
    done = run(place, "gate", "good")
    assert done.returncode == 3
    assert "unknown key 'gate.max_regrets'. Did you mean 'max_regret'?" in done.stderr


def test_missing_decisions_exit_4_without_a_verdict(place: Path, tmp_path: Path) -> None:
    path = place / "data" / "decisions" / "good" / f"{DOMAINS[0]}.parquet"
    moved = path.rename(tmp_path / "away.parquet")
    junit = tmp_path / "gate.xml"
    try:
        done = run(place, "gate", "good", "--junit", str(junit))
    finally:
        shutil.move(moved, path)
    assert done.returncode == 4
    suite = ET.parse(junit).getroot()  # noqa: S314
    assert (suite.get("failures"), suite.get("errors")) == ("0", "1")


def test_an_unexpected_error_exits_70_without_a_verdict(place: Path, tmp_path: Path) -> None:
    """An invalid SQL statement: traceback, exit code 70, JUnit `error`."""
    code = tmp_path / "clone"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("escalometer", "sql"):
        shutil.copytree(ROOT / name, code / name, ignore=ignored)
    shutil.copy(ROOT / "dvc.yaml", code)  # by which a clone is known
    path = code / "sql" / "metrics" / "escalation_curve.sql"
    text = path.read_text("utf-8")
    path.write_text(text.replace("from outcome_counts", "from nothing_at_all"), "utf-8")
    junit = tmp_path / "gate.xml"
    junit.write_text("an old verdict", "utf-8")
    arguments = ("gate", "good", "--against", "used", "--junit", str(junit))
    done = process(place, *arguments, PYTHONPATH=str(code))
    assert done.returncode == INTERNAL_ERROR == 70
    assert "Traceback" in done.stderr and "nothing_at_all" in done.stderr
    suite = ET.parse(junit).getroot()  # noqa: S314
    assert (suite.get("failures"), suite.get("errors")) == ("0", "1")


def test_no_error_has_the_code_of_a_verdict() -> None:
    kinds = errors.EscalometerError.__subclasses__()
    assert len(kinds) >= 5
    assert not {kind.exit_code for kind in (errors.EscalometerError, *kinds)} & {0, 1, 2}


def test_compare_prints_one_document_or_text_and_writes_all_disagreements(
    place: Path, tmp_path: Path
) -> None:
    out = tmp_path / "differ.csv"
    done = run(place, "compare", "used", "bold", "--json", "--out", str(out))
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["models"] == ["used", "bold"]
    assert (made["n_paired"], made["source"]) == (4000, "pipeline")
    with out.open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == made["disagreements"]["n"] > 100
    assert len(made["disagreements"]["dialogues"]) == 100
    text = run(place, "compare", "used", "bold")
    assert text.returncode == 0
    assert "Differences B − A" in text.stdout and "Disagreements" in text.stdout
    parquet = tmp_path / "differ.parquet"
    assert run(place, "compare", "used", "bold", "--out", str(parquet)).returncode == 0
    assert parquet.exists()


def test_it_runs_on_an_ascii_terminal(place: Path) -> None:
    bare = {"PYTHONIOENCODING": "ascii", "PATH": "", "HOME": str(place)}
    done = process(place, "compare", "used", "good", **bare)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()


def test_json_is_strict(place: Path, tmp_path: Path) -> None:
    for number, arguments in enumerate((["compare", "used", "small"], ["gate", "small"])):
        path = tmp_path / f"{number}.json"
        path.write_text(run(place, *arguments, "--json").stdout, "utf-8")
        assert read_json(path)


@pytest.mark.parametrize(
    ("model", "code", "words"), [("good", 0, "pass"), ("bold", 1, "fail"), ("small", 2, "inconcl")]
)
def test_markdown_states_the_verdict_and_keeps_the_exit_code(
    place: Path, tmp_path: Path, model: str, code: int, words: str
) -> None:
    junit = tmp_path / "gate.xml"
    done = run(place, "gate", model, "--against", "used", "--markdown", "--junit", str(junit))
    assert done.returncode == code, done.stderr
    first = done.stdout.splitlines()[0]
    assert first.startswith("### Escalation gate: ") and words in first
    assert first.endswith(f"for `{model}`, compared with `used`")
    assert junit.exists() and done.stderr == ""


def test_markdown_says_that_there_is_no_verdict(place: Path) -> None:
    done = run(place, "gate", "nobody|@me", "--markdown")
    assert done.returncode == errors.UsageError.exit_code
    assert done.stdout.startswith("### Escalation gate: no verdict for nobody&#124;@&#8203;me\n")
    assert "error: unknown model" in done.stderr


def test_markdown_and_json_exclude_each_other(place: Path) -> None:
    done = run(place, "gate", "good", "--markdown", "--json")
    assert done.returncode == errors.UsageError.exit_code
    assert done.stdout == "" and "exclude each other" in done.stderr


def test_a_self_check_is_added_to_the_verdict(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = functools.partial(gate_operation.self_check, n_splits=1)
    monkeypatch.setattr(gate_operation, "self_check", fewer)
    done = run(place, "gate", "small", "--self-check", "--json")
    assert done.returncode == 2
    check = json.loads(done.stdout)["self_check"]
    assert check["n_splits"] == 1 and check["method"] == "halves"
    assert "self-check of small: 1/1 splits" in done.stderr
