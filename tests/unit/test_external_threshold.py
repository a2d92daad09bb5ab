"""External threshold: perfect and useless scores, ties, splits, order of rows, coverage."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from escalometer.stats.external_threshold import (
    MIN_DIALOGUES,
    _is_second,
    external_threshold,
    fit_steps,
)

RATIOS = [2, 4.0, 10]


@given(st.lists(st.tuples(st.integers(0, 20).map(lambda k: k / 20), st.booleans()), min_size=1))
def test_steps_equal_isotonic_regression_of_scikit_learn(rows):
    score, correct = np.array([s for s, _ in rows]), np.array([c for _, c in rows])
    theirs = IsotonicRegression().fit(score, correct.astype(float)).predict(score)
    steps = fit_steps(score, correct)
    ours = [steps.accuracy(value) for value in score.tolist()]
    assert [float(value) for value in ours] == pytest.approx(theirs.tolist(), abs=1e-9)
    shares = [Fraction(*count) for count in steps.counts]
    assert shares == sorted(set(shares))  # each step is higher than the one before
    assert sum(n for _, n in steps.counts) == len(rows)


def test_steps_beyond_and_between_the_fitted_scores():
    steps = fit_steps([0.2, 0.4, 0.8], [False, True, True])
    assert steps.counts == ((0, 1), (2, 2))
    assert [steps.accuracy(x) for x in (0.0, 0.29, 0.31, 1.0)] == [0, 0, 1, 1]


def _simulate(rng, n_scenarios=400, informative=True, escalation=0.3):
    truth = rng.choice([0.5, 0.7, 0.97], n_scenarios)
    right = rng.random(n_scenarios) < truth
    score = truth**2 if informative else np.full(n_scenarios, 0.8)
    escalate = rng.random(n_scenarios) < escalation
    return score, right, escalate, [f"s{i}" for i in range(n_scenarios)]


def test_perfect_score_escalates_exactly_the_wrong_predictions():
    """A score that separates right from wrong: only wrong predictions are escalated."""
    right = np.arange(200) % 4 > 0
    rows, reason = external_threshold(
        right.astype(float), right, ~right, [str(i) for i in range(200)], RATIOS, 0.01
    )
    assert reason is None
    for row, ratio in zip(rows, RATIOS, strict=True):
        assert row["n_escalated"] == 50 and row["n_wrong_implemented"] == 0
        assert row["cost"] == row["own_cost"] == pytest.approx((1 + 0.01 * ratio) / 4)
        assert row["difference"] == row["difference_low"] == row["difference_high"] == 0.0
        assert row["always_implement_cost"] == pytest.approx(ratio / 4)
        assert row["always_escalate_cost"] == pytest.approx(1 + 0.01 * ratio)


def test_miscalibrated_but_informative_score_finds_the_optimal_policy():
    score, right, escalate, scenario = _simulate(np.random.default_rng(1), 20_000)
    rows, _ = external_threshold(score, right, escalate, scenario, RATIOS)
    for row, ratio in zip(rows, RATIOS, strict=True):
        best = np.mean([min(1, ratio * (1 - p)) for p in (0.5, 0.7, 0.97)])
        assert row["cost"] == pytest.approx(best, abs=0.05)
        # Escalating three in ten at random.
        own = 0.3 + 0.7 * ratio * (1 - np.mean([0.5, 0.7, 0.97]))
        assert row["own_cost"] == pytest.approx(own, abs=0.15)
        assert row["difference_low"] < own - best < row["difference_high"]


def test_uninformative_score_costs_the_same_as_the_best_single_action():
    score, right, escalate, scenario = _simulate(np.random.default_rng(2), 4000, informative=False)
    rows, _ = external_threshold(score, right, escalate, scenario, RATIOS)
    for row in rows:
        singles = (row["always_implement_cost"], row["always_escalate_cost"])
        assert row["cost"] == min(singles)
        assert row["n_escalated"] in (0, row["n"])


@pytest.mark.parametrize(("n_right", "escalated"), [(75, False), (74, True), (76, False)])
def test_ties_implement(n_right, escalated):
    """Both halves have the same shares: three in four right is τ* at R = 4."""
    seed, names, right = 3, [], []
    for is_second in (True, False):
        names += [n for n in map(str, range(400)) if _is_second(seed, n) == is_second][:100]
        right += [i < n_right for i in range(100)]
    rows, _ = external_threshold([0.9] * 200, right, [False] * 200, names, [4], seed=seed)
    assert rows[0]["n_escalated"] == (200 if escalated else 0)
    # With human errors τ* is 1 - (1/4 + 0.05) = 0.7, which all of them reach.
    rows, _ = external_threshold([0.9] * 200, right, [False] * 200, names, [4], 0.05, seed)
    assert rows[0]["n_escalated"] == 0
    assert rows[0]["always_escalate_cost"] == pytest.approx(1.2)


def test_no_row_is_scored_by_a_map_fitted_on_its_scenario():
    """Only other dialogues of the same scenario could predict these labels."""
    rng = np.random.default_rng(4)
    score = np.repeat(rng.random(100), 10)  # a different score for each scenario
    right = np.repeat(rng.random(100) < 0.5, 10)
    scenario = np.repeat(np.arange(100), 10).tolist()
    rows, _ = external_threshold(score, right, np.zeros(1000, bool), scenario, [2])
    assert rows[0]["cost"] > 0.8  # a map that predicts the labels would cost 0.5


def test_the_result_depends_on_the_seed_and_not_on_the_order_of_rows():
    rng = np.random.default_rng(5)
    score, right, escalate, _ = _simulate(rng, 600)
    scenario = [f"s{k}" for k in rng.integers(0, 150, 600)]
    order = rng.permutation(600)
    first = external_threshold(score, right, escalate, scenario, RATIOS, 0.02, 7)
    second = external_threshold(
        score[order], right[order], escalate[order], [scenario[i] for i in order], RATIOS, 0.02, 7
    )
    assert first == second  # identical to the last bit
    assert first[0][0]["n_scenarios"] == len(set(scenario))
    splits = {tuple(_is_second(seed, name) for name in scenario) for seed in range(5)}
    assert len(splits) == 5


def test_too_few_rows_give_a_reason_and_no_result():
    few = 2 * MIN_DIALOGUES - 1
    rows, reason = external_threshold(
        [0.5] * few, [True, False] * (few // 2) + [True], [0] * few, range(few), [4]
    )
    assert rows == [] and "recalibration needs 20" in reason
    assert external_threshold([], [], [], [], [4])[1] is not None
    for right, said in ((True, "are right"), (False, "are wrong")):
        rows, reason = external_threshold([0.5] * 200, [right] * 200, [0] * 200, range(200), [4])
        assert rows == [] and said in reason


def test_invalid_arguments_are_refused():
    with pytest.raises(ValueError, match="same length"):
        external_threshold([0.5], [True, False], [0, 0], ["a", "b"], [4])
    with pytest.raises(ValueError, match="number"):
        external_threshold([float("nan")], [True], [0], ["a"], [4])


def test_interval_covers_with_repeated_scenarios():
    """Own minus external cost, given the maps, for which the true value is known."""
    rng, covered = np.random.default_rng(6), []
    for _ in range(300):
        n_scenarios, repeats = 120, 4
        truth = rng.choice([0.5, 0.97], n_scenarios)
        right = np.repeat(rng.random(n_scenarios) < truth, repeats)
        score = np.repeat(truth, repeats)
        escalate = np.repeat(rng.random(n_scenarios) < 0.5, repeats)
        scenario = np.repeat(np.arange(n_scenarios), repeats).tolist()
        row = external_threshold(score, right, escalate, scenario, [4])[0][0]
        # The maps give the optimal policy almost always: escalate at 0.5, implement at 0.97.
        expected = (0.5 + 0.5 * 4 * (0.5 + 0.03) / 2) - (1 + 4 * 0.03) / 2
        covered.append(row["difference_low"] <= expected <= row["difference_high"])
    assert 0.92 <= np.mean(covered) <= 0.98
