"""What a model would put after a marker: the probability of each choice, by one forward pass."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from escalometer.dialogue.providers.local.decoding import Decoder, Kept, common


@dataclass(frozen=True)
class Open:
    """A row that waits for its choice.

    Attributes
    ----------
    read : list of int
        The tokens before what closes it.
    endings : sequence of list of int
        By choice, the tokens that close it: marker and choice.
    kept : Kept or None
        What the row may go on from.
    """

    read: list[int]
    endings: Sequence[list[int]]
    kept: Kept | None


@dataclass(frozen=True)
class _Part:
    """Those endings of a row that are alike so far: by choice, the tokens that are left."""

    row: int
    read: list[int]
    left: dict[int, list[int]]
    kept: Kept | None
    log_p: float


def weigh(
    decoder: Decoder, rows: Sequence[Open], is_greedy: bool = False
) -> tuple[list[list[float]], list[Kept]]:
    """Return each row's probabilities of its choices, and the row read as far as they agree.

    All that the endings of a row share is read, up to the token at which they part: in one pass
    into single ones where each choice is a token of its own, else those that still agree go on. An
    ending's probability is the product of its tokens' up to where it stands alone.

    Parameters
    ----------
    decoder : Decoder
        The model.
    rows : sequence of Open
        At least one; each has two endings or more, none the beginning of another.
    is_greedy : bool
        Whether only the likeliest token is followed where endings part, as greedy decoding does:
        one choice then has all of the probability.
    """
    log_p = [[-math.inf] * len(row.endings) for row in rows]
    read: dict[int, Kept] = {}
    parts = [
        _Part(i, row.read, dict(enumerate(row.endings)), row.kept, 0.0)
        for i, row in enumerate(rows)
    ]
    while parts:
        parts = [_shared(part) for part in parts]
        prompts = [part.read for part in parts]
        batch, logits = decoder.start(prompts, [part.kept for part in parts], is_read_only=True)
        scores = logits.double().log_softmax(-1)
        going_on = []
        for place, part in enumerate(parts):
            kept = Kept(batch, place) if decoder.can_continue else None
            if kept is not None:
                read.setdefault(part.row, kept)
            by_token: dict[int, dict[int, list[int]]] = defaultdict(dict)
            for choice, tokens in part.left.items():
                by_token[tokens[0]][choice] = tokens
            if is_greedy:
                likeliest = max(by_token, key=lambda token: float(scores[place, token]))
                by_token = defaultdict(dict, {likeliest: by_token[likeliest]})
            for token, left in by_token.items():
                so_far = part.log_p + float(scores[place, token])
                if len(left) == 1:
                    log_p[part.row][next(iter(left))] = so_far
                else:
                    going_on.append(_Part(part.row, part.read, left, kept, so_far))
        parts = going_on
    return [_normalized(row) for row in log_p], [read[i] for i in sorted(read)]


def _shared(part: _Part) -> _Part:
    """Return the part with all that its endings share moved to what is read."""
    first, *others = part.left.values()
    n = min(common(first, other) for other in others)
    left = {choice: tokens[n:] for choice, tokens in part.left.items()}
    return _Part(part.row, part.read + first[:n], left, part.kept, part.log_p)


def _normalized(log_p: list[float]) -> list[float]:
    top = max(log_p)
    weights = [math.exp(x - top) for x in log_p]
    return [weight / sum(weights) for weight in weights]
