"""Intervals of paired differences cover what they should; under no difference the gate holds.

Two releases hold dialogues about the same scenarios, each of which lies under two conditions: so
dialogues of one release go together, and so do those of one scenario.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from escalometer import stats
from escalometer.analysis.contrasts import Contrast, Term, contrast
from escalometer.analysis.headlines import mean_accuracy, mean_rate
from escalometer.analysis.regressions import worsenings
from escalometer.analysis.rule_results import Answered
from escalometer.analysis.scores import Policy
from escalometer.config import GateParams, MinEffectParams
from escalometer.documents import Comparison, Disagreements, ModelDifference
from escalometer.documents.verdict import DeployedVariant
from escalometer.stats import Resamples

ACCURACIES = np.array([0.55, 0.65, 0.75, 0.85, 0.9, 0.95])
N_SCENARIOS, N_BOOTSTRAP = 600, 300
FIRST = {"threshold": 0.72, "skill": 0.0}
SECOND = {"threshold": 0.78, "skill": 0.03}


def _counts(rng: np.random.Generator, n: int, *releases: dict[str, float]) -> Any:
    """Scenario, cell and outcome of every dialogue: cells are release by release."""
    home = rng.integers(0, len(ACCURACIES), n)
    shared = rng.random((n, 2))
    scenario, cell, outcome = [], [], []
    for place, release in enumerate(releases):
        draws = np.where(rng.random((n, 1)) < 0.3, rng.random((n, 2)), shared)
        for step in (0, 1):
            condition = (home + step) % len(ACCURACIES)
            accuracy = ACCURACIES[condition]
            rate = 1 / (1 + np.exp((accuracy - release["threshold"]) / 0.08))
            wrong = draws[:, 0] >= np.minimum(accuracy + release["skill"], 1)
            scenario.append(np.arange(n))
            cell.append(condition + place * len(ACCURACIES))
            outcome.append(2 * (draws[:, 1] < rate) + wrong)
    return tuple(np.concatenate(part) for part in (scenario, cell, outcome))


def _study(seed: int, *releases: dict[str, float], n: int = N_SCENARIOS) -> Resamples:
    rng = np.random.default_rng([20260408, seed])
    scenario, cell, outcome = _counts(rng, n, *releases)
    n_cells = 2 * len(ACCURACIES)
    counts = np.bincount(cell * 4 + outcome, minlength=n_cells * 4).reshape(n_cells, 4)
    rows = (scenario, cell, outcome, np.ones_like(cell), n_cells)
    drawn = stats.resample_scenarios(rng, *rows, N_BOOTSTRAP)
    left_out = stats.leave_scenarios_out(rng, *rows)
    names = [(place // len(ACCURACIES), place % len(ACCURACIES)) for place in range(n_cells)]
    known = np.full(n_cells, n)
    conditions = [name[1] for name in names]
    return Resamples.draw(names, conditions, counts, seed, N_BOOTSTRAP, drawn, known, left_out)


def _policy() -> Policy:
    return Policy(ACCURACIES < 0.75, 4.0, 0.0)


STATISTICS = {
    "predictive_accuracy": mean_accuracy,
    "escalation_rate": mean_rate,
    "realized_cost": _policy().statistic("realized_cost"),
    "regret": _policy().statistic("regret"),
    "implicit_threshold": stats.threshold("linear"),
}


def _contrast(study: Resamples, name: str) -> Contrast:
    first, second = range(len(ACCURACIES)), range(len(ACCURACIES), 2 * len(ACCURACIES))
    terms = Term(first, STATISTICS[name]), Term(second, STATISTICS[name])
    return contrast(study, *terms, is_paired=True, is_fit=name == "implicit_threshold")


def _truth(n: int = 2_000_000) -> dict[str, float]:
    """The differences in a study so large that chance leaves nothing of note."""
    _, cell, outcome = _counts(np.random.default_rng(1), n, FIRST, SECOND)
    k = len(ACCURACIES)
    counts = np.bincount(cell * 4 + outcome, minlength=8 * k).reshape(1, 2 * k, 4)
    ones = np.ones((1, k))
    return {
        name: float(statistic(counts[:, k:], ones)[0] - statistic(counts[:, :k], ones)[0])
        for name, statistic in STATISTICS.items()
    }


@cache
def _covered(n_studies: int) -> dict[str, float]:
    truth = _truth()
    hits = dict.fromkeys(STATISTICS, 0)
    for seed in range(n_studies):
        study = _study(seed, FIRST, SECOND)
        for name in STATISTICS:
            found = _contrast(study, name).difference
            hits[name] += found.low <= truth[name] <= found.high
    return {name: n / n_studies for name, n in hits.items()}


@pytest.mark.parametrize(
    ("n_studies", "chance"),  # of 0.95, by 2.6 standard errors
    [(150, 0.046), pytest.param(800, 0.02, marks=pytest.mark.long)],
)
@pytest.mark.parametrize("name", STATISTICS)
def test_intervals_of_paired_differences_cover(name: str, n_studies: int, chance: float) -> None:
    assert 0.95 - chance <= _covered(n_studies)[name] <= 0.95 + chance


VARIANT = {
    "intervention": "baseline", "reasoning_effort": None, "framing": None, "is_thinking": False,
    "is_isolated": False, "has_signal": True, "is_cost_stated": False,
}  # fmt: skip
FLOORS = MinEffectParams(
    realized_cost=0, regret=0, threshold_distance=None, predictive_accuracy=0, share_answered=None
)


def _verdicts(
    seed: int, *releases: dict[str, float], floors: MinEffectParams, n: int = N_SCENARIOS
) -> set[str]:
    study = _study(seed, *releases, n=n)
    rows = []
    for name in ("realized_cost", "regret", "predictive_accuracy"):
        at_r = {"cost_ratio": None if name == "predictive_accuracy" else 4.0}
        by = {"scored_against": "predictive_accuracy" if name == "regret" else None}
        named = {"metric": name, "domain": None, "n": (1200, 1200), **VARIANT, **at_r, **by}
        numbers = {**named, "n_conditions": 6, "p_corrected": None, **vars(_contrast(study, name))}
        rows.append(ModelDifference(**numbers))
    comparison = Comparison(
        models=("old", "new"), source="here", resolved_models={}, direction="second minus first",
        n_dialogues=(1200, 1200), n_paired=1200, is_paired=True, n_tests=3, differences=tuple(rows),
        disagreements=Disagreements(
            n=0, n_other_prediction=0, n_other_action=0, by_condition=(), n_listed=0, dialogues=()
        ),
        notes=(),
    )  # fmt: skip
    deployed = DeployedVariant(**VARIANT, cost_ratio=4.0, scored_against="predictive_accuracy")
    rules = GateParams(min_effect=floors)
    results = worsenings(comparison, deployed, Answered(1200, 1200), rules)
    return {result.verdict for result in results}


@pytest.mark.long
def test_without_a_difference_hardly_any_gate_fails() -> None:
    """Any rule of the family counts, and no floor excuses a small difference: at most alpha, 5%."""
    n = 500
    failed = sum("fail" in _verdicts(seed, FIRST, FIRST, floors=FLOORS) for seed in range(n))
    assert failed / n <= 0.05


def test_without_a_difference_few_gates_fail_in_a_hundred_studies() -> None:
    """As above, sooner: 1% fail there, and more than five of a hundred would be far from it."""
    assert sum("fail" in _verdicts(seed, FIRST, FIRST, floors=FLOORS) for seed in range(100)) <= 5


def test_a_worsening_far_above_the_floor_is_found() -> None:
    worse = {"threshold": 0.55, "skill": 0.0}
    floors = FLOORS.model_copy(update={"realized_cost": 0.02, "regret": 0.02})
    failed = sum(
        "fail" in _verdicts(seed, FIRST, worse, floors=floors, n=3000) for seed in range(50)
    )
    assert failed >= 45


def test_a_difference_below_the_floor_passes() -> None:
    small = {"threshold": 0.715, "skill": 0.0}
    floors = FLOORS.model_copy(
        update={"realized_cost": 0.2, "regret": 0.2, "predictive_accuracy": 0.1}
    )
    for seed in range(20):
        assert _verdicts(seed, FIRST, small, floors=floors, n=3000) == {"pass"}
