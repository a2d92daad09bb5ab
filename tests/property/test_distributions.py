"""Distributions against scipy, over wide ranges and at their edges; ties against exact integers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import special, stats

from escalometer.stats import distributions

#: Relative. The chances of a million trials lose a few digits to the rounding of n times p itself.
CLOSE = 1e-11
SMALLEST = 1e-290

shares = st.floats(0, 1)
exponents = st.floats(-2, 6)


def assert_close(found, expected, relative=CLOSE):
    assert found == pytest.approx(expected, rel=relative, abs=SMALLEST)


@settings(max_examples=300, deadline=None)
@given(exponents, exponents, st.floats(-30, 30))
@example(6, -2, 0.0)
@example(6, 6, -37.0)
@example(2, 2, 1.0)
def test_incomplete_beta(log_a, log_b, deviations):
    a, b = 10**log_a, 10**log_b
    mean = a / (a + b)
    x = mean + deviations * math.sqrt(mean * (1 - mean) / (a + b + 1))
    x = min(max(x, 1e-9), 1 - 1e-9)
    found = float(distributions.regularized_beta(a, b, x))
    assert_close(found, special.betainc(a, b, x))
    assert_close(float(distributions.regularized_beta(b, a, 1 - x, x)), special.betaincc(a, b, x))


def test_incomplete_beta_at_the_ends_and_in_shapes():
    found = distributions.regularized_beta([[1.0], [500.0]], 300.0, [0.0, 0.5, 1.0])
    assert found.shape == (2, 3)
    assert found[:, 0].tolist() == [0, 0] and found[:, 2].tolist() == [1, 1]
    assert distributions.regularized_beta(2, 3, 0.25).shape == ()


#: Also scipy's quantile has errors: up to 4e-15 at 97.5%, 3e-11 at the median.
DEGREES = st.one_of(st.integers(1, 2000), st.floats(1, 1e9))


@settings(max_examples=150, deadline=None)
@given(DEGREES, st.one_of(st.floats(1e-12, 0.499), st.floats(0.501, 1 - 1e-9)))
@example(1, 0.975)
@example(2, 0.975)
@example(1e9, 0.975)
@example(1e12, 0.975)
@example(3, 0.25)
def test_quantile_of_student(df, p):
    found = distributions.student_quantile(df, p)
    assert_close(found, special.stdtrit(df, p), relative=1e-10)  # scipy's errors at the median
    if p > 0.01:  # of a smaller one, 1 − p has lost digits
        assert_close(distributions.student_quantile(df, 1 - p), -found)


@pytest.mark.parametrize("df", [*range(1, 60), 199, 499, 999, 9_999, 10**6])
def test_quantile_of_student_for_intervals_is_precise(df):
    assert_close(
        distributions.student_quantile(df, 0.975), special.stdtrit(df, 0.975), relative=5e-15
    )


def test_quantile_of_student_by_hand():
    assert distributions.student_quantile(1, 0.75) == pytest.approx(1, rel=1e-15)
    # t = (2p − 1) √(2 / (4p (1 − p))) for two degrees of freedom.
    expected = 0.95 * math.sqrt(2 / (4 * 0.975 * 0.025))
    assert distributions.student_quantile(2, 0.975) == pytest.approx(expected, rel=1e-14)
    assert distributions.student_quantile(5, 0.5) == 0
    assert distributions.student_quantile(5, 1) == math.inf
    assert distributions.student_quantile(5, 0) == -math.inf
    assert distributions.student_quantile(math.inf, 0.975) == distributions.normal_quantile(0.975)
    # Of one degree: −cot(πp), also where the square of t is no float.
    found = distributions.student_quantile(1, 1e-300)
    assert found == pytest.approx(-1 / (math.pi * 1e-300), rel=1e-12)
    assert distributions.student_quantile(0.1, 1e-300) == -math.inf
    for df, p in ((0, 0.5), (-1, 0.5), (math.nan, 0.5), (1, -0.1), (1, 1.1), (1, math.nan)):
        with pytest.raises(ValueError):
            distributions.student_quantile(df, p)


@given(st.floats(-38, 8.2))
def test_normal_cdf(x):
    assert_close(distributions.normal_cdf(x), special.ndtr(x), 1e-12)


@given(st.one_of(shares, st.floats(1e-300, 1e-3)))
@example(0.0)
@example(1.0)
def test_normal_quantile(p):
    expected = special.ndtri(p)
    assert distributions.normal_quantile(p) == pytest.approx(expected, rel=1e-13, abs=1e-15)


#: Shares whose complement is a float as well: scipy takes the complement's rounded value.
EXACT = st.one_of(st.integers(0, 2**30), st.integers(0, 2**12)).map(lambda k: k / 2**30)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(st.integers(0, 400), st.integers(0, 10**6)),
    st.one_of(EXACT, EXACT.map(lambda p: 1 - p)),
    st.lists(st.floats(-35, 35), min_size=1, max_size=20),
)
@example(0, 0.0, [0.0])
@example(0, 0.3, [0.0])
@example(10**6, 0.0, [0.0])
@example(10**6, 1.0, [0.0])
@example(10**6, 0.5, [-37.0, 37.0])
def test_binomial(n, p, deviations):
    spread = math.sqrt(n * p * (1 - p))
    k = np.clip(np.round(n * p + np.array(deviations) * spread), -1, n + 1)
    k = np.concatenate([k, [-1, 0, 1, n - 1, n, n + 1]])
    assert_close(distributions.binomial_pmf(k, n, p), stats.binom.pmf(k, n, p))
    assert_close(distributions.binomial_cdf(k, n, p), stats.binom.cdf(k, n, p))


def test_binomial_of_a_share_whose_complement_is_rounded():
    p, n = Fraction(1e-5), 2000
    expected = (1 - p) ** (n - 1) * (1 - p + n * p)
    assert_close(distributions.binomial_cdf(1, n, float(p)), float(expected), 1e-14)


def test_binomial_takes_numbers_of_trials_as_arrays():
    n = np.arange(0, 3000, 7)
    k = n // 3
    for p in (0.2, 0.5):
        assert_close(distributions.binomial_pmf(k, n, p), stats.binom.pmf(k, n, p))
        assert_close(distributions.binomial_cdf(k, n, p), stats.binom.cdf(k, n, p))


def _by_counting(k1: int, n1: int, k2: int, n2: int) -> float:
    k = k1 + k2
    ways = [math.comb(n1, j) * math.comb(n2, k - j) for j in range(k + 1)]
    return float(Fraction(sum(w for w in ways if w <= ways[k1]), sum(ways)))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
@example(3, 0, 0, 3)
@example(1, 1, 1, 1)
@example(2, 6, 6, 2)
@example(0, 0, 3, 4)
@example(0, 5, 0, 4)
def test_fisher_counts_ties_exactly(a, b, c, d):
    found = distributions.fisher_exact(a, a + b, c, c + d)
    assert_close(found, _by_counting(a, a + b, c, c + d), 1e-12)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300), st.integers(0, 10**6))
@example(5, 3, 200, 999_000)
@example(300, 300, 1, 10**6)
def test_fisher_equals_scipy(a, b, c, d):
    found = distributions.fisher_exact(a, a + b, c, c + d)
    # scipy itself has no more digits of such chances.
    assert_close(found, stats.fisher_exact([[a, b], [c, d]]).pvalue, 1e-9)


def test_fisher_with_large_counts():
    assert distributions.fisher_exact(0, 10**12, 3, 3) == pytest.approx(6 / 10**36, rel=1e-11)
    assert distributions.fisher_exact(400, 400, 0, 10**6) == 0
    half = 500_000
    expected = stats.fisher_exact([[half - 700, half], [half, half - 700]]).pvalue
    assert_close(
        distributions.fisher_exact(half - 700, 2 * half - 700, half, 2 * half - 700), expected, 1e-9
    )
