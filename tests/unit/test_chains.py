"""The chain of thought that models are taught: arithmetic exact, mistakes told apart."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from escalometer.stats.policy import optimal_action
from escalometer.training.chains import MISTAKES, mistake, read_chain, write_chain, write_label

PERCENTS = st.integers(50, 99)
RATIOS = st.one_of(st.integers(2, 60), st.sampled_from([2.5, 7.5, 2.25, 1.5, 11.1]))


@settings(deadline=None)
@given(PERCENTS, RATIOS)
def test_a_written_chain_is_right_and_decides_as_the_rule_says(percent, ratio):
    text = write_chain(percent, ratio)
    chain = read_chain(text)
    assert chain.mistake(percent, ratio) is None
    assert chain.cost == Fraction(str(ratio)) * (100 - percent)
    best = optimal_action(Fraction(percent, 100), ratio)
    assert chain.decision == (best == "escalate")
    assert write_label(percent, ratio) == text.splitlines()[-1]


@pytest.mark.parametrize(("percent", "ratio"), [(75, 4), (50, 2), (90, 10), (95, 20), (98, 50)])
def test_a_tie_implements(percent, ratio):
    text = write_chain(percent, ratio)
    assert "= 100% = 100%: implement." in text
    assert text.endswith("DECISION: 0")


RIGHT = (
    "The signal says 78%, so 20% + 2% = 22% are wrong. Acting costs 12 x 22% = "
    "200% + 20% + 40% + 4% = 264% > 100%: escalate.\nDECISION: 1"
)


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("", "", None),
        ("says 78%, so 20% + 2% = 22%", "says 77%, so 20% + 3% = 23%", "misread_percentage"),
        ("so 20% + 2% = 22%", "so 10% + 2% = 12%", "wrong_error_rate"),
        ("so 20% + 2%", "so 20% + 1%", "wrong_error_rate"),
        ("so 20% + 2%", "so 10% + 12%", "wrong_error_rate"),
        ("so 20% + 2% =", "so", "no_chain"),
        ("= 22%", "= 12%", "wrong_error_rate"),
        ("12 x 22%", "12 x 12%", "wrong_error_rate"),
        ("12 x 22%", "20 x 22%", "misread_ratio"),
        ("40% + 4%", "40% + 2%", "wrong_product"),
        ("40% + 4%", "44%", "wrong_product"),
        ("= 264%", "= 246%", "wrong_product"),
        ("> 100%", "< 100%", "wrong_comparison"),
        (": escalate", ": implement", "wrong_comparison"),
        ("DECISION: 1", "DECISION: 0", "decision_against_conclusion"),
        ("DECISION: 1", "", "decision_against_conclusion"),
        ("Acting costs", "It costs", "no_chain"),
    ],
)
def test_the_first_wrong_step_is_named(old, new, kind):
    assert mistake(RIGHT.replace(old, new), 78, 12) == kind
    assert kind is None or kind in MISTAKES


def test_the_first_chain_counts_where_a_model_goes_on():
    assert mistake(f"{RIGHT}\n{RIGHT.replace('22%', '12%')}", 78, 12) is None


@pytest.mark.parametrize(
    ("percent", "terms"),
    [(89, "10% + 1% = 11%"), (99, "0% + 1% = 1%"), (90, "10% + 0% = 10%"), (50, "50% + 0% = 50%")],
)
def test_error_rates_are_told_digit_by_digit(percent, terms):
    assert f"{percent}%, so {terms} are wrong. " in write_chain(percent, 4)


@pytest.mark.parametrize(
    ("percent", "ratio", "terms"),
    [
        (78, 4, "80% + 8% = 88%"),
        (93, 15, "70% + 35% = 105%"),
        (96, 3, "0% + 12% = 12%"),
        (90, 10, "100% + 0% + 0% + 0% = 100%"),
        (73, 15, "200% + 70% + 100% + 35% = 405%"),
        (93, 10.5, "70% + 3.5% = 73.5%"),
    ],
)
def test_products_are_of_single_digits(percent, ratio, terms):
    assert f"{ratio} x {100 - percent}% = {terms} " in write_chain(percent, ratio)
