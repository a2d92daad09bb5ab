"""The numbers of a profile by one name each, for MLflow."""

from __future__ import annotations

from escalometer.documents.profile import InterventionScores, Profile


def flat_metrics(profile: Profile) -> dict[str, float]:
    """Return the profile's numbers by one name each, without those that are undefined.

    Scores are named ``<metric>.<intervention>[.<effort>][.<framing>].R<ratio>``, followed by what
    they are scored against where that makes a difference.
    """
    fit = profile.implicit_threshold.linear
    metrics: dict[str, float | None] = {
        "n_decisions": profile.n_decisions,
        "implicit_threshold": fit.estimate,
        "implicit_threshold_low": fit.low,
        "implicit_threshold_high": fit.high,
        "implicit_threshold_study_line": profile.implicit_threshold.study_line.estimate,
        "implicit_threshold_logit": profile.implicit_threshold.logit.estimate,
        "slope": fit.slope,
        "self_estimated_accuracy": profile.self_estimated_accuracy.estimate,
        "predictive_accuracy": profile.predictive_accuracy.estimate,
        "calibration_bias": profile.calibration_bias.estimate,
        "calibration_bias_signalled": profile.calibration_bias_signalled.estimate,
    }
    for row in profile.calibration:
        name = f"{row.intervention}.{row.score}"
        metrics[f"brier.{name}"] = row.brier
        metrics[f"expected_calibration_error.{name}"] = row.expected_calibration_error
        metrics[f"smooth_calibration_error.{name}"] = row.smooth_calibration_error.estimate
    for choice in profile.recommendations:
        metrics[f"recommended_cost.R{choice.cost_ratio:g}"] = choice.realized_cost.estimate
    for status, n in profile.statuses:
        metrics[f"share_{status}"] = n / profile.n_decisions if profile.n_decisions else None
    for scores in profile.interventions:
        name, against = _name(scores), scores.scored_against
        metrics[f"escalation_accuracy.{name}.{against}"] = scores.escalation_accuracy.estimate
        metrics[f"realized_cost.{name}"] = scores.realized_cost.estimate
        metrics[f"regret.{name}.{against}"] = scores.regret.estimate
    return {name: value for name, value in metrics.items() if value is not None}


def _name(row: InterventionScores) -> str:
    parts = [row.intervention, row.reasoning_effort, row.framing]
    parts += ["isolated"] if row.is_isolated and row.intervention != "isolated" else []
    parts += ["stated"] if row.is_cost_stated and row.framing is None else []
    return ".".join([*(part for part in parts if part), f"R{row.cost_ratio:g}"])
