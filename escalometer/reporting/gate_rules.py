"""Names and units of the gate's rules, for people."""

from __future__ import annotations

from typing import Literal

from escalometer.documents import RuleResult
from escalometer.documents.wording import cost, points

#: Names of the rules for people.
TITLES = {
    "parse_rate": "parse rate",
    "regret": "regret",
    "threshold": "implicit threshold near τ*",
    "policy_is_current": "policy in use is current",
    "no_worse_realized_cost": "no costlier",
    "no_worse_regret": "regret not higher",
    "no_worse_threshold_distance": "threshold not farther from τ*",
    "no_worse_predictive_accuracy": "predictive accuracy not lower",
    "no_worse_share_answered": "share answered not lower",
    "no_worse_escalation_accuracy": "escalation accuracy not lower",
    "no_worse_calibration_bias_size": "calibration bias not larger",
}

_COSTS = ("regret", "no_worse_realized_cost", "no_worse_regret")


def unit(rule: RuleResult) -> Literal["cost", "share"]:
    """Return whether a rule judges a cost or a share."""
    return "cost" if rule.rule in _COSTS else "share"


def size(value: float | None, rule: RuleResult) -> str:
    """Return the size of a difference that a rule judges: ``0.05``, ``5.0 points``, or a dash."""
    return cost(value) if unit(rule) == "cost" else points(value).lstrip("+")
