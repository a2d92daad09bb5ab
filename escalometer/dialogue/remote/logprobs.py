"""Probabilities of the choices after the marker, and of first tokens, from log-probabilities."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from typing import Any, Literal

from escalometer.dialogue.parsing import marker_pattern
from escalometer.dialogue.providers import Request

_AROUND = " \t\r\n.,;'\"`*"  # what a token may hold beside a choice


def _tokens(logprobs: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, float]]]]:
    """Return each token of the answer with the tokens that could have stood there instead.

    In OpenAI's layout of chat completions, or in that of the older completions, which Together
    keeps: parallel lists.
    """
    content = logprobs.get("content")
    if isinstance(content, list):
        return [
            (
                str(item["token"]),
                [(str(o["token"]), float(o["logprob"])) for o in item.get("top_logprobs") or []],
            )
            for item in content
        ]
    tokens, tops = logprobs.get("tokens"), logprobs.get("top_logprobs")
    if isinstance(tokens, list) and isinstance(tops, list) and len(tokens) == len(tops):
        return [
            (str(token), [(str(t), float(p)) for t, p in (top or {}).items()])
            for token, top in zip(tokens, tops, strict=True)
        ]
    return []


def _choice_in(token: str, before: str, choices: tuple[str, ...]) -> str | None:
    """Return the choice that `token` states, where `before` opens the token that was chosen."""
    if before.strip():
        if not token.startswith(before):
            return None
        token = token[len(before) :]
    bare = token.strip(_AROUND)
    return bare if bare in choices else None


def probabilities(
    logprobs: Any, request: Request, which: Literal["first", "last"]
) -> tuple[float, ...] | None:
    """Return the probability of each choice, given that one of them follows the marker.

    Parameters
    ----------
    logprobs : Any
        ``choices[0].logprobs`` of an answer.
    request : Request
        Its marker and choices.
    which : {"first", "last"}
        Which marker counts where there are several.

    Returns
    -------
    tuple of float or None
        In the order of ``request.choices``, summing to 1. A choice that is not among the listed
        tokens has 0. None where the answer has no marker with a choice after it, or lists no token
        beside the one that was chosen.
    """
    if not isinstance(logprobs, dict):
        return None
    try:
        tokens = _tokens(logprobs)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None  # an unknown layout: treated as absent
    text = "".join(token for token, _ in tokens)
    opened = text.rfind("</think>") + 1
    if "<think>" in text[opened:]:
        return None
    found = list(marker_pattern(request.marker, request.choices).finditer(text, opened))
    if not found:
        return None
    at = (found[0] if which == "first" else found[-1]).start(1)
    starts = [0, *accumulate(len(token) for token, _ in tokens)]
    i = bisect_right(starts, at) - 1
    before = tokens[i][0][: at - starts[i]]
    masses = dict.fromkeys(request.choices, 0.0)
    for token, logprob in tokens[i][1]:
        choice = _choice_in(token, before, request.choices)
        if choice is not None:
            masses[choice] += math.exp(logprob)
    total = sum(masses.values())
    if total <= 0 or not math.isfinite(total) or len(tokens[i][1]) < 2:
        return None
    return tuple(mass / total for mass in masses.values())


def first_token(logprobs: Any) -> dict[str, float] | None:
    """Return the log-probability of each listed first token of an answer, None where there is none.

    Parameters
    ----------
    logprobs : Any
        ``choices[0].logprobs`` of an answer.
    """
    if not isinstance(logprobs, dict):
        return None
    try:
        tokens = _tokens(logprobs)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None  # an unknown layout: treated as absent
    listed = {t: p for t, p in tokens[0][1] if math.isfinite(p)} if tokens else {}
    return listed or None
