"""`escalometer ledger`, its source in profile and gate, and the rule policy_is_current."""

from __future__ import annotations

import csv
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from escalometer import layout
from escalometer.analysis.ledger_results import summarize
from escalometer.analysis.policy_in_use import Evaluated, policy_is_current
from escalometer.config import GateParams
from escalometer.ledger import DecidedCase, Ledger, Outcome
from escalometer.operations import policies
from escalometer.policy import Decision, digest, load
from tests.command_line import run
from tests.conftest import ROOT
from tests.tracked import evaluate, project
from tests.unit.policy_files import NOW, exported, scored_rows

TIME = "2026-11-01T10:00:00+00:00"
ROW: dict[str, Any] = {
    "case_id": "a", "policy": "sha256:p", "time": TIME, "model": "m", "domain": "movielens",
    "condition": "c1", "decision": "act", "reason": "sure", "propensity": 0.2, "is_audited": True,
    "prediction": 1, "signal_accuracy": 0.8, "has_signal": True, "confidence": None,
}  # fmt: skip
OUTCOME = {"case_id": "a", "label": 1, "time": "2026-11-03T10:00:00+01:00", "source": "desk"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = project(tmp_path / "p")
    shutil.copy(ROOT / "dvc.yaml", made)
    return made


def _jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_add_join_and_show(root):
    _jsonl(root / "d.jsonl", [ROW, ROW | {"case_id": "b", "decision": "escalate",
                                          "propensity": 1, "is_audited": False}])  # fmt: skip
    _jsonl(root / "o.jsonl", [OUTCOME])
    assert run(root, "ledger", "show").returncode == 3
    assert run(root, "ledger", "join", "o.jsonl").returncode == 3
    done = run(root, "ledger", "add", "d.jsonl")
    assert (done.returncode, done.stdout) == (0, "decisions: 2 read, 2 new\n"), done.stderr
    assert run(root, "ledger", "add", "d.jsonl").stdout == "decisions: 2 read, 0 new\n"
    done = run(root, "ledger", "join", "o.jsonl", "--json")
    assert json.loads(done.stdout) == {"n_given": 1, "n_new": 1}
    shown = json.loads(run(root, "ledger", "show", "--json").stdout)
    assert (shown["n"], shown["n_acted"], shown["n_escalated"]) == (2, 1, 1)
    assert (shown["n_audited"], shown["n_labelled_acted"], shown["n_pending"]) == (1, 1, 1)
    text = run(root, "ledger", "show").stdout
    assert text.startswith("Ledger: 2 cases, 2026-11-01") and "movielens/c1" in text
    outside = run(root.parent, "ledger", "show")
    assert outside.returncode == 3 and "--ledger FILE" in outside.stderr
    named = run(root.parent, "ledger", "show", "--ledger", "p/.escalometer/ledger.sqlite")
    assert named.returncode == 0 and named.stdout == text


def test_csv_and_parquet_give_the_same_rows(root):
    rows = [ROW, ROW | {"case_id": "b", "is_audited": False, "confidence": 0.5}]
    with (root / "d.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(ROW))
        writer.writeheader()
        writer.writerows(rows)
    times = [row | {"time": datetime.fromisoformat(row["time"])} for row in rows]
    pq.write_table(pa.Table.from_pylist(times), root / "d.parquet")
    _jsonl(root / "d.jsonl", rows)
    for name, n_new in (("d.csv", 2), ("d.parquet", 0), ("d.jsonl", 0)):
        done = run(root, "ledger", "add", name)
        assert done.stdout == f"decisions: 2 read, {n_new} new\n", done.stderr


@pytest.mark.parametrize(
    ("command", "rows", "words"),
    [
        ("add", [ROW, ROW | {"prediction": 0}], "row 2: case 'a' is in the ledger with another"),
        ("add", [ROW, {"case_id": "b"}], "row 2: policy, time, model"),
        ("add", [ROW | {"propensity": "often"}], "row 1: propensity"),
        ("add", [ROW | {"propensity": 2}], "propensity must be in [0, 1]"),
        ("add", [ROW | {"time": "2026-11-01T10:00:00"}], "row 1: time: must have a time zone"),
        ("add", [ROW | {"prediction": 0.5}], "must be a whole number"),
        ("add", [ROW | {"is_audited": "perhaps"}], "must be true or false"),
        ("add", [], "has no rows"),
        ("join", [OUTCOME | {"case_id": "nobody"}], "row 1: case 'nobody' was decided by nobody"),
        ("join", [OUTCOME, OUTCOME | {"label": 0}], "row 2: case 'a' has the label 1 already"),
        ("join", [OUTCOME | {"time": "2026-10-01T00:00:00Z"}], "earlier than its decision"),
    ],
)
def test_bad_rows_exit_4_name_the_row_and_write_nothing(command, rows, words, root):
    ledger = Ledger(layout.ledger_file(root))
    if command == "join":
        _jsonl(root / "d.jsonl", [ROW])
        assert run(root, "ledger", "add", "d.jsonl").returncode == 0
    done = run(root, "ledger", command, str(_jsonl(root / "x.jsonl", rows)))
    assert done.returncode == 4 and words in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert len(list(ledger.decisions())) == (command == "join")
    assert list(ledger.outcomes()) == []


def test_files_that_are_no_ledger_or_no_rows_are_refused(root):
    (root / "x.jsonl").write_text("no json\n")
    done = run(root, "ledger", "add", "x.jsonl")
    assert done.returncode == 4 and "row 1: no JSON" in done.stderr
    (root / "y.parquet").write_text("no parquet")
    assert run(root, "ledger", "add", "y.parquet").returncode == 4
    (root / "other.sqlite").write_text("no database, but long enough to be looked at" * 30)
    _jsonl(root / "d.jsonl", [ROW])
    done = run(root, "ledger", "add", "d.jsonl", "--ledger", "other.sqlite")
    assert done.returncode == 3 and "cannot be used as a ledger" in done.stderr
    done = run(root, "import", "d.jsonl", "--as", "ledger")
    assert done.returncode == 3 and "reserved for decisions in service" in done.stderr


def _served(path: Path, n: int, digest_of_policy: str = "sha256:p", right: float = 0.9) -> None:
    """Fill a ledger: a policy acts on signals of at least 70%."""
    draw = np.random.default_rng(3)
    ledger, decided, outcomes = Ledger(path), [], []
    for i in range(n):
        name, accuracy = [("c1", 0.6), ("c2", 0.75), ("c3", 0.9)][i % 3]
        is_acted = accuracy >= 0.7
        is_right = draw.random() < (right if is_acted else 0.6)
        row = DecidedCase(
            f"k{i}", digest_of_policy, "2026-11-01T10:00:00.000000+00:00", "m", "movielens", name,
            "act" if is_acted else "escalate", "", 0.4 if is_acted else 1.0,
            bool(is_acted and ledger.draw("p", f"k{i}") < 0.4), int(draw.random() < 0.5), "m-2026",
            accuracy, True, None, None,
        )  # fmt: skip
        decided.append(row)
        if row.needs_person:
            label = row.prediction if is_right else 1 - row.prediction
            outcomes.append(Outcome(row.case_id, label, "2026-11-02T10:00:00.000000+00:00"))
    ledger.add(decided)
    ledger.join(outcomes)


def test_profile_and_gate_read_the_ledger(root):
    _served(layout.ledger_file(root), 1500)
    done = run(root, "profile", "m", "--source", "ledger", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["source"] == "ledger"
    assert abs(found["predictive_accuracy"]["estimate"] - 0.8) < 0.08
    assert any("each drawn with probability 40.0%" in note for note in found["notes"])
    gated = run(root, "gate", "m", "--source", "ledger", "--json")
    assert gated.returncode in (0, 1, 2), gated.stderr
    assert json.loads(gated.stdout)["source"] == "ledger"
    report = run(root, "report", "--source", "ledger", "--out", "page")
    assert report.returncode == 0 and (root / "page" / "index.html").is_file(), report.stderr
    done = run(root, "profile", "other", "--source", "ledger")
    assert done.returncode == 3 and "unknown model" in done.stderr


def _set(root: Path, **gate: Any) -> None:
    path = root / "params.yaml"
    params = yaml.safe_load(path.read_text("utf-8"))
    params["gate"] |= gate
    path.write_text(yaml.safe_dump(params), "utf-8")


def test_the_gate_holds_the_policy_in_use_against_the_ledger(root):
    evaluate(root, "used")
    done = run(root, "policy", "export", "used", "--cost-ratio", "4", "--audit-rate", "0.4",
               "--out", "policy.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    policy = load(root / "policy.json")
    assert policy.audit_rate == 0.4 and policy.content["audit_rate"] == 0.4

    def rule() -> dict[str, Any]:
        verdict = json.loads(run(root, "gate", "used", "--json").stdout)
        found = {rule["rule"]: rule for rule in verdict["rules"]}
        return dict(found.get("policy_is_current", {}))

    assert rule() == {}
    _set(root, policy="policy.json", min_audited=50)
    assert rule()["verdict"] == "inconclusive" and "no ledger" in rule()["reason"]
    _served(layout.ledger_file(root), 600, policy.content["digest"], right=0.99)
    assert rule()["verdict"] == "pass", rule()
    shown = json.loads(run(root, "ledger", "show", "--json").stdout)
    assert shown["policy"] == policy.content["digest"] and not shown["alarm"]["is_raised"]
    assert shown["cost"]["estimate"] is not None
    layout.ledger_file(root).rename(root / "good.sqlite")
    _served(layout.ledger_file(root), 900, policy.content["digest"], right=0.3)
    assert rule()["verdict"] == "fail" and "of the acted cases are wrong" in rule()["reason"]
    assert run(root, "gate", "used").returncode == 1
    assert "ALARM" in run(root, "ledger", "show").stdout
    assert "policy in use is current" in run(root, "gate", "used", "--markdown").stdout
    # A new policy is not judged by its predecessor.
    document = policies.of_model("used", policies.Wanted(4), _params(root), root)
    assert "policy_is_current" not in document.gate.rules
    _set(root, policy="absent.json")
    done = run(root, "gate", "used")
    assert done.returncode == 3 and "absent.json" in done.stderr


def _params(root: Path) -> Any:
    from escalometer.config import load_params

    return load_params(root / "params.yaml")


def test_a_policy_that_does_not_fit_fails():
    policy = exported(scored_rows()).model_copy(update={"resolved_models": ("m-1",)})
    fits = Evaluated("m", ("m-1",), policy.digests.prompts)
    rules, day = GateParams(min_audited=5), timedelta(days=1)
    row = DecidedCase("a", policy.digest, TIME, "m", "d", "c", "act", "", 0.5, True, 1)
    ledger = summarize(
        [row._replace(case_id=f"a{i}") for i in range(10)],
        [Outcome(f"a{i}", 1, TIME) for i in range(10)],
        policy,
    )

    def judged(**changes: Any) -> tuple[str, str]:
        given = {"evaluated": fits, "now": NOW + day, "ledger": ledger, "rules": rules, **changes}
        found = policy_is_current(policy, **given)
        return found.verdict, found.reason

    assert judged()[0] == "pass"
    assert judged(rules=GateParams())[0] == "inconclusive"
    assert judged(ledger=None)[0] == "inconclusive"
    assert "expired" in judged(now=NOW + 91 * day)[1]
    for changed in (
        fits._replace(model="n"), fits._replace(resolved_models=("m-1", "m-2")),
        fits._replace(prompts="sha256:other"),
    ):  # fmt: skip
        assert judged(evaluated=changed)[0] == "fail"


def test_a_file_without_an_audit_rate_audits_nothing(tmp_path):
    content = exported(scored_rows()).as_json()
    del content["audit_rate"]
    content["digest"] = digest(content)
    (tmp_path / "p.json").write_text(json.dumps(content), "utf-8")
    policy = load(tmp_path / "p.json")
    ledger = Ledger(tmp_path / "l.sqlite")
    row = ledger.record(
        policy, Decision("act", ""), case_id="a", model="m", domain="d", condition="c",
        prediction=1, now=datetime(2026, 11, 1, tzinfo=UTC),
    )  # fmt: skip
    assert row.propensity == 0 and not row.needs_person
