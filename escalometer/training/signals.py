"""The sentence that states a condition's accuracy, with another percentage or wording."""

from __future__ import annotations

import re

import numpy as np

# A whole number; conditions may hold decimals (24.1%), of which the last digit is no percentage.
_PERCENT = re.compile(r"(?<![\d.])\d{1,3}(?= ?%)")

_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]

#: Other sentences that state it. `{phrase}` is the condition's, `{percent}` the percentage.
SENTENCES = (
    "Of past cases where {phrase}, {percent} went as predicted.",
    "Records show: where {phrase}, predictions turned out right in {percent} of cases.",
    "Where {phrase}, a decision tree is right {percent} of the time.",
    "An accuracy of {percent} was measured on past cases where {phrase}.",
)


def restate(signal: str, percent: int) -> str:
    """Return the signal with another percentage in place of its last one, the accuracy.

    Parameters
    ----------
    signal : str
        ``"A decision tree on past applications finds: where the loan exceeds 90% of the property's
        value, 75% were approved."``
    percent : int
        The new percentage, 0 to 100.

    Raises
    ------
    ValueError
        If the sentence states no whole percentage, or `percent` is none.
    """
    if not 0 <= percent <= 100:
        raise ValueError(f"{percent} is no percentage")
    matches = [*_PERCENT.finditer(signal)]
    if not matches:
        raise ValueError(f"no percentage to replace in the signal: {signal!r}")
    return f"{signal[: matches[-1].start()]}{percent}{signal[matches[-1].end() :]}"


def vary(signal: str, phrase: str, percent: int, rng: np.random.Generator) -> str:
    """Return a signal that states `percent`, sometimes in other words or notation.

    Seven of ten keep the domain's own sentence with the percentage in digits, as in evaluation.

    Parameters
    ----------
    signal, phrase : str
        The condition's sentence, and its description.
    percent : int
        The percentage to state.
    rng : numpy.random.Generator
        Draws the wording.
    """
    sentence = restate(signal, percent)
    if rng.random() < 0.15:
        sentence = str(rng.choice(SENTENCES)).format(phrase=phrase, percent=f"{percent}%")
    if rng.random() < 0.15:
        begin, _, end = sentence.rpartition(f"{percent}%")
        sentence = f"{begin}{_otherwise(percent, rng)}{end}"
    return sentence


def _otherwise(percent: int, rng: np.random.Generator) -> str:
    ways = (
        f"{percent} per cent",
        f"{percent} percent",
        f"{percent} %",
        f"{percent}.0%",
        f"{percent} in 100",
        f"{in_words(percent)} per cent",
    )
    return str(rng.choice(ways))


def in_words(number: int) -> str:
    """Return a whole number from 0 to 99 in words: ``"seventy-eight"``."""
    if number < 20:
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_ONES[ones]}" if ones else "")
