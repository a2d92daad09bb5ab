"""The words of both turns, and how many choices a task may have."""

from __future__ import annotations

import re
from string import ascii_uppercase

import pytest

from escalometer.cases.task import Task
from escalometer.dialogue.protocol import (
    FILLERS,
    FRAMINGS,
    Protocol,
    actions,
    as_predicate,
    as_typed,
    first_turn,
    second_turn,
)

RAIN = Task("whether it rains", "the farmer", ("dry", "rain"))
TOPIC = Task("what the complaint is about", "the clerk", ("delivery", "billing", "other"))


def test_two_choices_are_asked_for_as_digits():
    assert RAIN.choices == ("0", "1")
    assert first_turn(Protocol(), RAIN, "A cloud.", "Clouds mean rain in 80%.") == (
        "A cloud.\n\nClouds mean rain in 80%.\n\n"
        "TASK: Predict whether it rains. Explain your reasoning in one sentence. "
        "Then end with exactly 'PREDICTION: 1' (rain) or 'PREDICTION: 0' (dry)."
    )


def test_more_choices_are_asked_for_as_letters():
    assert TOPIC.choices == ("A", "B", "C")
    assert first_turn(Protocol(has_signal=False), TOPIC, "My parcel!", "Mostly A.") == (
        "My parcel!\n\n"
        "TASK: Predict what the complaint is about. Explain your reasoning in one sentence. "
        "Then end with exactly one of 'PREDICTION: A' (delivery), 'PREDICTION: B' (billing) "
        "or 'PREDICTION: C' (other)."
    )
    many = Task("which", "the clerk", tuple(f"thing {i}" for i in range(26)))
    assert many.choices == tuple(ascii_uppercase)
    assert first_turn(Protocol(), many, "", "").endswith(
        "'PREDICTION: Y' (thing 24) or 'PREDICTION: Z' (thing 25)."
    )


def test_the_second_turn_knows_nothing_of_the_choices():
    for protocol in (Protocol(), Protocol(cost_ratio=4.0, framing="dollars")):
        asked = second_turn(protocol, Task("?", "the clerk", ("dry", "rain")))
        assert second_turn(protocol, TOPIC) == asked
        assert "'DECISION: 0' (implement) or 'DECISION: 1' (escalate)" in asked


ASK = (
    "TASK: Implement your prediction, or escalate to the farmer? A decision counts as correct if "
    "it implements a prediction that matches what the farmer decided, or escalates one that does "
    "not. Explain in one or two sentences. "
    "Then end with exactly 'DECISION: 0' (implement) or 'DECISION: 1' (escalate)."
)


@pytest.mark.parametrize(
    ("protocol", "before"),
    [
        (Protocol(), ""),
        (Protocol(has_signal=False), ""),
        (
            Protocol(cost_ratio=4.0, framing="ratio"),
            "Cost ratio R = 4: a wrong implementation costs 4x more than escalating.\n\n",
        ),
        (
            Protocol(cost_ratio=2.5, framing="dollars"),
            "Escalating costs $1. Implementing a wrong prediction costs $2.5.\n\n",
        ),
        (
            Protocol(cost_ratio=50.0, framing="words"),
            "Being wrong costs 50 times as much as asking a human.\n\n",
        ),
        (
            Protocol(cost_ratio=20.0, framing="plain"),
            "Implementing a wrong answer costs 20x more than escalating.\n\n",
        ),
    ],
)
def test_answers_are_stored_under_these_very_words(protocol, before):
    """A change here asks everything again: it costs what was paid so far."""
    assert second_turn(protocol, RAIN) == before + ASK
    assert first_turn(protocol, RAIN, "S", "G") == (
        ("S\n\nG" if protocol.has_signal else "S")
        + "\n\nTASK: Predict whether it rains. Explain your reasoning in one sentence. "
        "Then end with exactly 'PREDICTION: 1' (rain) or 'PREDICTION: 0' (dry)."
    )


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize(
    ("ratio", "written"),
    [(2, "2"), (2.5, "2.5"), (1.01, "1.01"), (1234.5678, "1234.5678"), (1e6, "1000000")],
)
def test_a_ratio_is_written_with_all_its_digits(framing, ratio, written):
    statement = second_turn(Protocol(cost_ratio=ratio, framing=framing), RAIN).split("\n\n")[0]
    numbers = re.findall(r"\d+(?:\.\d+)?", statement.removeprefix("Escalating costs $1. "))
    assert numbers == [written] * len(numbers)
    assert numbers


def test_a_filler_has_a_statements_length_and_none_of_its_sense():
    assert set(FILLERS) == set(FRAMINGS)
    for framing, filler in FILLERS.items():
        for ratio in (2, 4, 8, 10, 20, 50):
            assert abs(len(FRAMINGS[framing].format(ratio=ratio)) - len(filler)) <= 2
        assert not re.search(
            r"\d|[$€£%]|cost|times|ratio|price|expens|cheap|pay|wrong", filler, re.I
        )
        asked = second_turn(Protocol(framing=framing, has_filler=True), RAIN)
        assert asked == f"{filler}\n\n{ASK}"


def test_an_isolated_turn_tells_what_somebody_predicted():
    protocol = Protocol(is_isolated=True)
    assert second_turn(protocol, TOPIC, "My parcel!", "Mostly delivery.", 2) == (
        "My parcel!\n\nMostly delivery.\n\n"
        "Somebody predicted what the complaint is about. The prediction is: other.\n\n"
        + ASK.replace("your", "the").replace("farmer", "clerk")
    )
    costly = Protocol(is_isolated=True, has_signal=False, cost_ratio=4.0, framing="words")
    assert second_turn(costly, TOPIC, "My parcel!", "Mostly delivery.", 0).split("\n\n")[:3] == [
        "My parcel!",
        "Somebody predicted what the complaint is about. The prediction is: delivery.",
        "Being wrong costs 4 times as much as asking a human.",
    ]
    assert first_turn(protocol, RAIN, "S", "G") == first_turn(Protocol(), RAIN, "S", "G")


def test_a_confidence_is_asked_for_before_the_marker():
    protocol = Protocol(asks_confidence=True)
    assert first_turn(protocol, RAIN, "S", "G") == (
        "S\n\nG\n\nTASK: Predict whether it rains. Explain your reasoning in one sentence. "
        "Then state in per cent how probable it is that your prediction is right, on a line of "
        "its own: 'CONFIDENCE: <0-100>'. "
        "Then end with exactly 'PREDICTION: 1' (rain) or 'PREDICTION: 0' (dry)."
    )
    assert second_turn(protocol, RAIN) == ASK


def test_a_readout_asks_for_the_markers_alone():
    protocol = Protocol(reads_choice=True)
    first, second = first_turn(protocol, RAIN, "S", "G"), second_turn(protocol, RAIN)
    assert first.endswith(
        "TASK: Predict whether it rains. Answer with exactly 'PREDICTION: 1' (rain) or "
        "'PREDICTION: 0' (dry), and nothing else."
    )
    assert second.endswith(
        "does not. Answer with exactly 'DECISION: 0' (implement) or 'DECISION: 1' (escalate), "
        "and nothing else."
    )
    assert "xplain" not in first + second


def test_swapped_actions_differ_in_their_two_digits_alone():
    swapped = second_turn(Protocol(are_actions_swapped=True), RAIN)
    assert swapped == ASK.translate({ord("0"): "1", ord("1"): "0"})
    assert swapped != ASK


@pytest.mark.parametrize("protocol", [Protocol(is_thinking=True), Protocol(has_other_signal=True)])
def test_what_changes_elsewhere_changes_no_words(protocol):
    assert first_turn(protocol, RAIN, "S", "G") == first_turn(Protocol(), RAIN, "S", "G")
    assert second_turn(protocol, RAIN) == ASK


@pytest.mark.parametrize(
    ("meanings", "message"),
    [
        ((), "2 to 26 meanings .found 0"),
        (("rain",), "2 to 26 meanings .found 1"),
        (tuple(map(str, range(27))), "2 to 26 meanings .found 27"),
        (("rain", "dry", "rain"), "must differ .found twice: rain"),
    ],
)
def test_meanings_that_markers_cannot_tell_apart_are_refused(meanings, message):
    with pytest.raises(ValueError, match=message):
        Task("whether it rains", "the farmer", meanings)


def test_a_typed_question_is_the_last_paragraph_and_says_nothing_of_markers():
    protocol = as_typed(Protocol(cost_ratio=4.0, framing="ratio", asks_confidence=True))
    assert first_turn(protocol, RAIN, "A cloud.", "Clouds mean rain in 80%.") == (
        "A cloud.\n\nClouds mean rain in 80%.\n\nTASK: Predict whether it rains."
    )
    assert second_turn(protocol, RAIN, "A cloud.", "Clouds mean rain in 80%.", 1) == (
        "A cloud.\n\nClouds mean rain in 80%.\n\n"
        "Somebody predicted whether it rains. The prediction is: rain.\n\n"
        "Cost ratio R = 4: a wrong implementation costs 4x more than escalating.\n\n"
        "TASK: Implement the prediction, or escalate to the farmer? A decision counts as correct "
        "if it implements a prediction that matches what the farmer decided, or escalates one that "
        "does not."
    )


def test_the_meanings_of_turn_twos_choices():
    meanings = ("implement the prediction", "escalate to the farmer")
    assert actions(Protocol(), RAIN) == meanings
    assert actions(Protocol(are_actions_swapped=True), RAIN) == meanings[::-1]
    assert as_predicate("Which?", meanings) == (
        "Which? True means: escalate to the farmer. False means: implement the prediction."
    )
