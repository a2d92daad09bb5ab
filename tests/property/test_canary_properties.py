"""The canary's sequential test: false alarms in a year of looks, and how soon drift is reported."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.canary import (
    ALPHA,
    BY_DAY,
    EXCHANGEABLE,
    N_BASELINE,
    Drift,
    Noise,
    alarms,
    choices,
    delays,
    false_alarms,
    log_probabilities,
)
from escalometer.stats import drift

DETERMINISTIC, SOME, MANY, _ = EXCHANGEABLE


def most(n_years: int) -> float:
    """Return the share of years with an alarm that an error rate of alpha exceeds in 0.1%."""
    return ALPHA + 3.1 * math.sqrt(ALPHA * (1 - ALPHA) / n_years)


def test_p_values_of_an_unchanged_model_raise_few_alarms_in_a_year():
    p_values = np.random.default_rng(1).random((600, drift.LOOKS_PER_YEAR))
    assert np.mean(alarms(p_values) > 0) <= most(600)


def test_the_evidence_of_an_unchanged_model_grows_by_one_a_look_on_average():
    p_values = np.random.default_rng(2).random((20_000, 5))
    path, _ = drift.evidence_path(p_values, N_BASELINE)
    expected = np.arange(1, 6) / drift.LOOKS_PER_YEAR
    assert path.mean(axis=0) == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("noise", EXCHANGEABLE, ids=lambda noise: noise.name)
def test_p_values_are_at_least_uniform_and_independent(noise: Noise):
    rng = np.random.default_rng(3)
    looks = choices(rng, 400, 12, noise)
    p_values = [
        drift.last_p_value(drift.choice_scores(looks[:, :n], 2))
        for n in range(N_BASELINE + 1, N_BASELINE + 13)
    ]
    check_uniform(np.stack(p_values, axis=-1))


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_p_values_of_log_probabilities_are_at_least_uniform_and_independent(noise: float):
    rng = np.random.default_rng(4)
    looks = log_probabilities(rng, 200, 10, 0, noise, 0.0)
    p_values = [
        drift.last_p_value(drift.distance_scores(looks[:, :n]))
        for n in range(N_BASELINE + 1, N_BASELINE + 11)
    ]
    check_uniform(np.stack(p_values, axis=-1))


def check_uniform(p_values: np.ndarray) -> None:
    """Compare the p-values, and pairs of them, with independent uniform ones."""
    n = p_values.size
    for level in (0.03, 0.1, 0.5):
        most = level + 4 * math.sqrt(level * (1 - level) / n)
        assert np.mean(p_values <= level) <= most
    both = np.mean((p_values[:, :-1] <= 0.1) & (p_values[:, 1:] <= 0.1))
    assert both <= 0.01 + 4 * math.sqrt(0.0099 / n)


@pytest.mark.parametrize("noise", EXCHANGEABLE, ids=lambda noise: noise.name)
def test_a_year_without_drift_has_few_alarms(noise: Noise):
    assert false_alarms(5, 30, noise) <= most(30)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("noise", EXCHANGEABLE, ids=lambda noise: noise.name)
def test_a_year_without_drift_has_an_alarm_with_at_most_alpha(noise: Noise):
    assert false_alarms(6, 500, noise) <= most(500)


def test_a_deterministic_model_never_has_an_alarm():
    assert false_alarms(5, 2, DETERMINISTIC) == 0


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("noise", BY_DAY[:2], ids=lambda noise: noise.name)
def test_noise_between_days_needs_a_baseline_of_several_days(noise: Noise):
    assert false_alarms(7, 200, noise, baseline_days=1) > 0.06
    assert false_alarms(7, 200, noise, baseline_days=10) <= most(200)


@pytest.mark.parametrize(
    ("noise", "change", "start", "n_looks", "least"),
    [
        (DETERMINISTIC, Drift(0.025), 0, 5, 0.95),
        (SOME, Drift(0.2), 0, 7, 0.95),
        (SOME, Drift(0.1), 0, 28, 0.85),
        (SOME, Drift(0.1), 30, 7, 0.9),
        (SOME, Drift(0.05), 90, 7, 0.75),
        (SOME, Drift(0.2, 14), 30, 14, 0.9),
        (MANY, Drift(0.2), 30, 7, 0.9),
        (0.02, 0.02, 0, 7, 0.95),
        (0.1, 0.05, 30, 7, 0.95),
    ],
)
def test_drift_is_reported_soon(noise, change, start, n_looks, least):
    found = delays(8, 40, noise, change, start)
    assert np.mean((found > 0) & (found <= n_looks)) >= least


def test_the_day_on_which_drift_began_is_named():
    p_values = np.r_[np.random.default_rng(9).uniform(0.2, 1, 40), np.full(4, 0.01)]
    found = drift.evidence(p_values, N_BASELINE)
    assert drift.is_alarm(found, ALPHA)
    assert found.since == 40
    assert not drift.is_alarm(drift.evidence(p_values[:40], N_BASELINE), ALPHA)
    assert drift.evidence(np.array([]), N_BASELINE).value == 0


def test_a_rare_choice_counts_more_and_a_missing_one_nothing():
    answers = np.zeros((30, 3), dtype=int)
    answers[::3, 1] = 1  # a prompt with noise
    answers[-1] = (1, 0, 0)
    answers[-2] = (0, 1, 0)
    answers[-3] = (-1, 0, 0)
    scores = drift.choice_scores(answers, 2)
    assert scores[-1] == scores.max()
    assert scores[-1] > scores[-2]
    assert drift.last_p_value(scores) == 1 / 30


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 8), st.integers(1, 6), st.booleans())
def test_scores_do_not_depend_on_the_order_of_looks(seed, n_looks, n_prompts, is_choice):
    rng = np.random.default_rng(seed)
    order = rng.permutation(n_looks)
    if is_choice:
        answers = rng.integers(-1, 3, (n_looks, n_prompts))
        first, second = (drift.choice_scores(a, 3) for a in (answers, answers[order]))
    else:
        values = rng.normal(size=(n_looks, n_prompts, 3))
        values[rng.random((n_looks, n_prompts)) < 0.2] = np.nan
        first, second = (drift.distance_scores(v) for v in (values, values[order]))
    assert np.isfinite(first).all()
    assert second == pytest.approx(first[order], abs=1e-6)
