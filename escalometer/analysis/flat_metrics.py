"""The numbers of a profile by one name each, for `dvc metrics show` and MLflow."""

from __future__ import annotations

from typing import Any


def flat_metrics(profile: dict[str, Any]) -> dict[str, float]:
    """Return the profile's numbers by one name each, for `dvc metrics show`; undefined ones lack.

    Interventions are named ``<metric>.<intervention>[.<effort>][.<framing>].R<ratio>``, followed
    by what it is scored against where that makes a difference.
    """
    fit = profile["implicit_threshold"]["linear"]
    found: dict[str, float | None] = {
        "n_decisions": profile["n_decisions"],
        "implicit_threshold": fit["estimate"],
        "implicit_threshold_low": fit["low"],
        "implicit_threshold_high": fit["high"],
        "implicit_threshold_logit": profile["implicit_threshold"]["logit"]["estimate"],
        "slope": fit["slope"],
    }
    for name in (
        "self_estimated_accuracy",
        "predictive_accuracy",
        "calibration_bias",
        "calibration_bias_signalled",
    ):
        found[name] = profile[name]["estimate"]
    for row in profile["calibration"]:
        name = f"{row['intervention']}.{row['score']}"
        found[f"brier.{name}"] = row["brier"]
        found[f"expected_calibration_error.{name}"] = row["expected_calibration_error"]
        found[f"smooth_calibration_error.{name}"] = row["smooth_calibration_error"]["estimate"]
    for row in profile["recommendations"]:
        cost = row["realized_cost"]["estimate"]
        found[f"recommended_cost.R{row['cost_ratio']:g}"] = cost
    for status, n in profile["statuses"].items():
        found[f"share_{status}"] = n / profile["n_decisions"] if profile["n_decisions"] else None
    for row in profile["interventions"]:
        parts = [row["intervention"], row["reasoning_effort"], row["framing"]]
        parts += ["isolated"] if row["is_isolated"] and row["intervention"] != "isolated" else []
        parts += ["stated"] if row["is_cost_stated"] and row["framing"] is None else []
        name = ".".join([*(part for part in parts if part), f"R{row['cost_ratio']:g}"])
        against = row["scored_against"]
        found[f"escalation_accuracy.{name}.{against}"] = row["escalation_accuracy"]["estimate"]
        found[f"realized_cost.{name}"] = row["realized_cost"]["estimate"]
        found[f"regret.{name}.{against}"] = row["regret"]["estimate"]
    return {name: value for name, value in found.items() if value is not None}
