"""Whether answers belong to their prompts, judged by what they quote.

An answer's quotes are looked for in its own prompt and in prompts of other rows of the same model,
domain, condition and signal (chance pairs). In the model's own answers nearly everything that only
one of two prompts has stands in the own one; after a shuffle it is as often the other's. How many
answers stand at a foreign prompt is told by misfits: answers whose quotes another prompt explains
better than their own, or of which the own one has less than half.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from escalometer.recorded.quoted_details import Quoted, Source, quoted
from escalometer.stats.shares import Z95, wilson

#: Answers that are looked at of one model in one domain; more are drawn evenly.
MOST = 5_000

#: Other prompts that each answer is held against.
N_OTHERS = 3

#: Fewer answers that quote something tell nothing.
FEWEST = 5

#: Lower end of the share of answers at a foreign prompt above which it is said. In untouched files
#: it was 0.06 at most, with a fifth of the prompts shuffled within their conditions 0.15 or more.
TOLERATED = 0.08

#: Standard errors above chance from which answers belong; and below which they do not.
CLEARLY, HARDLY = 3.3, 2.0

#: Fewer answers that tell their prompt from another one do not make a case.
FEWEST_TELLING = 10


@dataclass(frozen=True)
class Pair:
    """An answer and what it was given to.

    Attributes
    ----------
    row : int
        The row's number in the file.
    group : tuple
        What a chance pair shares: condition, has_signal.
    prompt, answer : str
        The texts.
    """

    row: int
    group: tuple[Any, ...]
    prompt: str
    answer: str


def check(
    pairs: Sequence[Pair], seed: int, advance: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Return whether the answers of one model in one domain belong to their prompts.

    Parameters
    ----------
    pairs : sequence of Pair
        In the order of the file.
    seed : int
        Fixes which rows make chance pairs.
    advance : callable
        Called after each answer that was looked at.

    Returns
    -------
    dict
        ``verdict``: ``belong``, ``some_foreign``, ``as_chance``, ``too_few`` (to tell) or
        ``nothing_quoted``; ``n_answers``, ``n_checked``, ``n_quoting``; ``n_lacking`` answers that
        quote something which their prompt lacks, ``rows_lacking`` the first of them that look
        foreign; ``own_share`` and ``chance_share`` of what is quoted, ``low`` and ``high`` of their
        difference; ``foreign_share``, with ``foreign_low``. Numbers are None where undefined.
    """
    step = -(-len(pairs) // MOST) if pairs else 1
    looked_at = pairs[::step]
    others = _others(looked_at, np.random.default_rng(seed))
    sources: dict[str, Source] = {}

    def source(prompt: str) -> Source:
        return sources.setdefault(prompt, Source(prompt))

    own, chance = [], []
    misfits, chance_misfits, n_telling = 0.0, 0.0, 0
    lacking: list[tuple[float, int]] = []
    for i, pair in enumerate(looked_at):
        advance()
        quotes = quoted(pair.answer)
        if not quotes or not others[i]:
            continue
        held = [_found(quotes, source(p)) for p in (pair.prompt, *others[i])]
        shares = [float(found.mean()) for found in held]
        own.append(shares[0])
        chance.append(sum(shares[1:]) / len(shares[1:]))
        n_telling += any(share != shares[0] for share in shares[1:])
        mine, theirs = _misfits(quotes, held, shares)
        misfits += mine
        chance_misfits += theirs
        if shares[0] < 1:
            lacking.append((-mine, pair.row))
    made = {
        "n_answers": len(pairs),
        "n_checked": len(looked_at),
        "n_quoting": len(own),
        "n_lacking": len(lacking),
        "rows_lacking": sorted(row for _, row in sorted(lacking)[:3]),
    }
    return made | _judged(np.array(own), np.array(chance), misfits, chance_misfits, n_telling)


def _others(pairs: Sequence[Pair], rng: np.random.Generator) -> list[list[str]]:
    """Return for each pair up to `N_OTHERS` prompts of its group that differ from its own."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, pair in enumerate(pairs):
        groups.setdefault(pair.group, []).append(i)
    made: list[list[str]] = [[] for _ in pairs]
    alone = []
    for members in groups.values():
        _draw(pairs, members, made, rng)
        alone += [i for i in members if not made[i]]
    if alone:  # a condition with one prompt: any of the domain's will do
        _draw(pairs, list(range(len(pairs))), made, rng, only=frozenset(alone))
    return made


def _draw(
    pairs: Sequence[Pair],
    members: Sequence[int],
    made: list[list[str]],
    rng: np.random.Generator,
    only: frozenset[int] | None = None,
) -> None:
    order = rng.permutation(np.array(members))
    for shift in range(1, min(len(order), 4 * N_OTHERS)):
        for i, j in zip(order.tolist(), np.roll(order, shift).tolist(), strict=True):
            other = pairs[j].prompt
            if only is not None and i not in only:
                continue
            if len(made[i]) < N_OTHERS and other != pairs[i].prompt and other not in made[i]:
                made[i].append(other)


def _found(quotes: Sequence[Quoted], source: Source) -> np.ndarray[Any, Any]:
    return np.array([source.has(one) for one in quotes])


def _misfits(
    quotes: Sequence[Quoted], held: Sequence[np.ndarray[Any, Any]], shares: Sequence[float]
) -> tuple[float, float]:
    """Return how far the own prompt is a misfit, and how far another one in its place would be.

    Each of the others takes the own one's place in turn, and both are held against what is left:
    so, if the own one is foreign too, the two have the same expectation.
    """
    n = len(held)
    is_poor = [_is_poor(quotes, found) for found in held]
    mine = theirs = 0
    for k in range(1, n):
        best = max((shares[j] for j in range(1, n) if j != k), default=None)
        mine += is_poor[0] or (best is not None and best > shares[0])
        theirs += is_poor[k] or (best is not None and best > shares[k])
    return mine / (n - 1), theirs / (n - 1)


def _is_poor(quotes: Sequence[Quoted], found: np.ndarray[Any, Any]) -> bool:
    """Whether a prompt lacks more than half of what an answer tellingly quotes."""
    telling = np.array([one.is_telling for one in quotes])
    return int(telling.sum()) >= 2 and float(found[telling].mean()) < 0.5


def _judged(
    own: np.ndarray[Any, Any],
    chance: np.ndarray[Any, Any],
    misfits: float,
    chance_misfits: float,
    n_telling: int,
) -> dict[str, Any]:
    n = len(own)
    unknown = dict.fromkeys(("own_share", "chance_share", "low", "high"))
    unknown |= dict.fromkeys(("foreign_share", "foreign_low"))
    if n < FEWEST:
        return {**unknown, "verdict": "nothing_quoted"}
    difference = own - chance
    mean, error = float(difference.mean()), float(difference.std(ddof=1)) / n**0.5
    # Alike in every answer, the difference is as sure as its sign.
    errors_above = mean / error if error else (np.inf if mean > 0 else 0.0)
    foreign = min(1.0, misfits / chance_misfits) if chance_misfits else None
    foreign_low = min(1.0, wilson(misfits, n)[0] * n / chance_misfits) if chance_misfits else None
    if foreign_low is not None and foreign_low > TOLERATED:
        verdict = "some_foreign" if errors_above > HARDLY else "as_chance"
    elif errors_above >= CLEARLY:
        verdict = "belong"
    elif errors_above < HARDLY and (n_telling >= FEWEST_TELLING or own.mean() < 0.5):
        verdict = "as_chance"
    else:
        verdict = "too_few"
    return {
        "own_share": float(own.mean()),
        "chance_share": float(chance.mean()),
        "low": mean - Z95 * error,
        "high": mean + Z95 * error,
        "foreign_share": foreign,
        "foreign_low": foreign_low,
        "verdict": verdict,
    }
