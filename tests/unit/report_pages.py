"""Report pages for tests: written from example profiles and parsed as in a browser."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from escalometer.reporting.page import ReportContent, write_report
from tests.unit.example_profiles import typed

#: Markup, terminal escapes, characters that reorder or hide others, a template, right-to-left text.
HOSTILE = (
    '<script>alert(1)</script> "><img src=http://evil.example/x onerror=alert(2)>'
    " \x1b[31mred\x07 \u202egnp.exe \u2066iso\u2069 \u200bzero {{ 7 * 7 }} مرحبا"
)


class Page(HTMLParser):
    """A parsed page: its elements, references and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.references: list[str] = []
        self.handlers: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "data", "srcset"):
                self.references.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def dialogue(**changes: Any) -> dict[str, Any]:
    row = {
        "model": "smollm2-135m-instruct",
        "domain": "movielens",
        "edition": "dslabs",
        "condition": "movielens_0",
        "scenario_id": "s1",
        "intervention": "baseline",
        "replicate": 0,
        "signal_accuracy": 0.52,
        "has_signal": True,
        "is_thinking": False,
        "is_isolated": False,
        "reasoning_effort": None,
        "cost_ratio": None,
        "framing": None,
        "force_answer": True,
        "label": 1,
        "prediction": 1,
        "escalate": 0,
        "status": "ok",
        "prompt": "Two movies.",
        "prediction_text": "PREDICTION: 1",
        "decision_prompt": "Implement or escalate?",
        "decision_text": "DECISION: 0",
        "n_prompt_tokens": 10,
        "n_completion_tokens": 5,
        "cost_usd": 0.0,
        "latency_s": 0.1,
    }
    return row | changes


CONDITION = {
    "domain": "movielens",
    "condition": "movielens_0",
    "origin": "given",
    "phrase": "the averages differ by less than 0.05",
    "predicate": "gap < 0.05",
    "n_signal": 1200,
    "n_agreeing": 624,
    "n_eval": 700,
    "signal_label": 1,
    "signal_accuracy": 0.52,
    "n_all": 2400,
    "n_all_agreeing": 1250,
    "published_accuracy": None,
    "signal": "Under this condition 52% …",
}
PROVENANCE = {
    "domain": "movielens",
    "title": "MovieLens",
    "edition": "latest-small",
    "licence": "research",
    "files": [{"file": "ratings.csv", "n_rows": 100_004, "sha256": "abc123"}],
}
SUITE = {
    "table": "movielens_ratings",
    "file": "data/raw/movielens/ratings.csv",
    "n_rows": 100_004,
    "n_expectations": 9,
    "success": True,
}


PARAMETERS = {"seed": 7, "query": {"force_answer": False, "interventions": ["baseline"]}}


def written(profiles: list[dict[str, Any]], path: Path, **changes: Any) -> str:
    """Return the parsed page for profiles in JSON form."""
    content: dict[str, Any] = {
        "provenance": [PROVENANCE],
        "validation": [{"stage": "raw", **SUITE}],
        "samples": [dialogue()],
        "cost_ratio": 4.0,
        "params": PARAMETERS,
        "git_commit": "0123abc",
        "conditions": [CONDITION],
    }
    documents = [typed(profile) for profile in profiles]
    write_report(ReportContent(profiles=documents, **{**content, **changes}), path)
    return path.read_text(encoding="utf-8")
