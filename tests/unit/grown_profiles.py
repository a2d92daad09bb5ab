"""Profiles as `stages.analyze.build_profile` makes them now, for tests of what people see."""

from __future__ import annotations

from typing import Any

from tests.unit.test_reporting import (
    EXTRAPOLATED,
    IDENTIFIED,
    UNIDENTIFIED,
    interval,
    made_profile,
)

ARM: dict[str, Any] = {
    "intervention": "baseline",
    "reasoning_effort": None,
    "cost_ratio": None,
    "framing": None,
    "is_thinking": False,
    "is_isolated": False,
    "has_signal": True,
}
FRAMED = {**ARM, "intervention": "cost_framing", "framing": "ratio", "cost_ratio": 4.0}
ASKED = {**ARM, "intervention": "stated_confidence"}
NOBODY = dict.fromkeys(name for name in ARM if name != "cost_ratio")


def bounded(value: dict[str, Any], low: float | None, high: float | None) -> dict[str, Any]:
    return {**value, "bound_low": low, "bound_high": high}


def chosen(arm: dict[str, Any] | None, policy: str, cost: dict[str, Any]) -> dict[str, Any]:
    own = NOBODY if arm is None else {k: v for k, v in arm.items() if k != "cost_ratio"}
    stated = None if arm is None else arm["cost_ratio"] is not None
    return {
        **own,
        "is_cost_stated": stated,
        "policy": policy,
        "realized_cost": cost,
        "escalation_rate": {"always_escalate": 1.0, "always_implement": 0.0}.get(policy, 0.41),
        "n": 160,
    }


def recommendation(**changes: Any) -> dict[str, Any]:
    row = {
        "cost_ratio": 4.0,
        **chosen(FRAMED, "model", interval(0.63, 0.6, 0.66)),
        "next_best": chosen(None, "always_escalate", interval(1.0, 1.0, 1.0)),
        "gap": interval(0.37, 0.34, 0.4),
        "is_clear": True,
        "saves": interval(0.37, 0.34, 0.4),
        "is_shown": True,
        "n_left_out": 0,
        "conditions": [["movielens", f"movielens_{i}", 0.5 + 0.1 * i] for i in range(4)],
    }
    return row | changes


def curve_of(arm: dict[str, Any], slope: float) -> dict[str, Any]:
    ratios = [float(r) for r in range(1, 101)]
    return {
        **arm,
        "n": 160,
        "escalation_rate": 0.4,
        "cost_ratios": ratios,
        "realized_cost": [0.4 + slope * r for r in ratios],
        "always_implement_cost": [0.3 * r for r in ratios],
        "always_escalate_cost": [1.0] * 100,
        "optimal_cost": [min(1.0, 0.3 * r) for r in ratios],
    }


def grown_profile() -> dict[str, Any]:
    profile = made_profile()
    for row in profile["curve"]:
        row |= {"is_main": True, "fitted": 0.5, "clustered_low": 0.4, "clustered_high": 0.6}
    for row in profile["interventions"]:
        row |= {name: ARM[name] for name in ("is_thinking", "is_isolated", "has_signal")}
        row["is_cost_stated"] = row["framing"] is not None
    shared = {"escalation_rate": 0.4, "n_conditions": 4, "n": 80}
    for name, is_main, fit in (
        ("movielens", True, IDENTIFIED),
        ("hmda_mortgages", True, UNIDENTIFIED),
        ("moral_machine", False, EXTRAPOLATED),
    ):
        profile.setdefault("domains", []).append(
            {
                "domain": name,
                "is_main": is_main,
                **shared,
                "predictive_accuracy": interval(0.7, 0.66, 0.74),
                "implicit_threshold": {"linear": fit, "logit": fit},
                "self_estimated_accuracy": interval(1.0, 0.9, 1.0),
                "calibration_bias": interval(0.3, 0.2, 0.34),
            }
        )
    return profile | {
        "reasoning_effort": None,
        "is_thinking": False,
        "recommendations": [
            recommendation(),
            recommendation(
                cost_ratio=10.0, **chosen(None, "always_escalate", interval(1.0, 1.0, 1.0))
            ),
        ],
        "arms": [
            {**ARM, "n_conditions": 8, "n": 160, "implicit_threshold": IDENTIFIED},
            {**FRAMED, "n_conditions": 8, "n": 160, "implicit_threshold": UNIDENTIFIED},
        ],
        "differences": [
            {
                **FRAMED,
                "is_cost_stated": True,
                "scored_against": against,
                "is_paired": True,
                "n": 151,
                "n_reference": 151,
                "escalation_accuracy": interval(value, value - 0.04, value + 0.04),
                "realized_cost": interval(-0.28, -0.35, -0.2),
                "p_value": p,
                "p_corrected": p,
            }
            for against, value, p in (
                ("predictive_accuracy", 0.062, 0.00001),
                ("signal_accuracy", -0.1, 0.031),
            )
        ],
        "calibration": [
            {
                **ASKED,
                "score": "stated_confidence",
                "n": 160,
                "mean_confidence": 0.84,
                "accuracy": 0.77,
                "brier": 0.14,
                "log_loss": 0.46,
                "expected_calibration_error": 0.07,
                "smooth_calibration_error": {
                    "estimate": 0.08, "low": 0.03, "high": 0.1, "if_calibrated": 0.02
                },
                "reliability": [
                    {
                        "bin": i, "n": 20 * i, "mean_confidence": 0.1 * i + 0.05,
                        "accuracy": 0.1 * i,
                        "accuracy_low": 0.1 * i - 0.05, "accuracy_high": 0.1 * i + 0.05,
                    }
                    for i in (6, 8)
                ],
            }
        ],
        "external_threshold": [external()],
        "cost_curves": [curve_of(ARM, 0.1), curve_of(FRAMED, 0.06)],
        "overlap": [overlap(1.2)],
    }  # fmt: skip


def external(**changes: Any) -> dict[str, Any]:
    row = {
        **{name: value for name, value in ASKED.items() if name != "cost_ratio"},
        "score": "stated_confidence",
        "is_cost_stated": False,
        "cost_ratio": 4.0,
        "n": 160,
        "cost": 0.52,
        "own_cost": 0.63,
        "difference": {"estimate": 0.11, "low": 0.08, "high": 0.14},
        "reason": None,
    }
    return row | changes


def overlap(effect: float, **changes: Any) -> dict[str, Any]:
    row = {
        **ARM,
        "n": 160,
        "n_scenarios": 100,
        "n_overlapping": 60,
        "accuracy_design_effect": effect,
        "escalation_design_effect": 0.9,
        "n_effective_accuracy": 160 / effect,
        "n_effective_escalation": 160 / 0.9,
    }
    return row | changes
