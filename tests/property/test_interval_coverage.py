"""Intervals cover a known truth about as often as they say; `benchmarks/` has longer runs."""

from __future__ import annotations

from functools import cache

import pytest

from benchmarks.interval_coverage import Setting, coverage

N_STUDIES = 200
#: What 200 studies can be off by, by chance: 2.6 standard errors, of 95%.
CHANCE = 2.6 * (0.95 * 0.05 / N_STUDIES) ** 0.5
#: Intervals of few dialogues may be wider than they need to be: counts are discrete.
WIDE = 0.03
#: Scores against measured accuracies: the interval, not the estimate, allows for their noise.
BIASED = ("regret", "escalation accuracy")

pytestmark = pytest.mark.long  # fewer studies leave so much to chance that little could fail

SETTINGS = (
    Setting(16, 60, with_scores=True),
    Setting(250, 25),
    Setting(250, 25, curve="steep"),
    Setting(60, 100, curve="near the end", scatter=0.08),
    Setting(30, 250, scatter=0.08, kind="conditions", with_scores=True),
    Setting(16, 250, kind="scenarios", with_scores=True),
)


@cache
def _found(setting: Setting) -> dict[str, list[float]]:
    return coverage(setting, N_STUDIES, seed=11)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_intervals_cover(setting: Setting) -> None:
    outside = {
        name: covered
        for name, (covered, _, _) in _found(setting).items()
        if not 0.95 - CHANCE <= covered <= 0.95 + CHANCE + WIDE
    }
    assert not outside


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_estimates_are_identified_and_hardly_biased(setting: Setting) -> None:
    for name, (_, identified, bias) in _found(setting).items():
        assert identified >= 0.95, name
        # 0.2, and what chance adds to the mean of so many studies.
        assert name in BIASED or abs(bias) <= 0.2 + 2.6 / N_STUDIES**0.5, name
