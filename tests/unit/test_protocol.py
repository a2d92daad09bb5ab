"""The words of both turns, and how many choices a task may have."""

from __future__ import annotations

from string import ascii_uppercase

import pytest

from escalometer.protocol import Protocol, Task, first_turn, second_turn

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
