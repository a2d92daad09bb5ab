"""Identical releases, and interventions without effect, are rarely called different."""

from __future__ import annotations

import pytest

from benchmarks.null_calibration import Setting, rates

pytestmark = pytest.mark.long

N_STUDIES = 25


@pytest.mark.parametrize(
    "setting",
    [Setting(20, 60), Setting(10, 25, is_paired=False, unanswered=0.03)],
    ids=lambda s: s.name,
)
def test_identical_releases_do_not_differ(setting: Setting) -> None:
    found = rates(setting, N_STUDIES)
    # With 5% a study, more than 5 of 25 come up once in 800 runs; the former test had a third.
    assert max(found.any_difference, found.any_intervention, found.gate_failed) <= 5 / N_STUDIES
    # Tests of one metric repeat the same dialogues by domain: 3 in a study, so 25 to 75 of them.
    assert max(found.by_metric.values()) <= 0.15


def test_a_real_difference_is_found() -> None:
    found = rates(Setting(40, 100), 12, effect=0.05)
    assert found.by_metric["escalation_rate"] >= 0.5
