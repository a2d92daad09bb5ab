"""An external threshold on a model's recalibrated score, beside the model's own escalation.

The score (stated confidence or choice probability) is recalibrated by isotonic regression on one
half of the scenarios, and the other half is escalated where the recalibrated accuracy is below the
optimal threshold. So no dialogue is judged by its own fit, and none is left out.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from escalometer.stats.distributions import student_quantile
from escalometer.stats.policy import exact, optimal_threshold

Flags: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float64]
Places: TypeAlias = NDArray[np.intp]

#: Least number of dialogues that a map is fitted to.
MIN_DIALOGUES = 20


@dataclass(frozen=True)
class Steps:
    """A non-decreasing map from score to accuracy, in counts, so that ties with τ* are exact.

    Attributes
    ----------
    starts : tuple of float
        Above each of these begins a further step; one fewer than there are steps.
    counts : tuple of (int, int)
        Of each step, from the lowest score on: dialogues predicted right, and dialogues.
    """

    starts: tuple[float, ...]
    counts: tuple[tuple[int, int], ...]

    def accuracy(self, score: float) -> Fraction:
        """Return the recalibrated accuracy at `score`."""
        return Fraction(*self.counts[bisect_right(self.starts, score)])


def fit_steps(score: ArrayLike, correct: ArrayLike) -> Steps:
    """Return the isotonic regression of `correct` on `score`.

    Parameters
    ----------
    score : array_like, shape (n,)
        Higher where the model is surer. n above 0.
    correct : array_like of bool, shape (n,)

    Returns
    -------
    Steps
        Least-squares steps; they meet half-way between the scores on either side.

    References
    ----------
    Ayer et al., Annals of Mathematical Statistics 26 (1955) 641–647: pooling adjacent violators.
    """
    values, places = np.unique(np.asarray(score, dtype=np.float64), return_inverse=True)
    total = np.bincount(places, minlength=len(values)).tolist()
    right = np.bincount(places[np.asarray(correct, dtype=bool)], minlength=len(values)).tolist()
    blocks: list[tuple[int, int, int]] = []  # right, dialogues, index of the first score
    for i, (k, n) in enumerate(zip(right, total, strict=True)):
        start = i
        while blocks and blocks[-1][0] * n >= k * blocks[-1][1]:
            k_below, n_below, start = blocks.pop()
            k, n = k + k_below, n + n_below
        blocks.append((k, n, start))
    edges = tuple(float((values[i - 1] + values[i]) / 2) for _, _, i in blocks[1:])
    return Steps(edges, tuple((k, n) for k, n, _ in blocks))


def external_threshold(
    score: ArrayLike,
    correct: ArrayLike,
    escalate: ArrayLike,
    scenario: Sequence[Hashable],
    cost_ratios: Sequence[float],
    human_error_rate: float = 0.0,
    seed: int = 0,
) -> tuple[list[dict[str, float]], str | None]:
    """Return the cost of escalating by a recalibrated score, beside the model's own.

    Parameters
    ----------
    score : array_like, shape (n,)
        Stated confidence or choice probability, in [0, 1], of answered dialogues.
    correct, escalate : array_like of bool, shape (n,)
        Whether the prediction was right; whether the model escalated.
    scenario : sequence, length n
        The scenario of each dialogue; all dialogues of a scenario are in the same half, and are one
        cluster. Scenarios are distinguished, and halved, by their `str`.
    cost_ratios : sequence of float
        R, each at least 1.
    human_error_rate : float, default 0
        h: an escalation costs 1 + h·R.
    seed : int, default 0
        Which halves: every scenario's half is a hash of this and of the scenario alone.

    Returns
    -------
    list of dict
        One an R: ``cost_ratio``, ``optimal_threshold``, ``n``, ``n_scenarios``; ``n_escalated``,
        ``n_wrong_implemented`` and ``cost`` of the external threshold; the same of the model with
        ``own_`` before them; ``difference`` (own cost minus external: above 0 where the model's
        own escalation loses by comparison) with ``difference_low`` and ``difference_high``, its
        95% interval clustered by scenario; ``always_implement_cost``, ``always_escalate_cost``.
        Costs are per dialogue, in units of one escalation.
    str or None
        The reason that there are no rows, if there are none.

    Notes
    -----
    The interval is for these maps: it does not count that other scenarios would give others.

    References
    ----------
    Zadrozny and Elkan, KDD 2002 (isotonic recalibration). Liang and Zeger, Biometrika 73 (1986)
    13–22 (the clustered variance, here with G / (G − 1) and t quantiles of G − 1).
    """
    scores = np.asarray(score, dtype=np.float64)
    right, escalated = np.asarray(correct, dtype=bool), np.asarray(escalate, dtype=bool)
    names, clusters = _clusters(scenario)
    if not len(scores) == len(right) == len(escalated) == len(clusters):
        raise ValueError("score, correct, escalate and scenario must have the same length")
    if not np.isfinite(scores).all():
        raise ValueError("every score must be a number: leave out dialogues without one")
    is_second = np.array([_is_second(seed, name) for name in names], dtype=bool)[clusters]
    reason = _too_little(right, is_second)
    if reason is not None:
        return [], reason
    accuracy = np.empty(len(scores), dtype=object)
    for judged in (is_second, ~is_second):
        steps = fit_steps(scores[~judged], right[~judged])
        accuracy[judged] = [steps.accuracy(value) for value in scores[judged].tolist()]
    rows = []
    for ratio in cost_ratios:
        # Fractions on both sides: at a tie the prediction is implemented.
        external = (accuracy < optimal_threshold(ratio, human_error_rate)).astype(bool)
        rows.append(_row(ratio, human_error_rate, right, escalated, external, clusters))
    return rows, None


def _clusters(scenario: Sequence[Hashable]) -> tuple[list[str], Places]:
    """Return the scenarios in alphabetical order, and the index of each dialogue's scenario."""
    texts = [str(name) for name in scenario]
    names = sorted(set(texts))
    places = {name: i for i, name in enumerate(names)}
    return names, np.array([places[text] for text in texts], dtype=np.intp)


def _is_second(seed: int, name: str) -> bool:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()[0] % 2 == 1


def _too_little(right: Flags, is_second: Flags) -> str | None:
    """Return the reason that no map can be fitted to one of the halves, None without one."""
    for part in (right[~is_second], right[is_second]):
        if len(part) < MIN_DIALOGUES:
            return (
                f"a half of the scenarios has {len(part)} dialogues with a score, and "
                f"recalibration needs {MIN_DIALOGUES}"
            )
        if part.all() or not part.any():
            kind = "right" if part.all() else "wrong"
            return f"all predictions in a half of the scenarios are {kind}: nothing to recalibrate"
    return None


def _row(
    cost_ratio: float,
    human_error_rate: float,
    right: Flags,
    escalated: Flags,
    external: Flags,
    clusters: Places,
) -> dict[str, float]:
    """Return the costs of two policies on the same dialogues, and of each constant policy."""
    n, ratio = len(right), exact(cost_ratio)
    escalating = 1 + ratio * exact(human_error_rate)

    def priced(policy: Flags) -> tuple[int, int, Fraction]:
        n_escalated, n_wrong = int(policy.sum()), int((~right & ~policy).sum())
        return n_escalated, n_wrong, (ratio * n_wrong + escalating * n_escalated) / n

    n_escalated, n_wrong, cost = priced(external)
    own_n_escalated, own_n_wrong, own_cost = priced(escalated)
    # Whole numbers by cluster first: their sums do not depend on the order of rows.
    more_escalated = np.bincount(clusters, escalated.astype(int) - external.astype(int))
    more_wrong = np.bincount(clusters, ~right * (external.astype(int) - escalated.astype(int)))
    sums = float(ratio) * more_wrong + float(escalating) * more_escalated
    sizes = np.bincount(clusters).astype(np.float64)
    half = clustered_half_width(sums, sizes, float(own_cost - cost))
    return {
        "cost_ratio": float(cost_ratio),
        "optimal_threshold": float(optimal_threshold(cost_ratio, human_error_rate)),
        "n": n,
        "n_scenarios": len(sums),
        "n_escalated": n_escalated,
        "n_wrong_implemented": n_wrong,
        "cost": float(cost),
        "own_n_escalated": own_n_escalated,
        "own_n_wrong_implemented": own_n_wrong,
        "own_cost": float(own_cost),
        "difference": float(own_cost - cost),
        "difference_low": float(own_cost - cost) - half,
        "difference_high": float(own_cost - cost) + half,
        "always_implement_cost": float(priced(np.zeros(n, dtype=bool))[2]),
        "always_escalate_cost": float(priced(np.ones(n, dtype=bool))[2]),
    }


def clustered_half_width(sums: Floats, sizes: Floats, mean: float) -> float:
    """Return half of the 95% interval of a mean over dialogues in clusters.

    Parameters
    ----------
    sums, sizes : ndarray, shape (n_clusters,)
        Of each cluster, the sum over its dialogues, and their number; two clusters at least.
    mean : float
        The mean: all sums over all sizes.

    References
    ----------
    Liang and Zeger, Biometrika 73 (1986) 13–22.
    """
    n_clusters = len(sums)
    residuals = sums - mean * sizes
    variance = n_clusters / (n_clusters - 1) * (residuals @ residuals) / sizes.sum() ** 2
    return float(student_quantile(n_clusters - 1, 0.975) * np.sqrt(variance))
