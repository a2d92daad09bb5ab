"""Sampling: the split of each case, the scenarios that are drawn, and a signal's percentage.

Splits depend on a hash of the case's key alone, so that adding a domain, a condition or a row moves
no other row from one split to another.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Literal

import numpy as np

Split = Literal["signal", "train", "eval"]
SPLITS: tuple[Split, ...] = ("signal", "train", "eval")

#: Hexadecimal digits of a scenario's id: for 100,000 scenarios the odds of a clash are 1 in 10^9.
ID_LENGTH = 16


#: Keeps ("a", "bc") and ("ab", "c") apart.
_SEPARATOR = "\x1f"
_sha256 = hashlib.sha256


def _start(*parts: object) -> str:
    return "".join(f"{part}{_SEPARATOR}" for part in parts)


def _digest(*parts: object) -> bytes:
    return _sha256(_SEPARATOR.join(map(str, parts)).encode()).digest()


def split_of(seed: int, domain: str, key: str, signal_share: float, train_share: float) -> Split:
    """Return the split of the cases whose split key is `key`.

    Parameters
    ----------
    seed : int
        The study's seed.
    domain, key : str
        The domain, and the key that all cases of one person share.
    signal_share, train_share : float
        Shares of the keys in (0, 1); the rest is for evaluation.
    """
    return splits_of(seed, domain, (key,), signal_share, train_share)[key]


def splits_of(
    seed: int, domain: str, keys: Iterable[str], signal_share: float, train_share: float
) -> dict[str, Split]:
    """Return the split of each key; parameters as of `split_of`."""
    first, second = _borders(signal_share, train_share)
    start = _start(seed, domain)
    splits: dict[str, Split] = {}
    for key in keys:  # of hundreds of thousands, so one tight loop
        number = int.from_bytes(_sha256((start + key).encode()).digest()[:8])
        splits[key] = "signal" if number < first else "train" if number < second else "eval"
    return splits


@functools.cache
def _borders(signal_share: float, train_share: float) -> tuple[int, int]:
    # In exact numbers: which side of a border a key falls on must not depend on rounding.
    signal, train = Fraction(str(signal_share)), Fraction(str(train_share))
    return math.ceil(signal * 2**64), math.ceil((signal + train) * 2**64)


def scenario_id(domain: str, text: str, label: int) -> str:
    """Return the short stable name of a scenario: hexadecimal, the same in every run and edition.

    It depends on what a scenario is, its text and its label, so that rows may be added, removed or
    put in another order without renaming any.
    """
    return scenario_ids(domain, ((text, label),))[text, label]


def scenario_ids(domain: str, cases: Iterable[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """Return the name of each scenario, by its text and label; see `scenario_id`."""
    ids = {}
    for text, label in cases:
        content = f"{domain}{_SEPARATOR}{label}{_SEPARATOR}{text}"
        ids[text, label] = _sha256(content.encode()).hexdigest()[:ID_LENGTH]
    return ids


def generator(seed: int, domain: str, condition: str) -> np.random.Generator:
    """Return the random number generator of one cell, independent of those of all others."""
    return np.random.default_rng(list(_digest(seed, domain, condition)))


def draw(
    counts: Mapping[str, int],
    n: int,
    random: np.random.Generator,
    texts: Mapping[str, str] | None = None,
) -> list[str]:
    """Return `n` distinct scenarios, or all where there are fewer.

    Rows are drawn one after another, and a row is skipped if its scenario, or one with the same
    text, is drawn already. So a scenario's chance is proportional to its rows, as in the signal's
    percentage, and no dialogue is duplicate.

    Parameters
    ----------
    counts : mapping of str to int
        Rows of each scenario to draw from, 1 or more; their order does not matter.
    n : int
        How many to draw.
    random : numpy.random.Generator
        A fresh one of the cell, from `generator`.
    texts : mapping of str to str, optional
        Each scenario's text; by default no two are the same.

    Notes
    -----
    A larger `n` draws all that a smaller one draws, and more: paid answers stay in use.
    """
    ordered = sorted(counts)
    rows = np.repeat(np.arange(len(ordered)), [counts[name] for name in ordered])
    drawn: list[str] = []
    seen: set[str] = set()
    for place in random.permutation(rows):
        if len(drawn) == n:
            break
        name = ordered[place]
        text = texts[name] if texts else name
        if text not in seen:
            seen.add(text)
            drawn.append(name)
    return drawn


def spread(shares: Mapping[str, float], n: int | None) -> list[str]:
    """Return `n` names, from the lowest share to the highest, evenly over their ranks.

    Parameters
    ----------
    shares : mapping of str to float
        Share of label 1 by condition, in [0, 1].
    n : int or None
        How many, at least 2; None, or more than there are, for all.
    """
    ranked = sorted(shares, key=lambda name: (shares[name], name))
    if n is None or n >= len(ranked):
        return ranked
    return [ranked[round(i * (len(ranked) - 1) / (n - 1))] for i in range(n)]


def whole_percent(n_positive: int, n: int) -> int:
    """Return 100 · n_positive / n to the nearest whole per cent, in integers; halves go up.

    Raises
    ------
    ValueError
        If not 0 <= n_positive <= n, or n is 0.
    """
    if n < 1 or not 0 <= n_positive <= n:
        raise ValueError(f"{n_positive} of {n} is not a share")
    return (200 * n_positive + n) // (2 * n)
