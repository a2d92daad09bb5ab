"""Power analysis, compared with simulated studies, and its command."""

from __future__ import annotations

import json
import math
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from escalometer.stats import power, shares
from escalometer.stats.gate_power import fail_probability, least_failing, pass_probability
from escalometer.stats.power import NORMAL, Z95
from tests import command_line


@pytest.mark.parametrize(("difference", "rate"), [(0.1, 0.7), (-0.08, 0.95), (0.2, 0.4)])
def test_power_of_unpaired_dialogues_matches_simulation(difference, rate):
    n = power.unpaired_dialogues(difference, rate)
    rng = np.random.default_rng(4)
    k1, k2 = rng.binomial(n, rate, 4000), rng.binomial(n, rate + difference, 4000)
    seen = [
        (shares.unpaired_p(a, n, b, n) or 0) < 0.05
        for a, b in zip(k1.tolist(), k2.tolist(), strict=True)
    ]
    assert np.mean(seen) == pytest.approx(power.unpaired_power(n, difference, rate), abs=0.025)
    assert power.unpaired_power(n - 1, difference, rate) < 0.8


@pytest.mark.parametrize(("difference", "discordance"), [(0.1, 0.2), (-0.05, 0.05), (0.2, 0.6)])
def test_power_of_paired_dialogues_matches_simulation(difference, discordance):
    n = power.paired_dialogues(difference, discordance)
    first, second = (discordance - difference) / 2, (discordance + difference) / 2
    rng = np.random.default_rng(5)
    tables = rng.multinomial(n, [first, second, 1 - discordance], 4000).tolist()
    seen = [shares.mcnemar_exact(b, c) <= 0.05 for b, c, _ in tables]
    achieved = power.paired_power(n, difference, discordance)
    assert np.mean(seen) == pytest.approx(achieved, abs=0.02)
    assert achieved >= 0.8


def test_exact_power_by_hand():
    # All 6 pairs differ in the same direction: p = 2 / 64. With 5 pairs no outcome is significant.
    assert power.paired_power(6, 1.0, 1.0) == pytest.approx(1.0)
    assert power.paired_power(5, 1.0, 1.0) == pytest.approx(0.0)
    # Of 6 differing pairs, 5 in 6 favour the second arm: (5 / 6)^6 + (1 / 6)^6.
    assert power.paired_power(6, 2 / 3, 1.0) == pytest.approx((5 / 6) ** 6 + (1 / 6) ** 6)


def test_power_for_thresholds_matches_simulation():
    variance, difference = 0.02**2 * 250, 0.04
    n = power.threshold_dialogues(difference, variance)
    # (1.96 + 0.8416)^2 * 2 * 0.1 / 0.0016
    assert n == 982
    rng, error = np.random.default_rng(6), np.sqrt(variance / n)
    first, second = rng.normal(0.6, error, 20_000), rng.normal(0.6 + difference, error, 20_000)
    seen = np.abs(second - first) > 1.96 * error * np.sqrt(2)
    assert seen.mean() == pytest.approx(0.8, abs=0.01)
    assert power.threshold_dialogues(difference, variance, correlation=0.5) == 491


def test_larger_differences_and_concordant_pairs_need_fewer_dialogues():
    needed = [power.unpaired_dialogues(d, 0.6) for d in (0.01, 0.02, 0.05, 0.1, 0.3)]
    assert needed == sorted(needed, reverse=True)
    needed = [power.paired_dialogues(0.05, q) for q in (0.05, 0.1, 0.2, 0.4)]
    assert needed == sorted(needed)
    assert power.paired_dialogues(0.05, 0.2, power=0.9) > power.paired_dialogues(0.05, 0.2)


@pytest.mark.parametrize(
    "call",
    [
        lambda: power.unpaired_power(10, 0.0, 0.5),
        lambda: power.unpaired_dialogues(0.4, 0.7),
        lambda: power.unpaired_dialogues(float("nan"), 0.7),
        lambda: power.unpaired_dialogues(1e-9, 0.5),
        lambda: power.paired_power(10, 0.3, 0.2),
        lambda: power.paired_dialogues(0.1, 0.2, power=1.0),
        lambda: power.threshold_power(10, 0.1, 0.0),
        lambda: power.threshold_power(10, 0.1, 0.1, correlation=1.0),
    ],
)
def test_invalid_arguments_are_refused(call):
    with pytest.raises(ValueError):
        call()


def run(*arguments: str) -> CompletedProcess[str]:
    return command_line.run(Path(), "power", *arguments)


def test_command_prints_a_table_and_one_json_document():
    done = run("--difference", "0.05")
    assert done.returncode == 0, done.stderr
    assert "needs 32 dialogues in each arm, or 17 if both arms" in done.stdout
    found = json.loads(run("--difference", "0.05", "--json").stdout)
    unpaired, paired = found["designs"]
    assert (unpaired["n_per_condition"], unpaired["n_per_arm"]) == (32, 1280)
    assert paired["design"] == "paired" and paired["power"] >= 0.8


def test_command_takes_thresholds_from_a_pilot():
    pilot = ("--pilot-error", "0.02", "--pilot-dialogues", "250")
    done = run("--difference", "0.04", *pilot, "--json")
    assert json.loads(done.stdout)["designs"][2]["n_per_condition"] == 982


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--difference"),
        (("--difference", "0"), "difference other than 0"),
        (("--difference", "0.4", "--discordance", "0.4"), "both shares in [0, 1]"),
        (("--difference", "0.1", "--discordance", "0.05"), "--discordance must be between 0.1"),
        (("--difference", "0.1", "--pilot-error", "0.1"), "--pilot-dialogues"),
        (("--difference", "0.1", "--power", "1"), "--power"),
    ],
)
def test_wrong_usage_exits_3(arguments, said):
    done = run(*arguments)
    assert done.returncode == 3
    assert said in done.stderr and done.stdout == ""


def test_a_rule_fails_half_of_the_time_at_its_tolerance():
    assert fail_probability(0.05, 0.05, 0.01, 0.05) == pytest.approx(0.5)
    # With a larger error the test decides, not the tolerance: Φ(5 − 1.96) and Φ(2.5 − 1.96).
    assert fail_probability(0.05, 0.0, 0.01, 0.05) == pytest.approx(NORMAL.cdf(5 - Z95))
    assert fail_probability(0.05, 0.03, 0.02, 0.05) == pytest.approx(NORMAL.cdf(2.5 - Z95))
    assert fail_probability(0.0, 0.0, 0.01, 0.05) == pytest.approx(0.025)


def test_a_worsening_of_the_tolerance_passes_in_2_5_percent():
    reach = Z95 * 0.01
    assert pass_probability(0.05, 0.05, 0.01, reach) == pytest.approx(0.025)
    assert pass_probability(0.0, 0.05, 0.01, reach) == pytest.approx(NORMAL.cdf(5 - Z95))
    assert pass_probability(0.0, 0.05, 0.01, math.inf) == 0


def test_the_least_worsening_that_fails_has_80_percent():
    def failing(worsening):
        return fail_probability(worsening, 0.05, 0.01, 0.01)

    found = least_failing(failing, 0.05)
    assert found is not None and failing(found) == pytest.approx(0.8)
    assert found == pytest.approx(0.05 + NORMAL.inv_cdf(0.8) * 0.01)
    assert least_failing(lambda _: 0.1, 0.05) is None
    assert fail_probability(0.06, 0.05, 0.0, 0.05) == 1
    assert fail_probability(0.04, 0.05, 0.0, 0.05) == 0
