"""Details that an answer quotes, and the texts that hold them."""

from __future__ import annotations

import pytest

from escalometer.recorded.prompt_match import Pair, check
from escalometer.recorded.quoted_details import QuotedDetail, SearchedText, quoted_details


@pytest.mark.parametrize(
    ("answer", "kind", "texts"),
    [
        ("A ratio of 193.0% and $28k, or 1,200.50.", "number", {"193", "28000", "1200.5"}),
        ("It is fine. PREDICTION: 1", "number", set()),
        ("The guest from Oslo liked *The Fugitive*. Reject.", "name", {"oslo", "the", "fugitive"}),
        (
            "It says \"You are  WRONG.\" and 'stop it', it's so.",
            "quotation",
            {"you are wrong", "stop it"},
        ),
        ("", "number", set()),
    ],
)
def test_what_is_quoted(answer, kind, texts):
    assert {one.text for one in quoted_details(answer) if one.kind == kind} == texts


def test_what_is_quoted_is_found_in_any_case_and_form():
    source = SearchedText("Debt ratio 193%, asks for $28,000 in OSLO; wrote: You are\nwrong!")
    kinds = {"number": "193", "name": "oslo", "quotation": "you are wrong"}
    assert all(source.has(QuotedDetail(kind, text)) for kind, text in kinds.items())
    assert not source.has(QuotedDetail("number", "19"))


def test_pairs_are_judged_the_same_each_time_and_by_what_tells_prompts_apart():
    pairs = [Pair(i, ("c",), f"score {100 + i}", f"The score is {100 + i}.") for i in range(40)]
    assert check(pairs, 1) == check(pairs, 1)
    assert check(pairs, 1)["verdict"] == "belong"
    turned = [
        Pair(i, ("c",), pairs[(i + 1) % 40].prompt, pair.answer) for i, pair in enumerate(pairs)
    ]
    assert check(turned, 1)["verdict"] == "as_chance"
    same = [Pair(i, ("c",), "score 100", "The score is 100.") for i in range(40)]
    assert check(same, 1)["verdict"] == "nothing_quoted"
    assert check([], 1)["verdict"] == "nothing_quoted"
