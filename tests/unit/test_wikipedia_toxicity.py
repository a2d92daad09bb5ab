"""Wikipedia comments: what is shown of a comment, which words it has, and who called it toxic."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from escalometer import validation, warehouse
from escalometer.cases import catalog
from escalometer.cases.domains.wikipedia_toxicity import WORDS
from escalometer.cases.scenarios import sample_scenarios
from escalometer.cases.staging import stage_cases, stage_table
from escalometer.config import Params, SampleParams
from tests.conftest import ROOT, SHARED

NAME = "wikipedia_toxicity"
DOMAIN = catalog.load(NAME)
PARAMS = Params(seed=3, models=("tiny",), domains=(NAME,), sample=SampleParams())


def staged(comments: Sequence[str]) -> list[dict]:
    """The cases that the derived edition's statements make of these comments."""
    table = pa.table(
        {
            "source_row": pa.array(range(1, len(comments) + 1), pa.int64()),
            "rev_id": pa.array(range(1, len(comments) + 1), pa.int64()),
            "comment": list(comments),
            "toxicity_mean_score_lt0": pa.array([0] * len(comments), pa.int8()),
        }
    )
    with warehouse.connect() as connection:
        warehouse.add_table(connection, "wikipedia_toxicity_derived", table)
        return stage_cases(connection, DOMAIN, "derived").to_pylist()


def shown(comment: str) -> str:
    (row,) = staged([comment])
    text: str = row["shown"]
    return text


def words_of(comments: Sequence[str]) -> dict[str, list[bool]]:
    cases = pa.Table.from_pylist(staged(comments))
    predicates = {c.name.removeprefix("contains_"): c.predicate for c in DOMAIN.conditions}
    return {name: found.tolist() for name, found in warehouse.members(cases, predicates).items()}


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ("NEWLINE_TOKENNEWLINE_TOKEN::I agree.NEWLINE_TOKENThanksTAB_TOKEN", "::I agree. Thanks"),
        ("`NEWLINE_TOKENit is ``an example``, no more`", 'it is "an example", no more'),
        ("```Yes`` or ``no```", '"Yes" or "no"'),
        ("`cut off in ``the middle", 'cut off in "the middle'),
        ("one ` stays", "one ` stays"),
        ("pa\u200bge and \u202eliame\u202c", "page and liame"),
        ("a\x00b\x1b[31mc\u2028d", "a b [31mc d"),
        ("http://example.org/" + "x" * 45 + "/page/1", "http://example.org/" + "x" * 38 + "..."),
        ("长" * 80, "长" * 80),
    ],
)
def test_what_is_shown_of_a_published_comment(published, expected):
    assert shown(published) == expected


def test_a_long_comment_is_shown_to_the_last_whole_word_and_says_so():
    exact, longer = "word " * 99 + "words", "word " * 99 + "words and on"
    assert shown(exact) == exact
    assert shown(longer) == exact
    assert shown("word " * 99 + "wordsworth") == ("word " * 99).strip()
    assert shown("长短" * 300) == "长短" * 250
    (whole, cut) = staged([exact, longer])
    assert DOMAIN.render(whole).endswith(' words"')
    assert DOMAIN.render(cut).endswith(' words [cut]"')


def test_a_comment_of_nothing_visible_is_no_case():
    assert staged(["NEWLINE_TOKEN \u200b", "``"])[0]["shown"] == '"'
    assert len(staged(["NEWLINE_TOKEN \u200b\x00", "a"])) == 1


def test_a_condition_has_the_whole_word_in_any_casing():
    found = words_of(["Thank you", "many THANKS", "thankless, thankful", "(thank) 'you'", "th ank"])
    assert found["thank"] == [True, False, False, True, False]
    found = words_of(
        ["a wiki page", "pages", "home-page", "page's end", "webpage", "paNEWLINE_TOKENge"]
    )
    assert found["page"] == [True, False, True, True, False, False]


def test_a_condition_holds_only_for_a_word_that_the_prompt_shows():
    far = "word " * 110
    hidden = [
        "http://example.org/" + "x" * 45 + "/page/1",
        far + "page",
        "pa\u0308ge",
        "page\u0301",
    ]
    comments = [*hidden, "pa\u200bge", "page\x00", "p" * 5 + "page", "<page>", "[PAGE]", '"page:']
    rows = staged(comments)
    holds = words_of(comments)["page"]
    assert holds == [False, False, False, False, True, True, False, True, True, True]
    for row, is_member in zip(rows, holds, strict=True):
        text = DOMAIN.render(row).removeprefix(DOMAIN.frame({}).split("\n")[0])
        assert bool(re.search(r"\bpage\b", text, re.IGNORECASE)) == is_member


def test_what_quoting_adds_never_cuts_what_was_shown():
    (row,) = staged(["<<<<a" * 99 + " page"])
    assert row["n_characters"] > 0
    (row,) = staged(["<a [AB] " * 62 + "page"])
    assert len(row["shown"]) == 500
    assert DOMAIN.render(row).endswith(' page"')


def test_the_frame_is_all_of_the_text_but_the_comment():
    (row,) = staged(['a ``comment``: "x"'])
    before, after = DOMAIN.frame(row).split('"a comment"')
    assert DOMAIN.frame({}) == DOMAIN.frame(row)
    assert DOMAIN.render(row).startswith(before)
    assert DOMAIN.render(row).endswith(after)


@pytest.mark.parametrize(
    ("scores", "label"),
    [([-1.0, 1.0], 1), ([0.0, 0.0], 1), ([-1.0, -1.0, 1.0], 0), ([-2.0, 1.0, 0.0], 0), ([2.0], 1)],
)
def test_a_mean_score_below_zero_is_toxic(scores, label):
    n = len(scores)
    with warehouse.connect() as connection:
        warehouse.add_table(
            connection,
            "wikipedia_toxicity_comments",
            pa.table({"source_row": [2], "rev_id": [2232.0], "comment": ["Hm."], "year": [2002]}),
        )
        warehouse.add_table(
            connection,
            "wikipedia_toxicity_annotations",
            pa.table(
                {
                    "source_row": list(range(2, n + 3)),
                    "rev_id": [2232.0] * n + [4216.0],  # a judgement of a comment that is not here
                    "worker_id": list(range(n + 1)),
                    "toxicity": [int(score < 0) for score in scores] + [1],
                    "toxicity_score": [*scores, -2.0],
                }
            ),
        )
        cases = stage_cases(connection, DOMAIN, "raw").to_pylist()
    assert [(row["label"], row["case_id"]) for row in cases] == [(label, "comment-000000002232")]


# ---------------------------------------------------------------- recorded data, where it is there


@pytest.fixture(scope="module")
def cases() -> pa.Table:
    path = SHARED / "data" / NAME
    if not path.exists():
        pytest.skip("../shared/data is not there: recorded data are not part of this project")
    return stage_table(DOMAIN, PARAMS, path)


def test_every_published_comment_is_a_case(cases):
    assert cases.num_rows == 8209
    labels = cases.column("label").to_pylist()
    assert round(1 - sum(labels) / len(labels), 4) == 0.1919


def test_a_signal_can_be_read_off_each_published_comments_prompt(cases):
    holds = warehouse.members(cases, {c.name: c.predicate for c in DOMAIN.conditions})
    first_line = DOMAIN.frame({}).split("\n")[0]
    texts = [DOMAIN.render(row).removeprefix(first_line) for row in cases.to_pylist()]
    for word in WORDS:
        pattern = re.compile(rf"\b{word}\b", re.IGNORECASE | re.ASCII)
        # A number alone, so that a failure prints no comment.
        wrong = sum(
            bool(pattern.search(text)) != is_member
            for text, is_member in zip(texts, holds[f"contains_{word}"].tolist(), strict=True)
        )
        assert wrong == 0, word


def test_the_suites_pass_the_published_comments(cases):
    path = SHARED / "data" / NAME / "derived_comments.parquet"
    with warehouse.connect() as connection:
        (table,) = DOMAIN.editions[1].raw_tables
        warehouse.read_raw(connection, table, path)
        raw = warehouse.spread_rows(connection, table.name, 10**6)
    sampled = sample_scenarios(DOMAIN, cases, PARAMS)
    folder = ROOT / "expectations"
    for rows, name in ((raw, table.name), (sampled.cases, NAME)):
        result = validation.check(validation.flat(rows), name, Path("x"), folder=folder)
        assert [failure.rule for failure in result.failures] == []


def test_the_papers_conditions_are_whole_words(recorded):
    """Evidence: each of the published prompts has its condition's word as a whole one."""
    rows = pq.read_table(
        recorded / "transcripts.parquet",
        columns=["condition", "prompt"],
        filters=[("domain", "=", NAME), ("has_signal", "=", False)],
    ).to_pylist()
    assert len(rows) == 2500
    for row in rows:
        word = row["condition"].removeprefix("contains_")
        comment = row["prompt"].split("needs to be checked:", 1)[1].rsplit("TASK: Predict", 1)[0]
        assert word in WORDS
        has_word = bool(re.search(rf"\b{word}\b", comment, re.IGNORECASE))
        assert has_word, word
