"""The task of a domain: the words that prompts need, and the markers that answers end with."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase

#: How answers end. No text of a domain may contain one: see `escalometer.cases.sanitize`.
PREDICTION_MARKER = "PREDICTION:"
DECISION_MARKER = "DECISION:"
CONFIDENCE_MARKER = "CONFIDENCE:"

#: What follows a marker where there are two choices; more of them have letters.
BINARY = ("0", "1")


@dataclass(frozen=True)
class Task:
    """The words of one domain that the prompts need.

    Attributes
    ----------
    question : str
        What turn 1 asks to predict: ``"whether the loan officer approves the application"``.
    decider : str
        The person whose decision it is: ``"the loan officer"``.
    meanings : tuple of str
        What label 0, 1, … mean, in that order: 2 to 26, no two the same.

    Raises
    ------
    ValueError
        If there are fewer than 2 meanings, more than 26, or the same one twice.
    """

    question: str
    decider: str
    meanings: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse meanings that no marker can tell apart."""
        n = len(self.meanings)
        if not 2 <= n <= len(ascii_uppercase):
            raise ValueError(f"a task has 2 to {len(ascii_uppercase)} meanings (found {n})")
        twice = sorted({m for m in self.meanings if self.meanings.count(m) > 1})
        if twice:
            raise ValueError(f"a task's meanings must differ (found twice: {', '.join(twice)})")

    @property
    def choices(self) -> tuple[str, ...]:
        """What the prediction marker carries for each label: 0 and 1, or A, B, C, …"""
        n = len(self.meanings)
        return BINARY if n == len(BINARY) else tuple(ascii_uppercase[:n])
