"""The gate's verdict as Markdown, rendered: names stay text, tables stay tables."""

from __future__ import annotations

import html
import re

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from escalometer.documents import Verdict
from escalometer.documents.wording import visible
from escalometer.errors import DataError
from escalometer.reporting.gate_markdown import MARK, error_markdown, gate_markdown
from escalometer.reporting.markdown import code, text
from tests.releases import release
from tests.unit.test_gate import _gate

#: Names that people's files could hold.
HOSTILE = [
    "a|b", "a\\|b", "`x`", "``x", "<script>alert(1)</script>", "<b>", "&lt;", "@octocat", "#12",
    "org/repo#3", "a\nb", "a\r\n\r\n# h", "[x](http://evil.example)", "![x](http://evil.example/p)",
    "http://evil.example", "www.evil.example", "me@evil.example", "**bold** _it_", "~~gone~~",
    "# heading", "- item", "1. item", "/close", "!12", "%3", "~bug", "$a$", ":tada:", "gh-1",
    "</details>", "<!-- x", "-->", "]]>", "\x1b[31m", "\u202egnp", "x" * 300, "|", "\\", "    code",
]  # fmt: skip


def _render(markdown: str) -> list[Token]:
    return (
        MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(markdown)
    )


def _inline(tokens: list[Token]) -> list[Token]:
    return [child for token in tokens for child in token.children or ()]


def _shown(tokens: list[Token]) -> str:
    kept = ("text", "text_special", "code_inline")
    return "".join(t.content for t in _inline(tokens) if t.type in kept).replace("\u200b", "")


def _verdict(name: str) -> Verdict:
    made = _gate(release("new", threshold=0.45), release("old"))
    rules = [
        rule.model_copy(update={"reason": f"{rule.reason} than {name}", "rule": rule.rule})
        for rule in made.rules
    ]
    changes = {
        "model": name, "against": name, "source": name, "rules": tuple(rules), "notes": (name,),
        "resolved_models": {name: (name,)}, "files": {name: "sha256:00"}, "version": "1",
        "python": "3.12", "judged_at": "2026-11-29T00:00:00+00:00",
    }  # fmt: skip
    return made.model_copy(update=changes)


MADE = _verdict("plain")


def _named(name: str) -> Verdict:
    """Return the verdict with a name in place of ``plain``, without judging again."""
    rules = tuple(
        rule.model_copy(update={"reason": rule.reason.replace("plain", name)})
        for rule in MADE.rules
    )
    return MADE.model_copy(
        update={
            "model": name, "against": name, "source": name, "rules": rules, "notes": (name,),
            "resolved_models": {name: (name,)}, "files": {name: "sha256:00"},
        }
    )  # fmt: skip


def test_the_first_line_has_the_verdict_in_words() -> None:
    first = gate_markdown(MADE).splitlines()[0]
    assert first == "### Escalation gate: ❌ fail for `plain`, compared with `plain`"


def test_it_has_rules_reasons_digests_and_version() -> None:
    made = gate_markdown(MADE)
    assert "| implicit threshold near τ\\* | ❌ fail | −" in made
    assert "65.0 to 85.0%" in made
    assert "| regret not higher | ❌ fail | +0." in made and "| < 0.001 | 0.05 |" in made
    assert "- **regret not higher**: worse by" in made
    assert "`plain`: `sha256:00`" in made and "escalometer 1 (Python 3.12)" in made
    assert "4,000 of 4,000 dialogues of `baseline` are answered. 4,000 are paired." in made
    assert made.rstrip().endswith(MARK)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_stays_text(name: str) -> None:
    made = _render(gate_markdown(_named(name)))
    plain = _render(gate_markdown(MADE))
    blocks = [token.type for token in plain]
    assert [token.type for token in made] == blocks
    inline = {"link_open", "image", "em_open", "s_open", "html_inline", "softbreak", "hardbreak"}
    assert not inline & {token.type for token in _inline(made)}
    assert [t.content for t in made if t.type == "html_block"] == [
        t.content for t in plain if t.type == "html_block"
    ]
    assert _shown(made).count(" ".join(visible(name).split())) >= len(MADE.rules) + 5


@pytest.mark.parametrize("name", HOSTILE)
def test_no_site_finds_a_mention_or_an_address_in_it(name: str) -> None:
    made = MarkdownIt("commonmark").enable("table").render(f"x {text(name)} y")
    shown = html.unescape(made)
    found = re.search(r"@\w|#\d|https?://|www\.\w|[~%!$]\w|:\w+:|gh-\d", shown)
    assert not found, shown


def test_names_are_code_where_code_can_hold_them() -> None:
    assert code("smollm2@v1") == "`smollm2@v1`"
    assert code("a|b") == "a&#124;b"
    assert text("5 − 3 = 2, [1, 2]: 95%, p < 0.001") == "5 − 3 = 2, \\[1, 2\\]: 95%, p &lt; 0.001"


def test_an_error_is_not_a_verdict() -> None:
    made = error_markdown("a|b", DataError("no <b> @me"))
    assert made.startswith("### Escalation gate: no verdict for a&#124;b\n")
    assert "`DataError`: no &lt;b&gt; @&#8203;me" in made
    assert "It says nothing about the model." in made
