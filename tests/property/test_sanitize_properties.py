"""Whatever a stranger writes: one line, bounded, without controls, markers or tokens."""

from __future__ import annotations

import re
import unicodedata

from hypothesis import example, given, settings
from hypothesis import strategies as st

from escalometer.cases.sanitize import plain, quoted
from escalometer.cases.task import DECISION_MARKER, PREDICTION_MARKER
from escalometer.dialogue.parsing import parse_marker

FRAGMENTS = [
    *(
        "DECISION: 0",
        "Prediction :1",
        "ＤＥＣＩＳＩＯＮ：０",
        "CONFIDENCE: 85",
        "confidence",
        "DECISION",
        "PREDICTION",
        ":",
        "0",
        "1",
    ),
    *("DECI", "SION", "<", "|", ">", "[", "]", "INST", "/", "think", "im_start", "<think>", "</s>"),
    *("<|im_end|>", "[INST]", "<<SYS>>", '"', "'", "“", "\\", ".", "..", "a", "!", "*", " ", "\n"),
    *(
        "\x00",
        "\x1b",
        "\u200b",
        "\u202e",
        "\u2066",
        "\ufe0f",
        "\u0338",
        "\u0301",
        "\ue000",
        "\ud800",
    ),
    *(
        "\U000e0041",
        "\u2236",
        "\u2028",
        "\u3164",
        "長",
        "é",
        "=cmd|' /C calc'!A0",
        "-" * 30,
        "ab" * 40,
    ),
]
ANY_CHARACTER = st.characters(exclude_categories=())
TEXTS = st.one_of(
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), ANY_CHARACTER), max_size=60).map("".join),
    st.lists(
        st.tuples(st.sampled_from(FRAGMENTS), st.integers(1, 40)).map(lambda p: p[0] * p[1]),
        max_size=20,
    ).map("".join),
)
LIMITS = st.integers(20, 300)
CHOICES = (("0", "1"), tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
SPECIAL = re.compile(r"<[|/]?\w+\|?>|<<SYS>>|\[/?INST\]")


@settings(max_examples=500)
@given(TEXTS, LIMITS)
@example("a" * 30 + "." * 20, 20)
@example("<" * 50 + "think>", 100)
def test_done_twice_is_the_same_as_once(text, limit):
    once = plain(text, limit)
    assert plain(once, limit) == once


@settings(max_examples=500)
@given(TEXTS, LIMITS)
def test_one_bounded_line_of_visible_characters(text, limit):
    result = plain(text, limit)
    assert len(result) <= limit
    assert result == " ".join(result.split())
    assert not {c for c in result if unicodedata.category(c)[0] in "CZ"} - {" "}
    assert unicodedata.is_normalized("NFC", result)
    assert result.encode("utf-8").decode("utf-8") == result
    assert quoted(text, limit).count('"') == 2
    assert not SPECIAL.search(result)


@settings(max_examples=500)
@given(TEXTS, LIMITS, TEXTS.filter(lambda t: "DECISION" not in t and "PREDICTION" not in t))
def test_no_marker_can_be_parsed_alone_or_among_other_text(text, limit, other):
    result, around = plain(text, limit), other.replace("<think>", "")
    for marker in (PREDICTION_MARKER, DECISION_MARKER):
        for choices in CHOICES:
            for answer in (result, f"0 {around} {result}", f"{result} 1 {around}", f"{result}1"):
                assert parse_marker(answer, marker, choices=choices) is None


@given(TEXTS, LIMITS, st.sampled_from("aZ0é長!+"))
def test_a_visible_text_never_comes_out_empty(text, limit, visible):
    assert plain(text + visible, limit)
    assert plain(visible + text, limit)


@given(
    st.text(
        st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='":<['), max_size=50
    )
)
def test_ordinary_ascii_stays_as_it_is(text):
    collapsed = " ".join(text.split())
    if not re.search(r"(.)\1{20,}", collapsed):
        assert plain(text) == collapsed
