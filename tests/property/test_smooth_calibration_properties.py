"""smECE against relplot, by the authors of the measure."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from relplot.metrics import smECE

from escalometer.stats import smooth_calibration

CLOSE = 1e-12

#: Scores as models have them: any, in steps of 5%, two values, one value, nearly one value.
SCORES = {
    "any": lambda rng, n: rng.random(n),
    "high": lambda rng, n: rng.beta(8, 2, n),
    "in steps": lambda rng, n: np.round(20 * rng.random(n)) / 20,
    "certain": lambda rng, n: rng.integers(0, 2, n).astype(float),
    "constant": lambda rng, n: np.full(n, rng.random()),
    "close": lambda rng, n: np.clip(rng.normal(0.9, 0.01, n), 0, 1),
}


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(sorted(SCORES)),
    st.one_of(st.integers(1, 12), st.integers(1, 5000)),
    st.sampled_from([0.0, 0.003, 0.05, -0.1, 0.4, -0.8]),
    st.integers(0, 2**32),
)
@example("any", 60_000, 0.0, 1)  # the narrowest bandwidths
@example("constant", 5000, 0.0, 1)
@example("certain", 1, 0.0, 1)
def test_smooth_calibration_error_equals_relplot(kind, n, bias, seed):
    rng = np.random.default_rng(seed)
    scores = SCORES[kind](rng, n)
    right = rng.random(n) < scores - bias
    order = np.lexsort((right, scores))
    expected = min(1.0, float(smECE(scores[order], right[order].astype(float))))
    assert abs(smooth_calibration.smooth_calibration_error(scores, right) - expected) < CLOSE


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(SCORES)), st.integers(1, 300), st.integers(0, 2**32))
def test_interval_equals_one_of_repeated_rows_and_relplot(kind, n, seed):
    rng = np.random.default_rng(seed)
    scores = SCORES[kind](rng, n)
    right = rng.random(n) < scores - 0.1
    found = smooth_calibration.smooth_calibration_interval(
        np.random.default_rng(seed), scores, right, None, 5
    )
    order = np.lexsort((right, scores))
    scores, right = scores[order], right[order].astype(float)
    draws = np.random.default_rng(seed)
    resampled = []
    for _ in range(5):
        times = np.bincount(draws.integers(0, n, size=n), minlength=n)
        resampled.append(min(1.0, float(smECE(np.repeat(scores, times), np.repeat(right, times)))))
    highest = max(float(np.quantile(resampled, 0.975)), found["estimate"])
    assert abs(found["high"] - highest) < CLOSE
