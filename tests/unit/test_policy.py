"""The optimal rule, with exact ties."""

from __future__ import annotations

from fractions import Fraction

import pytest

from escalometer.stats.policy import exact, optimal_action, optimal_threshold

TIES = [(0.95, 20), (0.98, 50), (0.75, 4), (0.5, 2), (0.875, 8), (0.9, 10), (0.99, 100)]


@pytest.mark.parametrize(("accuracy", "cost_ratio"), TIES)
def test_a_tie_implements(accuracy: float, cost_ratio: float) -> None:
    assert optimal_threshold(cost_ratio) == exact(accuracy)
    assert optimal_action(accuracy, cost_ratio) == "implement"
    assert optimal_action(exact(accuracy) - Fraction(1, 10**12), cost_ratio) == "escalate"


def test_floating_point_gets_two_ties_wrong() -> None:
    assert 20 * (1 - 0.95) > 1
    assert 50 * (1 - 0.98) > 1


def test_human_errors_lower_the_threshold() -> None:
    assert optimal_threshold(4, 0.05) == Fraction(7, 10)
    assert optimal_action(0.7, 4, 0.05) == "implement"
    assert optimal_action(0.699, 4, 0.05) == "escalate"
    assert optimal_action(0.0, 4, 0.75) == "implement"  # an escalation is never cheaper


def test_a_ratio_of_one_never_escalates() -> None:
    assert optimal_action(0.0, 1) == "implement"


@pytest.mark.parametrize(("cost_ratio", "human_error_rate"), [(0.5, 0), (4, -0.1), (4, 1.1)])
def test_values_out_of_range_are_refused(cost_ratio: float, human_error_rate: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        optimal_threshold(cost_ratio, human_error_rate)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_numbers_are_refused(value: float) -> None:
    with pytest.raises((ValueError, OverflowError)):
        exact(value)
