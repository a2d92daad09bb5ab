"""Calibration of a model's confidence in its prediction, and an external threshold on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

#: Rows that are Python's objects at a time.
_ROWS_AT_A_TIME = 10_000


class _Scored(NamedTuple):
    """Dialogues of one variant of the protocol that have a score, of main domains.

    By column, and not by row: there may be millions.
    """

    variant: VariantKey
    score: Score
    values: list[float]
    is_correct: list[bool]
    is_escalated: list[bool]
    known_scenarios: list[str | None]

    @property
    def scenarios(self) -> list[str]:
        """A name for the scenario of each dialogue; unknown ones are each of their own."""
        return [f"row {i}" if name is None else name for i, name in enumerate(self.known_scenarios)]


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
    is_known = None not in scored.known_scenarios
    interval = smooth_calibration_interval(
        stats.generator(measured.resamples.seed, (model, *scored.variant, scored.score)),
        scored.values,
        scored.is_correct,
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
        rows, reason = external_threshold(
            scored.values,
            scored.is_correct,
            scored.is_escalated,
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
                ExternalThreshold(**shared, cost_ratio=stated, n=len(scored.values), reason=reason)
            )
    return results


def _pooled(measured: Measured, table: str, model: str) -> list[Row]:
    """Return the rows of a metric table over all main domains."""
    rows: list[Row] = measured.tables[table].to_pylist()
    return [row for row in rows if row["model"] == model and row["domain"] is None]


def _scored(measured: Measured, model: str) -> Iterator[_Scored]:
    """Yield the main domains' dialogues that have a score, by variant and score."""
    found: dict[tuple[VariantKey, Score], _Scored] = {}
    for batch in measured.scored.to_batches(max_chunksize=_ROWS_AT_A_TIME):
        for row in batch.to_pylist():
            if row["model"] != model or row["domain"] in measured.side_domains:
                continue
            variant = variant_key(row)
            is_known = row["scenario_id"] is not None
            for score in SCORES:
                if row[score] is None:
                    continue
                if (variant, score) not in found:
                    found[variant, score] = _Scored(variant, score, [], [], [], [])
                scored = found[variant, score]
                scored.values.append(row[score])
                scored.is_correct.append(row["is_correct"])
                scored.is_escalated.append(row["is_escalated"])
                scored.known_scenarios.append(
                    f"{row['domain']}:{row['scenario_id']}" if is_known else None
                )
    yield from sorted(
        found.values(),
        key=lambda one: ([str(value) for value in one.variant], SCORES.index(one.score)),
    )
