"""Results of an exported policy on held-out scenarios, next to those of simpler policies."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from escalometer.analysis.policy_dialogues import Dialogues, Flags
from escalometer.documents.interval import SimpleInterval
from escalometer.documents.policy import HeldOut, HeldOutPolicy
from escalometer.stats.external_threshold import clustered_half_width
from escalometer.stats.policy import exact
from escalometer.stats.shares import wilson

Floats: TypeAlias = NDArray[np.float64]
Name: TypeAlias = Literal["exported", "model", "always_act", "always_escalate"]

_NONE = SimpleInterval(estimate=None, low=None, high=None)


def held_out(
    dialogues: Dialogues, exported: Flags, ratio: float, human_error_rate: float
) -> HeldOut | None:
    """Return cost, escalations and wrong actions of the exported policy and of three others.

    Parameters
    ----------
    dialogues : Dialogues
        That played no part in the choice.
    exported : ndarray of bool, shape (n,)
        Whether the exported policy acts.
    ratio, human_error_rate : float
        R and h.

    Returns
    -------
    HeldOut or None
        None where there are fewer than two scenarios.
    """
    names = {name: i for i, name in enumerate(sorted(set(dialogues.scenario)))}
    if len(names) < 2:
        return None
    clusters = np.array([names[name] for name in dialogues.scenario])
    n = len(dialogues)
    policies: dict[Name, Flags] = {
        "exported": exported,
        "model": dialogues.own,
        "always_act": np.ones(n, dtype=bool),
        "always_escalate": np.zeros(n, dtype=bool),
    }
    wrong_cost, people = float(ratio), float(1 + exact(ratio) * exact(human_error_rate))
    cost = {
        name: np.where(acts, wrong_cost * ~dialogues.right, people)
        for name, acts in policies.items()
    }
    rows = []
    for name, acts in policies.items():
        wrong = acts & ~dialogues.right
        rows.append(
            HeldOutPolicy(
                policy=name,
                n_acted=int(acts.sum()),
                n_wrong=int(wrong.sum()),
                cost=_mean(cost[name], clusters),
                escalations_share=_share(~acts, np.ones(n, dtype=bool), clusters),
                wrong_rate=_share(wrong, acts, clusters),
                difference=_mean(cost[name] - cost["exported"], clusters),
            )
        )
    return HeldOut(n=n, n_scenarios=len(names), policies=tuple(rows))


def _mean(values: Floats, clusters: NDArray[np.intp]) -> SimpleInterval:
    """Return the mean over dialogues with its 95% interval, clustered by scenario."""
    mean = float(values.mean())
    sizes = np.bincount(clusters).astype(float)
    sums = np.bincount(clusters, values).astype(float)
    half = clustered_half_width(sums, sizes, mean)
    return SimpleInterval(estimate=mean, low=mean - half, high=mean + half)


def _share(counted: Flags, among: Flags, clusters: NDArray[np.intp]) -> SimpleInterval:
    """Return a share with the wider of Wilson's interval and that clustered by scenario."""
    k, n = int(counted.sum()), int(among.sum())
    if n == 0:
        return _NONE
    sums, sizes = (np.bincount(clusters, flags).astype(float) for flags in (counted, among))
    half = clustered_half_width(sums, sizes, k / n)
    low, high = wilson(k, n)
    return SimpleInterval(
        estimate=k / n, low=min(low, max(0.0, k / n - half)), high=max(high, min(1.0, k / n + half))
    )
