"""A sequential test of drift: looks at one panel of prompts, the first of them a baseline.

A look is one answer to each prompt of the panel. While the model is unchanged, looks are
exchangeable: their order has no information. Each look after the baseline gets a score (how far
its answers are from those of all looks so far, where the model's own noise is small) and the rank
of its score among all looks so far as a p-value. Answers to different prompts need not be
independent of each other.

If equal scores were ordered at random, the p-values of an unchanged model would be independent and
uniform (Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World", 2005, chapters 2 and 7).
Bets on them that a change began at look s multiply into a martingale, one for each s; their sum R
grows by 1 per look on average while nothing changes (Shiryaev 1963, Roberts 1966; e-detectors:
Shin, Ramdas, Rinaldo 2023, arXiv 2203.03532). By Doob's inequality (Ville's, for a sum that grows),
R reaches c within T looks with a probability of at most T/c. The alarm is at
c = `LOOKS_PER_YEAR` / alpha.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

#: Looks within which an alarm of an unchanged model has a probability of at most alpha.
LOOKS_PER_YEAR = 365

#: Standard deviation of a log-probability below which a difference is as good as none.
_FLOOR = 0.005

#: The share of answers that a changed model may give at random, in the score of choices.
_CHANGED = 0.2

#: Bets, as (stake, width): the stake is lost where the p-value is not among the smallest that the
#: looks since s would have if all of them were stranger than all looks before s, times the width.
_BETS = ((0.5, 1), (0.5, 2), (0.8, 1), (0.8, 2))


@dataclass(frozen=True)
class Evidence:
    """The evidence of drift after some looks.

    Attributes
    ----------
    value : float
        Evidence against an unchanged model: at most 1 on average after a year of daily looks.
    since : int
        The look, counted from 0 after the baseline, at which a change most likely began.
    """

    value: float
    since: int


def choice_scores(answers: Integers, n_values: int) -> Floats:
    """Return the score of each look: how unlike its choices are those of all looks.

    For each prompt the logarithm of the likelihood of the choice under a changed model, which gives
    any choice with a small probability, over its share in all looks. A choice that is rare for a
    prompt counts more, the rarer; where the model changes its choice often, hardly anything counts.

    Parameters
    ----------
    answers : array of int, shape (..., looks, prompts)
        The number of the choice, from 0; −1 where there is no answer, which counts nothing.
    n_values : int
        Choices there are.
    """
    is_choice = answers[..., None] == np.arange(n_values)
    n_answers = np.maximum(is_choice.sum(axis=(-3, -1)), 1)
    shares = is_choice.sum(axis=-3) / n_answers[..., None]
    ratios = np.log1p(_CHANGED * (1 / n_values / np.maximum(shares, 1e-12) - 1))
    # An absent answer counts as the prompt's mean: looks with and without it are comparable.
    means = (shares * ratios).sum(axis=-1)
    scores = np.einsum("...nmc,...mc->...n", is_choice.astype(float), ratios)
    absent = np.einsum("...nm,...m->...n", (answers < 0).astype(float), means)
    return np.round(np.asarray(scores + absent, dtype=float), 9)


def distance_scores(values: Floats) -> Floats:
    """Return the score of each look: how far its log-probabilities are from the mean of all looks.

    Parameters
    ----------
    values : array, shape (..., looks, prompts, log-probabilities)
        NaN where there is no answer, or the prompt has fewer of them.

    Notes
    -----
    Squared differences from the mean, over the variance of the same log-probability in all looks,
    so that those with noise count less. arXiv 2512.03816 averages absolute differences.
    """
    is_there = np.isfinite(values)
    n = np.maximum(is_there.sum(axis=-3, keepdims=True), 1)
    means = np.where(is_there, values, 0).sum(axis=-3, keepdims=True) / n
    squares = np.where(is_there, values - means, 0) ** 2
    variances = squares.sum(axis=-3, keepdims=True) / n
    relative = squares / (variances + _FLOOR**2)
    # As in `choice_scores`, what is absent counts as the mean of the looks that have it.
    expected = relative.sum(axis=-3, keepdims=True) / n
    by_prompt = np.where(is_there, relative, expected).sum(axis=-1)
    n_values = np.maximum(is_there.any(axis=-3).sum(axis=-1), 1)
    scores = (by_prompt / n_values[..., None, :]).sum(axis=-1)
    return np.round(np.asarray(scores, dtype=float), 9)


def last_p_value(scores: Floats) -> Floats:
    """Return the share of all looks whose score is at least the last one's: small if it is high.

    Equal scores count in full. This p-value is at least the exact one, which orders them at random,
    so that the evidence is at most that of exact ones: bets do not gain from larger p-values.

    Parameters
    ----------
    scores : array, shape (..., looks)
    """
    n_as_high = (scores >= scores[..., -1:]).sum(axis=-1)
    return np.asarray(n_as_high / scores.shape[-1], dtype=float)


def evidence_path(p_values: Floats, n_baseline: int) -> tuple[Floats, Integers]:
    """Return `Evidence.value` and `Evidence.since` after each look.

    Parameters
    ----------
    p_values : array, shape (..., looks)
        Of the looks after the baseline, in their order.
    n_baseline : int
        Looks of the baseline, at least 1.
    """
    n_looks = p_values.shape[-1]
    path = np.empty(p_values.shape)
    since = np.empty(p_values.shape, dtype=np.int64)
    begun = np.ones((*p_values.shape, len(_BETS)))
    for t in range(n_looks):
        before = n_baseline + np.arange(t + 1)
        n_since = t + 1 - np.arange(t + 1)
        for b, (stake, width) in enumerate(_BETS):
            reach = np.minimum(width * n_since / (before + n_since), 0.5)
            is_hit = p_values[..., t, None] <= reach + 1e-12
            begun[..., : t + 1, b] *= 1 - stake + stake * is_hit / reach
        sums = begun[..., : t + 1, :].mean(axis=-1)
        path[..., t] = sums.sum(axis=-1) / LOOKS_PER_YEAR
        since[..., t] = sums.argmax(axis=-1)
    return path, since


def evidence(p_values: Floats, n_baseline: int) -> Evidence:
    """Return the evidence after the last look; parameters as `evidence_path`, one dimension."""
    if not len(p_values):
        return Evidence(0.0, 0)
    path, since = evidence_path(p_values, n_baseline)
    # Beyond the largest float there is no more to say.
    return Evidence(min(float(path[-1]), 1e300), int(since[-1]))


def limit(alpha: float) -> float:
    """Return the evidence at which drift is reported.

    Parameters
    ----------
    alpha : float
        Probability of at least one alarm in `LOOKS_PER_YEAR` looks at an unchanged model.
    """
    return 1 / alpha


def is_alarm(found: Evidence, alpha: float) -> bool:
    """Return true if the evidence is at the limit; parameters as `limit`."""
    return found.value >= limit(alpha)
