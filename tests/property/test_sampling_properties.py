from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from escalometer.cases import sampling

CASES = st.dictionaries(st.text(max_size=8), st.integers(1, 5), min_size=1, max_size=60)


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_whole_percent_is_the_nearest(n_positive, n):
    n_positive = min(n_positive, n)
    percent = sampling.whole_percent(n_positive, n)
    assert 0 <= percent <= 100
    # Nearest, halves up, in exact arithmetic.
    assert Fraction(-1, 2) < percent - Fraction(100 * n_positive, n) <= Fraction(1, 2)


@given(CASES, st.integers(0, 80), st.integers(0, 80), st.integers(0, 2**32))
def test_a_larger_draw_extends_a_smaller_one(cases, n, more, seed):
    small = sampling.draw(cases, n, sampling.generator(seed, "d", "c"))
    large = sampling.draw(cases, n + more, sampling.generator(seed, "d", "c"))
    assert large[: len(small)] == small
    assert len(set(large)) == len(large) == min(n + more, len(cases))
    assert set(large) <= set(cases)


@given(CASES, st.integers(1, 60), st.randoms())
def test_a_draw_does_not_depend_on_the_order_of_cases(cases, n, random):
    names = sorted(cases)
    random.shuffle(names)
    shuffled = {name: cases[name] for name in names}
    drawn = [sampling.draw(c, n, sampling.generator(3, "d", "c")) for c in (cases, shuffled)]
    assert drawn[0] == drawn[1]


@given(st.text(max_size=30), st.integers(0, 2**40))
def test_a_key_has_one_split_and_moves_only_outwards(key, seed):
    split = sampling.split_of(seed, "d", key, 0.5, 0.2)
    assert split in sampling.SPLITS
    # A larger signal share keeps every key that was in the signal split.
    wider = sampling.split_of(seed, "d", key, 0.6, 0.2)
    assert split != "signal" or wider == "signal"
    assert wider != "eval" or split == "eval"
