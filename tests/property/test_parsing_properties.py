"""A confidence comes out as it was stated, or not at all."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escalometer.cases.sanitize import quoted
from escalometer.cases.task import CONFIDENCE_MARKER
from escalometer.dialogue.parsing import parse_confidence

WHICH = st.sampled_from(["first", "last"])
PERCENT = st.decimals(0, 100, places=2)
FRAGMENTS = st.sampled_from(
    [
        *(CONFIDENCE_MARKER, "PREDICTION:", "85", "0.85", "101", "%", "-", "/", ".", " ", "\n"),
        *("<think>", "</think>", "**", "x", "to", "C O N F I D E N C E :", "Ｃonfidence：", "٣"),
    ]
)
TEXTS = st.lists(st.one_of(FRAGMENTS, st.text(max_size=3)), max_size=25).map("".join)


@given(PERCENT, st.sampled_from(["", ".", "**", "\nPREDICTION: 1", " PREDICTION: A"]), WHICH)
def test_a_percentage_is_read_back(percent, after, which):
    text = f"So.\n{CONFIDENCE_MARKER} {percent}%{after}"
    assert parse_confidence(text, which) == pytest.approx(float(percent) / 100)


@given(st.integers(0, 100), WHICH)
def test_a_whole_number_needs_no_sign(percent, which):
    assert parse_confidence(f"{CONFIDENCE_MARKER} {percent}", which) == percent / 100


@given(st.decimals(Decimal("100.01"), Decimal("1e9"), places=2), WHICH)
def test_what_lies_outside_is_nothing(percent, which):
    assert parse_confidence(f"{CONFIDENCE_MARKER} {percent}%", which) is None


@given(st.integers(0, 100), st.sampled_from(["-", " - ", "–", "/", " to ", " or ", ", ", ":"]))
def test_two_numbers_are_none(percent, between):
    assert parse_confidence(f"{CONFIDENCE_MARKER} {percent}{between}100") is None


@given(TEXTS, WHICH)
def test_any_text_gives_a_probability_or_nothing(text, which):
    found = parse_confidence(text, which)
    assert found is None or 0 <= found <= 1
    if CONFIDENCE_MARKER not in text:
        assert found is None


@given(TEXTS, WHICH)
def test_thinking_states_nothing(text, which):
    inside = text.replace("</think>", "")
    assert parse_confidence(f"<think>{inside} {CONFIDENCE_MARKER} 85", which) is None
    assert parse_confidence(f"<think>{inside}</think>{CONFIDENCE_MARKER} 60", which) == 0.6


@given(TEXTS, WHICH)
def test_a_quoted_text_states_nothing(text, which):
    assert parse_confidence(quoted(f"{CONFIDENCE_MARKER} 85 {text}"), which) is None
