"""Smooth calibration error: forecasters with a known error, degenerate rows, intervals."""

from __future__ import annotations

import numpy as np
import pytest

from escalometer.stats.smooth_calibration import (
    smooth_calibration_error,
    smooth_calibration_interval,
)


def test_calibrated_forecaster_is_near_zero():
    rng = np.random.default_rng(1)
    confidence = rng.beta(4, 2, 50_000)
    error = smooth_calibration_error(confidence, rng.random(50_000) < confidence)
    assert 0 <= error < 0.015


@pytest.mark.parametrize("bias", [0.05, 0.15, -0.1])
def test_miscalibrated_forecaster_is_near_its_true_error(bias):
    rng = np.random.default_rng(2)
    confidence = 0.3 + 0.4 * rng.random(50_000)
    error = smooth_calibration_error(confidence, rng.random(50_000) < confidence - bias)
    assert error == pytest.approx(abs(bias), abs=0.01)


def test_biases_that_cancel_on_average_are_detected():
    """Two scores with errors of ±0.2; smoothing cancels part of them, never all."""
    rng = np.random.default_rng(3)
    confidence = np.repeat([0.4, 0.8], 20_000)
    truth = np.repeat([0.6, 0.6], 20_000)
    error = smooth_calibration_error(confidence, rng.random(40_000) < truth)
    assert 0.14 < error <= 0.2


@pytest.mark.parametrize(
    ("confidence", "correct", "error"),
    [
        ([], [], None),
        ([1.0], [True], 0.0),
        ([0.0], [False], 0.0),
        ([1.0] * 10, [False] * 10, 1.0),
        ([0.0] * 10, [True] * 10, 1.0),
        ([0.7] * 10, [True] * 10, 0.3),
        ([0.7] * 10, [True] * 7 + [False] * 3, 0.0),
        ([0.0, 1.0], [False, True], 0.0),
    ],
)
def test_degenerate_rows(confidence, correct, error):
    assert smooth_calibration_error(confidence, correct) == (
        None if error is None else pytest.approx(error, abs=1e-3)
    )
    found = smooth_calibration_interval(np.random.default_rng(0), confidence, correct, None, 5)
    assert (found["low"] is None) == (error is None)
    if error is not None:
        assert 0 <= found["low"] <= found["estimate"] <= found["high"] <= 1


def test_one_row_gives_a_number():
    assert 0 <= smooth_calibration_error([0.6], [True]) <= 1


def test_invalid_arguments_are_refused():
    for confidence, correct in (
        ([1.1], [True]),
        ([-0.1], [True]),
        ([float("nan")], [True]),
        ([0.5, 0.5], [True]),
    ):
        with pytest.raises(ValueError):
            smooth_calibration_error(confidence, correct)
    with pytest.raises(ValueError, match="scenario"):
        smooth_calibration_interval(np.random.default_rng(0), [0.5], [True], ["a", "b"])


def test_order_of_rows_changes_nothing():
    rng = np.random.default_rng(4)
    confidence, correct = rng.random(300), rng.random(300) < 0.6
    scenario = [f"s{k}" for k in rng.integers(0, 60, 300)]
    order = rng.permutation(300)
    for about in (None, scenario):
        shuffled = None if about is None else [about[i] for i in order]
        first = smooth_calibration_interval(
            np.random.default_rng(5), confidence, correct, about, 20
        )
        second = smooth_calibration_interval(
            np.random.default_rng(5), confidence[order], correct[order], shuffled, 20
        )
        assert first == second  # identical to the last bit


def test_interval_starts_near_zero_only_for_a_calibrated_model():
    rng = np.random.default_rng(6)
    confidence = rng.beta(4, 2, 400)
    good = smooth_calibration_interval(rng, confidence, rng.random(400) < confidence, None, 60)
    bad = smooth_calibration_interval(rng, confidence, rng.random(400) < confidence - 0.2, None, 60)
    assert good["low"] < 0.02 and good["estimate"] == pytest.approx(good["if_calibrated"], abs=0.02)
    assert bad["low"] > 0.1 and bad["low"] < 0.2 < bad["high"]


def test_repeated_scenarios_widen_the_interval():
    rng = np.random.default_rng(7)
    confidence, correct = np.full(80, 0.9), rng.random(80) < 0.7
    rows = np.repeat(np.arange(80), 10)
    apart = smooth_calibration_interval(rng, confidence[rows], correct[rows], None, 60)
    together = smooth_calibration_interval(rng, confidence[rows], correct[rows], rows.tolist(), 60)
    assert together["estimate"] == apart["estimate"]
    assert together["high"] - together["low"] > 2 * (apart["high"] - apart["low"])
    assert together["if_calibrated"] > 2 * apart["if_calibrated"]
