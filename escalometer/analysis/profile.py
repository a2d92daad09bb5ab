"""The profile of a model: all that its decisions say, in one document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from escalometer import stats
from escalometer.analysis import ARM, Row
from escalometer.analysis.comparison import resolved_models
from escalometer.analysis.confidence import calibration_rows, external_rows
from escalometer.analysis.decisions import measure_decisions, pool_isolated
from escalometer.analysis.headlines import Headlines
from escalometer.analysis.intervention_effects import intervention_differences
from escalometer.analysis.measure import Measured
from escalometer.analysis.recommendation import recommendations
from escalometer.analysis.scores import intervention_rows, scored_arms
from escalometer.config import Params
from escalometer.schema import STATUSES
from escalometer.stats import Resamples


def build_profile(
    decisions: pa.Table,
    model: str,
    source: str,
    params: Params,
    domains: Sequence[str] | None = None,
    design: Mapping[str, Any] | None = None,
    is_pooled: bool = False,
) -> dict[str, Any]:
    """Return the document of ``escalometer profile --json``.

    Parameters
    ----------
    decisions : Table
        With at least the columns of `decisions.COLUMNS`, typed as in `schema.DECISIONS`. Rows of
        other models and domains are left aside.
    model, source : str
        Whose decisions, and where they are from.
    params : Params
        Uses `seed` and `analyze`.
    domains : sequence of str, optional
        Only these. If all of them are side domains they are analyzed as if they were main ones.
    design : mapping, optional
        What an adaptive design achieved, from `decisions.load_design`; its own interval is the one
        that holds for its rows, and stands beside the fits.
    is_pooled : bool
        Whether isolated dialogues count among the others, see `pool_isolated`.
    """
    rows = decisions.filter(pc.field("model") == model)
    if is_pooled:
        rows = pool_isolated(rows)
    measured = measure_decisions(rows, params, domains)
    made = profile_of(measured, rows, model, source, params, design)
    if is_pooled:
        made["notes"].append("Isolated second turns are counted among the others, as in the study.")
    return made


def profile_of(
    measured: Measured,
    decisions: pa.Table,
    model: str,
    source: str,
    params: Params,
    design: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the profile of decisions that have been measured; parameters as `build_profile`."""
    present = sorted({row["domain"] for row in measured.tables["statuses"].to_pylist()})
    own = decisions.filter(pc.is_in(decisions.column("domain"), pa.array(present, pa.string())))
    profile = {
        "model": model,
        "source": source,
        "editions": _editions(decisions, model, present),
        "resolved_models": resolved_models(own, [model])[model],
        **assemble(measured, model, params.analyze.cost_ratios),
        "force_answer": bool(pc.any(own.column("force_answer")).as_py()),
        "human_error_rate": params.analyze.human_error_rate,
    }
    if design is not None:
        keys = ("estimate", "low", "high", "status")
        known = {"clustered_low": None, "clustered_high": None, "slope": None}
        known |= {"intercept": None, "r_squared": None}
        profile["implicit_threshold"]["adaptive"] = {k: design[k] for k in keys} | known
        profile["design"] = dict(design)
        profile["notes"].append(
            "Scenarios were drawn adaptively: the threshold to go by is the adaptive design's. The "
            "linear and the logit fit are made for the same number of dialogues in each condition, "
            "and lean towards low thresholds here."
        )
    return profile


def _editions(decisions: pa.Table, model: str, present: Sequence[str]) -> dict[str, str]:
    """Return which edition of its data each domain was asked about; recorded ones may not say."""
    if "edition" not in decisions.column_names:
        return {}
    own = decisions.select(["model", "domain", "edition"]).filter(pc.field("model") == model)
    pairs = own.group_by(["domain", "edition"]).aggregate([]).to_pylist()
    found: dict[str, list[str]] = {}
    for pair in pairs:
        if pair["domain"] in present and pair["edition"] is not None:
            found.setdefault(pair["domain"], []).append(pair["edition"])
    return {domain: ", ".join(sorted(found[domain])) for domain in sorted(found)}


def assemble(measured: Measured, model: str, cost_ratios: Sequence[float]) -> Row:
    """Return what `profile --json` says beyond the model's and the source's name.

    Parameters
    ----------
    measured : Measured
    model : str
    cost_ratios : sequence of float
        R at which what states no cost is scored.
    """
    curve = [row for row in measured.curve if row["model"] == model]
    effort, is_thinking, efforts = headline_variant(curve, measured.side)
    headlines = Headlines(measured, model, effort, is_thinking)
    made: Row = statuses(measured, model)
    made["reasoning_effort"] = effort
    made["is_thinking"] = is_thinking
    made |= headlines.document()
    parts = [headlines.on(domain) for domain in sorted({row["domain"] for row in curve})]
    made["domains"] = [_domain(part) for part in parts if part.rows]
    everywhere = [row for part in parts for row in part.rows]
    made["curve"] = _curve(headlines.signalled, everywhere, measured.side)
    made["arms"] = _arms(measured, model)
    arms = scored_arms(measured, model)
    made["interventions"] = intervention_rows(measured, model, arms)
    made["differences"] = intervention_differences(measured, model, arms)
    made["calibration"] = calibration_rows(measured, model)
    made["external_threshold"] = external_rows(measured, model, cost_ratios)
    made["overlap"] = _overlap(measured, model)
    made["cost_curves"] = _cost_curves(measured, model)
    made["recommendations"] = recommendations(measured, made["interventions"], arms)
    made["notes"] = _notes(made, curve, measured.side, efforts)
    return made


def headline_variant(
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


def statuses(measured: Measured, model: str, domain: str | None = None) -> Row:
    """Return how many dialogues there are, and how they ended."""
    counts = dict.fromkeys(STATUSES, 0)
    for row in measured.tables["statuses"].to_pylist():
        if row["model"] == model and domain in (None, row["domain"]):
            counts[row["status"]] = counts.get(row["status"], 0) + row["n"]
    return {
        "n_decisions": sum(counts.values()),
        "n_usable": counts["ok"] + counts["forced"],
        "statuses": counts,
    }


def _domain(part: Headlines) -> Row:
    """Return a domain's means over conditions, its own threshold, its idea of itself."""
    rates = [row["escalation_rate"] for row in part.rows]
    return {
        "domain": part.domain,
        "is_main": part.domain not in part.measured.side,
        "n_conditions": len(part.rows),
        "n": sum(row["n"] for row in part.rows),
        "escalation_rate": sum(rates) / len(rates),
        **part.document(),
    }


def _curve(fitted_to: Resamples, rows: Sequence[Row], side: Sequence[str]) -> list[Row]:
    """Return points of a curve, each with what the line through the main domains' has there.

    ``clustered_*`` is the line's interval when whole conditions are drawn.
    """
    lines = fitted_to.each(lambda counts, weight: stats.fit("linear", counts, weight)[:2])
    made = []
    for row in rows:
        fitted, drawn = (
            np.clip(intercept + slope * row["predictive_accuracy"], 0, 1)
            for slope, intercept in (lines.own, lines.conditions)
        )
        value = stats.plain(fitted[0])
        low, high = stats.percentiles(drawn, value, fitted_to.n_conditions)
        made.append(
            {**_point(row, side), "fitted": value, "clustered_low": low, "clustered_high": high}
        )
    return made


def _point(row: Row, side: Sequence[str]) -> Row:
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


def _arms(measured: Measured, model: str) -> list[Row]:
    """Return each intervention: its points, and (with a signal) its own linear threshold."""
    places = measured.places(lambda row: bool(row["model"] == model))
    ordered = sorted(places, key=lambda i: [str(measured.curve[i][name]) for name in ARM])
    made = []
    for values, group in groupby(
        ordered, key=lambda i: tuple(measured.curve[i][name] for name in ARM)
    ):
        own = list(group)
        rows = [measured.curve[i] for i in own]
        main = measured.resamples.take(
            [i for i in own if measured.curve[i]["domain"] not in measured.side]
        )
        arm = dict(zip(ARM, values, strict=True))
        made.append(
            {
                **arm,
                "n_conditions": len(own),
                "n": sum(row["n"] for row in rows),
                "implicit_threshold": stats.threshold_fit("linear", main)
                if arm["has_signal"]
                else None,
                "points": _curve(main, rows, measured.side),
            }
        )
    return made


def _overlap(measured: Measured, model: str) -> list[Row]:
    """Return what dialogues about the same scenario are worth, over all main domains."""
    return [
        {name: value for name, value in row.items() if name not in ("model", "domain")}
        for row in measured.tables["scenario_overlap"].to_pylist()
        if row["model"] == model and row["domain"] is None
    ]


def _cost_curves(measured: Measured, model: str) -> list[Row]:
    """Return each intervention's costs against the cost ratio, over all main domains."""
    rows = [
        row
        for row in measured.tables["cost_curve"].to_pylist()
        if row["model"] == model and row["domain"] is None
    ]
    costs = [name for name in rows[0] if name.endswith("_cost")] if rows else []
    made = []
    for values, group in groupby(rows, key=lambda row: tuple(row[name] for name in ARM)):
        own = list(group)
        made.append(
            {
                **dict(zip(ARM, values, strict=True)),
                "n": own[0]["n"],
                "escalation_rate": own[0]["escalation_rate"],
                "cost_ratios": [row["scored_ratio"] for row in own],
                **{name: [row[name] for row in own] for name in costs},
            }
        )
    return made


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
