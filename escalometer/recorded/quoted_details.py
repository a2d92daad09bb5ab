"""Quoted details: numbers, names and quotations of a text that also occur in another one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

_NUMBER = re.compile(r"(?<![\w.])(\d[\d,]{0,20}(?:\.\d{1,12})?)(k\b)?", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{2,40}(?:['’-][^\W\d_]{1,40}){0,3}")
_QUOTATION = re.compile(r"[\"“]([^\"“”\n]{2,200})[\"”]|(?<!\w)['‘]([^'‘’\n]{2,200})['’](?!\w)")
#: The choice that an answer ends in, such as PREDICTION: 1.
_MARKER = re.compile(r"\b[A-Z]{4,}\W{0,4}:\W{0,4}\d+")
_SENTENCE_ENDS = ".!?:\n"
_OPENING = " \t\"“*('‘"  # occur before a word and end no sentence


@dataclass(frozen=True)
class QuotedDetail:
    """One detail that an answer quotes.

    Attributes
    ----------
    kind : str
        ``number``, ``name`` or ``quotation``.
    text : str
        Normalized for comparison: numbers by value, the rest without regard to case.
    """

    kind: str
    text: str

    @property
    def is_telling(self) -> bool:
        """True if it is more than a digit or a round number, which occur in many texts."""
        return self.kind != "number" or "." in self.text or len(self.text.strip("0")) >= 2


def quoted_details(answer: str) -> list[QuotedDetail]:
    """Return an answer's numbers, capitalized words within a sentence, and quotations."""
    text = _MARKER.sub(" ", answer)
    details = {QuotedDetail("number", number) for number in _numbers(text)}
    for match in _WORD.finditer(text):
        word = match.group()
        before = text[max(0, match.start() - 20) : match.start()].rstrip(_OPENING)
        is_first = not before or before[-1] in _SENTENCE_ENDS
        if len(word) > 2 and word[0].isupper() and not is_first:
            details.add(QuotedDetail("name", word.casefold()))
    for pair in _QUOTATION.findall(text):
        inside = _flat(pair[0] or pair[1]).strip(" .,!?;:")
        if inside:
            details.add(QuotedDetail("quotation", inside))
    return sorted(details, key=lambda detail: (detail.kind, detail.text))


class SearchedText:
    """A text that is searched for quoted details."""

    def __init__(self, text: str) -> None:
        self._text = text

    def has(self, detail: QuotedDetail) -> bool:
        """Return true if the text contains the detail."""
        if detail.kind == "number":
            return detail.text in self._numbers
        return detail.text in (self._words if detail.kind == "name" else self._flat)

    @cached_property
    def _numbers(self) -> set[str]:
        return _numbers(self._text)

    @cached_property
    def _words(self) -> set[str]:
        return {word.casefold() for word in _WORD.findall(self._text)}

    @cached_property
    def _flat(self) -> str:
        return _flat(self._text)


def _numbers(text: str) -> set[str]:
    """Return the numbers of a text by value: 193.0 % is 193, $28k is 28,000."""
    values = (
        float(digits.replace(",", "")) * (1000 if thousands else 1)
        for digits, thousands in _NUMBER.findall(text)
    )
    return {f"{value:.10g}" for value in values}


def _flat(text: str) -> str:
    return " ".join(text.casefold().split())
