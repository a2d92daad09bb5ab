from collections import Counter

import pytest

from escalometer.cases import sampling


def test_splits_have_the_shares_asked_for():
    counts = Counter(sampling.split_of(7, "d", str(key), 0.5, 0.2) for key in range(20_000))
    assert counts["signal"] / 20_000 == pytest.approx(0.5, abs=0.02)
    assert counts["train"] / 20_000 == pytest.approx(0.2, abs=0.02)
    assert counts["eval"] / 20_000 == pytest.approx(0.3, abs=0.02)


def test_splits_are_those_of_earlier_releases():
    # Another split would let a release evaluate on rows that an earlier one took signals from.
    keys = ["1", "2", "3", "4", "5", "6"]
    found = [sampling.split_of(20260408, "movielens", key, 0.5, 0.2) for key in keys]
    assert found == ["signal", "signal", "train", "train", "train", "signal"]


def test_seed_and_domain_move_the_split():
    keys = [str(key) for key in range(200)]
    base = [sampling.split_of(1, "a", key, 0.5, 0.2) for key in keys]
    assert base != [sampling.split_of(2, "a", key, 0.5, 0.2) for key in keys]
    assert base != [sampling.split_of(1, "b", key, 0.5, 0.2) for key in keys]


def test_ids_tell_domain_text_and_label_apart():
    assert sampling.scenario_id("a", "bc", 1) != sampling.scenario_id("ab", "c", 1)
    assert sampling.scenario_id("a", "b", 0) != sampling.scenario_id("a", "b", 1)
    assert len(sampling.scenario_id("a", "b", 1)) == sampling.ID_LENGTH


def test_a_scenario_of_many_rows_is_drawn_more_often_and_once():
    counts = {f"case-{i}": 1 for i in range(100)} | {"duplicated": 100}
    draws = [sampling.draw(counts, 5, sampling.generator(seed, "d", "c")) for seed in range(200)]
    assert all(len(set(drawn)) == 5 for drawn in draws)
    share = sum("duplicated" in drawn for drawn in draws) / len(draws)
    assert share > 0.9  # about 1 - 1/2^5


def test_of_two_that_read_the_same_one_is_drawn():
    texts = {"a0": "a", "a1": "a", "b": "b"}
    drawn = sampling.draw(dict.fromkeys(texts, 1), 3, sampling.generator(1, "d", "c"), texts)
    assert sorted(texts[name] for name in drawn) == ["a", "b"]


def test_draws_of_two_conditions_differ():
    cases = {f"case-{i}": 1 for i in range(100)}
    draws = [
        sampling.draw(cases, 20, sampling.generator(1, "d", condition)) for condition in ("x", "y")
    ]
    assert draws[0] != draws[1]


def test_draw_takes_all_where_there_are_fewer():
    assert sorted(sampling.draw({"b": 1, "a": 2}, 5, sampling.generator(1, "d", "c"))) == ["a", "b"]


@pytest.mark.parametrize(
    ("n_positive", "n", "percent"), [(1, 2, 50), (1, 200, 1), (1, 201, 0), (2, 3, 67), (3, 3, 100)]
)
def test_whole_percent(n_positive, n, percent):
    assert sampling.whole_percent(n_positive, n) == percent


@pytest.mark.parametrize(("n_positive", "n"), [(0, 0), (2, 1), (-1, 3)])
def test_whole_percent_refuses_what_is_no_share(n_positive, n):
    with pytest.raises(ValueError, match="is not a share"):
        sampling.whole_percent(n_positive, n)
