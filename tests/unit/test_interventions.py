"""The signal of another condition: which condition gets which."""

from __future__ import annotations

import pytest

from escalometer.dialogue import interventions
from escalometer.errors import UsageError


@pytest.mark.parametrize("n", range(2, 30))
def test_every_condition_borrows_from_another_and_lends_once(n):
    names = [f"c{i}" for i in range(n)]
    others = interventions.other_condition(names)
    assert list(others) == names
    assert sorted(others.values()) == sorted(names)
    assert all(name != other for name, other in others.items())
    assert others == interventions.other_condition(tuple(names))


def test_a_partner_is_half_of_the_range_away():
    others = interventions.other_condition(["low", "middle", "high", "highest"])
    assert others == {"low": "high", "middle": "highest", "high": "low", "highest": "middle"}
    assert interventions.other_condition(["a", "b", "c"]) == {"a": "b", "b": "c", "c": "a"}


@pytest.mark.parametrize(("names", "found"), [((), "found 0: none"), (("a",), "found 1: a")])
def test_one_condition_alone_has_nobody_to_borrow_from(names, found):
    with pytest.raises(UsageError, match=found):
        interventions.other_condition(names)


def test_a_control_has_one_variant_for_each_wording():
    costs = interventions.Costs(ratios=(2.0, 4.0, 8.0), framings=("ratio", "words"))
    protocols = interventions.variants("length_control", costs)
    assert [(p.framing, p.cost_ratio) for p in protocols] == [("ratio", None), ("words", None)]
    assert len(interventions.variants("thinking_cost_framing", costs)) == 6
