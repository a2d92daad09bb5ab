"""The stated power of the gate's comparisons is how often rules fail and pass in simulation."""

from __future__ import annotations

import pytest

from benchmarks.gate_power import study, summary
from benchmarks.null_calibration import Setting


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_rules_fail_and_pass_as_often_as_stated() -> None:
    n = 24  # a share of 50% is within 31 points in 99.7% of such simulations
    outcomes = [one for seed in range(n) for one in study(1000 + seed, Setting(10, 60))]
    shares = summary(outcomes)
    assert len(shares) == 12
    for (metric, multiple), (failed, fails, passed, passes) in shares.items():
        assert failed == pytest.approx(fails, abs=0.31), (metric, multiple)
        assert passed == pytest.approx(passes, abs=0.31), (metric, multiple)
        if multiple == 0:
            assert failed <= 0.17, metric
        if multiple == 1:
            assert passed <= 0.21, metric
