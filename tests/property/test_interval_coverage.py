"""Intervals cover a known truth about as often as they say; `benchmarks/` has longer runs."""

from __future__ import annotations

import pytest

from benchmarks.interval_coverage import Setting, coverage

N_STUDIES = 250
#: What 250 studies can be off by, by chance: 2.6 standard errors, of 95 %.
CHANCE = 2.6 * (0.95 * 0.05 / N_STUDIES) ** 0.5

pytestmark = pytest.mark.long  # fewer studies leave so much to chance that little could fail


@pytest.mark.parametrize(
    "setting",
    [
        Setting("dialogues", 16, 250),
        Setting("few dialogues", 16, 60),
        Setting("conditions", 30, 250, scatter=0.08),
        Setting("scenarios", 16, 250, overlap=4),
    ],
    ids=lambda setting: setting.name,
)
def test_intervals_cover(setting: Setting) -> None:
    found = coverage(setting, N_STUDIES, n_bootstrap=300, seed=11)
    outside = {
        name: share
        for (name, _), share in found.items()
        if not 0.95 - CHANCE <= share <= 0.95 + CHANCE
    }
    assert not outside
