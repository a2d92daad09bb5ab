"""A profile in the form that DVC compares: a few numbers and three curves of one variant.

`dvc metrics diff`, `dvc exp show` and `dvc plots diff` show all that they are given, for every
model and revision. They are given the protocol variant that headlines describe; the profile has all
variants.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from escalometer.documents import Profile
from escalometer.documents.calibration import Calibration
from escalometer.documents.variant import VARIANT_KEY, Variant
from escalometer.documents.wording import ratio
from escalometer.reporting.cost_figure import cost_lines
from escalometer.reporting.headline_variant import HeadlineVariant, headline_variant
from escalometer.reporting.variants import label
from escalometer.runtime.files import replacing

CURVE_COLUMNS = (
    "domain",
    "condition",
    "predictive_accuracy",
    "escalation_rate",
    "low",
    "high",
    "n",
)
COST_COLUMNS = (
    "cost_ratio",
    "realized_cost",
    "optimal_cost",
    "always_implement_cost",
    "always_escalate_cost",
    "signal_policy_cost",
)
RELIABILITY_COLUMNS = (
    "variant",
    "score",
    "bin",
    "mean_confidence",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "n",
)
#: Scores of the headline variant at the cost ratio of headlines.
_SCORED = ("realized_cost", "regret", "coverage", "selective_risk", "escalation_accuracy")


def headline_metrics(profile: Profile, cost_ratio: float) -> dict[str, dict[str, Any]]:
    """Return the headline numbers of a profile under the model's name, without undefined ones.

    The name begins each metric, so that DVC shows `MODEL.METRIC` for any number of models.

    Parameters
    ----------
    profile : Profile
        The profile of one model.
    cost_ratio : float
        R of the headlines.
    """
    about = headline_variant(profile, cost_ratio)
    answered = profile.n_usable / profile.n_decisions if profile.n_decisions else None
    metrics: dict[str, Any] = {
        "variant": about.name,
        "n_decisions": profile.n_decisions,
        "share_answered": answered,
        "predictive_accuracy": _accuracy(profile, about),
        "self_estimated_accuracy": profile.self_estimated_accuracy.estimate,
        "calibration_bias": profile.calibration_bias.estimate,
    }
    if about.fit is not None and about.is_identified:
        metrics["implicit_threshold"] = about.fit.estimate
        metrics["implicit_threshold_low"] = about.fit.low
        metrics["implicit_threshold_high"] = about.fit.high
    for scores in profile.interventions:
        if (
            scores.cost_ratio == cost_ratio
            and scores.scored_against == "predictive_accuracy"
            and about.covers(scores, profile)
        ):
            at_ratio = {name: getattr(scores, name).estimate for name in _SCORED}
            metrics[f"R{ratio(cost_ratio)}"] = _defined(at_ratio)
            break
    return {profile.model: _defined(metrics)}


def write_curve(profile: Profile, cost_ratio: float, path: Path) -> None:
    """Write the points of the escalation curve of the headline variant as CSV."""
    points = headline_variant(profile, cost_ratio).points
    _write((point.model_dump() for point in points), CURVE_COLUMNS, path)


def write_cost_curve(profile: Profile, cost_ratio: float, path: Path) -> None:
    """Write the costs of the headline variant against the cost ratio as CSV."""
    about = headline_variant(profile, cost_ratio)
    curves = (
        cost_lines(profile, cost_ratio)[:1]
        if about.is_baseline
        else [curve for curve in profile.cost_curves if about.asked(_key(curve))]
    )
    rows: list[Mapping[str, Any]] = []
    for curve in curves:
        costs = (getattr(curve, name) for name in COST_COLUMNS[1:])
        points = zip(curve.cost_ratios, *costs, strict=True)
        rows += [dict(zip(COST_COLUMNS, point, strict=True)) for point in points]
    _write(rows, COST_COLUMNS, path)


def write_reliability(profile: Profile, cost_ratio: float, path: Path) -> None:
    """Write the reliability diagram of one score as CSV: the headline variant's, if it has one.

    Otherwise that of the first variant that has a score. Without a score there are no rows.
    """
    about = headline_variant(profile, cost_ratio)

    def preference(row: Calibration) -> tuple[bool, bool]:
        is_headline = about.asked(_key(row))
        return (not is_headline, not row.has_signal)

    scored = [row for row in profile.calibration if row.reliability]
    rows: list[Mapping[str, Any]] = []
    for row in sorted(scored, key=preference)[:1]:  # stable
        about_row = {"variant": label(row), "score": row.score}
        rows = [{**about_row, **one.model_dump()} for one in row.reliability]
    _write(rows, RELIABILITY_COLUMNS, path)


def _key(row: Variant) -> dict[str, Any]:
    return {name: getattr(row, name) for name in VARIANT_KEY}


def _accuracy(profile: Profile, about: HeadlineVariant) -> float | None:
    """Return the mean over conditions of the share of right predictions."""
    if about.is_baseline:
        return profile.predictive_accuracy.estimate
    accuracies = [point.predictive_accuracy for point in about.points if point.is_main]
    return sum(accuracies) / len(accuracies) if accuracies else None


def _defined(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if value is not None}


def _write(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], path: Path) -> None:
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
