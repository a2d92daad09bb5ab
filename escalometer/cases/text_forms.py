"""The form of a text: how it is written, without its content."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

_NUMBER = (
    r"(?P<sign>(?<![\w.)\]])[-+−](?=[$€£¥₹]?\d))?(?P<currency>[$€£¥₹])?"
    r"(?P<whole>\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.(?P<decimals>\d+))?"
)
_CONTENT = re.compile(rf"(?P<number>{_NUMBER})|(?P<word>[^\W\d_]+)")
# "and" and "or", alone and with a space on both sides, until the items that they join are masked.
_AND, _AND_SPACED = "\x01", "\x02"
_START, _END = r"(?:(?<=[\s(\[\"':;])|^)", r"(?![\w#]|[.,_'’-][\w#])"
_RUN = re.compile(
    rf"{_START}(?P<item>[wWŵŴ]+|#(?:,#+)?(?:\.#+)?)(?:[ {_AND_SPACED}](?P=item))+{_END}"
)
# A comma or slash with a number right after it is a decimal comma or a date, not a list.
_LIST = re.compile(
    rf"{_START}(?P<item>[^\s,;|/{_AND_SPACED}][^,;|/\n{_AND_SPACED}]{{0,40}}?)"
    rf"(?:(?: ?[,;|/](?!#) ?(?:{_AND} )?|{_AND_SPACED})(?P=item))+{_END}"
)


def mask(text: str) -> str:
    """Return the form of a text without its content.

    A word becomes w, W (Capitalized), WW (UPPER) or Ww (mIxed), with ŵ and Ŵ where it is not ASCII;
    a number becomes # with its sign, currency, thousands commas ("#,###"), decimals and per cent
    sign. Punctuation, line breaks, underscores and spaces stay. Equal words in a row are one, and
    so are equal items of a list: how many there are is content.

    Examples
    --------
    >>> mask("Debt consolidation: $12,000.50, debt_consolidation")
    'W w: $#,###.##, w_w'
    >>> mask("2 cars, 3 dogs and 1 cat")
    '# w'
    """
    return _masked(text, [_written(match) for match in _numbers(text)])


def _numbers(text: str) -> Iterator[re.Match[str]]:
    return (match for match in _CONTENT.finditer(text) if match["number"])


def _written(match: re.Match[str], *, plain: str = "#") -> str:
    """Return a number's form; `plain` stands for a whole part without commas."""
    whole = "#,###" if "," in match["whole"] else plain
    return f"{match['sign'] or ''}{_sizeless(match).replace('#', whole, 1)}"


def _sizeless(match: re.Match[str]) -> str:
    """Return a number's form without the parts that depend on its size and sign."""
    decimals = "." + "#" * len(match["decimals"]) if match["decimals"] else ""
    return f"{match['currency'] or ''}#{decimals}"


def _shape(word: str) -> str:
    if word in ("and", "or"):
        return _AND
    first, upper = ("w", "W") if word.isascii() else ("ŵ", "Ŵ")
    if word == word.lower():
        return first
    if word[1:] == word[1:].lower():
        return upper
    return upper * 2 if word == word.upper() else upper + first


def _masked(text: str, numbers: Sequence[str]) -> str:
    """Return the masked text, with `numbers` in the place of its numbers."""
    replacements = iter(numbers)
    shapes = _CONTENT.sub(lambda m: next(replacements) if m["number"] else _shape(m["word"]), text)
    shapes = re.sub(rf"(?<=[^\s,;]) {_AND} (?=\S)", _AND_SPACED, shapes)
    for _ in range(4):  # lists of lists; more levels than that are not written
        before = shapes
        shapes = _LIST.sub(r"\g<item>", _RUN.sub(r"\g<item>", shapes))
        if shapes == before:
            break
    shapes = shapes.replace(_AND_SPACED, " w ").replace(_AND, "w")
    return _RUN.sub(r"\g<item>", shapes)


def masked_forms(texts: Sequence[str]) -> list[str]:
    """Return the masked texts, with commas and signs only where writing them was a choice."""
    numbers_of = [list(_numbers(text)) for text in texts]
    plain = [
        _masked(text, [_sizeless(match) for match in numbers])
        for text, numbers in zip(texts, numbers_of, strict=True)
    ]
    choices = {pair for numbers in numbers_of for match in numbers for pair in _choices(match)}
    if len(choices) == len({choice for choice, _ in choices}):
        return plain  # one notation everywhere
    habits: dict[tuple[str, int, int, str], Counter[str]] = defaultdict(Counter)
    for form, numbers in zip(plain, numbers_of, strict=True):
        for i, match in enumerate(numbers):
            for choice, way in _choices(match):
                habits[form, len(numbers), i, choice][way] += 1
    usual = {slot: min(n, key=lambda way: (-n[way], way)) for slot, n in habits.items()}
    forms = []
    for text, form, numbers in zip(texts, plain, numbers_of, strict=True):
        written = [
            _written(match, plain="####")
            if any(usual[form, len(numbers), i, choice] != way for choice, way in _choices(match))
            else _sizeless(match)
            for i, match in enumerate(numbers)
        ]
        forms.append(_masked(text, written))
    return forms


def _choices(match: re.Match[str]) -> Iterator[tuple[str, str]]:
    """Yield each choice in writing this number, and the option that was taken."""
    whole = match["whole"]
    if len(whole.replace(",", "")) > 3:
        yield "thousands", "," if "," in whole else ""
    sign = match["sign"] or ""
    yield "positive" if sign in ("", "+") else "negative", sign
