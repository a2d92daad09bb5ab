"""The commands that README and tutorials show, for the tests that parse and run them.

A fenced block with the info string ``console`` holds commands, one per line; a backslash at the end
of a line continues the command on the next one. ``console no-run: …`` holds commands that no test
can run, with the reason.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT

_BLOCK = re.compile(r"^```console(?: no-run: (?P<reason>[^\n]+))?\n(?P<body>.*?)^```", re.M | re.S)


class Command(NamedTuple):
    """One command line of a page; `reason` is why no test runs it, or empty."""

    page: str
    words: list[str]
    reason: str


def pages() -> list[Path]:
    """README and every page of the documentation that may show commands."""
    docs = ROOT / "docs"
    return [
        ROOT / "README.md",
        *sorted(docs.glob("tutorials/*.md")),
        *sorted(docs.glob("how-to/*.md")),
    ]


def commands(page: Path) -> list[Command]:
    """The commands of a page, in order."""
    found = []
    for block in _BLOCK.finditer(page.read_text("utf-8")):
        for line in block["body"].replace("\\\n", " ").splitlines():
            if line.strip():
                name = str(page.relative_to(ROOT))
                found.append(Command(name, shlex.split(line), block["reason"] or ""))
    return found
