"""Estimates from a ledger by simulation: bias without and with audits, coverage, false alarms."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from escalometer.analysis.ledger_results import summarize
from escalometer.analysis.ledger_sample import equal_sample
from escalometer.ledger import DecidedCase, Outcome
from escalometer.stats.sequential import mean_above
from escalometer.stats.weighted_shares import combined, weighted_share

TIME = "2026-11-01T10:00:00.000000+00:00"
#: A policy that acts on the surer 70% of the cases, where 90% are right; elsewhere 55% are.
ACTED, RIGHT_ACTED, RIGHT_ESCALATED = 0.7, 0.9, 0.55
TRUTH = ACTED * RIGHT_ACTED + (1 - ACTED) * RIGHT_ESCALATED


class Simulated(NamedTuple):
    """Decisions with their outcomes: those that a person was asked for."""

    decided: list[DecidedCase]
    outcomes: list[Outcome]


def simulated(draw: np.random.Generator, n: int, rates: tuple[float, ...] = (0.1,)) -> Simulated:
    """Return a ledger of `n` cases; policies of several audit rates follow each other."""
    decided, outcomes = [], []
    for i in range(n):
        is_acted = draw.random() < ACTED
        is_right = draw.random() < (RIGHT_ACTED if is_acted else RIGHT_ESCALATED)
        place = i * len(rates) // n
        rate = rates[place] if is_acted else 1.0
        row = DecidedCase(
            f"c{i}", f"p{place}", TIME, "m", "d", "c", "act" if is_acted else "escalate", "",
            rate, bool(is_acted and draw.random() < rate), 1,
            signal_accuracy=0.8, has_signal=True,
        )  # fmt: skip
        decided.append(row)
        if row.needs_person:
            outcomes.append(Outcome(row.case_id, int(is_right), TIME))
    return Simulated(decided, outcomes)


def measured(n_ledgers: int, n: int, rates: tuple[float, ...]) -> dict[str, float]:
    """Return bias and coverage over ledgers."""
    draw = np.random.default_rng(41)
    naive, weighted, sampled, covered, wrong_covered = [], [], [], [], []
    for _ in range(n_ledgers):
        decided, outcomes = simulated(draw, n, rates)
        labels = {outcome.case_id: outcome.label for outcome in outcomes}
        naive.append(np.mean([labels[c.case_id] for c in decided if c.decision == "escalate"]))
        found = summarize(decided, outcomes)
        accuracy, wrong = found.accuracy, found.wrong_rate
        weighted.append(accuracy.estimate)
        covered.append(accuracy.low <= TRUTH <= accuracy.high)
        wrong_covered.append(wrong.low <= 1 - RIGHT_ACTED <= wrong.high)
        rows = equal_sample(decided, outcomes, lambda *_: draw.random()).rows
        sampled.append(np.mean([row["label"] == row["prediction"] for row in rows]))
    return {
        "naive": float(np.mean(naive)) - TRUTH,
        "weighted": float(np.mean(weighted)) - TRUTH,
        "sampled": float(np.mean(sampled)) - TRUTH,
        "error": float(np.std(weighted)),
        "sampled_error": float(np.std(sampled)),
        "coverage": float(np.mean(covered)),
        "wrong_coverage": float(np.mean(wrong_covered)),
    }


def check(found: dict[str, float], n_ledgers: int) -> None:
    assert found["naive"] < -0.2  # without audits, only escalated cases have labels
    noise = 4 / np.sqrt(n_ledgers)
    assert abs(found["weighted"]) < noise * found["error"]
    assert abs(found["sampled"]) < noise * found["sampled_error"]
    slack = 4 * np.sqrt(0.05 * 0.95 / n_ledgers)
    assert 0.95 - slack <= found["coverage"] <= 1
    assert 0.95 - slack <= found["wrong_coverage"] <= 1


def test_accuracy_is_biased_without_audits_and_unbiased_with_them():
    check(measured(200, 1000, (0.1,)), 200)


@pytest.mark.long
@pytest.mark.parametrize("rates", [(0.1,), (0.02, 0.2), (0.05, 0.5)], ids=str)
def test_bias_and_coverage_over_many_ledgers(rates):
    found = measured(2000, 2000, rates)
    print(rates, found)
    check(found, 2000)


@pytest.mark.parametrize("limit", [0.02, 0.1, 0.4])
def test_the_alarm_is_false_in_at_most_its_level_over_all_looks(limit):
    draw = np.random.default_rng(7)
    n_studies = 400
    tests = [mean_above(draw.random(1500) < limit, limit) for _ in range(n_studies)]
    slack = 4 * np.sqrt(0.05 * 0.95 / n_studies)
    assert np.mean([test.first is not None for test in tests]) <= 0.05 + slack
    assert np.mean([test.bound > limit for test in tests]) <= 0.05 + slack


def test_the_alarm_finds_twice_the_promised_rate():
    draw = np.random.default_rng(8)
    tests = [mean_above(draw.random(600) < 0.2, 0.1) for _ in range(100)]
    firsts = [test.first for test in tests if test.first is not None]
    assert len(firsts) >= 95
    assert np.median(firsts) < 200


def test_the_bound_and_the_alarm_agree():
    draw = np.random.default_rng(9)
    for _ in range(50):
        limit = draw.uniform(0.02, 0.5)
        values = draw.random(200) < draw.uniform(0, 0.6)
        test = mean_above(values, limit)
        assert (test.first is not None) == (test.bound >= limit - 1e-8)
        # Looking earlier or later changes nothing of what was seen.
        if test.first is not None:
            assert mean_above(values[: test.first], limit).first == test.first
            assert mean_above(values[: test.first - 1], limit).first is None


def test_no_observation_is_no_evidence():
    assert mean_above([], 0.1) == (1.0, None, 0.0)
    assert mean_above([0, 0, 0], 0.1) == (1.0, None, 0.0)


def test_equal_propensities_are_wilsons():
    from escalometer.stats.shares import wilson

    found = weighted_share([True] * 3 + [False] * 17, [0.2] * 20)
    assert found is not None
    assert found[:3] == pytest.approx((0.15, *wilson(3, 20)))
    assert weighted_share([], []) is None
    assert combined([(0.5, found), (0.5, None)]) is None
    assert combined([(1.0, found), (0.0, None)]) == pytest.approx(found[:3])
