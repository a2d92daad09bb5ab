"""Profiles in JSON form, for tests of the text and the page of a profile.

Tests change a profile and convert it with `typed`.
"""

from __future__ import annotations

from typing import Any

from escalometer.documents import Profile

#: Converts a profile from JSON form to the typed document.
typed = Profile.model_validate


def interval(estimate: float | None, low: float | None, high: float | None) -> dict[str, Any]:
    return {
        "estimate": estimate,
        "low": low,
        "high": high,
        "clustered_low": None if low is None else low - 0.05,
        "clustered_high": None if high is None else high + 0.05,
        "scenario_low": None,
        "scenario_high": None,
    }


def bounded(value: dict[str, Any], *bounds: float | None) -> dict[str, Any]:
    """Return the interval with bounds for missing answers; by default they equal the estimate."""
    low, high = bounds or (value["estimate"], value["estimate"])
    return {**value, "bound_low": low, "bound_high": high}


NULL = interval(None, None, None)


def fit(base: dict[str, Any], slope: float | None, status: str) -> dict[str, Any]:
    """Return an implicit threshold, with the keys of every kind of fit."""
    return {
        **base,
        "slope": slope,
        "slope_low": slope,
        "slope_high": slope,
        "intercept": None if slope is None else 0.5 - slope * 0.62,
        "r_squared": 0.7,
        "status": status,
    }


def thresholds(linear: dict[str, Any], logit: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return all fits; with only one given, all have the same numbers."""
    return {
        "linear": bounded(linear),
        "logit": bounded(logit or linear),
        "study_line": bounded(linear) | {"self_estimated_accuracy": 0.75},
    }


IDENTIFIED = fit(interval(0.62, 0.58, 0.66), -1.6, "ok")
UNIDENTIFIED = fit(interval(-3.21, -40.0, 55.0), 0.02, "unidentified")
EXTRAPOLATED = fit(interval(1.18, 0.97, 2.4), -0.3, "extrapolated")

VARIANT: dict[str, Any] = {
    "intervention": "baseline",
    "reasoning_effort": None,
    "cost_ratio": None,
    "framing": None,
    "is_thinking": False,
    "is_isolated": False,
    "has_signal": True,
}
FRAMED = {**VARIANT, "intervention": "cost_framing", "framing": "ratio", "cost_ratio": 4.0}
ASKED = {**VARIANT, "intervention": "stated_confidence"}
NOBODY = dict.fromkeys(name for name in VARIANT if name != "cost_ratio")


def scored(variant: dict[str, Any], cost_ratio: float = 4.0) -> dict[str, Any]:
    """Return the variant with its scores at a cost ratio."""
    return {
        **variant,
        "cost_ratio": cost_ratio,
        "is_cost_stated": variant["cost_ratio"] is not None,
    }


def small_profile() -> dict[str, Any]:
    """Return a profile with headline numbers, a curve and scores, without optional parts."""
    curve = [
        {
            "domain": domain,
            "condition": f"{domain}_{i}",
            "signal_accuracy": 0.52 + 0.1 * i,
            "predictive_accuracy": 0.5 + 0.1 * i,
            "escalation_rate": 0.7 - 0.16 * i,
            "low": 0.6 - 0.16 * i,
            "high": 0.8 - 0.16 * i,
            "n": 20 + i,
            "is_main": True,
            "fitted": 0.5,
            "clustered_low": 0.4,
            "clustered_high": 0.6,
        }
        for domain in ("movielens", "hmda_mortgages")
        for i in range(4)
    ]
    interventions = [
        {
            **scored({**VARIANT, **changes}),
            "scored_against": against,
            "n": 160,
            "escalation_accuracy": bounded(interval(0.6, 0.55, 0.65)),
            "realized_cost": bounded(interval(0.91, 0.84, 1.02)),
            "regret": bounded(interval(0.12, -0.001, 0.2)),
            "single_policy_regret": bounded(interval(0.02, -0.05, 0.1)),
            "coverage": bounded(interval(0.55, 0.5, 0.6)),
            "selective_risk": bounded(interval(0.3, 0.25, 0.35)),
            "optimal_cost": 0.79,
            "always_implement_cost": 1.2,
            "always_escalate_cost": 1.0,
        }
        for changes in ({}, {"intervention": "no_signal", "has_signal": False}, FRAMED)
        for against in ("signal_accuracy", "predictive_accuracy")
    ]
    return {
        "model": "smollm2-135m-instruct",
        "source": "pipeline",
        "editions": {},
        "resolved_models": [],
        "n_decisions": 1500,
        "n_usable": 1500,
        "statuses": dict.fromkeys(("forced", "unparsed", "truncated", "refused", "error"), 0)
        | {"ok": 1500},
        "reasoning_effort": None,
        "is_thinking": False,
        "predictive_accuracy": bounded(interval(0.642, 0.61, 0.67)),
        "implicit_threshold": thresholds(IDENTIFIED),
        "self_estimated_accuracy": bounded(interval(0.74, 0.69, 0.8)) | {"n_clipped": 0},
        "calibration_bias": bounded(interval(0.098, 0.04, 0.15)),
        "calibration_bias_signalled": bounded(interval(0.11, 0.05, 0.16)),
        "curve": curve,
        "interventions": interventions,
        **{
            name: []
            for name in (
                "domains", "arms", "differences", "calibration", "external_threshold", "overlap",
                "cost_curves", "recommendations", "notes",
            )
        },
        "force_answer": True,
        "human_error_rate": 0.0,
        "design": None,
    }  # fmt: skip


def candidate(variant: dict[str, Any] | None, policy: str, cost: dict[str, Any]) -> dict[str, Any]:
    """Return a candidate: a variant or, without one, a fixed rule."""
    named = NOBODY if variant is None else {name: variant[name] for name in NOBODY}
    return {
        **named,
        "is_cost_stated": None if variant is None else variant["cost_ratio"] is not None,
        "policy": policy,
        "realized_cost": cost,
        "escalation_rate": {"always_escalate": 1.0, "always_implement": 0.0}.get(policy, 0.41),
        "n": 160,
    }


def recommendation(**changes: Any) -> dict[str, Any]:
    row = {
        "cost_ratio": 4.0,
        **candidate(FRAMED, "model", interval(0.63, 0.6, 0.66)),
        "next_best": candidate(None, "always_escalate", interval(1.0, 1.0, 1.0)),
        "gap": interval(0.37, 0.34, 0.4),
        "is_clear": True,
        "saves": interval(0.37, 0.34, 0.4),
        "is_shown": True,
        "n_left_out": 0,
        "conditions": [["movielens", f"movielens_{i}", 0.5 + 0.1 * i] for i in range(4)],
    }
    return row | changes


def curve_of(variant: dict[str, Any], slope: float) -> dict[str, Any]:
    ratios = [float(r) for r in range(1, 101)]
    return {
        **variant,
        "n": 160,
        "escalation_rate": 0.4,
        "cost_ratios": ratios,
        "realized_cost": [0.4 + slope * r for r in ratios],
        "always_implement_cost": [0.3 * r for r in ratios],
        "always_escalate_cost": [1.0] * 100,
        "signal_policy_cost": [1.0] * 100,
        "optimal_cost": [min(1.0, 0.3 * r) for r in ratios],
    }


def full_profile() -> dict[str, Any]:
    """Return a profile in which every part but the design has content."""
    bias = bounded(interval(0.3, 0.2, 0.34))
    domains = [
        {
            "domain": name,
            "is_main": is_main,
            "escalation_rate": 0.4,
            "n_conditions": 4,
            "n": 80,
            "predictive_accuracy": bounded(interval(0.7, 0.66, 0.74)),
            "implicit_threshold": thresholds(found),
            "self_estimated_accuracy": bounded(interval(1.0, 0.9, 1.0)) | {"n_clipped": 1},
            "calibration_bias": bias,
            "calibration_bias_signalled": bias,
        }
        for name, is_main, found in (
            ("movielens", True, IDENTIFIED),
            ("hmda_mortgages", True, UNIDENTIFIED),
            ("moral_machine", False, EXTRAPOLATED),
        )
    ]
    differences = [
        {
            **scored(FRAMED),
            "scored_against": against,
            "is_paired": True,
            "n": 151,
            "n_reference": 151,
            "n_only_right": 12,
            "n_reference_right": 4,
            "escalation_accuracy": interval(value, value - 0.04, value + 0.04),
            "realized_cost": interval(-0.28, -0.35, -0.2),
            "p_value": p,
            "p_corrected": p,
        }
        for against, value, p in (
            ("predictive_accuracy", 0.062, 0.00001),
            ("signal_accuracy", -0.1, 0.031),
        )
    ]
    people = candidate(None, "always_escalate", interval(1.0, 1.0, 1.0))
    shape = {"n_conditions": 8, "n": 160, "points": []}
    return small_profile() | {
        "domains": domains,
        "recommendations": [recommendation(), recommendation(cost_ratio=10.0, **people)],
        "arms": [
            {**VARIANT, **shape, "implicit_threshold": IDENTIFIED},
            {**FRAMED, **shape, "implicit_threshold": UNIDENTIFIED},
            {**VARIANT, "intervention": "no_signal", "has_signal": False, **shape}
            | {"implicit_threshold": None},
        ],
        "differences": differences,
        "calibration": [calibration()],
        "external_threshold": [external()],
        "cost_curves": [curve_of(VARIANT, 0.1), curve_of(FRAMED, 0.06)],
        "overlap": [overlap(1.2)],
    }


def calibration() -> dict[str, Any]:
    smooth = {"estimate": 0.08, "low": 0.03, "high": 0.1, "if_calibrated": 0.02}
    return {
        **ASKED,
        "score": "stated_confidence",
        "n": 160,
        "n_correct": 123,
        "n_clipped": 0,
        "mean_confidence": 0.84,
        "accuracy": 0.77,
        "brier": 0.14,
        "log_loss": 0.46,
        "expected_calibration_error": 0.07,
        "smooth_calibration_error": smooth,
        "reliability": [
            {
                "bin": i,
                "n": 20 * i,
                "mean_confidence": 0.1 * i + 0.05,
                "accuracy": 0.1 * i,
                "accuracy_low": 0.1 * i - 0.05,
                "accuracy_high": 0.1 * i + 0.05,
            }
            for i in (6, 8)
        ],
    }


def external(**changes: Any) -> dict[str, Any]:
    row = {
        **scored(ASKED),
        "score": "stated_confidence",
        "n": 160,
        "cost": 0.52,
        "own_cost": 0.63,
        "difference": {"estimate": 0.11, "low": 0.08, "high": 0.14},
        "reason": None,
    }
    return row | changes


def overlap(effect: float, **changes: Any) -> dict[str, Any]:
    row = {
        **VARIANT,
        "n": 160,
        "n_scenarios": 100,
        "n_overlapping": 60,
        "accuracy_design_effect": effect,
        "escalation_design_effect": 0.9,
        "n_effective_accuracy": 160 / effect,
        "n_effective_escalation": 160 / 0.9,
    }
    return row | changes
