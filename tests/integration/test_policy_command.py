"""`escalometer policy`: export from files, sources and projects, show, decide, and bad input."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from escalometer import layout
from escalometer.policy import PolicyError, load
from tests.command_line import run
from tests.conftest import ROOT
from tests.tracked import evaluate, project
from tests.unit.policy_files import scored_rows

RECORDED = ROOT.parent / "shared" / "recorded" / "decisions.parquet"

_COLUMNS = (
    *("model", "domain", "condition", "scenario_id", "signal_accuracy", "has_signal", "label"),
    *("prediction", "escalate", "stated_confidence", "prompt", "resolved_model"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with decisions.parquet, that is no project."""
    found = tmp_path_factory.mktemp("decisions")
    rows = [
        {
            **{name: row[name] for name in _COLUMNS},
            "resolved_model": "m-2026-11",
            "prompt": f"Case {i}.\n\nPredict.",
        }
        for i, row in enumerate(scored_rows())
    ]
    pq.write_table(pa.Table.from_pylist(rows), found / "decisions.parquet")
    return found


@pytest.fixture(scope="module")
def exported(folder: Path) -> Path:
    """The policy of that file at R = 4."""
    done = run(
        folder, "policy", "export", "decisions.parquet", "--cost-ratio", "4", "--out", "p.json"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Policy of m\n")
    return folder / "p.json"


def _document(folder: Path, *arguments: str) -> dict[str, Any]:
    done = run(folder, "policy", "export", *arguments)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_export_of_a_file_has_what_a_deployment_checks(exported):
    policy = load(exported)
    content = policy.content
    assert content["model"] == "m" and content["resolved_models"] == ["m-2026-11"]
    assert content["cost_ratio"] == 4 and content["rule"]["score"] == "stated_confidence"
    assert content["optimal_threshold"] == {"numerator": 3, "denominator": 4}
    assert content["gate"]["verdict"] in ("pass", "fail", "inconclusive")
    assert list(content["digests"]["decisions"]) == ["decisions.parquet"]
    assert content["digests"]["prompts"].startswith("sha256:")
    created, expires = (datetime.fromisoformat(content[k]) for k in ("created_at", "expires_at"))
    assert expires - created == timedelta(days=90)
    assert policy.decide("c7", 0.9, "implement", "m-2026-11").action == "act"
    assert policy.decide("c7", 0.9, "implement", "m-2027").action == "escalate"
    assert sum(content["parts"].values()) == content["n"] == 800


def test_options_are_in_the_file(folder):
    found = _document(
        folder, "decisions.parquet", "--cost-ratio", "10", "--max-wrong-rate", "0.2",
        "--max-escalations-share", "0.95", "--confidence", "0.9", "--valid-days", "7",
    )  # fmt: skip
    assert found["requirements"] | {"n_qualified": 0, "p_value": 0} == {
        "max_wrong_rate": 0.2, "max_escalations_share": 0.95, "confidence": 0.9,
        "n_candidates": found["requirements"]["n_candidates"], "n_qualified": 0, "p_value": 0,
        "is_met": True,
    }  # fmt: skip
    assert found["requirements"]["p_value"] <= 0.1
    expires = datetime.fromisoformat(found["expires_at"])
    assert timedelta(days=6) < expires - datetime.now(UTC) <= timedelta(days=7)


def test_a_limit_that_nothing_keeps_is_said(folder):
    done = run(
        folder, "policy", "export", "decisions.parquet", "--cost-ratio", "4",
        "--max-wrong-rate", "0.0001", "--out", "none.json",
    )  # fmt: skip
    assert done.returncode == 0
    assert "Rule: escalate every decision." in done.stdout
    assert "is shown to keep the limits" in done.stdout
    assert load(folder / "none.json").decide("c7", 0.99, "implement", "m").action == "escalate"


def test_show_and_decide(exported, folder):
    shown = run(folder, "policy", "show", "p.json")
    assert shown.returncode == 0 and "Autonomy map: of 8 conditions" in shown.stdout
    assert all(f"c{i}" in shown.stdout for i in range(8)) and "always escalate" in shown.stdout
    document = json.loads(run(folder, "policy", "show", "p.json", "--json").stdout)
    assert document == json.loads(exported.read_text("utf-8"))
    for options, action in (
        (("--condition", "c7", "--confidence", "0.9", "--own-action", "implement"), "act"),
        (("--condition", "movielens/c7", "--confidence", "0.9", "--own-action", "act"), "act"),
        (("--condition", "c7", "--confidence", "1.2", "--own-action", "implement"), "escalate"),
        (("--condition", "c7", "--confidence", "nan", "--own-action", "implement"), "escalate"),
        (("--condition", "c7", "--confidence", "high", "--own-action", "implement"), "escalate"),
        (("--condition", "c9", "--confidence", "0.9", "--own-action", "implement"), "escalate"),
        (("--condition", "c7", "--confidence", "0.9", "--model", "other"), "escalate"),
    ):
        done = run(folder, "policy", "decide", "p.json", *options)
        assert done.returncode == 0 and done.stdout.startswith(f"{action}: "), options
        found = json.loads(run(folder, "policy", "decide", "p.json", *options, "--json").stdout)
        assert found["action"] == action and found["reason"] in done.stdout


def test_an_edited_policy_is_bad_data(exported, folder):
    content = json.loads(exported.read_text("utf-8"))
    content["rule"]["decides"] = "own"
    (folder / "edited.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(PolicyError):
        load(folder / "edited.json")
    for command in (("show", "edited.json"), ("decide", "edited.json", "--condition", "c7")):
        done = run(folder, "policy", *command)
        assert done.returncode == 4 and "was changed after its export" in done.stderr
        assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("export", "decisions.parquet"), 3, "--cost-ratio"),
        (("export", "decisions.parquet", "--cost-ratio", "1"), 3, "not in the range"),
        (("export", "decisions.parquet", "--cost-ratio", "nan"), 3, "nan is not in"),
        (
            ("export", "decisions.parquet", "--cost-ratio", "4", "--max-wrong-rate", "1.2"),
            3,
            "0<x<1",
        ),
        (("export", "decisions.parquet", "--cost-ratio", "4", "--model", "n"), 3, "unknown model"),
        (("export", "nothing.csv", "--cost-ratio", "4"), 3, "nothing.csv"),
        (("export", "m", "--cost-ratio", "4", "--map", "a=b"), 3, "belongs to a file"),
        (
            ("export", "decisions.parquet", "--cost-ratio", "4", "--intervention", "x"),
            3,
            "unknown intervention",
        ),
        (("show", "nothing.json"), 3, "cannot be read"),
        (("show", "decisions.parquet"), 4, "not valid JSON"),
        (("decide", "nothing.json", "--condition", "c"), 3, "cannot be read"),
    ],
)
def test_wrong_usage_is_named(folder, arguments, code, words):
    done = run(folder, "policy", *arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr


def test_a_ratio_that_no_prompt_states_is_named(tmp_path):
    rows = [
        {
            **{name: row[name] for name in _COLUMNS},
            "cost_ratio": 4.0,
            "intervention": "cost_framing",
        }
        for row in scored_rows(n=20)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    done = run(tmp_path, "policy", "export", "d.parquet", "--cost-ratio", "10")
    assert done.returncode == 3
    assert "no dialogue of cost_framing at R = 10. Prompts of it state R = 4" in done.stderr


def test_a_model_of_a_project_until_it_retires(tmp_path):
    root = project(tmp_path / "project", domains=("movielens",))
    soon = datetime.now(UTC).date() + timedelta(days=10)
    evaluate(root, "m", card={"retires": soon}, n=60, domains=("movielens",))
    found = _document(root, "m", "--cost-ratio", "4")
    assert found["source"] == "pipeline"
    assert found["expires_at"] == f"{soon.isoformat()}T00:00:00+00:00"
    assert list(found["digests"]["decisions"]) == [
        layout.decisions_file("m", "movielens").as_posix()
    ]
    done = run(root, "policy", "export", "absent", "--cost-ratio", "4")
    assert done.returncode == 3


def test_an_imported_source(folder, tmp_path):
    root = project(tmp_path / "project")
    (root / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    done = run(root, "import", str(folder / "decisions.parquet"), "--as", "theirs")
    assert done.returncode == 0, done.stderr
    found = _document(root, "m", "--source", "theirs", "--cost-ratio", "4")
    by_file = _document(root, str(folder / "decisions.parquet"), "--cost-ratio", "4")
    assert found["source"] == "theirs"
    assert {name: found[name] for name in ("rule", "conditions", "held_out")} == {
        name: by_file[name] for name in ("rule", "conditions", "held_out")
    }


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded decisions are absent")
@pytest.mark.parametrize("model", ["Qwen3.5-4B", "Qwen3.5-9B", "gpt-5-mini"])
@pytest.mark.parametrize("ratio", ["2", "4", "10"])
def test_a_policy_of_recorded_decisions_costs_no_more_than_simple_ones_on_held_out_rows(
    model, ratio, tmp_path
):
    """Not above the cheapest of the simple policies by more than chance explains."""
    found = _document(
        tmp_path, str(RECORDED), "--model", model, "--cost-ratio", ratio,
        "--intervention", "baseline",
    )  # fmt: skip
    rows = {row["policy"]: row for row in found["held_out"]["policies"]}
    assert found["held_out"]["n"] > 2000
    for name in ("model", "always_act", "always_escalate"):
        assert rows[name]["difference"]["high"] >= 0, name
    worst = max(row["cost"]["estimate"] for row in rows.values())
    assert rows["exported"]["cost"]["estimate"] < worst


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded decisions are absent")
@pytest.mark.parametrize(
    ("model", "limit"), [("Qwen3.5-4B", 0.12), ("Qwen3.5-9B", 0.15), ("gpt-5-mini", 0.1)]
)
def test_the_promised_wrong_rate_holds_on_recorded_decisions_that_were_held_out(
    model, limit, tmp_path
):
    found = _document(
        tmp_path, str(RECORDED), "--model", model, "--cost-ratio", "4",
        "--intervention", "baseline", "--max-wrong-rate", str(limit),
    )  # fmt: skip
    exported = next(r for r in found["held_out"]["policies"] if r["policy"] == "exported")
    assert found["rule"]["decides"] != "always_escalate" and exported["n_acted"] > 100
    assert exported["wrong_rate"]["estimate"] <= limit
