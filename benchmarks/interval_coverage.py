"""How often each interval of a profile covers a known truth, by simulation.

    python -m benchmarks.interval_coverage [--studies 1000] [--bootstrap 600]

A study draws dialogues of a model whose accuracies and escalation rates are set, without and with a
signal. Intervals for these conditions are judged against these conditions' truth; those that
resample conditions against the population that a study's conditions are drawn from; those that
resample scenarios in studies in which scenarios stand under several conditions.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass

import numpy as np

from escalometer import stats
from escalometer.analysis.headlines import mean_accuracy, mean_rate
from escalometer.analysis.scores import Policy
from escalometer.stats import Counts, Floats, Resamples, Statistic

R = 4.0
#: Of the line on which the rates with a signal lie; the threshold is 0.9 / 1.3.
LEVEL, SLOPE = 1.4, -1.3
#: The escalation rate without a signal.
UNSIGNALLED = 0.35


@dataclass(frozen=True)
class Setting:
    """What is simulated."""

    name: str
    n_conditions: int
    n_dialogues: int
    scatter: float = 0.0  # standard deviation of conditions about the line
    overlap: int = 1  # conditions that each scenario stands under


SETTINGS = (
    Setting("the study's size", 40, 250),
    Setting("where the model thinks", 40, 100),
    Setting("one domain", 10, 250),
    Setting("conditions that scatter", 40, 250, scatter=0.08),
    Setting("scenarios under 4 conditions", 40, 250, overlap=4),
)


def _cells(accuracy: Floats, rate: Floats) -> Floats:
    """Return shares of the four outcomes; a model that is wrong escalates somewhat more often."""
    together = np.clip(
        accuracy * rate * (1 - 0.3 * (1 - accuracy)),
        np.maximum(0, accuracy + rate - 1),
        np.minimum(accuracy, rate),
    )
    cells = np.stack(
        [accuracy - together, 1 - accuracy - rate + together, together, rate - together], axis=1
    )
    cells = np.clip(cells, 0, None)
    made: Floats = cells / cells.sum(axis=1, keepdims=True)
    return made


def _statistics(n: int, escalating: np.ndarray) -> dict[str, Statistic]:
    """Return what is judged, over `n` rows with a signal and `n` without."""
    policy = Policy(escalating, R, 0.0)

    def first(statistic: Statistic) -> Statistic:
        return lambda counts, weight: statistic(counts[:, :n], weight[:, :n])

    own = stats.self_estimates(n)
    return {
        "predictive accuracy": first(mean_accuracy),
        "escalation rate": first(mean_rate),
        "threshold, linear": first(stats.threshold("linear")),
        "threshold, logit": first(stats.threshold("logit")),
        "self-estimated accuracy": own,
        "calibration bias": lambda c, w: own(c, w) - mean_accuracy(c[:, n:], w[:, n:]),
        "escalation accuracy": first(policy.statistic("escalation_accuracy")),
        "realized cost": first(policy.statistic("realized_cost")),
        "regret": first(policy.statistic("regret")),
        "selective risk": first(policy.statistic("selective_risk")),
    }


def _draw(
    rng: np.random.Generator, setting: Setting, cells: Floats, seed: int, n_bootstrap: int
) -> tuple[Counts, Resamples]:
    """Return one study's counts and their resamples."""
    n, many = len(cells), setting.n_dialogues
    if setting.overlap == 1:
        counts = rng.multinomial(np.full(n, many), cells)
        scenarios, known = None, None
    else:
        # Groups of conditions share their scenarios, and a scenario has one fate under all of them
        # as far as their shares allow: one uniform number decides.
        group = np.arange(n) // setting.overlap
        uniform = rng.uniform(size=(group.max() + 1, many))
        ends = np.cumsum(cells, axis=1)[:, :3]
        outcome = (uniform[group][:, :, None] > ends[:, None, :]).sum(axis=2)
        counts = np.stack([(outcome == k).sum(axis=1) for k in range(4)], axis=1)
        scenario = (group[:, None] * many + np.arange(many)).ravel()
        cell = np.repeat(np.arange(n), many)
        scenarios = stats.resample_scenarios(
            rng, scenario, cell, outcome.ravel(), np.ones(n * many, dtype=int), n, n_bootstrap
        )
        known = np.full(n, scenario.max() + 1)
    names = [(i,) for i in range(n)]
    conditions = [i % setting.n_conditions for i in range(n)]
    return counts, Resamples.draw(names, conditions, counts, seed, n_bootstrap, scenarios, known)


def _truth(rng: np.random.Generator, setting: Setting, n: int) -> tuple[Floats, Floats]:
    """Return accuracies and shares of outcomes of `n` conditions, with a signal and without."""
    is_fixed = setting.scatter == 0
    accuracy = np.linspace(0.5, 0.97, n) if is_fixed else rng.uniform(0.5, 0.97, n)
    rate = LEVEL + SLOPE * accuracy + setting.scatter * rng.normal(size=n)
    cells = np.concatenate(
        [
            _cells(accuracy, np.clip(rate, 0.02, 0.98)),
            _cells(np.clip(accuracy - 0.03, 0, 1), np.full(n, UNSIGNALLED)),
        ]
    )
    return accuracy, cells


def coverage(
    setting: Setting, n_studies: int, n_bootstrap: int, seed: int
) -> dict[tuple[str, str], float]:
    """Return the share of studies whose interval covers, by statistic and kind of interval.

    Parameters
    ----------
    setting : Setting
    n_studies, n_bootstrap, seed : int

    Returns
    -------
    dict of (str, str) to float
        Kinds are ``dialogues``, ``conditions`` (where they scatter) and ``scenarios`` (where they
        overlap); an interval that is not given covers nothing.
    """
    rng = np.random.default_rng(seed)
    kinds = {"dialogues": ""}
    if setting.scatter:
        kinds = {"conditions": "clustered_"}
    if setting.overlap > 1:
        kinds = {"scenarios": "scenario_"}
    # A condition's expected counts stand for its truth: statistics are of counts.
    many = 20_000 if setting.scatter else setting.n_conditions
    accuracy, cells = _truth(rng, setting, many)
    everything = (cells * 1e6).round().astype(np.int64)
    wanted = {
        name: float(statistic(everything[None], np.ones((1, 2 * many)))[0])
        for name, statistic in _statistics(many, accuracy < 1 - 1 / R).items()
    }
    covered: Counter[tuple[str, str]] = Counter()
    for study in range(n_studies):
        if setting.scatter:
            accuracy, cells = _truth(rng, setting, setting.n_conditions)
        _, resamples = _draw(rng, setting, cells, study, n_bootstrap)
        statistics = _statistics(setting.n_conditions, accuracy < 1 - 1 / R)
        for name, statistic in statistics.items():
            found = resamples.interval(statistic)
            for kind, prefix in kinds.items():
                low, high = found[f"{prefix}low"], found[f"{prefix}high"]
                if low is not None and high is not None:
                    covered[name, kind] += low <= wanted[name] <= high
    return {(name, kind): covered[name, kind] / n_studies for name in wanted for kind in kinds}


def main() -> None:
    """Print the coverage of every interval in every setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--bootstrap", type=int, default=600)
    options = parser.parse_args()
    margin = 1.96 * (0.95 * 0.05 / options.studies) ** 0.5
    print(f"{options.studies} studies; chance alone moves a coverage of 95 % by ± {margin:.1%}")
    for setting in SETTINGS:
        found = coverage(setting, options.studies, options.bootstrap, seed=20260408)
        print(f"\n{setting.name} ({setting.n_conditions} x {setting.n_dialogues})")
        for (name, kind), share in found.items():
            print(f"  {name:<26}{kind:<12}{share:7.1%}", flush=True)


if __name__ == "__main__":
    main()
