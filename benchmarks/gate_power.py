"""Stated power of the gate's comparisons against how often rules fail and pass in simulation.

    python -m benchmarks.gate_power [--studies 100] [--processes 2]

Pairs of releases, of which the second is worse by a known amount in every metric, go through
`build_comparison` and the rules. Tolerances are set so that the true worsening is the tolerance, or
twice it; a pair without a change has the same tolerances. Printed by metric: the share of studies
in which the rule failed or passed, and the mean probability that the verdicts state.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks.null_calibration import DOMAINS, N_BOOTSTRAP, Setting, decisions
from escalometer.analysis.comparison import build_comparison
from escalometer.analysis.gate import deployed
from escalometer.analysis.profile import build_profile
from escalometer.analysis.regressions import worsenings
from escalometer.analysis.rule_results import Answered
from escalometer.config import AnalyzeParams, GateParams, MinEffectParams, Params
from escalometer.documents.verdict import RuleResult

SETTINGS = (Setting(10, 30), Setting(10, 60), Setting(40, 25), Setting(10, 90, is_paired=False))
RATIO = 4.0
#: Effects on the second release: of predictions, of escalation rates, of answers.
LESS_ACCURATE, LESS_ESCALATED, LESS_ANSWERED = 0.06, -0.06, 0.02


class Outcome(NamedTuple):
    """A rule in one study: metric, true worsening in tolerances, result, stated probabilities."""

    metric: str
    multiple: int
    verdict: str
    fails: float
    passes: float


def worsened(
    rng: np.random.Generator, table: pa.Table, less_accurate: float, less_answered: float
) -> pa.Table:
    """Return decisions with predictions made wrong, and answers removed, at random."""
    n = table.num_rows
    right = table.column("prediction").to_numpy().astype(float)
    accuracy = np.linspace(0.5, 0.97, len(set(table.column("condition").to_pylist())))
    condition = np.array([int(name[1:]) for name in table.column("condition").to_pylist()])
    wronged = rng.random(n) < less_accurate / accuracy[condition]
    missing = rng.random(n) < less_answered
    changes = {
        "prediction": pa.array(np.where(wronged, 0, right).astype(np.int8), mask=missing),
        "escalate": pa.array(table.column("escalate").to_numpy(), mask=missing),
        "status": pa.array(np.where(missing, "unparsed", "ok")),
    }
    for name, values in changes.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(name), values)
    return table


def true_worsenings(n_conditions: int) -> dict[str, float]:
    """Return by how much the second release is worse, by metric."""
    accuracy = np.linspace(0.5, 0.97, n_conditions)
    rate = np.clip(1.4 - 1.3 * accuracy, 0.02, 0.98)
    lower = np.clip(1.4 - 1.3 * accuracy + LESS_ESCALATED, 0.02, 0.98)
    before = rate + (1 - rate) * (1 - accuracy) * RATIO
    after = lower + (1 - lower) * (1 - accuracy + LESS_ACCURATE) * RATIO
    return {
        "realized_cost": float(np.mean(after - before)),
        "predictive_accuracy": LESS_ACCURATE,
        "share_answered": LESS_ANSWERED,
        # Both lines cross one half below τ* = 75%; lower accuracies move the second further down.
        "threshold_distance": -LESS_ESCALATED / 1.3 + LESS_ACCURATE,
    }


def study(seed: int, setting: Setting) -> list[Outcome]:
    """Return the outcomes of all rules in one pair with a change, and in one without."""
    rng = np.random.default_rng([seed, setting.n_conditions, setting.n_dialogues, 7])
    shape = (setting.n_conditions, setting.n_dialogues, 2)
    found = []
    truth = true_worsenings(setting.n_conditions)
    for is_worse in (True, False):
        cases = rng.random(shape)
        shift = LESS_ESCALATED if is_worse else 0.0
        old = decisions(rng, setting, "old", cases)
        new = decisions(rng, setting, "new", cases, effect=shift)
        if is_worse:
            new = worsened(rng, new, LESS_ACCURATE, LESS_ANSWERED)
        for metric, rule, multiple in _ruled(pa.concat_tables([old, new]), truth, is_worse):
            if rule.power is not None:
                stated = rule.power.at[multiple]
                found.append(Outcome(metric, multiple, rule.verdict, stated.fails, stated.passes))
    return found


def _ruled(
    both: pa.Table, truth: dict[str, float], is_worse: bool
) -> Iterator[tuple[str, RuleResult, int]]:
    """Yield each metric's rule by itself, and the true worsening in tolerances: 0, 1 or 2."""
    analyze = AnalyzeParams(n_bootstrap=N_BOOTSTRAP, cost_ratios=(RATIO,))
    params = Params(seed=1, models=("old", "new"), domains=DOMAINS, analyze=analyze)
    comparison, _ = build_comparison(both, "old", "new", "here", params)
    rows = both.filter(pa.compute.equal(both.column("model"), "new"))
    profile = build_profile(rows, "new", "here", params)
    n = rows.num_rows
    answered = Answered(n, n - rows.column("prediction").null_count)
    off = dict.fromkeys(MinEffectParams.model_fields)
    for metric, size in truth.items():
        for multiple in (1, 2):
            floors = MinEffectParams(**{**off, metric: size / multiple})
            rules = GateParams(against="old", cost_ratio=RATIO, min_effect=floors)
            variant = deployed(profile, rules).variant
            [rule] = worsenings(comparison, variant, answered, rules)
            if is_worse or multiple == 1:
                yield metric, rule, multiple if is_worse else 0


def summary(outcomes: list[Outcome]) -> dict[tuple[str, int], tuple[float, float, float, float]]:
    """Return by metric and multiple: failed, stated to fail, passed, stated to pass."""
    groups: dict[tuple[str, int], list[Outcome]] = defaultdict(list)
    for one in outcomes:
        groups[one.metric, one.multiple].append(one)
    return {
        key: (
            float(np.mean([one.verdict == "fail" for one in group])),
            float(np.mean([one.fails for one in group])),
            float(np.mean([one.verdict == "pass" for one in group])),
            float(np.mean([one.passes for one in group])),
        )
        for key, group in sorted(groups.items())
    }


def main() -> None:
    """Print the shares of every setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.processes) as pool:
        for setting in SETTINGS:
            run = partial(study, setting=setting)
            outcomes = [one for found in pool.map(run, range(options.studies)) for one in found]
            print(f"\n{setting.name}: {options.studies} studies")
            print("  metric, worsening in tolerances      failed  stated   passed  stated")
            for (metric, multiple), shares in summary(outcomes).items():
                cells = "".join(f"{share:8.1%}" for share in shares)
                print(f"    {metric:<24}{multiple:>8}    {cells}", flush=True)


if __name__ == "__main__":
    main()
