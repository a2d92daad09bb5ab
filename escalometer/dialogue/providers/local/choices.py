"""The probability of each choice after a marker, by one forward pass."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from escalometer.dialogue.providers.local.decoding import CachedRow, Decoder, n_shared


@dataclass(frozen=True)
class UnansweredRow:
    """A row without its choice.

    Attributes
    ----------
    prefix : list of int
        The tokens before its ending.
    endings : sequence of list of int
        By choice, the tokens that close it: marker and choice.
    cached : CachedRow or None
        The row to resume from.
    """

    prefix: list[int]
    endings: Sequence[list[int]]
    cached: CachedRow | None


@dataclass(frozen=True)
class _Part:
    """Endings of a row with a common prefix: by choice, the remaining tokens."""

    row: int
    prefix: list[int]
    left: dict[int, list[int]]
    cached: CachedRow | None
    log_p: float


def choice_probabilities(
    decoder: Decoder, rows: Sequence[UnansweredRow], is_greedy: bool = False
) -> tuple[list[list[float]], list[CachedRow]]:
    """Return each row's probabilities of its choices, and the row's cached common prefix.

    The common prefix of a row's endings is read, up to the token at which they differ: one pass is
    enough where each choice is a single token, else endings that still agree are read further.
    An ending's probability is the product of its tokens' up to the first that only it has.

    Parameters
    ----------
    decoder : Decoder
        The model.
    rows : sequence of UnansweredRow
        At least one; each has two endings or more, none the beginning of another.
    is_greedy : bool
        Whether only the likeliest token is followed where endings part, as greedy decoding does:
        one choice then has all of the probability.
    """
    log_p = [[-math.inf] * len(row.endings) for row in rows]
    read_rows: dict[int, CachedRow] = {}
    parts = [
        _Part(i, row.prefix, dict(enumerate(row.endings)), row.cached, 0.0)
        for i, row in enumerate(rows)
    ]
    while parts:
        parts = [_shared(part) for part in parts]
        prompts = [part.prefix for part in parts]
        batch, logits = decoder.start(prompts, [part.cached for part in parts], is_read_only=True)
        scores = _scores(logits, parts)
        unfinished = []
        for place, part in enumerate(parts):
            cached = CachedRow(batch, place) if decoder.can_continue else None
            if cached is not None:
                read_rows.setdefault(part.row, cached)
            by_token: dict[int, dict[int, list[int]]] = defaultdict(dict)
            for choice, tokens in part.left.items():
                by_token[tokens[0]][choice] = tokens
            if is_greedy:
                likeliest = max(by_token, key=scores[place].__getitem__)
                by_token = defaultdict(dict, {likeliest: by_token[likeliest]})
            for token, remaining in by_token.items():
                log_total = part.log_p + scores[place][token]
                if len(remaining) == 1:
                    log_p[part.row][next(iter(remaining))] = log_total
                else:
                    unfinished.append(_Part(part.row, part.prefix, remaining, cached, log_total))
        parts = unfinished
    return [_normalized(row) for row in log_p], [read_rows[i] for i in sorted(read_rows)]


def _scores(logits: torch.Tensor, parts: Sequence[_Part]) -> list[dict[int, float]]:
    """Return, by part, the log-probability of each token that continues it."""
    tokens = [sorted({left[0] for left in part.left.values()}) for part in parts]
    rows = [row for row, some in enumerate(tokens) for _ in some]
    log_p = logits.double().log_softmax(-1)
    # The host waits for the device once, not for each number.
    found = iter(log_p[rows, [token for some in tokens for token in some]].tolist())
    return [{token: next(found) for token in some} for some in tokens]


def _shared(part: _Part) -> _Part:
    """Return the part with the common prefix of its endings moved to `prefix`."""
    first, *others = part.left.values()
    n = min(n_shared(first, other) for other in others)
    remaining = {choice: tokens[n:] for choice, tokens in part.left.items()}
    return _Part(part.row, part.prefix + first[:n], remaining, part.cached, part.log_p)


def _normalized(log_p: list[float]) -> list[float]:
    top = max(log_p)
    weights = [math.exp(x - top) for x in log_p]
    return [weight / sum(weights) for weight in weights]
