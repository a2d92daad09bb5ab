"""Tests of two shares: hand computations, published examples, coverage by simulation."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from escalometer.stats import shares


def _by_hand(first: int, second: int) -> Fraction:
    n, fewer = first + second, min(first, second)
    return min(Fraction(1), Fraction(2 * sum(math.comb(n, k) for k in range(fewer + 1)), 2**n))


@pytest.mark.parametrize("first", [0, 1, 5, 12])
@pytest.mark.parametrize("second", [0, 1, 6, 30])
def test_mcnemar_is_the_exact_binomial(first, second):
    p = shares.mcnemar_exact(first, second)
    assert p == pytest.approx(float(_by_hand(first, second)), rel=1e-12)
    assert p == shares.mcnemar_exact(second, first)


def test_mcnemar_with_huge_counts():
    n, excess = 3_000_000_000, 50_000
    z = (2 * excess - 1) / math.sqrt(n)
    p = shares.mcnemar_exact(n // 2 - excess, n // 2 + excess)
    assert p == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-6)
    assert shares.mcnemar_exact(0, 10**9) == 0.0


def test_holm_by_hand():
    # 4 * 0.01, 3 * 0.02, 2 * 0.03, 1 * 0.5; None is not counted.
    found = shares.holm([0.5, 0.01, None, 0.03, 0.02])
    assert found == pytest.approx([0.5, 0.04, None, 0.06, 0.06])
    assert shares.holm([0.7, 0.6]) == [1.0, 1.0]
    assert shares.holm([]) == []
    assert shares.holm([None]) == [None]
    # The larger p-value has a smaller factor and must not become the smaller one.
    assert shares.holm([0.02, 0.021]) == [0.04, 0.04]


@given(st.lists(st.none() | st.floats(0, 1), max_size=12))
def test_holm_keeps_the_order_and_never_lowers_a_p_value(p_values):
    found = shares.holm(p_values)
    known = [(p, q) for p, q in zip(p_values, found, strict=True) if p is not None]
    assert [p is None for p in p_values] == [q is None for q in found]
    assert all(q is not None and p <= q <= 1 and q <= len(known) * p + 1e-15 for p, q in known)
    corrected = [q for _, q in sorted(known)]
    assert corrected == sorted(corrected)


@pytest.mark.parametrize(
    ("counts", "interval"),
    [
        # Newcombe 1998, table II, method 10.
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((5, 56, 0, 29), (-0.0381, 0.1926)),
        ((10, 10, 0, 10), (0.6075, 1.0)),
    ],
)
def test_newcombe_as_published(counts, interval):
    assert shares.newcombe(*counts) == pytest.approx(interval, abs=5e-5)


@pytest.mark.parametrize(
    ("counts", "interval"),
    [
        # Airway reactivity before and after stem-cell transplantation (Fagerland et al. 2014).
        ((1, 1, 7, 12), (-0.507, -0.026)),
        ((10, 0, 0, 0), (-0.2775, 0.2775)),
    ],
)
def test_paired_interval_as_published(counts, interval):
    assert shares.paired_interval(*counts) == pytest.approx(interval, abs=5e-4)


def test_unpaired_p_by_hand():
    # Chi-squared of 56/70 against 48/80 is 7.0235 (104 of 150); times 149 / 150.
    chi2 = 150 * (56 * 32 - 14 * 48) ** 2 / (104 * 46 * 70 * 80)
    p = shares.unpaired_p(56, 70, 48, 80)
    assert p == pytest.approx(math.erfc(math.sqrt(chi2 * 149 / 150 / 2)), rel=1e-12)
    # Expected count of one half in each arm: Fisher's test, symmetric in the arms.
    assert shares.unpaired_p(1, 3, 0, 3) == pytest.approx(1.0)
    assert shares.unpaired_p(3, 3, 0, 3) == pytest.approx(0.0253473, abs=1e-6)
    assert shares.unpaired_p(0, 1000, 3, 3) == pytest.approx(1 / math.comb(1003, 3))
    assert shares.unpaired_p(5, 5, 7, 7) == 1.0
    huge = 10**12
    assert shares.unpaired_p(huge // 2, huge, huge // 2, huge) == 1.0


def test_no_dialogues_give_no_interval_and_invalid_arguments_are_refused():
    assert shares.newcombe(0, 0, 1, 2) == (None, None)
    assert shares.unpaired_p(0, 0, 1, 2) is None
    assert shares.paired_interval(0, 0, 0, 0) == (None, None)
    for call in (
        lambda: shares.newcombe(3, 2, 0, 1),
        lambda: shares.unpaired_p(-1, 2, 0, 1),
        lambda: shares.mcnemar_exact(-1, 0),
        lambda: shares.paired_interval(1, -1, 0, 0),
        lambda: shares.holm([1.1]),
    ):
        with pytest.raises(ValueError):
            call()


def _covered(intervals, truth: float) -> float:
    return float(np.mean([low <= truth <= high for low, high in intervals]))


def test_newcombe_covers():
    rng, found = np.random.default_rng(1), []
    for n1, n2 in ((40, 40), (60, 200), (300, 300)):
        for p1, p2 in ((0.5, 0.5), (0.7, 0.9), (0.55, 0.35), (0.95, 0.85)):
            k1, k2 = rng.binomial(n1, p1, 2000).tolist(), rng.binomial(n2, p2, 2000).tolist()
            intervals = [shares.newcombe(a, n1, b, n2) for a, b in zip(k1, k2, strict=True)]
            found.append(_covered(intervals, p1 - p2))
    assert all(0.93 <= coverage <= 0.97 for coverage in found), found
    assert 0.94 <= np.mean(found) <= 0.96


def test_paired_interval_covers():
    rng, found = np.random.default_rng(2), []
    for n in (50, 200, 600):
        for cells in (
            (0.6, 0.1, 0.1, 0.2),
            (0.5, 0.2, 0.1, 0.2),
            (0.25, 0.25, 0.25, 0.25),
            (0.3, 0.3, 0.15, 0.25),
        ):
            tables = rng.multinomial(n, cells, 2000).tolist()
            intervals = [shares.paired_interval(*table) for table in tables]
            found.append(_covered(intervals, cells[1] - cells[2]))
    assert all(0.93 <= coverage <= 0.975 for coverage in found), found
    assert 0.94 <= np.mean(found) <= 0.965


def test_tests_keep_their_level():
    rng = np.random.default_rng(3)
    for p in (0.5, 0.9):
        k = rng.binomial(80, p, (2000, 2)).tolist()
        wrong = np.mean([(shares.unpaired_p(a, 80, b, 80) or 0) <= 0.05 for a, b in k])
        assert wrong <= 0.062
    tables = rng.multinomial(150, [0.6, 0.1, 0.1, 0.2], 2000).tolist()
    assert np.mean([shares.mcnemar_exact(b, c) <= 0.05 for _, b, c, _ in tables]) <= 0.055
