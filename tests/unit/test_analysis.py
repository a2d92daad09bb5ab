"""Parts of a profile: bounds, paired differences, costs, recommendations, calibration."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from escalometer.analysis.profile import build_profile
from escalometer.config import AnalyzeParams, Params
from escalometer.documents import Profile
from escalometer.documents.profile import InterventionScores
from tests.sql._tables import decisions

SIGNALS = {"a": 0.55, "b": 0.65, "c": 0.75, "d": 0.85, "e": 0.95}
PARAMS = Params(
    seed=1,
    models=("m",),
    domains=("movielens",),
    analyze=AnalyzeParams(cost_ratios=(4.0,), n_bootstrap=200),
)


def _rows(n: int = 40, seed: int = 3, shift: float = 0.0, **stated: Any) -> list[dict[str, Any]]:
    """Dialogues about known scenarios; the same seed gives the same predictions."""
    rng = np.random.default_rng(seed)
    return [
        {
            "condition": condition,
            "signal_accuracy": signal,
            "scenario_id": f"{condition}{i}",
            "prediction": int(rng.random() < signal),
            "escalate": int(rng.random() < 1.4 + shift - 1.3 * signal),
            **stated,
        }
        for condition, signal in SIGNALS.items()
        for i in range(n)
    ]


def _profile(rows: list[dict[str, Any]], **changes: Any) -> Profile:
    params = PARAMS.model_copy(update={"analyze": PARAMS.analyze.model_copy(update=changes)})
    made = build_profile(decisions(rows), "m", "here", params)
    stored = json.loads(json.dumps(made.as_json(), allow_nan=False))
    assert Profile.model_validate(stored) == made
    return made


def _score(made: Profile, intervention: str, against: str) -> InterventionScores:
    [row] = [
        row
        for row in made.interventions
        if (row.intervention, row.scored_against) == (intervention, against)
    ]
    return row


def test_without_missing_answers_bounds_equal_the_estimate() -> None:
    made = _profile(_rows())
    fit = made.implicit_threshold.linear
    assert fit.bound_low == fit.bound_high == fit.estimate
    score = _score(made, "baseline", "signal_accuracy").escalation_accuracy
    assert score.bound_low == score.bound_high == score.estimate


def test_bounds_are_the_extremes_over_outcomes_of_missing_answers() -> None:
    missing = {"status": "refused", "prediction": None, "escalate": None}
    rows = _rows(20)
    made = _profile([*rows, {"condition": "e", "signal_accuracy": 0.95, "times": 5, **missing}])
    # The 5 missing answers in condition e are either all right or all wrong.
    right = [r["prediction"] for r in rows if r["condition"] == "e"]
    others = [np.mean([r["prediction"] for r in rows if r["condition"] == c]) for c in "abcd"]
    low, high = ((sum(others) + (sum(right) + k) / 25) / 5 for k in (0, 5))
    accuracy = made.predictive_accuracy
    assert accuracy.bound_low == pytest.approx(low)
    assert accuracy.bound_high == pytest.approx(max(high, accuracy.estimate))
    fit = made.implicit_threshold.linear
    assert fit.bound_low < fit.estimate < fit.bound_high
    score = _score(made, "baseline", "signal_accuracy").escalation_accuracy
    # At signal 0.95 implementing is optimal: the missing answers all escalate or all implement.
    n_right = round(score.estimate * 100)
    assert score.bound_low == pytest.approx(n_right / 105)
    assert score.bound_high == pytest.approx((n_right + 5) / 105)


def test_a_threshold_has_no_bound_if_missing_answers_could_make_it_unidentified() -> None:
    missing = {"status": "unparsed", "prediction": None, "escalate": None, "times": 400}
    made = _profile([*_rows(), {"condition": "e", "signal_accuracy": 0.95, **missing}])
    fit = made.implicit_threshold.linear
    assert fit.status == "ok"
    assert fit.bound_low is None and fit.bound_high is None


def test_interventions_are_paired_by_scenario() -> None:
    baseline = _rows()
    # The same predictions; with the cost stated, condition a always escalates.
    framed = [
        {**row, "intervention": "cost_framing", "cost_ratio": 4.0, "framing": "ratio"}
        | ({"escalate": 1} if row["condition"] == "a" else {})
        for row in baseline
    ]
    [row] = [
        row
        for row in _profile([*baseline, *framed]).differences
        if row.scored_against == "signal_accuracy"
    ]
    n_more = sum(row["condition"] == "a" and row["escalate"] == 0 for row in baseline)
    assert row.is_paired and row.n == 200
    assert (row.n_only_right, row.n_reference_right) == (n_more, 0)
    gain = row.escalation_accuracy
    assert gain.estimate == pytest.approx(n_more / 200)
    assert gain.low < gain.estimate < gain.high
    assert row.p_value == pytest.approx(float(2 * Fraction(1, 2) ** n_more))
    assert row.p_corrected >= row.p_value
    assert gain.scenario_low is not None and gain.clustered_low is not None


def test_without_scenarios_dialogues_are_independent() -> None:
    rows = [
        {**row, "scenario_id": None}
        for row in [
            *_rows(),
            *_rows(shift=0.2, intervention="isolated", is_isolated=True),
        ]
    ]
    made = _profile(rows)
    assert {row.is_paired for row in made.differences} == {False}
    assert all(0 < row.p_value <= 1 for row in made.differences)
    assert made.predictive_accuracy.scenario_low is None
    assert made.overlap == ()


def test_overlapping_scenarios_reduce_the_effective_sample_size() -> None:
    rows = [{**row, "scenario_id": row["scenario_id"][1:]} for row in _rows()]
    rows = [{**row, "escalate": int(int(row["scenario_id"]) % 2)} for row in rows]
    [overlap] = _profile(rows).overlap
    assert (overlap.n, overlap.n_scenarios, overlap.n_overlapping) == (200, 40, 40)
    assert overlap.escalation_design_effect == pytest.approx(5)
    assert overlap.n_effective_escalation == pytest.approx(40)
    apart = _profile(_rows()).overlap[0]
    assert apart.n_effective_escalation == pytest.approx(200)


def test_scenario_intervals_are_wider_where_scenarios_overlap() -> None:
    rows = [{**row, "scenario_id": row["scenario_id"][1:]} for row in _rows(80)]
    rows = [
        {**row, "prediction": int(int(row["scenario_id"]) % 5 > 0), "escalate": 0} for row in rows
    ]
    accuracy = _profile(rows, n_bootstrap=1000).predictive_accuracy
    width = accuracy.high - accuracy.low
    assert accuracy.scenario_high - accuracy.scenario_low > 1.7 * width


def test_cost_curves_cover_all_ratios() -> None:
    [curve] = _profile(_rows(), human_error_rate=0.01).cost_curves
    assert curve.cost_ratios == tuple(float(ratio) for ratio in range(1, 101))
    assert curve.always_escalate_cost == pytest.approx([1 + 0.01 * r for r in range(1, 101)])
    for own, best in zip(curve.signal_policy_cost, curve.optimal_cost, strict=True):
        assert best <= own + 1e-9
    assert curve.optimal_cost[0] == pytest.approx(curve.always_implement_cost[0])


def test_the_recommendation_is_the_cheapest_option() -> None:
    perfect = [
        {**row, "intervention": "thinking", "is_thinking": True, "escalate": 1 - row["prediction"]}
        for row in _rows(200)
    ]
    [found] = _profile([*_rows(200), *perfect]).recommendations
    assert (found.cost_ratio, found.policy) == (4.0, "model")
    assert found.intervention == "thinking" and found.is_clear
    assert found.gap.estimate > 0 and found.gap.clustered_low > 0
    n_wrong = sum(1 - row["prediction"] for row in perfect)
    assert found.escalation_rate == pytest.approx(n_wrong / len(perfect))
    assert found.realized_cost.estimate == pytest.approx(n_wrong / len(perfect))


def test_savings_within_the_noise_are_not_shown() -> None:
    few, many = (
        [{**row, "escalate": 0} for row in _rows(n) if row["condition"] == "d"] for n in (4, 2000)
    )
    [open_], [shown] = (_profile(rows).recommendations for rows in (few, many))
    assert not open_.is_shown and open_.saves.low <= 0
    assert shown.is_shown and 0 < shown.saves.low < shown.saves.estimate
    assert shown.saves.estimate == pytest.approx(1 - shown.realized_cost.estimate)


def test_always_escalating_is_recommended_for_an_inaccurate_model() -> None:
    rows = [{**row, "escalate": 0} for row in _rows(200) if row["condition"] in "ab"]
    [found] = _profile(rows).recommendations
    assert found.policy == "always_escalate" and found.intervention is None
    assert found.realized_cost.estimate == 1.0
    assert found.escalation_rate == 1.0


def test_an_intervention_with_few_conditions_is_not_recommended() -> None:
    thinking = _rows(intervention="thinking", is_thinking=True)
    [found] = _profile(
        [*_rows(), *[row for row in thinking if row["condition"] == "e"]]
    ).recommendations
    assert found.intervention != "thinking" and found.n_left_out == 1
    assert len(found.conditions) == 5


def test_candidates_are_compared_on_their_common_conditions() -> None:
    perfect = [
        {**row, "intervention": "thinking", "is_thinking": True, "escalate": 1 - row["prediction"]}
        for row in _rows(200)
        if row["condition"] != "e"
    ]
    rows = _rows(200)
    [found] = _profile([*rows, *perfect]).recommendations
    assert found.intervention == "thinking" and found.n_left_out == 0
    assert {condition for _, condition, _ in found.conditions} == set("abcd")
    shared = [row for row in rows if row["condition"] != "e"]
    assert found.next_best.n == len(shared)
    costs = [1 if row["escalate"] else 4 * (1 - row["prediction"]) for row in shared]
    assert found.next_best.realized_cost.estimate <= np.mean(costs) + 1e-9


def test_scores_are_calibrated_and_compared_with_the_models_own_escalation() -> None:
    rng = np.random.default_rng(5)
    rows = []
    for i, row in enumerate(_rows(120, intervention="stated_confidence")):
        sure = rng.random() < 0.7
        right = rng.random() < (0.95 if sure else 0.4)
        score = {"stated_confidence": 0.95 if sure else 0.4, "prediction": int(right)}
        rows.append({**row, **score, "scenario_id": f"s{i}", "escalate": int(rng.random() < 0.3)})
    made = _profile(rows)
    [calibration] = made.calibration
    assert calibration.score == "stated_confidence"
    assert calibration.expected_calibration_error < 0.06
    assert calibration.smooth_calibration_error.low < 0.05
    assert sum(own.n for own in calibration.reliability) == len(rows)
    [external] = made.external_threshold
    # The score predicts errors; the escalations of the model do not.
    assert external.difference.low > 0 and external.reason is None
    assert external.cost < external.always_escalate_cost


def test_too_few_scores_give_a_reason() -> None:
    made = _profile([{**row, "stated_confidence": 0.9} for row in _rows(2)])
    [external] = made.external_threshold
    assert "recalibration needs" in external.reason and external.n == 10


def test_isolated_runs_are_separate_or_pooled() -> None:
    rows = [*_rows(), *_rows(seed=4, intervention="isolated", is_isolated=True)]
    apart = build_profile(decisions(rows), "m", "here", PARAMS)
    pooled = build_profile(decisions(rows), "m", "here", PARAMS, is_pooled=True)
    assert {row.intervention for row in apart.interventions} == {"baseline", "isolated"}
    assert {(row.intervention, row.n) for row in pooled.interventions} == {("baseline", 400)}
    assert any("as in the study" in note for note in pooled.notes)


def test_each_intervention_has_its_own_threshold() -> None:
    rows = [*_rows(300), *_rows(300, shift=0.2, intervention="isolated", is_isolated=True)]
    made = _profile(rows)
    arms = {row.intervention: row.implicit_threshold for row in made.arms}
    assert arms["isolated"].estimate - arms["baseline"].estimate == pytest.approx(
        0.2 / 1.3, abs=0.05
    )


def test_biases_use_only_conditions_that_have_dialogues_without_a_signal() -> None:
    rows = _rows(200)
    unsignalled = _rows(200, seed=9, intervention="no_signal", has_signal=False)
    some = [row for row in unsignalled if row["condition"] in "cd"]
    made = _profile([*rows, *some])
    means = {
        c: np.mean([row["prediction"] for row in rows if row["condition"] == c]) for c in "abcde"
    }
    own = made.self_estimated_accuracy.estimate
    bias = made.calibration_bias_signalled
    assert bias.estimate == pytest.approx(own - (means["c"] + means["d"]) / 2)
    # The interval uses the same two conditions as the estimate, not all five.
    assert bias.low < bias.estimate < bias.high
    assert 0.02 < bias.high - bias.low < 0.25


def test_each_intervention_has_points_near_its_line() -> None:
    unsignalled = _rows(seed=9, intervention="no_signal", has_signal=False)
    arms = {row.intervention: row for row in _profile([*_rows(300), *unsignalled]).arms}
    assert arms["no_signal"].implicit_threshold is None
    for point in arms["baseline"].points:
        assert point.low <= point.escalation_rate <= point.high
        assert point.clustered_low <= point.fitted <= point.clustered_high
        assert point.fitted == pytest.approx(1.4 - 1.3 * point.predictive_accuracy, abs=0.1)


def test_order_of_rows_changes_no_number_and_no_interval() -> None:
    rows = [*_rows(), *_rows(shift=0.1, intervention="isolated", is_isolated=True)]
    rows = [{**row, "stated_confidence": 0.5 + 0.4 * row["prediction"]} for row in rows]
    shuffled = [rows[i] for i in np.random.default_rng(1).permutation(len(rows))]
    assert _profile(rows) == _profile(shuffled)


def test_the_model_behind_an_alias_is_recorded() -> None:
    rows = [{**row, "resolved_model": "m-2026-05-01"} for row in _rows(2)]
    assert _profile(rows).resolved_models == ("m-2026-05-01",)


def test_a_threshold_that_rests_on_few_dialogues_is_noted() -> None:
    for seed in range(20):
        noisy = _profile(_rows(n=12, seed=seed))
        fit, study_line = noisy.implicit_threshold.linear, noisy.implicit_threshold.study_line
        share = 1 - (study_line.slope or 0) / (fit.slope or 1)
        if fit.status != "unidentified" and share > 0.3:
            break
    words = " ".join(noisy.notes)
    assert f"{share:.0%} of the spread of the measured accuracies is noise" in words
    precise = _profile(_rows(n=400))
    assert not any("is noise" in note or "points wide" in note for note in precise.notes)


def test_actions_near_the_optimal_threshold_are_scored_by_a_reference_that_both_share() -> None:
    rows = [*_rows(n=60), *_rows(n=60, intervention="self_check")]
    made = _profile(rows)
    # The same dialogues twice: whatever chance made of the accuracies, nothing differs.
    (row,) = [r for r in made.differences if r.scored_against == "predictive_accuracy"]
    assert row.escalation_accuracy.estimate == 0
    assert row.p_value == 1
    scores = _score(made, "baseline", "predictive_accuracy").escalation_accuracy
    signal = _score(made, "baseline", "signal_accuracy").escalation_accuracy
    assert scores.low is not None and scores.high is not None and scores.estimate is not None
    assert scores.low <= scores.estimate <= scores.high
    assert signal.low is not None and signal.high is not None
    # One condition is at τ*: which action is optimal there is not known.
    assert scores.high - scores.low > signal.high - signal.low
