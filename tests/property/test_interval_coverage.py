"""Intervals cover a known truth about as often as they say; `benchmarks/` has longer runs."""

from __future__ import annotations

import pytest

from benchmarks.interval_coverage import Setting, coverage

#: Standard errors that chance may be off by; the fewer studies there are, the wider that is.
N_ERRORS = 2.6


@pytest.mark.parametrize("n_studies", [60, pytest.param(250, marks=pytest.mark.long)])
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
def test_intervals_cover(setting: Setting, n_studies: int) -> None:
    found = coverage(setting, n_studies, n_bootstrap=300, seed=11)
    chance = N_ERRORS * (0.95 * 0.05 / n_studies) ** 0.5
    outside = {
        name: share
        for (name, _), share in found.items()
        if not 0.95 - chance <= share <= 0.95 + chance
    }
    assert not outside
