"""The task of a domain: its words in prompts, and the markers that end an answer."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase

#: How answers end. No text of a domain may contain one: see `escalometer.cases.sanitize`.
PREDICTION_MARKER = "PREDICTION:"
DECISION_MARKER = "DECISION:"
CONFIDENCE_MARKER = "CONFIDENCE:"

#: The choices after a marker where there are two; more than two have letters.
BINARY = ("0", "1")


@dataclass(frozen=True)
class Task:
    """The words of one domain in prompts.

    Attributes
    ----------
    question : str
        The question of turn 1: ``"whether the loan officer approves the application"``.
    decider : str
        The person whose decision it is: ``"the loan officer"``.
    meanings : tuple of str
        The meanings of label 0, 1, …, in that order: 2 to 26, no two the same.

    Raises
    ------
    ValueError
        If there are fewer than 2 meanings, more than 26, or the same one twice.
    """

    question: str
    decider: str
    meanings: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse meanings that markers cannot distinguish."""
        n = len(self.meanings)
        if not 2 <= n <= len(ascii_uppercase):
            raise ValueError(f"a task has 2 to {len(ascii_uppercase)} meanings (found {n})")
        duplicates = sorted({m for m in self.meanings if self.meanings.count(m) > 1})
        if duplicates:
            raise ValueError(
                f"a task's meanings must differ (found twice: {', '.join(duplicates)})"
            )

    @property
    def choices(self) -> tuple[str, ...]:
        """The prediction marker's value for each label: 0 and 1, or A, B, C, …"""
        n = len(self.meanings)
        return BINARY if n == len(BINARY) else tuple(ascii_uppercase[:n])
