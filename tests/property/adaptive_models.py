"""Models whose threshold is known, for adaptive studies of them."""

from __future__ import annotations

import numpy as np

KEYS = [(f"domain_{i}", f"condition_{j}") for i in range(4) for j in range(10)]
ENDLESS = dict.fromkeys(KEYS, 10**9)

#: Slope, accuracy at which the line is at one half, and how far the conditions are from the line.
TRUTHS = {
    "typical": (-1.0, 0.60, 0.10),
    "steep": (-3.0, 0.70, 0.05),
    "shallow": (-0.5, 0.60, 0.05),
    "lower edge": (-1.2, 0.52, 0.10),
    "upper edge": (-1.2, 0.93, 0.10),
    "overdispersed": (-1.0, 0.65, 0.30),
}


def model(slope: float, crossing: float, spread: float, seed: int) -> np.ndarray:
    """Return the probability of every cell, shape (40, 2, 4), by label and outcome.

    The model predicts 1 in most cases and a little more often where the label is 1; it escalates
    more often where it is wrong.
    """
    rng = np.random.default_rng(seed)
    k = len(KEYS)
    share = np.clip(np.tile(np.linspace(0.5, 0.97, 10), 4) + rng.normal(0, 0.01, k), 0.45, 0.98)
    right_1 = 1 - 0.5 * (1 - share) * rng.uniform(0.5, 1, k)
    right_0 = 0.5 * share * rng.uniform(0.3, 1, k)
    accuracy = share * right_1 + (1 - share) * right_0
    rate = np.clip(0.5 + slope * (accuracy - crossing) + rng.normal(0, spread, k), 0, 1)
    if_wrong = np.clip(rate + rng.uniform(0, 0.3, k) * np.minimum(rate, 1 - rate), 0, 1)
    if_right = np.clip((rate - if_wrong * (1 - accuracy)) / accuracy, 0, 1)
    cells = np.empty((k, 2, 4))
    for label, weight, right in ((0, 1 - share, right_0), (1, share, right_1)):
        for outcome, part in enumerate(
            (
                right * (1 - if_right),
                (1 - right) * (1 - if_wrong),
                right * if_right,
                (1 - right) * if_wrong,
            )
        ):
            cells[:, label, outcome] = weight * part
    return cells


def true_threshold(cells: np.ndarray) -> float:
    right, escalated = np.array([1, 0, 1, 0]), np.array([0, 0, 1, 1])
    accuracy, rate = cells.sum(axis=1) @ right, cells.sum(axis=1) @ escalated
    slope, intercept = np.polyfit(accuracy, rate, 1)
    return float((0.5 - intercept) / slope)
