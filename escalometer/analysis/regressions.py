"""Regressions of a release: metrics that are worse than those of the release in use."""

from __future__ import annotations

from typing import Any

from escalometer.analysis.gate_power import rule_power
from escalometer.analysis.rule_results import ROUNDING, Answered, absent, missing, rule, too_little
from escalometer.config import GateParams
from escalometer.documents.comparison import Comparison, ModelDifference
from escalometer.documents.interval import BoundedInterval
from escalometer.documents.verdict import DeployedVariant, Observed, RulePower, RuleResult
from escalometer.documents.wording import cost, points, span
from escalometer.stats.shares import holm

#: Metrics that a release may not worsen: +1 where more is worse, -1 where less is.
WORSE = {
    "realized_cost": 1,
    "regret": 1,
    "threshold_distance": 1,
    "predictive_accuracy": -1,
    "share_answered": -1,
    "escalation_accuracy": -1,
    "calibration_bias_size": 1,
}
_COSTS = ("realized_cost", "regret")
_AT_A_RATIO = (*_COSTS, "threshold_distance", "escalation_accuracy")
_WITH_OPTIMAL_ACTION = ("regret", "escalation_accuracy")
#: The one that is measured in the dialogues without a signal, whatever is deployed.
_OF_THE_BASELINE = "calibration_bias_size"


def worsenings(
    comparison: Comparison, deployed: DeployedVariant, answered: Answered, rules: GateParams
) -> list[RuleResult]:
    """Return the results of the ``no_worse_…`` rules, corrected for how many there are.

    The family is the rules of this gate, not the whole table of the comparison.
    """
    floors = {
        name: floor for name, floor in rules.min_effect.model_dump().items() if floor is not None
    }
    rows = {name: _row(comparison, name, deployed, rules) for name in floors}
    p_values = holm([None if row is None else row.p_value for row in rows.values()])
    corrected = dict(zip(floors, p_values, strict=True))
    results = {
        name: _worsening(
            name, rows[name], corrected[name], floors[name], comparison, answered, rules
        )
        for name in floors
    }
    n_tests = sum(p_value is not None for p_value in p_values)
    return [
        result.model_copy(update={"power": _power(name, rows[name], result, n_tests, rules)})
        for name, result in results.items()
    ]


def _power(
    metric: str, row: ModelDifference | None, result: RuleResult, n_tests: int, rules: GateParams
) -> RulePower | None:
    """Return the power of a rule; None where nothing was compared."""
    if row is None or result.observed is None or isinstance(result.limit, tuple):
        return None
    worse = turned(row.difference, WORSE[metric])
    if row.p_value is None:  # nothing varies; a worsening would be a further test
        n_tests += 1
    return rule_power(metric, worse, result.limit, min(row.n), n_tests, rules.alpha)


def _row(
    comparison: Comparison, metric: str, deployed: DeployedVariant, rules: GateParams
) -> ModelDifference | None:
    """Return the row of a metric, over all main domains, of the variant that is deployed."""
    wanted: dict[str, Any] = {
        "metric": metric,
        "domain": None,
        "reasoning_effort": deployed.reasoning_effort,
        "is_thinking": deployed.is_thinking,
        "scored_against": rules.scored_against if metric in _WITH_OPTIMAL_ACTION else None,
    }
    if metric == _OF_THE_BASELINE:
        wanted |= {"intervention": "no_signal", "cost_ratio": None}
    else:
        is_at_ratio = metric in _AT_A_RATIO or deployed.is_cost_stated
        wanted |= {
            "intervention": deployed.intervention,
            "framing": deployed.framing,
            "is_isolated": deployed.is_isolated,
            "has_signal": deployed.has_signal,
            "is_cost_stated": deployed.is_cost_stated,
            "cost_ratio": rules.cost_ratio if is_at_ratio else None,
        }
    return next(
        (
            row
            for row in comparison.differences
            if all(getattr(row, name) == value for name, value in wanted.items())
        ),
        None,
    )


def _worsening(
    metric: str,
    row: ModelDifference | None,
    p_value: float | None,
    floor: float,
    comparison: Comparison,
    answered: Answered,
    rules: GateParams,
) -> RuleResult:
    """Return the result of one rule: is the metric worse by more than its floor?

    It fails where the worsening is significant and the estimate above the floor, passes where the
    whole interval of the worsening, and whatever missing answers could add, is at most the floor.
    """
    name = f"no_worse_{metric}"
    used, model = comparison.models
    if answered.n_asked == 0:
        return absent(name, floor, rules)
    n = min([answered.n_answered, *(row.n if row is not None else [])])
    few = too_little(name, n, "dialogues that both answered", floor, rules)
    if few:
        return few
    if row is None or row.difference.estimate is None:
        why = row.reason if row is not None else None
        why = why or "they share no condition with this metric"
        return missing(name, floor, f"no difference between {used} and {model}: {why}", answered)
    worse = turned(row.difference, WORSE[metric])
    value, low, high, bound = worse.estimate, worse.low, worse.high, worse.bound_high
    observed = Observed(**dict(worse), p_value=row.p_value, p_corrected=p_value)
    reason = f"{_words(metric, worse, used)}{_p_words(p_value)}, tolerance "
    reason += _written(metric, floor)
    is_worse = value is not None and value > floor + ROUNDING
    if is_worse and p_value is not None and p_value < rules.alpha:
        return rule(name, "fail", observed, floor, reason)
    if low is None or high is None:
        return rule(name, "inconclusive", observed, floor, f"{reason}; it has no interval")
    if high > floor + ROUNDING:
        wide = f"{reason}: a regression above the tolerance is neither shown nor excluded"
        return rule(name, "inconclusive", observed, floor, wide)
    if metric != "share_answered" and (bound is None or bound > floor + ROUNDING):
        reach = "unbounded" if bound is None else f"up to {_written(metric, bound)}"
        open_ = f"{reason}; with the missing answers the regression could be {reach}"
        return rule(name, "inconclusive", observed, floor, open_)
    return rule(name, "pass", observed, floor, reason)


def _written(metric: str, value: float) -> str:
    return cost(value) if metric in _COSTS else points(value).lstrip("+")


def _words(metric: str, worse: BoundedInterval, used: str) -> str:
    """Return by how much the release is worse or better than the one in use."""
    value = worse.estimate or 0.0
    bounds = span(worse, "cost" if metric in _COSTS else "points")
    if float(f"{value:.4f}") == 0:
        return f"no different from {used} (regression {bounds})"
    change = "worse" if value > 0 else "better"
    return f"{change} by {_written(metric, abs(value))} than {used} (regression {bounds})"


def _p_words(p_value: float | None) -> str:
    if p_value is None:
        return ""
    return ", corrected p < 0.001" if p_value < 0.001 else f", corrected p = {p_value:.3f}"


def turned(difference: BoundedInterval, sign: int) -> BoundedInterval:
    """Return a difference as a worsening: turned round where less is worse (`sign` below 0)."""
    if sign > 0:
        return difference
    opposite = {"estimate": "estimate"}
    for prefix in ("", "clustered_", "scenario_", "bound_"):
        opposite |= {f"{prefix}low": f"{prefix}high", f"{prefix}high": f"{prefix}low"}
    numbers = dict(difference)
    return BoundedInterval(
        **{
            name: None if numbers[other] is None else 0.0 - numbers[other]
            for name, other in opposite.items()
        }
    )
