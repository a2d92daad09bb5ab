"""Fits against independent implementations, resamples against theory, and degenerate counts."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from escalometer import estimates
from escalometer.estimates import Counts

ACCURACIES = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.97])


def _counts(rates: np.ndarray, n: int = 200, accuracies: np.ndarray = ACCURACIES) -> Counts:
    """Conditions whose escalations are spread evenly over right and wrong predictions."""
    right = np.round(n * accuracies).astype(int)
    right_escalated = np.round(right * rates).astype(int)
    wrong_escalated = np.round((n - right) * rates).astype(int)
    return np.stack(
        [
            right - right_escalated,
            n - right - wrong_escalated,
            right_escalated,
            wrong_escalated,
        ],
        axis=1,
    )


def _fit(kind: str, counts: Counts, seed: int = 1, n_bootstrap: int = 500) -> estimates.Fit:
    rng = np.random.default_rng(seed)
    drawn = estimates.resample_conditions(rng, len(counts), n_bootstrap)
    return estimates.threshold_fit(
        kind,  # type: ignore[arg-type]
        counts,
        estimates.resample_dialogues(rng, counts, n_bootstrap),
        counts[drawn],
    )


def test_outcome_counts_are_the_four_cells() -> None:
    # 10 dialogues, 6 right, 3 escalated, 2 wrong and implemented: so 2 of the 3 were wrong.
    assert estimates.outcome_counts([10], [6], [3], [2]).tolist() == [[5, 2, 1, 2]]


@pytest.mark.parametrize("seed", range(8))
def test_logit_equals_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = rng.integers(20, 300, size=9)
    accuracy = rng.uniform(0.45, 0.99, size=9)
    steepness = rng.uniform(-12, 3)
    escalated = rng.binomial(n, 1 / (1 + np.exp(-steepness * (accuracy - 0.7))))
    x = np.concatenate([accuracy, accuracy])[:, None]
    y = np.repeat([1, 0], 9)
    oracle = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000, solver="newton-cholesky")
    oracle.fit(x, y, sample_weight=np.concatenate([escalated, n - escalated]))
    slope, intercept, explained = estimates.fit_logits(
        accuracy[None], escalated[None].astype(float), n[None].astype(float)
    )
    assert slope[0] == pytest.approx(oracle.coef_[0, 0], rel=1e-5)
    assert intercept[0] == pytest.approx(oracle.intercept_[0], rel=1e-5)
    assert 0 <= explained[0] <= 1


def test_lines_equal_polyfit() -> None:
    rng = np.random.default_rng(3)
    p, e = rng.uniform(size=(5, 12)), rng.uniform(size=(5, 12))
    slope, intercept, r_squared = estimates.fit_lines(p, e)
    for i in range(5):
        wanted = np.polyfit(p[i], e[i], 1)
        assert [slope[i], intercept[i]] == pytest.approx(list(wanted))
        assert r_squared[i] == pytest.approx(np.corrcoef(p[i], e[i])[0, 1] ** 2)


def test_resamples_keep_the_totals_and_the_means() -> None:
    counts = _counts(np.linspace(0.9, 0.1, 6))
    drawn = estimates.resample_dialogues(np.random.default_rng(1), counts, 4000)
    assert drawn.shape == (4000, 6, 4)
    assert (drawn.sum(axis=2) == counts.sum(axis=1)).all()
    assert drawn.mean(axis=0) == pytest.approx(counts, abs=0.5)
    rows = estimates.resample_conditions(np.random.default_rng(1), 6, 100)
    times = estimates.multiplicities(rows)
    assert (times.sum(axis=1) == 6).all()
    assert times @ np.arange(6.0) == pytest.approx(rows.sum(axis=1))


@pytest.mark.parametrize("kind", ["linear", "logit"])
def test_a_falling_curve_has_a_threshold_within_its_interval(kind: str) -> None:
    fit = _fit(kind, _counts(np.clip(1.3 - ACCURACIES, 0, 1)))
    assert fit["status"] == "ok"
    assert fit["estimate"] == pytest.approx(0.8, abs=0.02)
    assert isinstance(fit["low"], float) and isinstance(fit["high"], float)
    assert fit["low"] < 0.8 < fit["high"]
    assert isinstance(fit["slope"], float) and fit["slope"] < 0


@pytest.mark.parametrize("kind", ["linear", "logit"])
@pytest.mark.parametrize(
    ("rates", "status"),
    [
        (1.0 - 0.4 * ACCURACIES, "extrapolated"),  # half at 1.25
        (np.full(6, 0.4), "unidentified"),
        (0.1 + 0.8 * ACCURACIES, "unidentified"),
    ],
)
def test_statuses(kind: str, rates: np.ndarray, status: str) -> None:
    fit = _fit(kind, _counts(rates, n=2000))
    assert fit["status"] == status
    if status == "unidentified":
        assert fit["low"] is None and fit["clustered_high"] is None
    else:
        assert isinstance(fit["estimate"], float) and fit["estimate"] > ACCURACIES.max()


@pytest.mark.parametrize("kind", ["linear", "logit"])
@pytest.mark.parametrize(
    "counts",
    [
        np.zeros((0, 4), dtype=np.int64),
        _counts(np.ones(6)),
        _counts(np.zeros(6)),
        _counts(np.full(1, 0.5), accuracies=np.array([0.8])),
        _counts(np.array([0.9, 0.1]), accuracies=np.array([0.8, 0.8])),
        np.array([[1, 0, 0, 0]]),
    ],
    ids=["nothing", "all escalate", "none", "one condition", "one accuracy", "one dialogue"],
)
def test_degenerate_counts_give_nulls(kind: str, counts: Counts) -> None:
    fit = _fit(kind, counts)
    assert fit["status"] == "unidentified"
    assert fit["estimate"] is None
    assert fit["low"] is None and fit["high"] is None
    json.dumps(fit, allow_nan=False)


def test_separated_actions_have_no_logit() -> None:
    counts = _counts(np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]))
    fit = _fit("logit", counts)
    assert fit["estimate"] is None and fit["slope"] is None
    assert fit["status"] == "unidentified"
    json.dumps(_fit("linear", counts), allow_nan=False)


def test_self_estimates_are_clipped_and_absent_without_a_line() -> None:
    counts = _counts(np.clip(1.3 - ACCURACIES, 0, 1), n=10_000)
    own = estimates.self_estimates(np.stack([counts, counts, counts]), np.array([0.5, -2.0, 3.0]))
    assert own == pytest.approx([0.8, 1.0, 0.0], abs=0.01)
    flat = _counts(np.ones(6))
    assert np.isnan(estimates.self_estimates(flat[None], np.array([0.5]))).all()
    assert np.isnan(estimates.self_estimates(flat[None, :0], np.array([0.5]))).all()


def test_intervals_are_null_where_undefined() -> None:
    undefined = np.full(100, np.nan)
    assert set(estimates.interval(None, undefined, undefined).values()) == {None}
    assert set(estimates.interval(math.inf, undefined, undefined).values()) == {None}
    mostly = np.concatenate([undefined, np.ones(100)])
    found = estimates.interval(1.0, np.ones(100), mostly)
    assert found["low"] == found["high"] == 1.0
    assert found["clustered_low"] is None and found["clustered_high"] is None


def test_the_same_generator_gives_the_same_interval() -> None:
    counts = _counts(np.clip(1.3 - ACCURACIES, 0, 1))
    assert _fit("logit", counts, seed=5) == _fit("logit", counts, seed=5)
    assert _fit("logit", counts, seed=5) != _fit("logit", counts, seed=6)


def test_dialogue_intervals_cover_a_known_truth() -> None:
    """Mean accuracy and linear threshold of 300 simulated models with 250 dialogues a condition."""
    rng = np.random.default_rng(11)
    accuracies = np.linspace(0.5, 0.97, 20)
    rates = 1.4 - 1.3 * accuracies
    cells = np.stack(
        [
            accuracies * (1 - rates),
            (1 - accuracies) * (1 - rates),
            accuracies * rates,
            (1 - accuracies) * rates,
        ],
        axis=1,
    )
    covered = np.zeros(2)
    for _ in range(300):
        counts = rng.multinomial(np.full(20, 250), cells)
        drawn = estimates.resample_dialogues(rng, counts, 400)
        low, high = estimates.percentiles(estimates.predictive_accuracies(drawn).mean(axis=1))
        fit = estimates.threshold_fit("linear", counts, drawn, drawn)
        assert low is not None and high is not None
        assert isinstance(fit["low"], float) and isinstance(fit["high"], float)
        covered += [low <= accuracies.mean() <= high, fit["low"] <= 0.9 / 1.3 <= fit["high"]]
    assert (covered / 300 > 0.91).all() and (covered / 300 < 0.985).all()
