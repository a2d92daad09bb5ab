"""Strict parsing of a prediction, an action or a confidence from an answer."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Literal

from escalometer.cases.task import BINARY, CONFIDENCE_MARKER, PREDICTION_MARKER

# A number that has the rest of its line for itself, or is followed by the prediction alone: then it
# is not part of a range (80-90), of a fraction (8/10) or of a sentence (80 or more). What is read
# stays read (++): a long run of blanks costs no more than its length.
_CONFIDENCE = re.compile(
    re.escape(CONFIDENCE_MARKER)
    + r"[ \t]*+([0-9]++(?:\.[0-9]++)?+)(?:[ \t]*+(%))?+[ \t.,;*_`'\")\]]*+"
    + rf"(?=\Z|[\r\n]|{re.escape(PREDICTION_MARKER)})"
)

_THINKING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)


# What must not follow a choice. A digit must not be part of a number; a letter neither of a word
# (Billing, I'm) nor of a sentence (A refund is due, I think), nor one of several (A/B, A or B).
_NOT_AFTER_DIGIT = r"(?![\d]|\.\d)"
_NOT_AFTER_LETTER = r"(?!\w|['’/]\w|[ \t][a-z])"


def marker_pattern(marker: str, choices: Sequence[str] = BINARY) -> re.Pattern[str]:
    """Return the pattern of `marker` followed by exactly one of `choices`, which it captures.

    Parameters
    ----------
    marker : str
        ``"PREDICTION:"`` or ``"DECISION:"``.
    choices : sequence of str
        Single characters, all digits or all capital letters.
    """
    return _marker_pattern(marker, "".join(choices))


@functools.cache
def _marker_pattern(marker: str, choices: str) -> re.Pattern[str]:
    not_after = _NOT_AFTER_DIGIT if choices.isdigit() else _NOT_AFTER_LETTER
    return re.compile(re.escape(marker) + rf"[ \t]*([{choices}])" + not_after)


def stop_pattern(marker: str, choices: Sequence[str] = BINARY) -> re.Pattern[str]:
    """Return the pattern that ends an answer still being written; parameters as `marker_pattern`.

    A digit ends it at once. A letter has to wait for two more characters, which tell whether it is
    a choice or begins a word; an answer that ends by itself before needs no such wait.
    """
    pattern = marker_pattern(marker, choices).pattern
    return re.compile(pattern if "".join(choices).isdigit() else pattern + r"(?=..)", re.DOTALL)


def strip_thinking(text: str) -> str:
    """Return `text` without the text between think tags; an unclosed tag hides the rest."""
    return _THINKING.sub("", text)


def parse_marker(
    text: str,
    marker: str,
    which: Literal["first", "last"] = "last",
    choices: Sequence[str] = BINARY,
) -> int | None:
    """Return the index of the choice after `marker`, None where there is none: never a guess.

    Parameters
    ----------
    text : str
        A model's answer; thinking between think tags is left out.
    marker : str
        ``"PREDICTION:"`` or ``"DECISION:"``.
    which : {"first", "last"}
        Which marker counts where there are several: the last in a reasoning model's answer, the
        first in a fine-tuned model's, which may go on to invent turns.
    choices : sequence of str
        What may follow the marker, as in `marker_pattern`.

    References
    ----------
    docs/method.md, "Reading an answer".
    """
    found = marker_pattern(marker, choices).findall(strip_thinking(text))
    if not found:
        return None
    return choices.index(found[0] if which == "first" else found[-1])


def parse_confidence(text: str, which: Literal["first", "last"] = "last") -> float | None:
    """Return the stated probability of being right, None where none is clear: never a guess.

    Parameters
    ----------
    text : str
        A model's answer; thinking between think tags is left out.
    which : {"first", "last"}
        Which marker counts where there are several, as in `parse_marker`.

    Returns
    -------
    float or None
        In [0, 1]. What was asked for is per cent from 0 to 100, with or without decimals and a
        percent sign. None where that is not what follows the marker, where the number lies outside,
        and where it may as well be a fraction: ``0.85`` without a percent sign is 85% or 0.85%.

    References
    ----------
    docs/method.md, "Reading an answer".
    """
    found = _CONFIDENCE.findall(strip_thinking(text))
    if not found:
        return None
    number, sign = found[0] if which == "first" else found[-1]
    percent = float(number)
    is_ambiguous = "." in number and not sign and 0 < percent <= 1
    return None if is_ambiguous or percent > 100 else percent / 100
