"""The gate's self-check: halves, replicates, and what is counted."""

from __future__ import annotations

from typing import Any

import numpy as np

from escalometer.analysis.self_check import _halves, _replicate_sides, _rows, self_check
from escalometer.analysis.verdict import build_verdict
from escalometer.config import AnalyzeParams, GateParams, Params
from escalometer.reporting.gate_markdown import gate_markdown
from escalometer.reporting.gate_text import gate_text
from escalometer.reporting.junit import junit_xml
from tests.releases import release, table

PARAMS = Params(
    seed=1, models=("m",), domains=("movielens",), analyze=AnalyzeParams(n_bootstrap=100)
)


def _made(model: str, **about: Any) -> list[dict[str, Any]]:
    return release(model, **{"n": 20, "domains": ("movielens",), **about})


def _scenarios(side: Any, model: str) -> set[tuple[str, int]]:
    columns = (side.column(name).to_pylist() for name in ("model", "scenario_id", "replicate"))
    return {(scenario, r) for m, scenario, r in zip(*columns, strict=True) if m == model}


def test_halves_have_other_scenarios_and_half_of_each_condition() -> None:
    decisions = table(_made("new"), _made("old"))
    first, second = _halves(np.random.default_rng(1), decisions, _rows(decisions))
    assert first.num_rows + second.num_rows == decisions.num_rows
    assert not _scenarios(first, "new") & _scenarios(second, "new")
    assert _scenarios(first, "new") == _scenarios(first, "old")  # pairs stay together
    for side in (first, second):
        counts = side.column("condition").value_counts().to_pylist()
        assert {row["counts"] for row in counts} == {20}  # ten scenarios, of either model
    again, _ = _halves(np.random.default_rng(1), decisions, _rows(decisions))
    assert again.equals(first)


def test_replicates_are_of_the_same_scenarios() -> None:
    repeated = [*_made("new"), *({**row, "replicate": 4} for row in _made("new", noise=0.5))]
    decisions = table(repeated, _made("old"))
    first, second = _replicate_sides(
        np.random.default_rng(1), decisions, _rows(decisions), "new", 2
    )
    assert _scenarios(first, "new") == _scenarios(second, "new")
    assert {r for _, r in _scenarios(first, "new")} == {0}
    assert _scenarios(first, "old") == _scenarios(second, "old") != set()
    answers = [
        {*zip(s.column("scenario_id").to_pylist(), s.column("escalate").to_pylist(), strict=True)}
        for s in (first, second)
    ]
    assert answers[0] != answers[1]


def test_the_check_changes_no_verdict_and_is_reproducible() -> None:
    decisions = table(_made("new"), _made("old"))
    rules = GateParams(against="old", min_dialogues=100)
    verdict = build_verdict(decisions, "new", "here", PARAMS, rules)
    check = self_check(decisions, verdict, PARAMS, 2)
    assert check == self_check(decisions, verdict, PARAMS, 2)
    assert (check.method, check.part, check.n_splits, check.n_dialogues) == ("halves", 0.5, 2, 80)
    assert check.min_dialogues == 50 and sum(check.outcomes.values()) == 4
    assert [rule.rule for rule in check.rules] == [rule.rule for rule in verdict.rules]
    assert check.false_failures is not None and check.flips.high is not None
    made = verdict.model_copy(update={"self_check": check})
    assert made.verdict == verdict.verdict and made.rules == verdict.rules
    for written in (gate_text(made), gate_markdown(made), junit_xml(made)):
        assert "2 pairs of random halves of the scenarios" in " ".join(written.split())


def test_parts_without_any_answer_have_no_verdict() -> None:
    failed = {"status": "error", "prediction": None, "escalate": None}
    rows = [{**row, **failed} for row in _made("new")]
    rows[0] |= {"status": "ok", "prediction": 1, "escalate": 0}
    decisions = table(rows)
    rules = GateParams(max_regret=None, max_threshold_distance=None)
    verdict = build_verdict(decisions, "new", "here", PARAMS, rules)
    check = self_check(decisions, verdict, PARAMS, 1)
    assert check.outcomes["no verdict"] == 1 and check.flips.estimate == 1
