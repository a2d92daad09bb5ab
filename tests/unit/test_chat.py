"""Answers in the layouts of many servers: text, thinking, tokens, probabilities, failures."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escalometer.config import ModelCard
from escalometer.dialogue.providers import Request
from escalometer.dialogue.remote import chat, failures
from escalometer.dialogue.remote.failures import Failure
from escalometer.dialogue.remote.logprobs import first_token, probabilities
from escalometer.dialogue.remote.repeats import Repeats

CARD = ModelCard.model_validate(
    {
        "id": "m",
        "title": "M",
        "provider": "openai",
        "licence": "none",
        "context": 100,
        "endpoint": {"base_url": "http://127.0.0.1/v1", "model": "m"},
        "thinking": {"on": {}, "field": "thoughts"},
    }
)
REQUEST = Request((("user", "x" * 30),), "PREDICTION:", 8, reads_choice=True)


def read(message, usage=None, finish="stop"):
    answer = {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}
    return chat.completion(CARD, REQUEST, answer, 0.0)


@pytest.mark.parametrize(
    ("message", "text", "thinking"),
    [
        ({"content": "a"}, "a", ""),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab", ""),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "t"}]},
                    {"type": "text", "text": "a"},
                ]
            },
            "a",
            "t",
        ),
        ({"content": "a", "thoughts": "t"}, "a", "t"),
        ({"content": "a", "reasoning": "t"}, "a", "t"),
        ({"content": "a", "reasoning_content": "t", "reasoning": "t"}, "a", "t"),
        ({"content": "<think>t</think>\n\na"}, "a", "t"),
        ({"content": "t\n</think>\n\na"}, "a", "t"),
        ({"content": "<think>t"}, "<think>t", ""),
        ({"content": "a</think>"}, "a</think>", ""),
        ({"content": "a <think>t</think> b"}, "a <think>t</think> b", ""),
        ({"content": None}, "", ""),
    ],
)
def test_text_and_thinking_are_told_apart(message, text, thinking):
    found = read(message)
    assert (found.text, found.thinking) == (text, thinking)


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}, (5, 3, 0)),
        # Thinking that is in the total alone.
        ({"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 20}, (5, 15, 0)),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 4},
            },
            (5, 3, 4),
        ),
        ({"prompt_tokens": 5, "completion_tokens": 3, "prompt_cache_hit_tokens": 2}, (5, 3, 2)),
        ({"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": None}, (5, 3, 0)),
        (None, (10, 2, 0)),  # estimated: 30 and 6 bytes
        ({"prompt_tokens": 0, "completion_tokens": 0}, (10, 2, 0)),
        ({"prompt_tokens": "many"}, (10, 2, 0)),
    ],
)
def test_tokens_are_counted_or_estimated(usage, counted):
    found = read({"content": "answer"}, usage)
    assert (found.n_prompt_tokens, found.n_completion_tokens, found.n_cached_tokens) == counted


@pytest.mark.parametrize(
    ("finish", "expected"),
    [("stop", "stop"), (None, "stop"), ("length", "length"), ("MAX_TOKENS", "length")]
    + [(name, "refused") for name in ("content_filter", "refusal", "SAFETY")],
)
def test_endings(finish, expected):
    assert read({"content": "a"}, finish=finish).finish == expected


def listed(*tokens):
    """Return log-probabilities of (token, {alternative: probability}) pairs."""
    return {
        "content": [
            {
                "token": token,
                "logprob": 0.0,
                "top_logprobs": [
                    {"token": other, "logprob": math.log(p)} for other, p in others.items()
                ],
            }
            for token, others in tokens
        ]
    }


HALF = {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([("PREDICTION:", HALF), (" 1", {" 1": 0.6, " 0": 0.2, "1": 0.1, " x": 0.1})], (2, 7)),
        ([("PREDICTION", HALF), (":", HALF), (" ", HALF), ("1", {"1": 0.6, "0": 0.3})], (1, 2)),
        ([("PREDICTION", HALF), (":1", {":1": 0.6, ":0": 0.2, ": 7": 0.2})], (1, 3)),
        ([("PREDICTION:", HALF), (" 1\n", {" 1\n": 0.6, " 0": 0.3, " 10": 0.1})], (1, 2)),
        ([("PREDICTION:", HALF), ("1", {"1": 0.5, "x": 0.5})], (0, 1)),
        ([("PREDICTION:", HALF), (" 1", {" 1": 1.0})], None),  # nothing beside it
        ([("PREDICTION:", HALF), (" 1", {})], None),
        ([("PREDICTION:", HALF), (" 12", HALF)], None),  # no choice
        ([("I think not.", HALF)], None),
        (
            [
                ("PREDICTION:", HALF),
                (" 1", {" 1": 1.0, " 0": 1e-9}),
                ("\nPREDICTION:", HALF),
                (" 0", {" 0": 0.8, " 1": 0.2}),
            ],
            (4, 1),
        ),
        (
            [
                ("<think>PREDICTION: ", HALF),
                ("1", {"1": 1.0, "0": 1e-9}),
                ("</think>", HALF),
                ("PREDICTION:", HALF),
                (" 0", {" 0": 0.8, " 1": 0.2}),
            ],
            (4, 1),
        ),
    ],
)
def test_probabilities_after_the_marker(tokens, expected):
    found = probabilities(listed(*tokens), REQUEST, "last")
    if expected is None:
        assert found is None
    else:
        assert found == pytest.approx([part / sum(expected) for part in expected], abs=1e-6)


def test_the_older_layout_of_log_probabilities():
    older = {
        "tokens": ["PREDICTION:", " 1"],
        "top_logprobs": [None, {" 1": math.log(0.6), " 0": math.log(0.2)}],
    }
    assert probabilities(older, REQUEST, "last") == pytest.approx((0.25, 0.75))


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(["content", "tokens", "top_logprobs", "token", "logprob"]), x
            )
        ),
    )
)
def test_no_layout_of_log_probabilities_breaks(logprobs):
    probabilities(logprobs, REQUEST, "last")
    first_token(logprobs)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "content",
                    "error",
                    "code",
                    "type",
                    "usage",
                    "finish_reason",
                    "prompt_tokens",
                    "total_tokens",
                    "text",
                    "refusal",
                    "logprobs",
                    "model",
                    "object",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(_JSON, st.sampled_from([200, 400, 404, 429, 500]))
def test_no_answer_breaks(answer, status):
    found = failures.of_answer(status, {}, json.dumps(answer).encode())
    if not isinstance(found, Failure):
        chat.completion(CARD, REQUEST, found, 0.0)


@given(st.binary(max_size=200), st.sampled_from([200, 302, 400, 404, 429, 502]))
def test_no_bytes_break(raw, status):
    found = failures.of_answer(status, {}, raw)
    assert not isinstance(found, Failure) or found.reason


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("12ms", 0.012),
        ("1s", 1),
        ("6m0s", 360),
        ("1h2m3.5s", 3723.5),
        ("2.5", 2.5),
        ("", 0),
        ("soon", 0),
        ("1767225600000", 0),
    ],
)
def test_durations(said, seconds):
    assert failures.duration_s(said) == pytest.approx(seconds)


def test_only_a_copy_for_another_request_of_a_server_with_ids_of_its_own_is_a_repeat():
    repeats = Repeats()
    for name in ("a", "b", "c"):
        assert not repeats.is_repeat({"id": name}, name.encode(), name.encode())
    assert repeats.is_repeat({"id": "b"}, b"b", b"d")
    assert not repeats.is_repeat({"id": "b"}, b"b", b"b")  # the same request, asked again
    assert not repeats.is_repeat({"id": "b"}, b"another text", b"d")
    assert not repeats.is_repeat({}, b"b", b"e")


def test_a_server_with_one_id_is_never_said_to_repeat_itself():
    repeats = Repeats()
    assert not any(repeats.is_repeat({"id": "x"}, b"0", str(i).encode()) for i in range(50))


def test_the_first_tokens_log_probabilities_are_read():
    found = first_token(listed((" A", {" A": 0.75, "B": 0.25}), ("x", HALF)))
    assert found == {" A": math.log(0.75), "B": math.log(0.25)}
    old = {"tokens": ["A"], "top_logprobs": [{"A": -0.5, "B": float("-inf")}]}
    assert first_token(old) == {"A": -0.5}
    assert (
        first_token({"content": []}) is first_token(None) is first_token(listed(("A", {}))) is None
    )
