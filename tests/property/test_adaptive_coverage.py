"""Adaptive studies of models whose threshold is known: how often the interval contains it.

Seeded. With 150 studies each, chance moves a coverage of 0.95 by 0.018; the demanded 0.93 is of all
truths together (900 studies, 0.007). No truth alone may fall below 0.90.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from escalometer.stats.adaptive_design import Design
from tests.property.adaptive_models import ENDLESS, KEYS, TRUTHS, model, true_threshold

N_STUDIES = 150


def study(cells: np.ndarray, precision: float, rng: np.random.Generator) -> tuple[float, float]:
    """Return the interval of one adaptive study that has as many dialogues as it wants."""
    design = Design(KEYS, 1e9 * cells.sum(axis=2), precision)
    counts = np.zeros((len(KEYS), 2, 4), dtype=np.int64)
    while not design.is_precise(counts, ENDLESS):
        more = design.allocate(counts, design.round_size(counts, ENDLESS), ENDLESS)
        drawn = rng.multinomial([more.get(key, 0) for key in KEYS], cells.reshape(len(KEYS), 8))
        counts += drawn.reshape(counts.shape)
    result = design.estimate(counts)
    assert result.low is not None
    assert result.high is not None
    return result.low, result.high


@cache
def coverage(truth: str) -> float:
    cells = model(*TRUTHS[truth], seed=5)
    rng = np.random.default_rng(1)
    ends = np.array([study(cells, 0.05, rng) for _ in range(N_STUDIES)])
    threshold = true_threshold(cells)
    return float(((ends[:, 0] <= threshold) & (threshold <= ends[:, 1])).mean())


@pytest.mark.parametrize("truth", TRUTHS)
def test_each_truth_is_covered(truth: str) -> None:
    assert coverage(truth) >= 0.90


def test_the_interval_covers_what_it_says() -> None:
    assert np.mean([coverage(truth) for truth in TRUTHS]) >= 0.93
