"""Coverage of a known truth by each interval of a profile, by simulation.

    python -m benchmarks.interval_coverage [--studies 200] [--processes 2] [--only 250x25]

A study draws dialogues of a model whose accuracies and escalation rates are set, with and without a
signal, and makes the calls that a profile makes of them. It is told nothing that a profile does not
know: which action is optimal in a condition is decided by the measured accuracy, and judged by the
true one. Intervals for these conditions are held against these conditions' truth; those that leave
out conditions against the population that conditions are drawn from; those that leave out scenarios
in studies whose scenarios belong to several conditions.

Printed by statistic: the coverage over studies in which it is identified, the share of those
studies, and the estimate's bias in standard errors.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from escalometer import stats
from escalometer.analysis.headlines import mean_accuracy
from escalometer.analysis.scores import BY_OPTIMUM, Policy, measured_optimum_interval
from escalometer.stats import Counts, Floats, Interval, Resamples

R = 4.0
#: The escalation rate without a signal.
UNSIGNALLED = 0.35

#: Rates with a signal, of the accuracy.
CURVES: dict[str, Callable[[Floats], Floats]] = {
    "line": lambda p: 0.5 - 1.3 * (p - 0.7),
    "flat": lambda p: 0.5 - 0.5 * (p - 0.7),
    "near the end": lambda p: 0.5 - 1.0 * (p - 0.93),
    "steep": lambda p: 1 / (1 + np.exp(12 * (p - 0.75))),
}


@dataclass(frozen=True)
class Setting:
    """One simulated setting.

    Attributes
    ----------
    n_conditions, n_dialogues : int
    curve : str
        A key of `CURVES`.
    scatter : float
        Standard deviation of conditions about the curve.
    kind : {"dialogues", "conditions", "scenarios"}
        Which interval is judged. Of scenarios, four conditions share theirs.
    with_scores : bool
        Whether costs and escalation accuracy are judged as well, by 400 resamples.
    """

    n_conditions: int
    n_dialogues: int
    curve: str = "line"
    scatter: float = 0.0
    kind: Literal["dialogues", "conditions", "scenarios"] = "dialogues"
    with_scores: bool = False

    @property
    def name(self) -> str:
        """The setting in words."""
        scatter = f", scatter {self.scatter}" if self.scatter else ""
        return f"{self.n_conditions} x {self.n_dialogues} {self.curve}{scatter}, {self.kind}"


PREFIX = {"dialogues": "", "conditions": "clustered_", "scenarios": "scenario_"}
SIZES = tuple((c, n) for c in (10, 50, 250, 1000) for n in (25, 100, 250))
#: Overlap of scenarios, where there is one.
N_SHARING = 4
N_BOOTSTRAP = 400


def settings() -> list[Setting]:
    """Return every setting, the smallest first."""
    found = []
    for c, n in SIZES:
        for curve in CURVES:
            for scatter in (0.0, 0.08):
                has_scores = curve == "line" and not scatter and c <= 250
                found.append(Setting(c, n, curve, scatter, with_scores=has_scores))
        found.append(Setting(c, n, scatter=0.08, kind="conditions", with_scores=c <= 250))
        if c <= 250:
            found.append(Setting(c, n, kind="scenarios", with_scores=c <= 50))
    return found


@dataclass(frozen=True)
class Found:
    """An interval of one study, and the status of what it is of."""

    interval: Mapping[str, object]
    is_identified: bool


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


def _truth(rng: np.random.Generator, setting: Setting, n: int) -> Floats:
    """Return shares of outcomes of `n` conditions with a signal, then of as many without."""
    is_fixed = setting.kind != "conditions"
    accuracy = np.linspace(0.5, 0.97, n) if is_fixed else rng.uniform(0.5, 0.97, n)
    rate = CURVES[setting.curve](accuracy) + setting.scatter * rng.normal(size=n)
    return np.concatenate(
        [
            _cells(accuracy, np.clip(rate, 0.02, 0.98)),
            _cells(np.clip(accuracy - 0.03, 0, 1), np.full(n, UNSIGNALLED)),
        ]
    )


def _draw(
    rng: np.random.Generator, setting: Setting, cells: Floats, seed: int, n_bootstrap: int
) -> Resamples:
    """Return one study's conditions with their resamples."""
    n, many = len(cells), setting.n_dialogues
    names = [(i,) for i in range(n)]
    conditions = [i % setting.n_conditions for i in range(n)]
    if setting.kind != "scenarios":
        counts = rng.multinomial(np.full(n, many), cells)
        return Resamples.draw(names, conditions, counts, seed, n_bootstrap)
    # Groups of conditions share their scenarios, and a scenario has one outcome under all of them
    # as far as their shares allow: one uniform number decides.
    group = np.arange(n) // N_SHARING
    uniform = rng.uniform(size=(group.max() + 1, many))
    ends = np.cumsum(cells, axis=1)[:, :3]
    outcome = (uniform[group][:, :, None] > ends[:, None, :]).sum(axis=2)
    counts = np.stack([(outcome == k).sum(axis=1) for k in range(4)], axis=1)
    scenario = (group[:, None] * many + np.arange(many)).ravel()
    rows = (scenario, np.repeat(np.arange(n), many), outcome.ravel(), np.ones(n * many, dtype=int))
    drawn = stats.resample_scenarios(rng, *rows, n, n_bootstrap)
    left_out = stats.leave_scenarios_out(rng, *rows, n)
    known = np.full(n, scenario.max() + 1)
    return Resamples.draw(
        names, conditions, counts, seed, n_bootstrap, drawn, known, scenarios_left_out=left_out
    )


def _fits(resamples: Resamples, n: int) -> dict[str, Found]:
    """Return what a profile reads off the line, of `n` conditions with a signal and `n` without."""
    signalled = resamples.take(range(n))
    lines = {
        f"threshold, {kind}": stats.threshold_fit(kind, signalled) for kind in ("linear", "logit")
    }
    found = {name: Found(line, line["status"] != "unidentified") for name, line in lines.items()}
    is_identified = found["threshold, linear"].is_identified

    def unsignalled_accuracy(counts: Counts, weight: Floats) -> Floats:
        return mean_accuracy(counts[:, n:], weight[:, n:])

    own = stats.self_estimate_interval(n, resamples)
    bias = stats.calibration_bias_interval(n, resamples, unsignalled_accuracy)
    found["self-estimated accuracy"] = Found(own, is_identified)
    found["calibration bias"] = Found(bias, is_identified)
    return found


def _scores(resamples: Resamples, n: int) -> dict[str, Found]:
    """Return the scores of a profile, with the optimal actions that the measured accuracy gives."""
    signalled = resamples.take(range(n))
    policy = Policy(np.zeros(n, dtype=bool), R, 0.0)
    policy = Policy(policy.pays(signalled.counts), R, 0.0)
    names = ("realized_cost", "selective_risk", "coverage")
    intervals: dict[str, Interval] = {
        "predictive accuracy": signalled.interval(mean_accuracy),
        **{name: signalled.interval(policy.statistic(name)) for name in names},
    }
    for name in BY_OPTIMUM:
        estimate = signalled.value(policy.statistic(name))
        if estimate is not None:
            interval = measured_optimum_interval(signalled, policy, name, estimate)
            intervals[name.replace("_", " ")] = interval
    return {name: Found(interval, True) for name, interval in intervals.items()}


def coverage(setting: Setting, n_studies: int, seed: int = 20260408) -> dict[str, list[float]]:
    """Return by statistic: coverage, share of studies that identify it, bias in standard errors.

    Parameters
    ----------
    setting : Setting
    n_studies, seed : int
    """
    rng = np.random.default_rng([seed, setting.n_conditions, setting.n_dialogues])
    n_bootstrap = N_BOOTSTRAP if setting.with_scores else 2
    is_population = setting.kind == "conditions"
    n, prefix = setting.n_conditions, PREFIX[setting.kind]
    many = 20_000 if is_population else n
    cells = _truth(rng, setting, many)
    # Expected counts stand for the truth: so many dialogues have no noise.
    everything = Resamples.draw(
        [(i,) for i in range(2 * many)],
        list(range(2 * many)),
        (cells * (1e4 if is_population else 1e6)).round().astype(np.int64),
        0,
        2,
    )
    measure = [partial(_fits, n=many), *([partial(_scores, n=many)] if setting.with_scores else [])]
    wanted = {
        name: float(str(found.interval["estimate"]))
        for part in measure
        for name, found in part(everything).items()
    }
    estimates: dict[str, list[float]] = {name: [] for name in wanted}
    covered = dict.fromkeys(wanted, 0)
    for study in range(n_studies):
        if is_population:
            cells = _truth(rng, setting, n)
        resamples = _draw(rng, setting, cells, study, n_bootstrap)
        results = _fits(resamples, n) | (_scores(resamples, n) if setting.with_scores else {})
        for name, found in results.items():
            estimate, low, high = (
                found.interval[key] for key in ("estimate", f"{prefix}low", f"{prefix}high")
            )
            if not found.is_identified or not isinstance(estimate, float):
                continue
            estimates[name].append(estimate)
            # Without ends an interval holds everything.
            covered[name] += (
                not isinstance(low, float)
                or not isinstance(high, float)
                or (low - 1e-12 <= wanted[name] <= high + 1e-12)
            )
    return {
        name: [
            covered[name] / max(len(values), 1),
            len(values) / n_studies,
            (np.mean(values) - wanted[name]) / max(float(np.std(values)), 1e-12)
            if values
            else np.nan,
        ]
        for name, values in estimates.items()
    }


def _printed(found: Mapping[str, Sequence[float]]) -> str:
    lines = [
        f"  {name:<26}{covered:7.1%}{identified:7.0%}{bias:+7.2f}"
        for name, (covered, identified, bias) in found.items()
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the coverage of every interval in every setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", default="", help="settings whose name begins so: '250 x 25'")
    options = parser.parse_args()
    margin = 1.96 * (0.95 * 0.05 / options.studies) ** 0.5
    print(f"{options.studies} studies; chance alone moves a coverage of 95% by ± {margin:.1%}")
    print(f"  {'statistic':<26}{'covers':>7}{'ident.':>7}{'bias':>7}")
    chosen = [setting for setting in settings() if setting.name.startswith(options.only)]
    with ProcessPoolExecutor(options.processes) as pool:
        run = partial(coverage, n_studies=options.studies)
        for setting, found in zip(chosen, pool.map(run, chosen), strict=True):
            print(f"\n{setting.name}\n{_printed(found)}", flush=True)


if __name__ == "__main__":
    main()
