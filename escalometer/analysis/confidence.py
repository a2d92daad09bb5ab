"""What a model's own score of itself is worth: calibration, and as a threshold from outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from escalometer import stats
from escalometer.analysis import ARM, Row
from escalometer.analysis.measure import Measured
from escalometer.stats.external_threshold import external_threshold
from escalometer.stats.smooth_calibration import smooth_calibration_interval

SCORES = ("stated_confidence", "choice_probability")


def calibration_rows(measured: Measured, model: str) -> list[Row]:
    """Return one row an intervention and score: Brier, log loss, calibration errors, reliability.

    Over all main domains. ``smooth_calibration_error`` is an interval; ``reliability`` has the bins
    that hold dialogues.
    """
    tables = measured.tables
    bins = _pooled(tables["reliability"].to_pylist(), model)
    dialogues = {key: rows for key, _, rows in _scored(measured, model)}
    made = []
    for row in _pooled(tables["calibration"].to_pylist(), model):
        key = tuple(row[name] for name in (*ARM, "score"))
        rows = dialogues[key]
        known = all(own["scenario_id"] is not None for own in rows)
        smooth = smooth_calibration_interval(
            stats.generator(measured.resamples.seed, (model, *key)),
            [own[row["score"]] for own in rows],
            [own["is_correct"] for own in rows],
            [_scenario(own, i) for i, own in enumerate(rows)] if known else None,
        )
        made.append(
            {
                **{name: value for name, value in row.items() if name not in ("model", "domain")},
                "smooth_calibration_error": smooth,
                "reliability": [
                    {
                        name: own[name]
                        for name in (
                            "bin",
                            "n",
                            "mean_confidence",
                            "accuracy",
                            "accuracy_low",
                            "accuracy_high",
                        )
                    }
                    for own in bins
                    if tuple(own[name] for name in (*ARM, "score")) == key
                ],
            }
        )
    return made


def external_rows(measured: Measured, model: str, cost_ratios: Sequence[float]) -> list[Row]:
    """Return what a recalibrated score, cut at τ*, costs beside the model's own escalation.

    One row an intervention, score and cost ratio, over all main domains; where there is too little
    data, one with the ``reason`` and nulls. ``difference`` is the model's own cost minus that of
    the threshold from outside.
    """
    made: list[Row] = []
    for key, score, rows in _scored(measured, model):
        arm = dict(zip((*ARM, "score"), key, strict=True))
        stated = arm.pop("cost_ratio")
        found, reason = external_threshold(
            [row[score] for row in rows],
            [row["is_correct"] for row in rows],
            [row["is_escalated"] for row in rows],
            [_scenario(row, i) for i, row in enumerate(rows)],
            cost_ratios if stated is None else [stated],
            measured.human_error_rate,
            measured.resamples.seed,
        )
        shared = {**arm, "is_cost_stated": stated is not None}
        made += [{**shared, **_with_interval(row), "reason": None} for row in found]
        if not found:
            made.append({**shared, "cost_ratio": stated, "n": len(rows), "reason": reason})
    return made


def _with_interval(row: Row) -> Row:
    found: Row = {name: value for name, value in row.items() if "difference" not in name}
    return found | {
        "difference": {
            "estimate": row["difference"],
            "low": row["difference_low"],
            "high": row["difference_high"],
        }
    }


def _pooled(rows: Sequence[Row], model: str) -> list[Row]:
    return [row for row in rows if row["model"] == model and row["domain"] is None]


def _scored(measured: Measured, model: str) -> Iterator[tuple[tuple[Any, ...], str, list[Row]]]:
    """Yield arm and score, the score's column and the main domains' dialogues that have it."""
    rows = [
        row
        for row in measured.scored.to_pylist()
        if row["model"] == model and row["domain"] not in measured.side
    ]
    rows.sort(key=lambda row: [str(row[name]) for name in ARM])
    for arm, group in groupby(rows, key=lambda row: tuple(row[name] for name in ARM)):
        own = list(group)
        for score in SCORES:
            having = [row for row in own if row[score] is not None]
            if having:
                yield (*arm, score), score, having


def _scenario(row: Row, i: int) -> str:
    """Return a name that tells scenarios apart; without one each dialogue is one of its own."""
    return f"{row['domain']}:{row['scenario_id']}" if row["scenario_id"] is not None else f"row {i}"
