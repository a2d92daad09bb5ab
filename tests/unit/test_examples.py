"""Parts of examples: signals in other words, first answers, costs, trees of both kinds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from escalometer.cases.task import Task
from escalometer.config import AdapterParams, Recipe
from escalometer.dialogue.protocol import FRAMINGS, MORE_FRAMINGS, PROBE_FRAMINGS
from escalometer.training import examples, signals
from escalometer.training.chains import read_chain
from escalometer.training.held_out import UNTRAINED_PERCENTS, UNTRAINED_RATIOS

ADAPTER = AdapterParams(model="tiny")
TASK = Task("whether it sails", "the skipper", ("no", "yes"))
CONDITIONS = {
    "windy": {
        "signal": "Where wind exceeds 45% of the usual, 75% sailed.",
        "phrase": "wind exceeds 45% of the usual",
        "signal_accuracy": 0.75,
    }
}
SCENARIO = {
    "domain": "north",
    "scenario_id": "a1",
    "split": "train",
    "text": "A boat.",
    "conditions": ["windy", "gone"],
}


@settings(deadline=None)
@given(st.sampled_from(examples.PERCENTS), st.integers(0, 10_000))
def test_a_varied_signal_states_its_percentage_and_keeps_the_conditions_own(percent, seed):
    told = CONDITIONS["windy"]
    made = signals.vary(told["signal"], told["phrase"], percent, np.random.default_rng(seed))
    assert "45%" in made
    rest = made.replace("exceeds 45%", "")
    assert str(percent) in rest or signals.in_words(percent) in rest
    assert "75" not in rest or percent == 75


@pytest.mark.parametrize(
    ("number", "words"), [(0, "zero"), (13, "thirteen"), (20, "twenty"), (78, "seventy-eight")]
)
def test_numbers_in_words(number, words):
    assert signals.in_words(number) == words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It sails. It always does, and", "It sails.\nPREDICTION: 1"),
        ("It sails since\nthe wind\nPREDICTION: 0", "It sails since the wind\nPREDICTION: 1"),
        ("", "PREDICTION: 1"),
        ("PREDICTION: 0", "PREDICTION: 1"),
    ],
)
def test_a_first_answer_is_a_sentence_and_the_models_own_choice(text, expected):
    assert examples.first_answer(text, "1") == expected


def test_a_scenario_to_evaluate_on_is_never_taught():
    with pytest.raises(ValueError, match="eval split"):
        examples.draw_beginning(
            {**SCENARIO, "split": "eval"}, CONDITIONS, TASK, ADAPTER, np.random.default_rng(0)
        )


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_a_tree_shares_its_beginning_and_varies_its_costs(seed):
    rng = np.random.default_rng(seed)
    start = examples.draw_beginning(SCENARIO, CONDITIONS, TASK, ADAPTER, rng)
    first, *others = examples.tree_rows(3, start, "Yes.\nPREDICTION: 1", 8, ADAPTER, rng)
    assert first["kind"] == "predict"
    assert first["target"] == "Yes.\nPREDICTION: 1"
    assert len(others) == 8
    for row in others:
        assert row["messages"][:1] == first["messages"]
        assert row["messages"][1]["content"] == first["target"]
        assert row["percent"] == start.percent
        assert row["percent"] not in UNTRAINED_PERCENTS
        assert row["cost_ratio"] not in UNTRAINED_RATIOS
        assert row["framing"] in FRAMINGS | MORE_FRAMINGS
        assert row["framing"] not in PROBE_FRAMINGS
        assert read_chain(row["target"]).mistake(row["percent"], row["cost_ratio"]) is None
    assert len({row["cost_ratio"] for row in others}) == 8


def test_drills_are_second_turns_about_nothing_with_a_percentage_each():
    rows = examples.drill_rows(9, 40, ADAPTER, np.random.default_rng(1))
    assert {row["kind"] for row in rows} == {"drill"}
    assert {len(row["messages"]) for row in rows} == {3}
    assert {row["domain"] for row in rows} == {None}
    assert len({row["percent"] for row in rows}) > 20


def test_brief_first_answers_are_the_choice_alone_and_learned_in_drills_as_well():
    assert examples.first_answer("I think so. It is.", "1", is_brief=True) == "PREDICTION: 1"
    adapter = AdapterParams(model="tiny", first_answers="brief")
    rows = examples.drill_rows(9, 8, adapter, np.random.default_rng(1))
    assert {row["kind"] for row in rows} == {"drill_both"}
    assert all(row["target"].startswith("The signal says") for row in rows)


def test_few_ratios_come_in_different_words():
    adapter = AdapterParams(model="tiny", cost_ratios=(4, 10))
    rng = np.random.default_rng(2)
    start = examples.draw_beginning(SCENARIO, CONDITIONS, TASK, adapter, rng)
    rows = examples.tree_rows(0, start, "PREDICTION: 0", 6, adapter, rng)[1:]
    assert {row["cost_ratio"] for row in rows} == {4, 10}
    assert len({(row["cost_ratio"], row["framing"]) for row in rows}) == 6


def test_how_many_trees_the_examples_make():
    recipe = Recipe(n_examples=100, n_branches=8, drill_share=0.4)
    assert examples.n_trees(recipe, ADAPTER) == (8, 5)  # 60 and 40 examples
    assert examples.n_trees(recipe, AdapterParams(model="tiny", n_examples=16)) == (2, 1)


def test_the_mix_is_the_recipes_unless_the_adapter_has_its_own():
    recipe = Recipe(n_examples=80, n_branches=8, drill_share=0.5)
    assert examples.n_trees(recipe, ADAPTER) == (5, 5)
    assert examples.n_trees(recipe, AdapterParams(model="tiny", drill_share=0.2)) == (8, 2)
    assert examples.n_trees(recipe, AdapterParams(model="tiny", drill_share=0.0)) == (10, 0)
