"""Sanitized text: a stranger's words on one line, safe inside a prompt.

A comment, a title or a ticket is data. Its writer may have closed the prompt's quotes, imitated its
markers or a chat template's tokens, or hidden characters that reverse the line. Sanitized text
reads much the same and does none of that, also where a model quotes it.
"""

from __future__ import annotations

import re
import unicodedata

from escalometer.cases.task import CONFIDENCE_MARKER, DECISION_MARKER, PREDICTION_MARKER

#: Longest run of one character, and longest word, that stay whole; then comes ELLIPSIS.
MAX_RUN, MAX_WORD = 20, 60
ELLIPSIS = "..."
CUT = " [cut]"
#: A limit below this would leave little more than CUT itself.
MIN_LIMIT = 20

# The caller puts double quotes around the text: no character in it may look like one.
_DOUBLE_QUOTES = '"“”„‟«»″‶〝〞〟❝❞⹂˝🙶🙷🙸'
# Invisible without being of a separate category: fillers, joiners, variation selectors.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
_VARIATION_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))


class _Characters(dict[int, "str | None"]):
    """A translation table for `str.translate`, filled in on demand."""

    def __missing__(self, code: int) -> str | None:
        self[code] = character = _replacement(code)
        return character


def _replacement(code: int) -> str | None:
    character = chr(code)
    if 0xFF01 <= code <= 0xFF5E:  # full-width forms of ASCII
        return _replacement(code - 0xFEE0)
    if 0x1D400 <= code <= 0x1D7FF:  # bold, script, … letters made for mathematics
        return unicodedata.normalize("NFKC", character)
    if character in _DOUBLE_QUOTES:
        return "'"
    category = unicodedata.category(character)
    if category == "Cc" or category.startswith("Z"):
        return " "
    if category.startswith("C") or character in _INVISIBLE:
        return None
    if any(code in selectors for selectors in _VARIATION_SELECTORS):
        return None
    return character


_CHARACTERS = _Characters()

# A marker's letters may have spaces between them, and its colon may be one of several that look
# alike. Text after the marker counts as well: the choice may follow the sanitized text.
_COLON = ":\u2236\ufe13\ufe55\ua789"
_TO_COLON = rf"[ *_'`~{_COLON}]*[{_COLON}] ?"
_MARKERS = (PREDICTION_MARKER, CONFIDENCE_MARKER, DECISION_MARKER)
_MARKER = re.compile(
    "(" + "|".join(" ?".join(marker.rstrip(":")) for marker in _MARKERS) + f"){_TO_COLON}",
    re.IGNORECASE,
)
_LAST_LETTER = re.compile(rf"[nNeE]{_TO_COLON}")  # found fast, where most texts have none
# <think>, </s>, <|im_end|>, <<SYS>>, <0x0A>: broken by a space; "<3" and "< 5" are none of them.
_ANGLE_TOKEN = re.compile(r"<(?=[/|<_▁A-Za-z]|\w+>)")
# [INST], [/INST], [TOOL_CALLS], [gMASK], [unused7]
_SQUARE_TOKEN = re.compile(r"\[(?=/?(?:[a-z]?[A-Z_]{2,}|unused)\d*\])")
_LONG_RUN = re.compile(rf"(.)(?=\1)\1{{{MAX_RUN},}}\.*")
# Scripts from Thai on write words without spaces between them: there the limit alone cuts.
_LONG_WORD = re.compile(rf"[!-\u0dff]{{{MAX_WORD + 1},}}")
_MARK = r"[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]"
_STACKED_MARKS = re.compile(f"({_MARK}{{3}}){_MARK}+")


def plain(text: str, limit: int = 600) -> str:
    """Return `text` on one line of at most `limit` characters, safe between our double quotes.

    Whitespace and control characters become single spaces; characters without a shape of their own
    (marks of direction, zero width, private use) go; double quotes become single ones; the colon of
    a marker becomes a dash; what a tokenizer would take for a special token gets a space inside;
    runs, long words and the whole are cut. Done twice it gives the same as once.

    Parameters
    ----------
    text : str
        Anything, lone surrogates and NUL included.
    limit : int, default 600
        The most characters to return, at least 20. What is longer ends with ``" [cut]"``.

    Returns
    -------
    str
        Empty only where nothing in `text` is visible.

    Raises
    ------
    ValueError
        If `limit` is too small.
    """
    if limit < MIN_LIMIT:
        raise ValueError(f"a limit is at least {MIN_LIMIT} (found {limit})")
    if not text.isascii():
        # Twice: removed characters may have separated a letter from its accent.
        text = unicodedata.normalize("NFC", text).translate(_CHARACTERS)
        text = _STACKED_MARKS.sub(r"\1", unicodedata.normalize("NFC", text))
    elif '"' in text or not text.isprintable():
        text = text.translate(_CHARACTERS)
    text = " ".join(text.split())
    if not text.isascii():
        text = _without_leading_marks(text)
    text = _LONG_RUN.sub(_cut_run, text)
    if "<" in text:
        text = _ANGLE_TOKEN.sub("< ", text)
    if "[" in text:
        text = _SQUARE_TOKEN.sub("[ ", text)
    if _LAST_LETTER.search(text):
        text = _MARKER.sub(r"\1 - ", text).rstrip()
    if len(text) > MAX_WORD:
        text = _LONG_WORD.sub(_cut_word, text)
    return text if len(text) <= limit else _cut(text, limit)


def quoted(text: str, limit: int = 600) -> str:
    """Return `plain` of `text` in double quotes; parameters as there (the quotes come on top)."""
    inner = plain(text, limit)
    # A backslash before our closing quote would look like an escaped quote.
    return f'"{inner} "' if inner.endswith("\\") else f'"{inner}"'


def _without_leading_marks(text: str) -> str:
    """Return `text` without leading accents, which would combine with the text before."""
    start = 0
    while start < len(text) and (
        text[start] == " " or unicodedata.category(text[start]).startswith("M")
    ):
        start += 1
    return text[start:]


def _cut_run(match: re.Match[str]) -> str:
    return match[1] * (MAX_RUN - len(ELLIPSIS)) + ELLIPSIS


def _cut_word(match: re.Match[str]) -> str:
    return match[0][: MAX_WORD - len(ELLIPSIS)].rstrip(".") + ELLIPSIS


def _cut(text: str, limit: int) -> str:
    head = text[: limit - len(CUT)]
    if text[len(head)] != " ":
        boundary = head.rfind(" ")
        # Where the last space is far off, the text has no spaces between words.
        if boundary > 0 and len(head) - boundary <= MAX_WORD:
            head = head[:boundary]
    return head.rstrip() + CUT
