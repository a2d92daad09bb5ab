"""Whether a release is worse than the one in use, by more than a trifle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from escalometer.analysis import Row
from escalometer.analysis.rule_results import ROUNDING, Answered, absent, missing, rule, too_little
from escalometer.config import GateParams
from escalometer.documents.interval import BoundedInterval
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
_BY_A_YARDSTICK = ("regret", "escalation_accuracy")
#: The one that is told by the dialogues without a signal, whatever is deployed.
_OF_THE_BASELINE = "calibration_bias_size"


def worsenings(
    comparison: Mapping[str, Any], arm: Row, answered: Answered, rules: GateParams
) -> list[Row]:
    """Return whether the release is worse than the one in use, corrected for how often it is asked.

    The family is the rules of this gate, not the whole table of the comparison.
    """
    floors = {
        name: floor for name, floor in rules.min_effect.model_dump().items() if floor is not None
    }
    rows = {name: _row(comparison["differences"], name, arm, rules) for name in floors}
    p_values = holm([None if row is None else row["p_value"] for row in rows.values()])
    corrected = dict(zip(floors, p_values, strict=True))
    return [
        _worsening(name, rows[name], corrected[name], floors[name], comparison, answered, rules)
        for name in floors
    ]


def _row(rows: Sequence[Row], metric: str, arm: Row, rules: GateParams) -> Row | None:
    """Return the row of a metric, over all main domains, of the variant that is deployed."""
    wanted = {name: arm[name] for name in ("reasoning_effort", "is_thinking")}
    if metric == _OF_THE_BASELINE:
        wanted |= {"intervention": "no_signal", "cost_ratio": None}
    else:
        named = ("intervention", "framing", "is_isolated", "has_signal", "is_cost_stated")
        wanted |= {name: arm[name] for name in named}
        own = rules.cost_ratio if arm["is_cost_stated"] else None
        wanted["cost_ratio"] = rules.cost_ratio if metric in _AT_A_RATIO else own
    wanted["scored_against"] = rules.scored_against if metric in _BY_A_YARDSTICK else None
    wanted |= {"metric": metric, "domain": None}
    return next((r for r in rows if all(r[name] == v for name, v in wanted.items())), None)


def _worsening(
    metric: str,
    row: Row | None,
    p_value: float | None,
    floor: float,
    comparison: Mapping[str, Any],
    answered: Answered,
    rules: GateParams,
) -> Row:
    """Return whether a metric is worse by more than a trifle.

    It fails where the worsening is significant and the estimate above the floor, passes where the
    whole interval of the worsening, and whatever missing answers could add, is at most the floor.
    """
    name = f"no_worse_{metric}"
    used, model = comparison["models"]
    if answered.n_asked == 0:
        return absent(name, floor, rules)
    n = min([answered.n_answered, *(row["n"] if row is not None else [])])
    few = too_little(name, n, "dialogues that both answered", floor, rules)
    if few:
        return few
    if row is None or row["difference"]["estimate"] is None:
        why = (row or {}).get("reason") or "they share no condition that it could be computed of"
        return missing(name, floor, f"no difference between {used} and {model}: {why}", answered)
    worse = turned(row["difference"], WORSE[metric])
    value, low, high = (worse[end] for end in ("estimate", "low", "high"))
    observed = {**worse, "p_value": row["p_value"], "p_corrected": p_value}
    said = f"{_words(metric, worse, used)}{_p_words(p_value)}, a trifle is at most "
    said += _written(metric, floor)
    is_worse = value is not None and value > floor + ROUNDING
    if is_worse and p_value is not None and p_value < rules.alpha:
        return rule(name, "fail", observed, floor, said)
    if low is None or high is None:
        return rule(name, "inconclusive", observed, floor, f"{said}; it has no interval")
    if high > floor + ROUNDING:
        wide = f"{said}: more than a trifle is neither shown nor ruled out"
        return rule(name, "inconclusive", observed, floor, wide)
    bound = worse["bound_high"]
    if metric != "share_answered" and (bound is None or bound > floor + ROUNDING):
        reach = "without bound" if bound is None else f"by up to {_written(metric, bound)}"
        open_ = f"{said}; with the missing answers it could be worse {reach}"
        return rule(name, "inconclusive", observed, floor, open_)
    return rule(name, "pass", observed, floor, said)


def _written(metric: str, value: float) -> str:
    return cost(value) if metric in _COSTS else points(value).lstrip("+")


def _words(metric: str, worse: Mapping[str, Any], used: str) -> str:
    """Return by how much the release is worse or better than the one in use."""
    value = worse["estimate"]
    bounds = span(BoundedInterval(**worse), "cost" if metric in _COSTS else "points")
    if float(f"{value:.4f}") == 0:
        return f"no different from {used} (worsening {bounds})"
    change = "worse" if value > 0 else "better"
    return f"{change} by {_written(metric, abs(value))} than {used} (worsening {bounds})"


def _p_words(p_value: float | None) -> str:
    if p_value is None:
        return ""
    return ", corrected p < 0.001" if p_value < 0.001 else f", corrected p = {p_value:.3f}"


def turned(difference: Mapping[str, Any], sign: int) -> dict[str, float | None]:
    """Return a difference as a worsening: turned round where less is worse."""
    if sign > 0:
        return dict(difference)
    names = {"estimate": "estimate"}
    for prefix in ("", "clustered_", "scenario_", "bound_"):
        names |= {f"{prefix}low": f"{prefix}high", f"{prefix}high": f"{prefix}low"}
    return {
        name: None if difference[other] is None else 0.0 - difference[other]
        for name, other in names.items()
    }
