"""The gate: releases that pass, fail or have too little data; single rules; text and JUnit."""

from __future__ import annotations

import json
from functools import cache
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from pydantic import ValidationError

from escalometer.analysis.regressions import WORSE, turned
from escalometer.analysis.rule_results import limited
from escalometer.config import AnalyzeParams, GateParams, MinEffectParams, Params
from escalometer.documents import RuleResult, Verdict
from escalometer.documents.interval import BoundedInterval
from escalometer.documents.profile import Design
from escalometer.documents.verdict import Observed
from escalometer.errors import DataError, ProviderError, UsageError
from escalometer.operations.gate import EXIT_CODES, build_verdict
from escalometer.reporting.gate_rules import TITLES
from escalometer.reporting.gate_text import gate_text
from escalometer.reporting.junit import junit_error, junit_xml
from tests.releases import DOMAINS, release, table

PARAMS = Params(seed=1, models=("m",), domains=DOMAINS, analyze=AnalyzeParams(n_bootstrap=200))


@cache
def _old() -> list[dict[str, Any]]:
    return release("old")


def _gate(
    new: list[dict[str, Any]],
    old: list[dict[str, Any]] | None = None,
    designs: Any = None,
    **rules: Any,
) -> Verdict:
    against = {"against": "old"} if old is not None else {}
    gate = GateParams(**{**against, **rules})
    made = build_verdict(table(new, old or []), "new", "here", PARAMS, gate, designs)
    stored = json.loads(json.dumps(made.as_json(), allow_nan=False))
    assert Verdict.model_validate(stored) == made
    assert gate_text(made)
    root = ET.fromstring(junit_xml(made))  # noqa: S314
    assert int(root.get("tests", "")) == len(made.rules)
    return made


def _verdicts(made: Verdict) -> dict[str, str]:
    return {rule.rule: rule.verdict for rule in made.rules}


def _rule(made: Verdict, name: str) -> RuleResult:
    [found] = [rule for rule in made.rules if rule.rule == name]
    return found


def test_a_good_release_passes_every_rule() -> None:
    made = _gate(release("new"), _old())
    assert made.verdict == "pass"
    assert set(_verdicts(made).values()) == {"pass"}
    assert set(_verdicts(made)) == {
        "parse_rate", "regret", "threshold", "no_worse_realized_cost", "no_worse_regret",
        "no_worse_threshold_distance", "no_worse_predictive_accuracy", "no_worse_share_answered",
    }  # fmt: skip


def test_without_a_release_in_use_only_limits_are_checked() -> None:
    made = _gate(release("new"))
    assert set(_verdicts(made)) == {"parse_rate", "regret", "threshold"}
    assert made.verdict == "pass"
    assert any("nothing is compared" in note for note in made.notes)


@pytest.mark.parametrize(
    ("new", "failing"),
    [
        ({"unanswered": 0.3}, {"parse_rate", "no_worse_share_answered"}),
        ({"threshold": 0.45}, {"threshold", "no_worse_regret", "no_worse_realized_cost"}),
        ({"threshold": 0.95}, {"threshold", "no_worse_regret"}),
        ({"skill": -0.3}, {"regret", "threshold", "no_worse_predictive_accuracy"}),
    ],
)
def test_a_bad_release_fails_the_rules_that_it_breaks(
    new: dict[str, float], failing: set[str]
) -> None:
    made = _gate(release("new", **new), _old())
    assert made.verdict == "fail"
    assert failing <= {name for name, verdict in _verdicts(made).items() if verdict == "fail"}
    for name in failing:
        assert _rule(made, name).reason


@pytest.mark.parametrize(
    ("rules", "rule"),
    [
        ({"max_regret": 0.02}, "regret"),
        ({"max_threshold_distance": 0.01}, "threshold"),
        ({"min_parse_rate": 0.9995}, "parse_rate"),
    ],
)
def test_an_interval_that_contains_the_limit_is_inconclusive(
    rules: dict[str, float], rule: str
) -> None:
    made = _gate(release("new"), **rules)
    assert _verdicts(made)[rule] == made.verdict == "inconclusive"


def test_too_little_data_is_always_inconclusive() -> None:
    for new in ({}, {"threshold": 0.3, "skill": -0.5}, {"unanswered": 1.0}):
        made = _gate(release("new", n=12, **new), release("old", n=12))
        assert made.verdict == "inconclusive"
        assert set(_verdicts(made).values()) == {"inconclusive"}
        assert all("too little data: " in rule.reason for rule in made.rules)


def test_too_little_data_of_the_release_in_use_makes_comparisons_inconclusive() -> None:
    made = _gate(release("new"), release("old", n=5))
    verdicts = _verdicts(made)
    assert verdicts.pop("parse_rate") == verdicts.pop("regret") == "pass"
    assert verdicts.pop("threshold") == "pass"
    assert set(verdicts.values()) == {"inconclusive"}
    assert made.verdict == "inconclusive"


def test_enough_dialogues_without_any_answer_fail_the_parse_rate() -> None:
    made = _gate(release("new", n=50, unanswered=1.0))
    assert _verdicts(made) == {
        "parse_rate": "fail", "regret": "inconclusive", "threshold": "inconclusive"
    }  # fmt: skip
    assert made.verdict == "fail"


def _failing(rows: list[dict[str, Any]], share: float) -> list[dict[str, Any]]:
    """Return the rows, with a share of them changed to provider errors."""
    failed = {"status": "error", "prediction": None, "escalate": None}
    return [{**row, **failed} if i % 100 < 100 * share else row for i, row in enumerate(rows)]


@pytest.mark.parametrize("share", [0.04, 0.3, 0.9])
def test_an_outage_does_not_fail_the_release(share: float) -> None:
    made = _gate(_failing(release("new"), share), _old())
    assert "fail" not in _verdicts(made).values()
    assert _verdicts(made)["parse_rate"] == _verdicts(made)["no_worse_share_answered"] == "pass"
    assert made.n_failed == 4000 * share
    assert any("The provider failed" in note for note in made.notes)


def test_numbers_missing_after_an_outage_are_inconclusive() -> None:
    always = [{**row, "escalate": 1} for row in release("new")]
    made = _gate(_failing(always, 0.3), max_regret=10)
    assert _verdicts(made)["threshold"] == "inconclusive"
    assert "the provider failed in 1,200 dialogues" in _rule(made, "threshold").reason
    assert _verdicts(_gate(_failing(always, 0.02), max_regret=10))["threshold"] == "fail"


def test_only_provider_errors_raise_an_error() -> None:
    with pytest.raises(ProviderError, match="failed in all 4000"):
        _gate(_failing(release("new"), 1.0), _old())


def test_a_model_without_decisions_raises_an_error() -> None:
    with pytest.raises(DataError, match="has no decisions of old"):
        _gate(release("new"), [])
    with pytest.raises(DataError, match="has no decisions of new"):
        _gate([], _old())


def test_a_missing_metric_fails() -> None:
    always = [{**row, "escalate": 1} for row in release("new")]
    made = _gate(always, _old(), max_regret=10)
    assert _rule(made, "threshold").reason.startswith("missing: no threshold")
    found = _rule(made, "no_worse_threshold_distance")
    assert found.verdict == "fail" and "new has no threshold" in found.reason


def test_an_intervention_without_dialogues_fails_as_missing() -> None:
    made = _gate(release("new"), _old(), intervention="cost_framing")
    assert set(_verdicts(made).values()) == {"fail"}
    assert "no dialogue of cost_framing at R = 4" in made.rules[0].reason


def test_a_missing_metric_of_the_release_in_use_fails() -> None:
    rules = {"min_effect": MinEffectParams(calibration_bias_size=0.05)}
    found = _rule(_gate(release("new"), _old(), **rules), "no_worse_calibration_bias_size")
    assert found.verdict == "fail" and found.reason.startswith("missing")


def test_significant_regressions_within_the_tolerance_pass() -> None:
    new = release("new", n=1500, skill=-0.02, noise=0.0)
    made = _gate(new, release("old", n=1500, noise=0.0))
    found = _rule(made, "no_worse_predictive_accuracy")
    assert found.observed.p_corrected < 0.001
    assert 0 < found.observed.estimate < found.observed.high < 0.03
    assert found.verdict == "pass"
    strict = _gate(
        new,
        release("old", n=1500, noise=0.0),
        min_effect=MinEffectParams(predictive_accuracy=0.001),
    )
    assert _rule(strict, "no_worse_predictive_accuracy").verdict == "fail"


def test_an_improvement_is_not_a_regression() -> None:
    made = _gate(release("new"), release("old", threshold=0.5, skill=-0.2, unanswered=0.1))
    found = [rule for rule in made.rules if rule.rule.startswith("no_worse")]
    # Missing answers of the release in use could have been better: those rules are inconclusive.
    assert {rule.verdict for rule in found} <= {"pass", "inconclusive"}
    assert _rule(made, "no_worse_predictive_accuracy").verdict == "pass"
    assert _rule(made, "no_worse_predictive_accuracy").observed.estimate < 0


def test_a_pass_that_depends_on_missing_answers_is_inconclusive() -> None:
    made = _gate(release("new", unanswered=0.04), min_parse_rate=0.9, max_regret=0.06)
    found = _rule(made, "regret")
    assert found.observed.high < 0.06 < found.observed.bound_high
    assert found.verdict == "inconclusive" and "missing answers" in found.reason


def test_the_cost_ratio_shifts_the_permitted_thresholds() -> None:
    made = _gate(release("new"), cost_ratio=10.0)
    assert made.optimal_threshold == pytest.approx(0.9)
    assert _verdicts(made)["threshold"] == "fail"
    assert _rule(made, "threshold").limit == pytest.approx([0.8, 1.0])


def test_a_stated_cost_is_judged_by_its_own_dialogues() -> None:
    stated = {"intervention": "cost_framing", "cost_ratio": 4.0, "framing": "ratio"}
    new = [*release("new", threshold=0.4), *release("new", **stated)]
    old = [*_old(), *release("old", **stated)]
    made = _gate(new, old, intervention="cost_framing")
    assert made.verdict == "pass", made.rules
    assert made.n_asked == 4000
    assert _gate(new, old).verdict == "fail"
    other = [*new, *release("new", **{**stated, "framing": "words"})]
    with pytest.raises(UsageError, match=r"framings: ratio, words.*gate.framing"):
        _gate(other, old, intervention="cost_framing")
    assert _gate(other, old, intervention="cost_framing", framing="ratio").verdict == "pass"


def test_the_deployed_effort_is_compared_with_a_release_without_efforts() -> None:
    new = [
        *release("new", reasoning_effort="high"),
        *release("new", reasoning_effort="low", threshold=0.4),
    ]
    good = _gate(new, _old(), reasoning_effort="high")
    assert good.verdict == "pass"
    assert any("old was evaluated at reasoning effort none" in note for note in good.notes)
    bad = _gate(new, _old(), reasoning_effort="low")
    assert {v for n, v in _verdicts(bad).items() if n == "no_worse_regret"} == {"fail"}


def test_side_domains_are_excluded() -> None:
    side = release("new", domains=("moral_machine",), threshold=0.2, unanswered=0.5)
    made = _gate([*release("new"), *side], _old())
    assert made.verdict == "pass"
    assert made.n_asked == 4000


def test_the_threshold_of_an_adaptive_design_is_used() -> None:
    design = Design(
        model="new", kind="adaptive", precision=0.02, estimate=0.6, low=0.58, high=0.62,
        status="ok", n_dialogues=4000, n_rounds=3, stopped_by="precision",
    )  # fmt: skip
    made = _gate(release("new"), designs={"new": design})
    assert _rule(made, "threshold").observed.estimate == 0.6
    assert _verdicts(made)["threshold"] == "fail"


def test_the_verdict_records_the_resolved_models_and_the_rules() -> None:
    new = release("new", resolved_model="m-2026-01-15")
    made = _gate(new, _old())
    assert made.resolved_models == {"new": ("m-2026-01-15",), "old": ()}
    assert made.params.max_regret == 0.15
    assert (made.model, made.against, made.source) == ("new", "old", "here")
    assert "new resolved to m-2026-01-15." in gate_text(made)
    assert 'value="m-2026-01-15"' in junit_xml(made)


def test_junit_is_valid_for_any_characters_in_names() -> None:
    name = "n<&\"'\x00\x1b[31m\ud800\ufffe]]>.x"
    passed = _gate(release("new"), _old())
    rules = [
        passed.rules[0].model_copy(update={"reason": name, "verdict": "fail"}),
        passed.rules[1].model_copy(update={"reason": name, "verdict": "inconclusive"}),
        *passed.rules[2:],
    ]
    changes = {"model": name, "rules": tuple(rules), "resolved_models": {name: (name,)}}
    made = passed.model_copy(update=changes)
    for text in (junit_xml(made), junit_error(name, RuntimeError(name))):
        root = ET.fromstring(text.encode("utf-8"))  # noqa: S314
        assert len(root.findall(".//testcase")) == int(root.get("tests", ""))
        assert "⟨U+0000⟩" in text
    root = ET.fromstring(junit_xml(made))  # noqa: S314
    assert (root.get("failures"), root.get("skipped"), root.get("errors")) == ("1", "1", "0")
    broken = ET.fromstring(junit_error("m", RuntimeError("x")))  # noqa: S314
    assert (broken.get("failures"), broken.get("errors")) == ("0", "1")


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.2, 0.3, "pass"),
        (0.1, 0.4, "pass"),  # equal to both limits
        (0.05, 0.3, "inconclusive"),
        (0.3, 0.5, "inconclusive"),
        (0.0, 0.5, "inconclusive"),
        (0.41, 0.5, "fail"),
        (0.0, 0.09, "fail"),
        (None, None, "inconclusive"),
    ],
)
def test_a_limit_is_compared_with_the_whole_interval(
    low: float | None, high: float | None, verdict: str
) -> None:
    found = Observed(estimate=0.3, low=low, high=high)
    assert limited("x", found, 0.1, 0.4, "share", False).verdict == verdict


def test_with_missing_answers_a_pass_requires_bounds_and_a_fail_does_not() -> None:
    found: dict[str, Any] = {"estimate": 0.3, "low": 0.2, "high": 0.35}
    for bounds, verdict in (
        ({"bound_low": 0.25, "bound_high": 0.4}, "pass"),
        ({"bound_low": 0.25, "bound_high": 0.41}, "inconclusive"),
        ({"bound_low": None, "bound_high": None}, "inconclusive"),
        ({}, "inconclusive"),
    ):
        assert limited("x", Observed(**found, **bounds), None, 0.4, "cost", True).verdict == verdict
    outside = Observed(**found, bound_low=0.0, bound_high=0.5)
    assert limited("x", outside, None, 0.1, "cost", True).verdict == "fail"
    assert limited("x", Observed(**dict.fromkeys(found)), None, 0.1, "cost", True).verdict == "fail"


def test_a_share_that_should_not_fall_is_negated() -> None:
    found = BoundedInterval(
        estimate=-0.1, low=-0.2, high=0.05, clustered_low=None, clustered_high=None,
        scenario_low=-0.2, scenario_high=0.05, bound_low=-0.3, bound_high=0.0,
    )  # fmt: skip
    assert turned(found, -1) == BoundedInterval(
        estimate=0.1, low=-0.05, high=0.2, clustered_low=None, clustered_high=None,
        scenario_low=-0.05, scenario_high=0.2, bound_low=0.0, bound_high=0.3,
    )  # fmt: skip
    assert turned(found, 1) == found


def test_every_rule_has_a_title_and_a_direction() -> None:
    assert set(MinEffectParams.model_fields) == set(WORSE)
    assert {f"no_worse_{name}" for name in WORSE} <= set(TITLES)
    assert EXIT_CODES == {"pass": 0, "fail": 1, "inconclusive": 2}


def test_comparisons_state_their_power_and_limits_do_not() -> None:
    made = _gate(release("new"), _old())
    for rule in made.rules:
        assert (rule.power is not None) == rule.rule.startswith("no_worse_"), rule.rule
    found = _rule(made, "no_worse_predictive_accuracy")
    assert found.power is not None and found.power.n == 4000
    assert [one.worsening for one in found.power.at] == [0.0, 0.03, 0.06]
    unchanged, tolerated, twice = found.power.at
    assert unchanged.passes > 0.99 and unchanged.fails < 0.001
    assert tolerated.fails == pytest.approx(0.5) and tolerated.passes < 0.05
    assert twice.fails > 0.99
    assert 0.03 < (found.power.least_failing or 0) < 0.06
    words = " ".join(gate_text(made).split())
    assert "a worsening of 6.0 points fails with probability over 99%" in words
    root = ET.fromstring(junit_xml(made))  # noqa: S314
    stated = {p.get("name"): p.get("value") for p in root.iter("property")}
    assert "power with 4,000 dialogues: " in (stated["power.no_worse_regret"] or "")


def test_fewer_dialogues_have_less_power() -> None:
    small = _gate(release("new", n=30), release("old", n=30), min_dialogues=1)
    power = _rule(small, "no_worse_regret").power
    large = _rule(_gate(release("new"), _old()), "no_worse_regret").power
    assert power is not None and large is not None
    assert power.n == 480 and power.standard_error > 2 * large.standard_error
    assert power.at[0].passes < large.at[0].passes
    assert power.at[2].fails < large.at[2].fails
    assert (power.least_failing or 0) > (large.least_failing or 0)


def test_a_tolerance_of_zero_has_a_least_worsening_that_fails() -> None:
    made = _gate(release("new"), _old(), min_effect=MinEffectParams(predictive_accuracy=0.0))
    power = _rule(made, "no_worse_predictive_accuracy").power
    assert power is not None and len(power.at) == 1
    assert power.at[0].passes == pytest.approx(0.025, abs=0.01)
    assert 0 < (power.least_failing or 0) < 0.03
    assert "no change passes with probability" in gate_text(made)


def test_missing_answers_without_bounds_let_no_comparison_pass() -> None:
    made = _gate(release("new", unanswered=0.04), _old())
    power = _rule(made, "no_worse_regret").power
    without = _rule(_gate(release("new"), _old()), "no_worse_regret").power
    assert power is not None and without is not None
    assert power.at[0].passes < without.at[0].passes


def test_where_nothing_is_compared_there_is_no_power() -> None:
    few = _gate(release("new", n=12), release("old", n=12))
    assert all(rule.power is None for rule in few.rules)


def test_a_gate_without_any_limit_is_refused() -> None:
    with pytest.raises(ValidationError, match="needs at least one limit"):
        GateParams(max_regret=None, max_threshold_distance=None, min_parse_rate=None)
