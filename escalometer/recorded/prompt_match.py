"""The match of answers to their prompts, judged by the details that answers quote.

An answer's quotes are looked for in its own prompt and in prompts of other rows of the same model,
domain, condition and signal (chance pairs). In the model's own answers nearly every detail that
only one of two prompts has is from the own one; after a shuffle it is as often the other's. The
number of answers at a foreign prompt is estimated from misfits: answers whose quotes another prompt
explains better than their own, or of whose quotes the own prompt has less than half.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from escalometer.recorded.quoted_details import QuotedDetail, SearchedText, quoted_details
from escalometer.stats.shares import Z95, wilson

#: The most answers of one model in one domain to check; of more, an even sample.
MOST = 5_000

#: Other prompts that each answer is checked against.
N_OTHERS = 3

#: With fewer answers that quote something there is no verdict.
FEWEST = 5

#: The lower bound of the share of answers at a foreign prompt that warrants a warning. In unchanged
#: files it was 0.06 at most, with a fifth of the prompts shuffled within their conditions 0.15 or
#: more.
TOLERATED = 0.08

#: Standard errors above chance from which answers match; and below which they do not.
CLEARLY, HARDLY = 3.3, 2.0

#: The least number of answers that distinguish their prompt from another one.
FEWEST_TELLING = 10


@dataclass(frozen=True)
class Pair:
    """An answer and its prompt.

    Attributes
    ----------
    row : int
        The row's number in the file.
    group : tuple
        The common values of a chance pair: condition, has_signal.
    prompt, answer : str
        The texts.
    """

    row: int
    group: tuple[Any, ...]
    prompt: str
    answer: str


def check(
    pairs: Sequence[Pair],
    seed: int,
    n_answers: int | None = None,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Return the verdict on whether the answers of one model in one domain match their prompts.

    Parameters
    ----------
    pairs : sequence of Pair
        In the order of the file; at most `MOST`, or an even sample is taken of them.
    seed : int
        Determines the rows of chance pairs.
    n_answers : int, optional
        How many answers there are, if `pairs` are an even sample of them already.
    advance : callable
        Called after each checked answer.

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
    sources: dict[str, SearchedText] = {}

    def source(prompt: str) -> SearchedText:
        return sources.setdefault(prompt, SearchedText(prompt))

    own_shares, chance_shares = [], []
    misfits, chance_misfits, n_telling = 0.0, 0.0, 0
    lacking: list[tuple[float, int]] = []
    for i, pair in enumerate(looked_at):
        advance()
        quotes = quoted_details(pair.answer)
        if not quotes or not others[i]:
            continue
        occurrences = [_occurrence(quotes, source(p)) for p in (pair.prompt, *others[i])]
        shares = [float(occurrence.mean()) for occurrence in occurrences]
        own_shares.append(shares[0])
        chance_shares.append(sum(shares[1:]) / len(shares[1:]))
        n_telling += any(share != shares[0] for share in shares[1:])
        own_misfit, other_misfit = _misfits(quotes, occurrences, shares)
        misfits += own_misfit
        chance_misfits += other_misfit
        if shares[0] < 1:
            lacking.append((-own_misfit, pair.row))
    counts = {
        "n_answers": len(pairs) if n_answers is None else n_answers,
        "n_checked": len(looked_at),
        "n_quoting": len(own_shares),
        "n_lacking": len(lacking),
        "rows_lacking": sorted(row for _, row in sorted(lacking)[:3]),
    }
    return counts | _judged(
        np.array(own_shares), np.array(chance_shares), misfits, chance_misfits, n_telling
    )


def _others(pairs: Sequence[Pair], rng: np.random.Generator) -> list[list[str]]:
    """Return for each pair up to `N_OTHERS` prompts of its group that differ from its own."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, pair in enumerate(pairs):
        groups.setdefault(pair.group, []).append(i)
    others: list[list[str]] = [[] for _ in pairs]
    alone = []
    for members in groups.values():
        _draw(pairs, members, others, rng)
        alone += [i for i in members if not others[i]]
    if alone:  # a condition with one prompt: any of the domain's will do
        _draw(pairs, list(range(len(pairs))), others, rng, only=frozenset(alone))
    return others


def _draw(
    pairs: Sequence[Pair],
    members: Sequence[int],
    others: list[list[str]],
    rng: np.random.Generator,
    only: frozenset[int] | None = None,
) -> None:
    order = rng.permutation(np.array(members))
    for shift in range(1, min(len(order), 4 * N_OTHERS)):
        for i, j in zip(order.tolist(), np.roll(order, shift).tolist(), strict=True):
            prompt = pairs[j].prompt
            if only is not None and i not in only:
                continue
            if len(others[i]) < N_OTHERS and prompt != pairs[i].prompt and prompt not in others[i]:
                others[i].append(prompt)


def _occurrence(quotes: Sequence[QuotedDetail], source: SearchedText) -> np.ndarray[Any, Any]:
    return np.array([source.has(detail) for detail in quotes])


def _misfits(
    quotes: Sequence[QuotedDetail],
    occurrences: Sequence[np.ndarray[Any, Any]],
    shares: Sequence[float],
) -> tuple[float, float]:
    """Return the misfit of the own prompt, and that of another one in its place.

    Each of the others takes the own one's place in turn, and both are compared with the rest: so,
    if the own one is foreign too, the two have the same expectation.
    """
    n = len(occurrences)
    is_poor = [_is_poor(quotes, occurrence) for occurrence in occurrences]
    own_misfit = other_misfit = 0
    for k in range(1, n):
        best = max((shares[j] for j in range(1, n) if j != k), default=None)
        own_misfit += is_poor[0] or (best is not None and best > shares[0])
        other_misfit += is_poor[k] or (best is not None and best > shares[k])
    return own_misfit / (n - 1), other_misfit / (n - 1)


def _is_poor(quotes: Sequence[QuotedDetail], occurrence: np.ndarray[Any, Any]) -> bool:
    """Return true if a prompt lacks more than half of an answer's distinctive details."""
    telling = np.array([detail.is_telling for detail in quotes])
    return int(telling.sum()) >= 2 and float(occurrence[telling].mean()) < 0.5


def _judged(
    own_shares: np.ndarray[Any, Any],
    chance_shares: np.ndarray[Any, Any],
    misfits: float,
    chance_misfits: float,
    n_telling: int,
) -> dict[str, Any]:
    n = len(own_shares)
    unknown = dict.fromkeys(("own_share", "chance_share", "low", "high"))
    unknown |= dict.fromkeys(("foreign_share", "foreign_low"))
    if n < FEWEST:
        return {**unknown, "verdict": "nothing_quoted"}
    difference = own_shares - chance_shares
    mean, error = float(difference.mean()), float(difference.std(ddof=1)) / n**0.5
    # A difference that is the same in every answer has no error.
    errors_above = mean / error if error else (np.inf if mean > 0 else 0.0)
    foreign = min(1.0, misfits / chance_misfits) if chance_misfits else None
    foreign_low = min(1.0, wilson(misfits, n)[0] * n / chance_misfits) if chance_misfits else None
    if foreign_low is not None and foreign_low > TOLERATED:
        verdict = "some_foreign" if errors_above > HARDLY else "as_chance"
    elif errors_above >= CLEARLY:
        verdict = "belong"
    elif errors_above < HARDLY and (n_telling >= FEWEST_TELLING or own_shares.mean() < 0.5):
        verdict = "as_chance"
    else:
        verdict = "too_few"
    return {
        "own_share": float(own_shares.mean()),
        "chance_share": float(chance_shares.mean()),
        "low": mean - Z95 * error,
        "high": mean + Z95 * error,
        "foreign_share": foreign,
        "foreign_low": foreign_low,
        "verdict": verdict,
    }
