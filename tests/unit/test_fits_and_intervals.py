"""Fits compared with other implementations, resamples with theory, and degenerate counts."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from escalometer import stats
from escalometer.stats import Counts
from escalometer.stats.corrected_fits import noise
from escalometer.stats.interval_ends import root_ends
from escalometer.stats.resamples import leave_dialogues_out

ACCURACIES = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.97])


def _counts(rates: np.ndarray, n: int = 200, accuracies: np.ndarray = ACCURACIES) -> Counts:
    """Return counts with escalations spread evenly over right and wrong predictions."""
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


def _resamples(counts: Counts, seed: int = 1, n_bootstrap: int = 500) -> stats.Resamples:
    names = [(i,) for i in range(len(counts))]
    return stats.Resamples.draw(names, names, counts, seed, n_bootstrap)


def _fit(kind: str, counts: Counts, seed: int = 1) -> stats.Fit:
    return stats.threshold_fit(kind, _resamples(counts, seed))  # type: ignore[arg-type]


def test_outcome_counts_are_the_four_cells() -> None:
    # 10 dialogues, 6 right, 3 escalated, 2 wrong and implemented: so 2 of the 3 were wrong.
    assert stats.outcome_counts([10], [6], [3], [2]).tolist() == [[5, 2, 1, 2]]


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
    slope, intercept, explained = stats.fit_logits(
        accuracy[None], escalated[None].astype(float), n[None].astype(float)
    )
    assert slope[0] == pytest.approx(oracle.coef_[0, 0], rel=1e-5)
    assert intercept[0] == pytest.approx(oracle.intercept_[0], rel=1e-5)
    assert 0 <= explained[0] <= 1


def test_lines_equal_polyfit() -> None:
    rng = np.random.default_rng(3)
    p, e = rng.uniform(size=(5, 12)), rng.uniform(size=(5, 12))
    slope, intercept, r_squared = stats.fit_lines(p, e)
    for i in range(5):
        wanted = np.polyfit(p[i], e[i], 1)
        assert [slope[i], intercept[i]] == pytest.approx(list(wanted))
        assert r_squared[i] == pytest.approx(np.corrcoef(p[i], e[i])[0, 1] ** 2)


def test_resamples_keep_the_totals_and_the_means() -> None:
    counts = _counts(np.linspace(0.9, 0.1, 6))
    drawn = stats.resample_dialogues(np.random.default_rng(1), counts, 4000)
    assert drawn.shape == (4000, 6, 4)
    assert (drawn.sum(axis=2) == counts.sum(axis=1)).all()
    assert drawn.mean(axis=0) == pytest.approx(counts, abs=0.5)
    times = stats.resample_conditions(np.random.default_rng(1), 6, 4000)
    assert (times.sum(axis=1) == 6).all()
    assert times.mean(axis=0) == pytest.approx(np.ones(6), abs=0.1)


def test_a_weight_repeats_a_condition() -> None:
    rng = np.random.default_rng(4)
    counts = rng.integers(1, 40, size=(5, 4))
    for kind, times in (
        ("study_line", np.array([2.0, 0.0, 1.0, 3.0, 1.0])),
        ("logit", np.array([2.0, 0.0, 1.0, 3.0, 1.0])),
        # A condition that counts twice has one noise, two conditions have two.
        ("linear", np.array([1.0, 0.0, 1.0, 1.0, 0.0])),
    ):
        weighted = stats.fit(kind, counts[None], times[None])  # type: ignore[arg-type]
        repeated = np.repeat(counts, times.astype(int), axis=0)[None]
        plain = stats.fit(kind, repeated, np.ones((1, int(times.sum()))))  # type: ignore[arg-type]
        assert np.concatenate(weighted) == pytest.approx(np.concatenate(plain), rel=1e-6)


def test_scenario_resamples_keep_all_dialogues_of_a_scenario() -> None:
    # Three scenarios; the first belongs to both conditions and escalates in both.
    scenario, cell = np.array([0, 0, 1, 2]), np.array([0, 1, 0, 1])
    outcome = np.array([stats.RIGHT_ESCALATED] * 2 + [stats.RIGHT_IMPLEMENTED] * 2)
    drawn = stats.resample_scenarios(
        np.random.default_rng(1), scenario, cell, outcome, np.ones(4, dtype=int), 2, 3000
    )
    assert (drawn[:, 0, stats.RIGHT_ESCALATED] == drawn[:, 1, stats.RIGHT_ESCALATED]).all()
    assert drawn.mean(axis=0)[0].tolist() == pytest.approx([1, 0, 1, 0], abs=0.06)
    n_drawn = drawn[:, 0, stats.RIGHT_ESCALATED] + drawn[:, :, stats.RIGHT_IMPLEMENTED].sum(axis=1)
    assert (n_drawn == 3).all()


def test_other_rows_do_not_change_an_interval() -> None:
    counts = _counts(np.clip(1.3 - ACCURACIES, 0, 1))
    names = [("a", i) for i in range(6)]
    alone = stats.Resamples.draw(names, names, counts, 1, 300)
    more = stats.Resamples.draw(
        [("b", 0), *names], [("b", 0), *names], np.concatenate([counts[:1], counts]), 1, 300
    )
    fits = [
        stats.threshold_fit("linear", alone),
        stats.threshold_fit("linear", more.take(range(1, 7))),
    ]
    assert fits[0] == fits[1]


def _noisy(rng: np.random.Generator, n_conditions: int, n: int) -> Counts:
    """Return counts of conditions whose rates lie on a line that reaches one half at 0.7."""
    accuracy = np.linspace(0.5, 0.97, n_conditions)
    rate = 0.5 - 1.3 * (accuracy - 0.7)
    cells = np.stack(
        [
            accuracy * (1 - rate),
            (1 - accuracy) * (1 - rate),
            accuracy * rate,
            (1 - accuracy) * rate,
        ],
        axis=1,
    )
    return rng.multinomial(n, cells)


def test_the_noise_of_accuracies_is_estimated_without_bias() -> None:
    rng = np.random.default_rng(8)
    cells, n = np.array([0.5, 0.1, 0.15, 0.25]), 12
    drawn = rng.multinomial(n, cells, size=40_000)
    variance, covariance = (values.mean() for values in noise(drawn))
    x, y = stats.predictive_accuracies(drawn), stats.escalation_rates(drawn)
    assert variance == pytest.approx(x.var(), rel=0.03)
    assert covariance == pytest.approx(np.cov(x, y)[0, 1], rel=0.05)
    assert [float(v) for v in noise(np.array([1, 0, 0, 0]))] == [0.0, 0.0]


@pytest.mark.parametrize("kind", ["linear", "logit"])
def test_many_noisy_conditions_do_not_flatten_the_corrected_line(kind: stats.Kind) -> None:
    rng, ones = np.random.default_rng(3), np.ones((1, 500))
    counts = [_noisy(rng, 500, 25)[None] for _ in range(40)]
    corrected = [float(stats.threshold(kind)(c, ones)[0]) for c in counts]
    plain = [float(stats.threshold("study_line")(c, ones)[0]) for c in counts]
    error = np.std(corrected) / np.sqrt(len(counts))
    assert np.mean(corrected) == pytest.approx(0.7, abs=4 * error)
    assert np.mean(plain) < 0.7 - 4 * error


def test_groups_left_out_partition_the_dialogues() -> None:
    rng = np.random.default_rng(5)
    counts = np.array([9, 0, 30, 2])
    groups = counts - leave_dialogues_out(rng, counts)
    assert (groups.sum(axis=0) == counts).all()
    assert set(groups.sum(axis=1)) == {1, 2}
    scenario = np.array([0, 0, 1, 2, 3])  # the first one belongs to both cells
    cell, outcome, n = np.array([0, 1, 0, 1, 1]), np.array([0, 3, 1, 2, 2]), np.ones(5, dtype=int)
    total = np.array([[1, 1, 0, 0], [0, 0, 2, 1]])
    left = stats.leave_scenarios_out(rng, scenario, cell, outcome, n, 2)
    together = [tuple((total - counts).sum(axis=1)) for counts in left]
    assert sorted(together)[-4:] == [(0, 1), (0, 1), (1, 0), (1, 1)]


def test_fiellers_interval_has_no_end_where_the_divisor_may_be_zero() -> None:
    noise_of_b = np.array([-1.0, 1.0] * 12)
    flat = root_ends(0.5, -0.1, np.full(24, 0.5), -0.1 + noise_of_b)
    assert flat == (None, None)
    low, high = root_ends(0.5, -1.0, np.full(24, 0.5), -1.0 + 0.02 * noise_of_b)
    assert low is not None and high is not None
    assert low < 0.5 < high
    assert 0.5 - low < high - 0.5  # a ratio is skewed


@pytest.mark.parametrize(
    "counts",
    [
        np.array([[0, 0, 0, 1], [1, 0, 0, 0]]),
        np.array([[0, 25, 0, 0], [25, 0, 0, 0]]),
        np.array([[0, 0, 0, 25], [25, 0, 0, 0]]),
        np.tile([[5, 5, 5, 5]], (30, 1)),
        np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]] * 10),
        _noisy(np.random.default_rng(1), 10_000, 5),
    ],
    ids=["one each", "0 and 1", "both extreme", "one accuracy", "one dialogue", "ten thousand"],
)
def test_extreme_conditions_give_a_number_or_a_status(counts: Counts) -> None:
    for kind in ("linear", "logit", "study_line"):
        fit = _fit(kind, counts)
        json.dumps(fit, allow_nan=False)
        assert (fit["low"] is None) == (fit["status"] == "unidentified")
        if fit["low"] is not None:
            assert fit["low"] <= fit["estimate"] <= fit["high"]  # type: ignore[operator]


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


def test_separated_actions_have_no_logit_fit() -> None:
    counts = _counts(np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]))
    fit = _fit("logit", counts)
    assert fit["estimate"] is None and fit["slope"] is None
    assert fit["status"] == "unidentified"
    json.dumps(_fit("linear", counts), allow_nan=False)


def test_self_estimates_are_clipped_and_absent_without_a_line() -> None:
    signalled = _counts(np.clip(1.3 - ACCURACIES, 0, 1), n=10_000)
    ones = np.ones((1, 7))
    read = stats.self_estimates(6)

    def own(rate: float, line: Counts = signalled) -> float:
        without = _counts(np.array([rate]), n=10_000, accuracies=np.array([0.8]))
        return float(read(np.concatenate([line, without])[None], ones)[0])

    assert own(0.5) == pytest.approx(0.8, abs=0.01)
    assert own(0.0) == 1.0 and own(1.0) == pytest.approx(0.3, abs=0.02)
    steep = _counts(np.clip(3.0 - 4 * ACCURACIES, 0, 1), n=10_000)
    assert own(0.0, steep) < 1
    assert np.isnan(own(0.5, _counts(np.ones(6))))
    assert np.isnan(own(0.5, _counts(0.1 + 0.8 * ACCURACIES)))  # a line that rises


def test_intervals_are_null_where_undefined() -> None:
    undefined = np.full(100, np.nan)
    assert set(stats.interval(None, undefined, undefined).values()) == {None}
    assert set(stats.interval(math.inf, undefined, undefined).values()) == {None}
    mostly = np.concatenate([undefined, np.ones(100)])
    found = stats.interval(1.0, np.ones(100), mostly)
    assert found["low"] == found["high"] == 1.0
    assert found["clustered_low"] is None and found["clustered_high"] is None


def test_the_same_generator_gives_the_same_interval() -> None:
    counts = _counts(np.clip(1.3 - ACCURACIES, 0, 1))
    assert _fit("logit", counts, seed=5) == _fit("logit", counts, seed=5)
    assert _fit("logit", counts, seed=5) != _fit("logit", counts, seed=6)
