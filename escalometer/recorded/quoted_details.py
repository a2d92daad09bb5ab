"""What a text quotes of another one: its numbers, names and quotations, to be looked for there."""

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
_OPENING = " \t\"“*('‘"  # stand before a word and end no sentence


@dataclass(frozen=True)
class Quoted:
    """One thing that an answer quotes.

    Attributes
    ----------
    kind : str
        ``number``, ``name`` or ``quotation``.
    text : str
        As it is compared: numbers by value, the rest without regard to case.
    """

    kind: str
    text: str

    @property
    def is_telling(self) -> bool:
        """Whether it is more than a digit or a round number, which stand in many texts."""
        return self.kind != "number" or "." in self.text or len(self.text.strip("0")) >= 2


def quoted(answer: str) -> list[Quoted]:
    """Return what an answer quotes: numbers, capitalized words within a sentence, quotations."""
    text = _MARKER.sub(" ", answer)
    found = {Quoted("number", number) for number in _numbers(text)}
    for match in _WORD.finditer(text):
        word = match.group()
        before = text[max(0, match.start() - 20) : match.start()].rstrip(_OPENING)
        is_first = not before or before[-1] in _SENTENCE_ENDS
        if len(word) > 2 and word[0].isupper() and not is_first:
            found.add(Quoted("name", word.casefold()))
    for pair in _QUOTATION.findall(text):
        inside = _flat(pair[0] or pair[1]).strip(" .,!?;:")
        if inside:
            found.add(Quoted("quotation", inside))
    return sorted(found, key=lambda one: (one.kind, one.text))


class Source:
    """A text in which quoted things are looked for."""

    def __init__(self, text: str) -> None:
        self._text = text

    def has(self, one: Quoted) -> bool:
        """Return whether the text has what is quoted."""
        if one.kind == "number":
            return one.text in self._numbers
        return one.text in (self._words if one.kind == "name" else self._flat)

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
