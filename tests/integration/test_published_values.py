"""The paper's numbers, computed from its decisions, to the printed digit."""

from __future__ import annotations

import csv
import re
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from escalometer.analysis.decisions import COLUMNS
from escalometer.analysis.profile import build_profile
from escalometer.config import AnalyzeParams, Params
from escalometer.documents import Interval, Profile
from escalometer.documents.profile import InterventionScores
from tests.conftest import ROOT
from tests.integration._study import RECORDED, decisions
from tests.sql._tables import measure

pytestmark = pytest.mark.skipif(
    not RECORDED.exists(), reason="the recorded decisions are not beside this checkout"
)

PARAMS = Params(
    seed=1, models=("m",), domains=("movielens",), analyze=AnalyzeParams(n_bootstrap=2000)
)
DOCUMENT = ROOT / "docs" / "reproduction.md"


@cache
def _profile(model: str) -> Profile:
    return build_profile(decisions(), model, "study", PARAMS)


def _analyzed() -> pa.Table:
    return decisions().select(list(COLUMNS))


@cache
def _tables() -> dict[str, pa.Table]:
    return measure(_analyzed(), n_threads=2)


def _per_cent(value: float, digits: int) -> str:
    return f"{100 * value:.{digits}f}"


@pytest.mark.parametrize(
    ("model", "threshold", "digits"),
    [("Qwen3.5-4B", "60.98", 2), ("Qwen3.5-9B", "56.03", 2), ("gpt-5-mini", "57.3", 1)],
)
def test_the_threshold_of_the_study_line(model: str, threshold: str, digits: int) -> None:
    fit = _profile(model).implicit_threshold.study_line
    assert _per_cent(fit.estimate, digits) == threshold
    assert fit.status == "ok"
    assert fit.low < fit.estimate < fit.high


@pytest.mark.parametrize(
    ("model", "own", "accuracy"),
    [
        ("Qwen3.5-4B", "82.1", "76.5"),
        ("Qwen3.5-9B", "93.6", "75.4"),
        ("gpt-5-mini", "82.7", "80.8"),
    ],
)
def test_self_estimated_and_predictive_accuracy(model: str, own: str, accuracy: str) -> None:
    """Both are means over conditions with equal weight; the mean rate is inverted once."""
    made = _profile(model)
    assert _per_cent(made.implicit_threshold.study_line.self_estimated_accuracy, 1) == own
    assert _per_cent(made.predictive_accuracy.estimate, 1) == accuracy


@pytest.mark.parametrize(
    ("model", "matched", "paper"),
    [("Qwen3.5-4B", "4.5", "5.6"), ("Qwen3.5-9B", "17.3", "18.1"), ("gpt-5-mini", "0.8", "2.8")],
)
def test_matched_bias_and_bias_relative_to_accuracy_with_signal(
    model: str, matched: str, paper: str
) -> None:
    """Relative to the accuracy of the same conditions: without signal (matched) and with it."""
    [row] = [
        row
        for row in _tables()["self_estimate_summary"].to_pylist()
        if row["model"] == model and row["domain"] is None
    ]
    assert _per_cent(row["calibration_bias"], 1) == matched
    assert _per_cent(row["calibration_bias_signalled"], 1) == paper


@pytest.mark.parametrize(
    ("model", "threshold"),
    [("Qwen3.5-4B", "61.43"), ("Qwen3.5-9B", "56.67"), ("gpt-5-mini", "58.45")],
)
def test_the_threshold_corrected_for_noise(model: str, threshold: str) -> None:
    """As ../shared/docs/method.md has it, computed there by other code."""
    made = _profile(model)
    fit = made.implicit_threshold.linear
    assert _per_cent(fit.estimate, 2) == threshold
    bias = made.self_estimated_accuracy.estimate - made.calibration_bias.estimate
    [row] = [
        row
        for row in _tables()["self_estimate_summary"].to_pylist()
        if row["model"] == model and row["domain"] is None
    ]
    assert bias == pytest.approx(row["predictive_accuracy"])


def _score(model: str, effort: str | None, stated: bool, without: str | None) -> dict[str, Any]:
    table = _analyzed()
    if without is not None:
        table = table.filter(pc.field("domain") != without)
    [row] = [
        row
        for row in measure(table)["escalation_accuracy"].to_pylist()
        if row["model"] == model
        and row["domain"] is None
        and row["reasoning_effort"] == effort
        and row["intervention"] == ("cost_framing" if stated else "baseline")
        and row["cost_ratio"] == 4
        and row["scored_against"] == "signal_accuracy"
    ]
    return row


@pytest.mark.parametrize(
    ("effort", "stated", "n", "share", "low", "high"),
    [
        ("minimal", False, 7500, "66.33", "65.3", "67.4"),
        ("minimal", True, 7500, "77.67", "76.7", "78.6"),
        ("medium", False, 6881, "71.20", "70.1", "72.3"),
        ("medium", True, 3377, "91.41", "90.4", "92.3"),
    ],
)
def test_escalation_accuracy_of_gpt_5_mini(
    effort: str, stated: bool, n: int, share: str, low: str, high: str
) -> None:
    row = _score("gpt-5-mini", effort, stated, without="movielens")
    assert row["n"] == n
    assert _per_cent(row["escalation_accuracy"], 2) == share
    assert _per_cent(row["escalation_accuracy_low"], 1) == low
    assert _per_cent(row["escalation_accuracy_high"], 1) == high


@pytest.mark.parametrize(
    ("stated", "n", "share", "n_pooled", "pooled"),
    [(False, 9813, "62.28", 19766, "59.0"), (True, 9947, "63.22", 19901, "59.8")],
)
def test_escalation_accuracy_of_qwen_with_isolated_runs_separate_and_pooled(
    stated: bool, n: int, share: str, n_pooled: int, pooled: str
) -> None:
    rows = [
        row
        for row in _tables()["escalation_accuracy"].to_pylist()
        if row["model"] == "Qwen3.5-9B"
        and row["domain"] is None
        and row["has_signal"]
        and not row["is_thinking"]
        and row["cost_ratio"] == 4
        and row["is_cost_stated"] == stated
        and row["scored_against"] == "signal_accuracy"
    ]
    [apart] = [row for row in rows if not row["is_isolated"]]
    assert (apart["n"], _per_cent(apart["escalation_accuracy"], 2)) == (n, share)
    assert sum(row["n"] for row in rows) == n_pooled
    n_optimal = sum(row["n_optimal"] for row in rows)
    assert _per_cent(n_optimal / n_pooled, 1) == pooled


def _pooled(stated: bool) -> InterventionScores:
    profile = build_profile(decisions(), "Qwen3.5-9B", "study", PARAMS, is_pooled=True)
    return _scores(profile, "cost_framing" if stated else "baseline")


def _scores(profile: Profile, intervention: str) -> InterventionScores:
    [row] = [
        row
        for row in profile.interventions
        if row.intervention == intervention and row.scored_against == "signal_accuracy"
    ]
    return row


@pytest.mark.parametrize(("stated", "n", "share"), [(False, 19766, "59.0"), (True, 19901, "59.8")])
def test_the_pooled_profile_equals_the_paper(stated: bool, n: int, share: str) -> None:
    row = _pooled(stated)
    assert (row.n, _per_cent(row.escalation_accuracy.estimate, 1)) == (n, share)


def _obtained() -> dict[str, str]:
    """Return the values that docs/reproduction.md must list as obtained, by its first column."""
    found = {}
    for model in ("Qwen3.5-4B", "Qwen3.5-9B", "gpt-5-mini"):
        made = _profile(model)
        for name, interval in (
            ("threshold, study's line", made.implicit_threshold.study_line),
            ("threshold, corrected", made.implicit_threshold.linear),
            ("self-estimated accuracy, corrected", made.self_estimated_accuracy),
            ("predictive accuracy", made.predictive_accuracy),
        ):
            found[f"{model}, {name}"] = _spelt(interval, 2)
        own = made.implicit_threshold.study_line.self_estimated_accuracy
        found[f"{model}, self-estimated accuracy, study's line"] = f"{_per_cent(own, 2)}%"
    for effort in ("minimal", "medium"):
        for stated in (False, True):
            row = _score("gpt-5-mini", effort, stated, without="movielens")
            found[f"gpt-5-mini, {effort}, {'cost 4' if stated else 'no cost'}"] = (
                f"{_per_cent(row['escalation_accuracy'], 2)}% "
                f"[{_per_cent(row['escalation_accuracy_low'], 1)}, "
                f"{_per_cent(row['escalation_accuracy_high'], 1)}], n = {row['n']:,}"
            )
    for stated in (False, True):
        cost = "cost 4" if stated else "no cost"
        apart = _scores(_profile("Qwen3.5-9B"), "cost_framing" if stated else "baseline")
        for name, scores in (("unpooled", apart), ("pooled", _pooled(stated))):
            found[f"Qwen3.5-9B, {cost}, {name}"] = (
                f"{_spelt(scores.escalation_accuracy, 2)}, n = {scores.n:,}"
            )
    return found


def _spelt(interval: Interval, digits: int) -> str:
    value, low, high = interval.estimate, interval.low, interval.high
    return f"{_per_cent(value, digits)}% [{_per_cent(low, 1)}, {_per_cent(high, 1)}]"


def test_the_document_lists_the_obtained_values() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|", DOCUMENT.read_text("utf-8"), re.M)
    written = {name.strip(): obtained.strip() for name, _, obtained in rows}
    for name, obtained in _obtained().items():
        assert written.get(name) == obtained, name


def test_the_picture_of_escalation_curves_shows_the_recorded_decisions() -> None:
    with (ROOT / "docs" / "pictures" / "recorded-curves.csv").open(encoding="utf-8") as file:
        drawn = list(csv.DictReader(file))
    rows = [
        row
        for row in decisions().to_pylist()
        if row["intervention"] == "baseline" and row["domain"] != "moral_machine"
    ]
    for line in drawn:
        keys = ("model", "domain", "condition")
        own = [row for row in rows if all(row[key] == line[key] for key in keys)]
        right = sum(row["prediction"] == row["label"] for row in own)
        escalated = sum(bool(row["escalate"]) for row in own)
        assert len(own) == int(line["n"])
        assert right / len(own) == pytest.approx(float(line["predictive_accuracy"]), abs=5e-5)
        assert escalated / len(own) == pytest.approx(float(line["escalation_rate"]), abs=5e-5)
    assert {line["model"] for line in drawn} == {"Qwen3.5-4B", "Qwen3.5-9B"}
