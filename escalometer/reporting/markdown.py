"""Texts of people's files in a Markdown comment of GitHub or GitLab, where they must stay text.

A name may hold a pipe that breaks a table, HTML, a link, or a mention that notifies somebody. Sites
look for mentions and references after they have rendered Markdown, so that a backslash does not
stop them: a zero-width space after the first character does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from escalometer.documents.wording import visible

_ZERO_WIDTH = "&#8203;"
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "\\": "&#92;", "`": "&#96;"}
_ESCAPED = "*_[]~$"
#: Beginnings of mentions, references, emojis and addresses, and what must follow.
_BEGINS = re.compile(
    r"[@#!~%&$^:](?=\w)|:(?=//)|(?<![a-z])www(?=\.)|(?<![a-z])gh-(?=\d)", re.IGNORECASE
)
#: Beginnings of a block: a heading, a list, a line.
_BLOCK = re.compile(r"^(\d{1,9})(?=[.)](?:\s|$))|^(?=[#+=-])")


def text(value: object) -> str:
    """Return a text that Markdown shows as it is, in one line.

    Parameters
    ----------
    value : object
        Anything; invisible characters are replaced by their code points.
    """
    line = " ".join(visible(value).split())
    parts = []
    end = 0
    for found in _BEGINS.finditer(line):
        parts += [_plain(line[end : found.end()]), _ZERO_WIDTH]
        end = found.end()
    escaped = "".join([*parts, _plain(line[end:])])
    return _BLOCK.sub(lambda found: f"{found[1] or ''}\\", escaped, count=1)


def code(value: object) -> str:
    """Return a name as inline code, or as `text` where a code span could not hold it."""
    line = " ".join(visible(value).split())
    return text(value) if not line or any(c in line for c in "`|\\") else f"`{line}`"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], n_words: int = 1) -> list[str]:
    """Return the lines of a table; cells are Markdown.

    Parameters
    ----------
    titles : sequence of str
    rows : iterable of sequence of str
        As many cells as there are titles.
    n_words : int
        Columns of words, on the left; the others are numbers, on the right.
    """
    sides = [":--" if i < n_words else "--:" for i in range(len(titles))]
    return [f"| {' | '.join(cells)} |" for cells in (titles, sides, *rows)]


def _plain(part: str) -> str:
    return "".join(_ENTITIES.get(c, f"\\{c}" if c in _ESCAPED else c) for c in part)
