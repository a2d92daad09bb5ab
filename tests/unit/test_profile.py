"""Keys and types of a profile as in docs/documents.md, also without any estimate."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from escalometer import schema
from escalometer.analysis.decisions import load_decisions
from escalometer.analysis.profile import build_profile
from escalometer.config import AnalyzeParams, Params
from escalometer.documents import Profile
from escalometer.documents.document import read_document
from escalometer.errors import DataError
from escalometer.reporting.dvc_tables import CURVE_COLUMNS
from escalometer.stages import analyze
from tests.sql._tables import DEFAULTS, decisions

ENDS = {
    f"{kind}{end}" for kind in ("", "clustered_", "scenario_", "bound_") for end in ("low", "high")
}
INTERVAL = {"estimate"} | ENDS
FIT = INTERVAL | {"slope", "slope_low", "slope_high", "intercept", "r_squared", "status"}
STUDY_LINE = {"self_estimated_accuracy"}
SCORES = (
    "escalation_accuracy",
    "realized_cost",
    "regret",
    "single_policy_regret",
    "coverage",
    "selective_risk",
)
SIGNALS = {"a": 0.55, "b": 0.65, "c": 0.75, "d": 0.85, "e": 0.95}
PARAMS = Params(
    seed=1,
    models=("m",),
    domains=("movielens", "hmda_mortgages"),
    analyze=AnalyzeParams(cost_ratios=(4.0, 20.0), n_bootstrap=200),
)


def _rows(**stated: Any) -> list[dict[str, Any]]:
    """Return dialogues of a model whose escalation rate decreases with accuracy."""
    rng = np.random.default_rng(7)
    rows = []
    for domain in ("movielens", "hmda_mortgages", "moral_machine"):
        for condition, signal in SIGNALS.items():
            for _ in range(60):
                row = {"domain": domain, "condition": condition, "signal_accuracy": signal}
                rows.append(
                    {
                        **row,
                        "prediction": int(rng.random() < signal),
                        "escalate": int(rng.random() < 1.4 - 1.3 * signal),
                        **stated,
                    }
                )
    return rows


def _model() -> list[dict[str, Any]]:
    return [
        *_rows(),
        *_rows(intervention="no_signal", has_signal=False, status="forced", force_answer=True),
        *_rows(intervention="cost_framing", cost_ratio=4.0, framing="ratio"),
        {"status": "unparsed", "prediction": None, "escalate": None, "times": 3},
    ]


def _profile(rows: list[dict[str, Any]], domains: list[str] | None = None) -> Profile:
    made = build_profile(decisions(rows), "m", "here", PARAMS, domains)
    stored = json.loads(json.dumps(made.as_json(), allow_nan=False))  # strict JSON, plain types
    assert Profile.model_validate(stored) == made
    return made


def test_the_profile_names_the_edition_of_each_domain():
    rows = [
        {"domain": "movielens", "edition": "raw"},
        {"domain": "moral_machine", "edition": "derived"},
        {"domain": "movielens", "edition": "other", "model": "another"},
    ]
    assert _profile(rows).editions == {"moral_machine": "derived", "movielens": "raw"}
    recorded = decisions(rows).drop(["edition"])
    assert build_profile(recorded, "m", "here", PARAMS).editions == {}


def _check_interval(found: dict[str, Any]) -> None:
    assert set(found) >= INTERVAL
    assert all(found[key] is None or isinstance(found[key], float) for key in INTERVAL)
    if found["estimate"] is None:
        assert {found[key] for key in INTERVAL} == {None}


def _check_interface(made: dict[str, Any]) -> None:
    assert set(made["statuses"]) == set(schema.STATUSES)
    assert sum(made["statuses"].values()) == made["n_decisions"]
    for kind in ("linear", "logit", "study_line"):
        fit = made["implicit_threshold"][kind]
        assert set(fit) == FIT | (STUDY_LINE if kind == "study_line" else set())
        assert fit["status"] in ("ok", "extrapolated", "unidentified")
    for name in (
        "predictive_accuracy",
        "self_estimated_accuracy",
        "calibration_bias",
        "calibration_bias_signalled",
    ):
        _check_interval(made[name])
    assert isinstance(made["self_estimated_accuracy"]["n_clipped"], int)
    for point in made["curve"]:
        assert point["low"] <= point["escalation_rate"] <= point["high"]
        assert {"domain", "condition", "signal_accuracy", "predictive_accuracy", "n"} <= set(point)
    for row in made["interventions"]:
        assert row["scored_against"] in ("signal_accuracy", "predictive_accuracy")
        assert {"intervention", "reasoning_effort", "cost_ratio", "framing", "n"} <= set(row)
        assert isinstance(row["is_cost_stated"], bool)
        for name in SCORES:
            _check_interval(row[name])


def test_profile_has_the_documented_keys() -> None:
    made = _profile(_model())
    _check_interface(made.as_json())
    assert (made.model, made.source) == ("m", "here")
    assert made.n_decisions == 2703 and made.n_usable == 2700
    assert made.statuses.model_dump() == {
        "ok": 1800, "forced": 900, "unparsed": 3, "truncated": 0, "refused": 0, "error": 0
    }  # fmt: skip
    assert made.force_answer is True
    fit = made.implicit_threshold.linear
    assert fit.status == "ok"
    assert fit.low < fit.estimate < fit.high
    assert made.self_estimated_accuracy.estimate is not None
    bias = made.calibration_bias
    assert bias.low < bias.estimate < bias.high


def test_a_side_domain_is_on_the_curve_and_excluded_from_pooled_numbers() -> None:
    made = _profile(_model())
    without = _profile([row for row in _model() if row.get("domain") != "moral_machine"])
    assert len(made.curve) == 15 and len(without.curve) == 10
    for name in ("implicit_threshold", "predictive_accuracy", "self_estimated_accuracy"):
        assert getattr(made, name) == getattr(without, name)
    assert made.interventions == without.interventions
    assert made.notes == ("Excluded from pooled numbers: moral_machine.",)


def test_only_requested_domains_are_used() -> None:
    made = _profile(_model(), ["movielens"])
    assert {row.domain for row in made.curve} == {"movielens"}
    assert made.n_decisions == 903
    alone = _profile(_model(), ["moral_machine"])
    assert alone.implicit_threshold.linear.estimate is not None


def test_a_stated_cost_is_scored_only_at_its_ratio() -> None:
    rows = _profile(_model()).interventions
    scored = {(row.intervention, row.cost_ratio, row.is_cost_stated) for row in rows}
    assert scored == {
        ("baseline", 4.0, False),
        ("baseline", 20.0, False),
        ("no_signal", 4.0, False),
        ("no_signal", 20.0, False),
        ("cost_framing", 4.0, True),
    }
    assert len(rows) == 2 * len(scored)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"times": 5, "status": "refused", "prediction": None, "escalate": None}],
        [{"times": 5, "escalate": 1}],
        [{"times": 5, "escalate": 0, "prediction": 0}],
        [{"intervention": "no_signal", "has_signal": False}],
        [{"intervention": "cost_framing", "cost_ratio": 4.0}],
        [{"condition": c, "escalate": 1, "prediction": int(c == "a")} for c in "ab"],
        [{"domain": "moral_machine", "times": 4}],
    ],
    ids=["no rows", "refused", "escalates", "wrong", "no signal", "cost", "flat", "side domain"],
)
def test_degenerate_decisions(rows: list[dict[str, Any]]) -> None:
    made = _profile(rows)
    _check_interface(made.as_json())
    assert made.implicit_threshold.linear.status == "unidentified"
    assert made.implicit_threshold.linear.low is None


def test_the_headline_uses_the_effort_with_a_self_estimate() -> None:
    rows = [
        *_rows(reasoning_effort="minimal"),
        *_rows(reasoning_effort="medium"),
        *_rows(reasoning_effort="medium", intervention="no_signal", has_signal=False),
    ]
    made = _profile(rows)
    assert made.reasoning_effort == "medium"
    assert len(made.curve) == 15
    assert any("several reasoning efforts (medium, minimal)" in note for note in made.notes)


def test_run_writes_the_outputs_of_the_stage(tmp_path: Path) -> None:
    texts = {"prompt": "", "prediction_text": None, "decision_prompt": None, "decision_text": None}
    for domain in PARAMS.domains:
        rows = [
            {**DEFAULTS, **texts, **row}
            for row in _model()
            if row.get("domain", "movielens") == domain
        ]
        rows = [row for row in rows if row.pop("times", None) is None]
        path = tmp_path / "data" / "decisions" / "m" / f"{domain}.parquet"
        schema.write_table(rows, schema.DECISIONS, path)
    analyze.run("m", PARAMS, tmp_path)
    folder = tmp_path / "data" / "profiles" / "m"
    profile = json.loads((folder / "profile.json").read_text(encoding="utf-8"))
    _check_interface(profile)
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["implicit_threshold"] == profile["implicit_threshold"]["linear"]["estimate"]
    assert metrics["share_forced"] == pytest.approx(1 / 3)
    assert "realized_cost.cost_framing.ratio.R4" in metrics
    assert "escalation_accuracy.baseline.R20.signal_accuracy" in metrics
    assert all(isinstance(value, int | float) for value in metrics.values())
    with (folder / "escalation_curve.csv").open(encoding="utf-8") as file:
        curve = list(csv.DictReader(file))
    assert len(curve) == 10 and set(curve[0]) == set(CURVE_COLUMNS)
    headline = json.loads((folder / "headline.json").read_text(encoding="utf-8"))["m"]
    assert headline["implicit_threshold"] == metrics["implicit_threshold"]
    assert headline["R4"]["regret"] == metrics["regret.baseline.R4.predictive_accuracy"]
    with (folder / "cost_curve.csv").open(encoding="utf-8") as file:
        costs = {row["cost_ratio"]: row["realized_cost"] for row in csv.DictReader(file)}
    assert float(costs["4.0"]) == metrics["realized_cost.baseline.R4"]
    table = pq.read_table(folder / "tables" / "escalation_curve.parquet")
    assert isinstance(table, pa.Table) and table.num_rows == 30
    assert (folder / "escalation_curve.svg").read_text(encoding="utf-8").lstrip().startswith("<")
    made = build_profile(load_decisions("m", PARAMS.domains, tmp_path), "m", "pipeline", PARAMS)
    assert made.as_json() == profile  # the command prints the document that the stage wrote
    assert read_document(Profile, folder / "profile.json") == made


def test_absent_decisions_raise_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="m has not been evaluated on movielens"):
        load_decisions("m", ["movielens"], tmp_path)
