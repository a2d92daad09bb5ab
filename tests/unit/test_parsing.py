"""Answers are read strictly: a marker and a digit, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from escalometer.parsing import DECISION_MARKER, PREDICTION_MARKER, parse_marker


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


def test_which_of_several_markers_counts_is_the_cards_choice():
    text = "DECISION: 0 … on reflection DECISION: 1"
    assert parse_marker(text, DECISION_MARKER, "first") == 0
    assert parse_marker(text, DECISION_MARKER, "last") == 1


def test_every_recorded_answer_is_read_as_its_recorder_did(recorded: Path):
    import pyarrow.parquet as pq

    table = pq.read_table(recorded / "transcripts.parquet")
    for text_column, marker, digit_column in [
        ("prediction_text", PREDICTION_MARKER, "prediction"),
        ("decision_text", DECISION_MARKER, "escalate"),
    ]:
        read = [parse_marker(text, marker) for text in table[text_column].to_pylist()]
        assert read == table[digit_column].to_pylist()
