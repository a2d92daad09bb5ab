"""Calibration of a model's confidence in its prediction, and an external threshold on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple, get_args

from escalometer import stats
from escalometer.analysis import Row, VariantKey, variant_key
from escalometer.analysis.measure import Measured
from escalometer.documents import VARIANT_KEY
from escalometer.documents.calibration import (
    Calibration,
    ExternalThreshold,
    ReliabilityBin,
    Score,
    SmoothCalibrationError,
)
from escalometer.documents.interval import SimpleInterval
from escalometer.stats.external_threshold import external_threshold
from escalometer.stats.smooth_calibration import N_BOOTSTRAP, smooth_calibration_interval

SCORES: tuple[Score, ...] = get_args(Score)


class _Scored(NamedTuple):
    """Dialogues of one variant of the protocol that have a score, of main domains."""

    variant: VariantKey
    score: Score
    dialogues: list[Row]

    @property
    def scenarios(self) -> list[str]:
        """A name for the scenario of each dialogue; unknown ones are each of their own."""
        return [
            f"row {i}" if row["scenario_id"] is None else f"{row['domain']}:{row['scenario_id']}"
            for i, row in enumerate(self.dialogues)
        ]


def calibration_rows(measured: Measured, model: str) -> list[Calibration]:
    """Return one row an intervention and score: Brier, log loss, calibration errors, reliability.

    Over all main domains.
    """
    bins: dict[VariantKey, list[ReliabilityBin]] = {}
    for row in _pooled(measured, "reliability", model):
        numbers = {name: row[name] for name in ReliabilityBin.model_fields}
        bins.setdefault((*variant_key(row), row["score"]), []).append(ReliabilityBin(**numbers))
    scored = {(*found.variant, found.score): found for found in _scored(measured, model)}
    rows = []
    for row in _pooled(measured, "calibration", model):
        key = (*variant_key(row), row["score"])
        numbers = {name: value for name, value in row.items() if name not in ("model", "domain")}
        rows.append(
            Calibration(
                **numbers,
                smooth_calibration_error=_smooth_error(measured, model, scored[key]),
                reliability=tuple(bins[key]),
            )
        )
    return rows


def _smooth_error(measured: Measured, model: str, scored: _Scored) -> SmoothCalibrationError:
    dialogues = scored.dialogues
    is_known = all(row["scenario_id"] is not None for row in dialogues)
    interval = smooth_calibration_interval(
        stats.generator(measured.resamples.seed, (model, *scored.variant, scored.score)),
        [row[scored.score] for row in dialogues],
        [row["is_correct"] for row in dialogues],
        scored.scenarios if is_known else None,
        N_BOOTSTRAP if measured.resamples.n_bootstrap else 0,
    )
    return SmoothCalibrationError(**interval)


def external_rows(
    measured: Measured, model: str, cost_ratios: Sequence[float]
) -> list[ExternalThreshold]:
    """Return what a recalibrated score, cut at τ*, costs beside the model's own escalation.

    One row an intervention, score and cost ratio, over all main domains; where there is too little
    data, one with the ``reason`` and nulls.
    """
    results = []
    for scored in _scored(measured, model):
        named = dict(zip(VARIANT_KEY, scored.variant, strict=True))
        stated = named.pop("cost_ratio")
        dialogues = scored.dialogues
        rows, reason = external_threshold(
            [row[scored.score] for row in dialogues],
            [row["is_correct"] for row in dialogues],
            [row["is_escalated"] for row in dialogues],
            scored.scenarios,
            cost_ratios if stated is None else [stated],
            measured.human_error_rate,
            measured.resamples.seed,
        )
        shared = {**named, "score": scored.score, "is_cost_stated": stated is not None}
        for row in rows:
            numbers = {name: value for name, value in row.items() if "difference" not in name}
            difference = SimpleInterval(
                estimate=row["difference"],
                low=row["difference_low"],
                high=row["difference_high"],
            )
            results.append(
                ExternalThreshold(**shared, **numbers, difference=difference, reason=None)
            )
        if not rows:
            results.append(
                ExternalThreshold(**shared, cost_ratio=stated, n=len(dialogues), reason=reason)
            )
    return results


def _pooled(measured: Measured, table: str, model: str) -> list[Row]:
    """Return the rows of a metric table over all main domains."""
    rows: list[Row] = measured.tables[table].to_pylist()
    return [row for row in rows if row["model"] == model and row["domain"] is None]


def _scored(measured: Measured, model: str) -> Iterator[_Scored]:
    """Yield the main domains' dialogues that have a score, by variant and score."""
    rows = [
        row
        for row in measured.scored.to_pylist()
        if row["model"] == model and row["domain"] not in measured.side_domains
    ]
    rows.sort(key=lambda row: [str(value) for value in variant_key(row)])
    for variant, group in groupby(rows, key=variant_key):
        dialogues = list(group)
        for score in SCORES:
            with_score = [row for row in dialogues if row[score] is not None]
            if with_score:
                yield _Scored(variant, score, with_score)
