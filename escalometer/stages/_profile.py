"""The profile of a model, put together from the metric tables and resamples of their counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from escalometer import estimates
from escalometer.estimates import Floats
from escalometer.schema import STATUSES
from escalometer.stages._scores import Row, Tables, condition_counts, intervention_rows


def assemble(
    tables: Tables,
    side: Sequence[str],
    human_error_rate: float,
    n_bootstrap: int,
    rng: np.random.Generator,
) -> Row:
    """Return what `profile --json` says beyond the model's and the source's name.

    Parameters
    ----------
    tables : mapping of str to Table
        Of one model, as `warehouse.run_metrics` gives them.
    side : sequence of str
        Domains that stay out of what pools domains.
    human_error_rate : float
        h, in [0, 1).
    n_bootstrap : int
        Resamples of either kind.
    rng : Generator
        Where the randomness comes from.
    """
    curve = tables["escalation_curve"].to_pylist()
    effort, is_thinking, efforts = _headline_variant(curve, side)
    baseline = [
        row
        for row in curve
        if row["has_signal"] and _is_study(row, "baseline", effort, is_thinking)
    ]
    unsignalled = [
        row
        for row in curve
        if not row["has_signal"] and _is_study(row, "no_signal", effort, is_thinking)
    ]
    own = [
        row
        for row in tables["self_estimate_summary"].to_pylist()
        if row["reasoning_effort"] == effort and row["is_thinking"] == is_thinking
    ]
    main = [row for row in baseline if row["domain"] not in side]
    main_unsignalled = [row for row in unsignalled if row["domain"] not in side]
    made: Row = _statuses(tables["statuses"].to_pylist())
    made["reasoning_effort"] = effort
    made["is_thinking"] = is_thinking
    made.update(_headlines(main, main_unsignalled, own, n_bootstrap, rng))
    made["domains"] = _domains(baseline, own, side)
    made["curve"] = [_curve_point(row, side) for row in baseline]
    made["interventions"] = intervention_rows(tables, side, human_error_rate, n_bootstrap, rng)
    made["notes"] = _notes(made, curve, side, efforts)
    return made


def _is_study(row: Row, intervention: str, effort: str | None, is_thinking: bool) -> bool:
    return (
        row["intervention"] == intervention
        and not row["is_isolated"]
        and row["cost_ratio"] is None
        and row["reasoning_effort"] == effort
        and bool(row["is_thinking"]) == is_thinking
    )


def _headline_variant(
    curve: Iterable[Row], side: Sequence[str]
) -> tuple[str | None, bool, list[str | None]]:
    """Return the effort and thinking of the headline numbers, and all efforts that there were.

    Without thinking where that exists, as in the study; then the effort that has most conditions
    without signal (self-estimated accuracy needs them), most with, most dialogues, first name.
    """
    tally: dict[tuple[str | None, bool], list[int]] = {}
    for row in curve:
        if row["domain"] in side or row["is_isolated"] or row["cost_ratio"] is not None:
            continue
        key = (row["reasoning_effort"], bool(row["is_thinking"]))
        if row["intervention"] == "baseline" and row["has_signal"]:
            found = tally.setdefault(key, [0, 0, 0])
            found[1] += 1
            found[2] += row["n"]
        elif row["intervention"] == "no_signal":
            tally.setdefault(key, [0, 0, 0])[0] += 1
    with_baseline = {key: counts for key, counts in tally.items() if counts[1]} or tally
    if not with_baseline:
        return None, False, []
    ranked = sorted(with_baseline, key=lambda k: (k[1], [-n for n in with_baseline[k]], k[0] or ""))
    effort, is_thinking = ranked[0]
    return effort, is_thinking, sorted({key[0] for key in ranked}, key=lambda name: name or "")


def _statuses(rows: Iterable[Row]) -> Row:
    counts = dict.fromkeys(STATUSES, 0)
    for row in rows:
        counts[row["status"]] = counts.get(row["status"], 0) + row["n"]
    return {
        "n_decisions": sum(counts.values()),
        "n_usable": counts["ok"] + counts["forced"],
        "statuses": counts,
    }


def _key(row: Row) -> tuple[Any, ...]:
    return row["domain"], row["condition"], row["signal_accuracy"]


def _headlines(
    main: Sequence[Row],
    unsignalled: Sequence[Row],
    own: Iterable[Row],
    n_bootstrap: int,
    rng: np.random.Generator,
) -> Row:
    """Return accuracy, both thresholds, self-estimated accuracy and bias."""
    counts, without = condition_counts(main), condition_counts(unsignalled)
    dialogues = estimates.resample_dialogues(rng, counts, n_bootstrap)
    dialogues_without = estimates.resample_dialogues(rng, without, n_bootstrap)
    drawn = estimates.resample_conditions(rng, len(main), n_bootstrap)
    conditions = counts[drawn]
    accuracy = _mean(estimates.predictive_accuracies(counts)[None])[0]
    linear, logit = (
        estimates.threshold_fit(kind, counts, dialogues, conditions) for kind in ("linear", "logit")
    )
    made: Row = {
        "predictive_accuracy": estimates.interval(
            accuracy,
            _mean(estimates.predictive_accuracies(dialogues)),
            _mean(estimates.predictive_accuracies(conditions)),
        ),
        "implicit_threshold": {"linear": linear, "logit": logit},
    }
    # A condition is one cluster: its dialogues without signal are drawn along with those with.
    times = estimates.multiplicities(drawn)
    position = {_key(row): i for i, row in enumerate(main)}
    weight = np.ones((n_bootstrap, len(unsignalled)))
    for i, row in enumerate(unsignalled):
        if _key(row) in position:
            weight[:, i] = times[:, position[_key(row)]]
    rate, right = estimates.escalation_rates(without), estimates.predictive_accuracies(without)
    own_dialogues = estimates.self_estimates(
        dialogues, _mean(estimates.escalation_rates(dialogues_without))
    )
    own_conditions = estimates.self_estimates(
        conditions, estimates.ratios(weight @ rate, weight.sum(axis=1))
    )
    summary = next((row for row in own if row["domain"] is None), None)
    # Through a line that may as well rise there is no accuracy to read off.
    if summary is None or linear["status"] == "unidentified":
        own_estimate, bias, n_clipped = None, None, 0
    else:
        own_estimate, bias = summary["self_estimated_accuracy"], summary["calibration_bias"]
        n_clipped = summary["n_clipped"]
    made["self_estimated_accuracy"] = {
        **estimates.interval(own_estimate, own_dialogues, own_conditions),
        "n_clipped": n_clipped,
    }
    made["calibration_bias"] = estimates.interval(
        bias,
        own_dialogues - _mean(estimates.predictive_accuracies(dialogues_without)),
        own_conditions - estimates.ratios(weight @ right, weight.sum(axis=1)),
    )
    return made


def _mean(values: Floats) -> Floats:
    """Return the mean over conditions, NaN where there is none."""
    if values.shape[1] == 0:
        return np.full(values.shape[0], np.nan)
    mean: Floats = values.mean(axis=1)
    return mean


def _domains(baseline: Iterable[Row], own: Iterable[Row], side: Sequence[str]) -> list[Row]:
    """Return each domain's means over conditions, with signal, and its idea of itself without."""
    estimated = {row["domain"]: row for row in own}
    made = []
    for domain, group in groupby(baseline, key=lambda row: row["domain"]):
        rows = list(group)
        summary = estimated.get(domain, {})
        made.append(
            {
                "domain": domain,
                "is_main": domain not in side,
                "n_conditions": len(rows),
                "n": sum(row["n"] for row in rows),
                "predictive_accuracy": sum(row["predictive_accuracy"] for row in rows) / len(rows),
                "escalation_rate": sum(row["escalation_rate"] for row in rows) / len(rows),
                "self_estimated_accuracy": summary.get("self_estimated_accuracy"),
                "calibration_bias": summary.get("calibration_bias"),
            }
        )
    return made


def _curve_point(row: Row, side: Sequence[str]) -> Row:
    return {
        "domain": row["domain"],
        "condition": row["condition"],
        "signal_accuracy": row["signal_accuracy"],
        "predictive_accuracy": row["predictive_accuracy"],
        "escalation_rate": row["escalation_rate"],
        "low": row["escalation_rate_low"],
        "high": row["escalation_rate_high"],
        "n": row["n"],
        "is_main": row["domain"] not in side,
    }


def _notes(
    made: Row, curve: Sequence[Row], side: Sequence[str], efforts: Sequence[str | None]
) -> list[str]:
    """Return what a reader has to know of how the numbers came about."""
    notes = []
    left_out = sorted({row["domain"] for row in curve} & set(side))
    if left_out:
        notes.append(f"Left out of every pooled number: {', '.join(left_out)}.")
    if len(efforts) > 1:
        named = ", ".join(str(effort) for effort in efforts)
        notes.append(
            f"There are dialogues at several reasoning efforts ({named}); threshold, "
            f"self-estimated accuracy, bias and curve are those at {made['reasoning_effort']}."
        )
    if made["is_thinking"]:
        notes.append("There is no baseline without thinking; the headline numbers are with it.")
    if not any(row["intervention"] == "no_signal" for row in curve):
        notes.append("No dialogue is without signal, so nothing is self-estimated.")
    elif made["implicit_threshold"]["linear"]["status"] == "unidentified":
        notes.append(
            "Nothing is self-estimated: the line that it would be read off is not known to fall."
        )
    return notes
