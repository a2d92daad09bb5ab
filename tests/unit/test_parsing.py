"""Answers are read strictly: a marker and a choice, or nothing."""

from __future__ import annotations

import time
from pathlib import Path
from string import ascii_uppercase

import pytest

from escalometer.cases.task import DECISION_MARKER, PREDICTION_MARKER
from escalometer.dialogue.parsing import parse_confidence, parse_marker, stop_pattern


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("They will keep it. PREDICTION: 1", 1),
        ("PREDICTION: 0\n", 0),
        ("PREDICTION:1.", 1),
        ("**PREDICTION: 0**", 0),
        ("PREDICTION: 10", None),
        ("PREDICTION: 0.8", None),
        ("PREDICTION: 2", None),
        ("prediction: 1", None),
        ("PREDICTION:\n1", None),
        ("DECISION: 1", None),
        ("Prediction is 1", None),
        ("", None),
        ("<think>PREDICTION: 1</think> I cannot tell", None),
        ("<think>PREDICTION: 1</think> PREDICTION: 0", 0),
        ("<think>it never ends PREDICTION: 1", None),
    ],
)
def test_a_marker_followed_by_a_digit_counts_and_nothing_else(text, expected):
    assert parse_marker(text, PREDICTION_MARKER) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is about money. PREDICTION: B", 1),
        ("PREDICTION: A\n", 0),
        ("PREDICTION:C.", 2),
        ("**PREDICTION: B**", 1),
        ("'PREDICTION: C'", 2),
        ("PREDICTION: B (billing)", 1),
        ("PREDICTION: A: Delivery", 0),
        ("PREDICTION: C\nbecause", 2),
        ("PREDICTION: Billing", None),
        ("PREDICTION: B2", None),
        ("PREDICTION: Bé", None),
        ("PREDICTION: D", None),
        ("PREDICTION: b", None),
        ("PREDICTION: 1", None),
        ("PREDICTION: A refund is due", None),
        ("PREDICTION: A or B", None),
        ("PREDICTION: A/B", None),
        ("PREDICTION: B's", None),
        ("PREDICTION:\nB", None),
        ("PREDICTION:", None),
        ("prediction: B", None),
        ("B", None),
        ("PREDICTION: Billing, so PREDICTION: B", 1),
        ("<think>PREDICTION: A</think> PREDICTION: B", 1),
        ("<think>it never ends PREDICTION: A", None),
    ],
)
def test_a_letter_counts_where_it_stands_for_itself(text, expected):
    assert parse_marker(text, PREDICTION_MARKER, choices=("A", "B", "C")) == expected


def test_every_choice_is_read_as_its_place():
    for n in range(3, 27):
        choices = tuple(ascii_uppercase[:n])
        texts = [f"PREDICTION: {letter}" for letter in ascii_uppercase]
        read = [parse_marker(text, PREDICTION_MARKER, choices=choices) for text in texts]
        assert read == [*range(n), *[None] * (26 - n)]


def test_a_letter_ends_an_answer_once_it_cannot_become_a_word():
    def stops_at(text: str, *choices: str) -> str | None:
        pattern = stop_pattern(PREDICTION_MARKER, choices)
        grown = (text[:end] for end in range(len(text) + 1))
        return next((part for part in grown if pattern.search(part)), None)

    assert stops_at("PREDICTION: 10", "0", "1") == "PREDICTION: 1"
    assert stops_at("PREDICTION: B. And so", "A", "B", "C") == "PREDICTION: B. "
    assert stops_at("PREDICTION: B\n\nAnd", "A", "B", "C") == "PREDICTION: B\n\n"
    assert stops_at("PREDICTION: Billing", "A", "B", "C") is None
    assert stops_at("PREDICTION: A refund", "A", "B", "C") is None


def test_which_of_several_markers_counts_is_the_cards_choice():
    text = "DECISION: 0 … on reflection DECISION: 1"
    assert parse_marker(text, DECISION_MARKER, "first") == 0
    assert parse_marker(text, DECISION_MARKER, "last") == 1
    text = "PREDICTION: C, no, PREDICTION: A"
    assert parse_marker(text, PREDICTION_MARKER, "first", choices=("A", "B", "C")) == 2
    assert parse_marker(text, PREDICTION_MARKER, "last", choices=("A", "B", "C")) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is likely.\nCONFIDENCE: 85\nPREDICTION: 1", 0.85),
        ("CONFIDENCE: 85", 0.85),
        ("CONFIDENCE:85%", 0.85),
        ("CONFIDENCE: 85 %.\r\n", 0.85),
        ("CONFIDENCE: 72.5", 0.725),
        ("**CONFIDENCE: 85**\n**PREDICTION: 1**", 0.85),
        ("CONFIDENCE: 85 PREDICTION: 1", 0.85),
        ("CONFIDENCE: 85%. **PREDICTION: 1**", 0.85),
        ("'CONFIDENCE: 85'", 0.85),
        ("CONFIDENCE: 0", 0.0),
        ("CONFIDENCE: 1", 0.01),
        ("CONFIDENCE: 100", 1.0),
        ("CONFIDENCE: 100.0%", 1.0),
        ("CONFIDENCE: 0.0", 0.0),
        ("CONFIDENCE: 0.5%", 0.005),
        # per cent or a fraction: ambiguous
        ("CONFIDENCE: 0.85", None),
        ("CONFIDENCE: 1.0", None),
        ("CONFIDENCE: .85", None),
        # out of range
        ("CONFIDENCE: 101", None),
        ("CONFIDENCE: 100.01", None),
        ("CONFIDENCE: " + "9" * 5_000, None),
        ("CONFIDENCE: -5", None),
        # no single number
        ("CONFIDENCE: 80-90", None),
        ("CONFIDENCE: 80 – 90%", None),
        ("CONFIDENCE: 80 to 90", None),
        ("CONFIDENCE: 80, or 90", None),
        ("CONFIDENCE: 8/10", None),
        ("CONFIDENCE: 85,5", None),
        ("CONFIDENCE: 1.2.3", None),
        ("CONFIDENCE: 8e1", None),
        ("CONFIDENCE: ~85", None),
        ("CONFIDENCE: 85x", None),
        ("CONFIDENCE: 85%%", None),
        ("CONFIDENCE: <0-100>", None),
        ("CONFIDENCE: <85>", None),
        ("CONFIDENCE: high", None),
        ("CONFIDENCE: ٨٥", None),
        ("CONFIDENCE:\n85", None),
        ("CONFIDENCE: 85 DECISION: 1", None),
        ("confidence: 85", None),
        ("PREDICTION: 1", None),
        ("", None),
        ("<think>CONFIDENCE: 85</think> I cannot tell", None),
        ("<think>CONFIDENCE: 85</think> CONFIDENCE: 60", 0.6),
        ("<think>it never ends CONFIDENCE: 85", None),
    ],
)
def test_a_confidence_is_one_number_with_the_line_for_itself(text, expected):
    assert parse_confidence(text) == expected


def test_which_of_several_confidences_counts_is_the_cards_choice():
    text = "As 'CONFIDENCE: <0-100>' it is\nCONFIDENCE: 30\nor rather\nCONFIDENCE: 70%\n"
    assert parse_confidence(text, "first") == 0.3
    assert parse_confidence(text, "last") == 0.7
    assert parse_confidence("CONFIDENCE: 30\nCONFIDENCE: 300", "last") is None


def test_a_long_line_costs_no_more_than_its_length():
    started = time.process_time()
    for filling in (" " * 200_000, "9" * 200_000, "*" * 200_000, " *" * 100_000):
        assert parse_confidence(f"CONFIDENCE: 85{filling}x") is None
    assert time.process_time() - started < 1.0


def test_every_recorded_answer_is_read_as_its_recorder_did(recorded: Path):
    import pyarrow.parquet as pq

    table = pq.read_table(recorded / "transcripts.parquet")
    for text_column, marker, digit_column in [
        ("prediction_text", PREDICTION_MARKER, "prediction"),
        ("decision_text", DECISION_MARKER, "escalate"),
    ]:
        read = [parse_marker(text, marker) for text in table[text_column].to_pylist()]
        assert read == table[digit_column].to_pylist()
