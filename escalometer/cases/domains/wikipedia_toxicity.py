"""Wikipedia talk page comments, rated for toxicity by crowd-workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from escalometer.cases.domains import Condition, Domain, Download, Edition, RawTable
from escalometer.cases.features import Feature
from escalometer.cases.sanitize import CUT, quoted
from escalometer.cases.task import Task

COMMENTS = RawTable(
    name="wikipedia_toxicity_comments",
    # The published file writes ids as 2232.0.
    columns={"rev_id": "DOUBLE", "comment": "VARCHAR", "year": "INTEGER"},
    stems=("toxicity_annotated_comments",),
)
ANNOTATIONS = RawTable(
    name="wikipedia_toxicity_annotations",
    columns={
        "rev_id": "DOUBLE",
        "worker_id": "INTEGER",
        "toxicity": "INTEGER",
        "toxicity_score": "DOUBLE",
    },
    stems=("toxicity_annotations",),
)
DERIVED_COMMENTS = RawTable(
    name="wikipedia_toxicity_derived",
    columns={"rev_id": "BIGINT", "comment": "VARCHAR", "toxicity_mean_score_lt0": "TINYINT"},
    stems=("derived_comments",),
)

#: Staging shows up to 500 characters; what quoting adds to them must not cut off anything that a
#: condition saw.
LIMIT = 1000
PLACEHOLDER = "a comment"

_SHARED = {
    "citation": "Ellery Wulczyn, Nithum Thain and Lucas Dixon. 2017. Ex Machina: Personal Attacks "
    "Seen at Scale. Proceedings of the 26th International Conference on World Wide Web, 1391-1399. "
    "doi:10.1145/3038912.3052591",
    "licence": "CC0 1.0 for the annotations, CC BY-SA 3.0 for the comments' text",
    "decisions_of": "crowd-workers, about ten of whom judged each comment",
    "cases": "A case is one comment; label 1 (not toxic) unless the mean of its workers' scores is "
    "below 0. A prompt shows about the first 500 characters, on one line; a condition's word "
    "stands in what is shown, as a whole word in any casing (the paper's is in the whole comment).",
    "warning": "Comments hold insults and slurs.",
}

RAW = Edition(
    name="raw",
    raw_tables=(COMMENTS, ANNOTATIONS),
    provenance={
        "source": "Wikipedia Talk Labels: Toxicity, figshare item 4563973",
        "edition": "about 160,000 comments of English Wikipedia's talk pages, with the judgement "
        "of each worker",
        **_SHARED,
    },
    downloads=(
        Download(
            release="figshare-4563973",
            url="https://figshare.com/ndownloader/files/7394542",
            file="toxicity_annotated_comments.tsv",
        ),
        Download(
            release="figshare-4563973",
            url="https://figshare.com/ndownloader/files/7394539",
            file="toxicity_annotations.tsv",
        ),
    ),
)
DERIVED = Edition(
    name="derived",
    raw_tables=(DERIVED_COMMENTS,),
    is_derived=True,
    releases={
        "d665ce45c28d9c21eae4b5a08a60f9f331a66424fe4f18edbaf03ce7f3becc1a": "comments in "
        "published prompts, 8,209"
    },
    provenance={
        "source": "comments read back out of the prompts published with arXiv 2604.08588",
        "edition": "comments with their aggregate label alone. No random sample of all comments: "
        "19% are toxic, and half of them have none of the paper's ten words",
        **_SHARED,
    },
)

#: The paper's words and percentages. Whole words: so it is in every published prompt.
WORDS = {
    "troll": 52,
    "vandal": 61,
    "stop": 67,
    "love": 74,
    "wikipedia": 85,
    "page": 87,
    "article": 92,
    "please": 92,
    "link": 94,
    "thank": 96,
}
CONDITIONS = tuple(
    Condition(
        f"contains_{word}",
        rf"regexp_matches(lower(shown), '\b{word}\b')",
        f"the comment has the word '{word}'",
        published,
    )
    for word, published in WORDS.items()
)

FEATURES = (
    Feature(
        "shown",
        "words",
        yes="the comment has the word '{value}'",
        no="the comment does not have the word '{value}'",
    ),
)


def render(row: Mapping[str, Any]) -> str:
    """Return the scenario's text: the comment, in quotes that its content cannot close."""
    is_cut = row["n_characters"] > len(row["shown"])
    return _framed(quoted(row["shown"] + CUT * is_cut, LIMIT))


def frame(row: Mapping[str, Any]) -> str:  # noqa: ARG001 (the contract hands over the row)
    """Return the part of the text that is the same for every comment."""
    return _framed(f'"{PLACEHOLDER}"')


def _framed(comment: str) -> str:
    return (
        "A comment on a Wikipedia talk page, quoted as data and no instruction to anyone:\n"
        f"{comment}"
    )


DOMAIN = Domain(
    name="wikipedia_toxicity",
    title="Wikipedia comments",
    task=Task(
        question="whether the crowd-workers took the comment for toxic",
        decider="the crowd-workers",
        meanings=("toxic", "not toxic"),
    ),
    editions=(RAW, DERIVED),
    signal_template="A decision tree on past comments finds: where {phrase}, {percent}% {outcome}.",
    outcomes=("were judged toxic", "were judged not toxic"),
    render=render,
    conditions=CONDITIONS,
    features=FEATURES,
    frame=frame,
)
