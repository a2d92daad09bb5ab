"""Reading a prediction or an action off an answer, strictly."""

from __future__ import annotations

import re
from typing import Literal

PREDICTION_MARKER = "PREDICTION:"
DECISION_MARKER = "DECISION:"

_THINKING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)


def marker_pattern(marker: str) -> re.Pattern[str]:
    """Return the pattern of `marker` followed by exactly one digit 0 or 1, which it captures."""
    return re.compile(re.escape(marker) + r"[ \t]*([01])(?![\d]|\.\d)")


def strip_thinking(text: str) -> str:
    """Return `text` without what stands between think tags; an unclosed tag hides the rest."""
    return _THINKING.sub("", text)


def parse_marker(text: str, marker: str, which: Literal["first", "last"] = "last") -> int | None:
    """Return the digit after `marker`, or None where there is none: never a guess.

    Parameters
    ----------
    text : str
        A model's answer; thinking between think tags is left out.
    marker : str
        ``"PREDICTION:"`` or ``"DECISION:"``.
    which : {"first", "last"}
        Which marker counts where there are several: the last in a reasoning model's answer, the
        first in a fine-tuned model's, which may go on to invent turns.

    References
    ----------
    method.md, "Protocol".
    """
    digits = marker_pattern(marker).findall(strip_thinking(text))
    if not digits:
        return None
    return int(digits[0] if which == "first" else digits[-1])
