"""The profile of a model, as the typed document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from escalometer import stats, warehouse
from escalometer.analysis import Row, variant_key
from escalometer.analysis.autonomy import autonomy_maps
from escalometer.analysis.comparison import resolved_models
from escalometer.analysis.confidence import calibration_rows, external_rows
from escalometer.analysis.decisions import (
    COLUMNS,
    measure_decisions,
    measure_table,
    pool_isolated,
)
from escalometer.analysis.headlines import Headlines
from escalometer.analysis.intervention_effects import intervention_differences
from escalometer.analysis.measure import Measured
from escalometer.analysis.recommendation import recommendations
from escalometer.analysis.scores import intervention_rows, scored_variants
from escalometer.config import Params
from escalometer.documents import VARIANT_KEY
from escalometer.documents.interval import Fit
from escalometer.documents.profile import (
    CostCurve,
    CurvePoint,
    Design,
    DomainProfile,
    HeadlineNumbers,
    Overlap,
    Profile,
    Statuses,
    Thresholds,
    VariantCurve,
)
from escalometer.schema import STATUSES
from escalometer.stats import Resamples

#: Note on a profile whose scenarios were drawn adaptively.
ADAPTIVE = (
    "Scenarios were drawn adaptively: use the threshold of the adaptive design, whose interval "
    "allows for its stopping rule. The study's plain line is biased downwards here."
)


#: Note on a profile of pooled turns.
POOLED = "Isolated second turns are pooled with the others, as in the study."

#: Columns of decisions that a profile reads besides their metrics.
_ABOUT = ("model", "domain", "edition", "resolved_model", "force_answer")

#: Share of noise in the accuracies' spread, and width of a threshold's interval, to be noted.
NOISY, WIDE = 0.3, 0.3


def build_profile(
    decisions: pa.Table,
    model: str,
    source: str,
    params: Params,
    domains: Sequence[str] | None = None,
    design: Design | None = None,
    is_pooled: bool = False,
) -> Profile:
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
    design : Design, optional
        The result of an adaptive design; its own interval is the one that holds for its rows, and
        stands beside the fits.
    is_pooled : bool
        True to count isolated dialogues among the others, see `pool_isolated`.
    """
    where = {"model": [model]} if domains is None else {"model": [model], "domain": domains}
    rows = warehouse.choose_rows(decisions, where)
    if is_pooled:
        rows = pool_isolated(rows)
    measured = measure_decisions(rows, params, domains)
    profile = profile_of(measured, rows, model, source, params, design)
    return profile.with_notes(POOLED) if is_pooled else profile


def build_profile_of_file(
    file: Path,
    model: str,
    source: str,
    params: Params,
    domains: Sequence[str] | None = None,
    is_pooled: bool = False,
) -> Profile:
    """Return the profile of a model in a file, whose rows are not loaded into memory.

    Parameters
    ----------
    file : Path
        A Parquet file in the columns of `schema.RECORDED`.
    model, source, params, domains, is_pooled
        As for `build_profile`.
    """
    where: dict[str, Sequence[str]] = {"model": [model]}
    if domains is not None:
        where["domain"] = domains
    columns = (*COLUMNS, "edition")
    with warehouse.measured_rows(file, columns, where, is_pooled) as connection:
        about = warehouse.distinct_rows(connection, "decisions", _ABOUT)
        measured = measure_table(connection, about, params, domains)
    profile = profile_of(measured, about, model, source, params, None)
    return profile.with_notes(POOLED) if is_pooled else profile


def profile_of(
    measured: Measured,
    decisions: pa.Table,
    model: str,
    source: str,
    params: Params,
    design: Design | None,
) -> Profile:
    """Return the profile of decisions that have been measured; parameters as `build_profile`.

    All of the decisions are of the model, and have been measured. Of them, what is different in the
    columns `_ABOUT` is enough.
    """
    curve = [row for row in measured.curve if row["model"] == model]
    effort, is_thinking, efforts = headline_variant(curve, measured.side_domains)
    headlines = Headlines(measured, model, effort, is_thinking)
    numbers = headlines.numbers()
    if design is not None:
        numbers = _with_design(numbers, design)
    parts = [headlines.on(domain) for domain in sorted({row["domain"] for row in curve})]
    parts = [part for part in parts if part.rows]
    variants = scored_variants(measured, model)
    scores = intervention_rows(measured, model, variants)
    points = _points(
        headlines.signalled, [row for part in parts for row in part.rows], measured.side_domains
    )
    arms = tuple(_variant_curves(measured, model))
    statuses = _statuses(measured, model)
    return Profile(
        model=model,
        source=source,
        editions=_editions(decisions),
        resolved_models=resolved_models(decisions, [model])[model],
        n_decisions=sum(n for _, n in statuses),
        n_usable=statuses.ok + statuses.forced,
        statuses=statuses,
        reasoning_effort=effort,
        is_thinking=is_thinking,
        **dict(numbers),
        domains=tuple(_domain(part) for part in parts),
        curve=points,
        arms=arms,
        interventions=tuple(scores),
        differences=tuple(intervention_differences(measured, model, variants)),
        calibration=tuple(calibration_rows(measured, model)),
        external_threshold=tuple(external_rows(measured, model, params.analyze.cost_ratios)),
        overlap=tuple(_overlap(measured, model)),
        cost_curves=tuple(_cost_curves(measured, model)),
        recommendations=tuple(recommendations(measured, scores, variants)),
        autonomy=autonomy_maps(points, arms, params.analyze.cost_ratios, measured.human_error_rate),
        notes=(
            *_notes(numbers, curve, measured.side_domains, effort, is_thinking, efforts),
            *([] if design is None else [ADAPTIVE]),
        ),
        force_answer=bool(pc.any(decisions.column("force_answer")).as_py()),
        human_error_rate=params.analyze.human_error_rate,
        design=design,
    )


def _with_design(numbers: HeadlineNumbers, design: Design) -> HeadlineNumbers:
    """Return the headline numbers with the threshold of the adaptive design beside the fits."""
    fit = Fit.model_validate(
        {
            **dict.fromkeys(Fit.model_fields),
            **{name: getattr(design, name) for name in ("estimate", "low", "high", "status")},
        }
    )
    thresholds = numbers.implicit_threshold.model_copy(update={"adaptive": fit})
    return numbers.model_copy(update={"implicit_threshold": thresholds})


def _editions(decisions: pa.Table) -> dict[str, str]:
    """Return the edition of each domain's data; recorded decisions may not say."""
    if "edition" not in decisions.column_names:
        return {}
    editions: dict[str, list[str]] = {}
    for row in warehouse.count_rows(decisions, ["domain", "edition"]):
        if row["edition"] is not None:
            editions.setdefault(row["domain"], []).append(row["edition"])
    return {domain: ", ".join(sorted(editions[domain])) for domain in sorted(editions)}


def headline_variant(
    curve: Iterable[Row], side_domains: Sequence[str]
) -> tuple[str | None, bool, list[str | None]]:
    """Return the effort and thinking of the headline numbers, and all efforts that there were.

    Without thinking where that exists, as in the study; then the effort that has most conditions
    without signal (self-estimated accuracy needs them), most with, most dialogues, first name.
    """
    tally: dict[tuple[str | None, bool], list[int]] = {}
    for row in curve:
        if row["domain"] in side_domains or row["is_isolated"] or row["cost_ratio"] is not None:
            continue
        key = (row["reasoning_effort"], bool(row["is_thinking"]))
        if row["intervention"] == "baseline" and row["has_signal"]:
            counts = tally.setdefault(key, [0, 0, 0])
            counts[1] += 1
            counts[2] += row["n"]
        elif row["intervention"] == "no_signal":
            tally.setdefault(key, [0, 0, 0])[0] += 1
    with_baseline = {key: counts for key, counts in tally.items() if counts[1]} or tally
    if not with_baseline:
        return None, False, []
    ranked = sorted(with_baseline, key=lambda k: (k[1], [-n for n in with_baseline[k]], k[0] or ""))
    effort, is_thinking = ranked[0]
    return effort, is_thinking, sorted({key[0] for key in ranked}, key=lambda name: name or "")


def _statuses(measured: Measured, model: str) -> Statuses:
    """Return the dialogues by how they ended."""
    counts = dict.fromkeys(STATUSES, 0)
    for row in measured.tables["statuses"].to_pylist():
        if row["model"] == model:
            counts[row["status"]] += row["n"]
    return Statuses(**counts)


def _domain(part: Headlines) -> DomainProfile:
    """Return a domain's headline numbers, and its means over conditions."""
    rates = [row["escalation_rate"] for row in part.rows]
    return DomainProfile(
        domain=str(part.domain),
        is_main=part.domain not in part.measured.side_domains,
        n_conditions=len(part.rows),
        n=sum(row["n"] for row in part.rows),
        escalation_rate=sum(rates) / len(rates),
        **dict(part.numbers()),
    )


def _points(
    fitted_to: Resamples, rows: Sequence[Row], side_domains: Sequence[str]
) -> tuple[CurvePoint, ...]:
    """Return points of a curve, each with the value there of the line through the main domains'.

    ``clustered_*`` is the line's interval by a jackknife of conditions.
    """
    lines = fitted_to.jackknife(lambda counts, weight: stats.fit("linear", counts, weight))
    points = []
    for row in rows:
        fitted, left_out = (
            intercept + slope * row["predictive_accuracy"]
            for slope, intercept in (lines.observed, lines.conditions)
        )
        value = stats.plain(fitted[0])
        value, low, high = (
            None if end is None else min(max(end, 0.0), 1.0)
            for end in (value, *stats.t_ends(value, left_out))
        )
        points.append(
            CurvePoint(
                domain=row["domain"],
                condition=row["condition"],
                signal_accuracy=row["signal_accuracy"],
                predictive_accuracy=row["predictive_accuracy"],
                escalation_rate=row["escalation_rate"],
                low=row["escalation_rate_low"],
                high=row["escalation_rate_high"],
                n=row["n"],
                is_main=row["domain"] not in side_domains,
                fitted=value,
                clustered_low=low,
                clustered_high=high,
            )
        )
    return tuple(points)


def _variant_curves(measured: Measured, model: str) -> list[VariantCurve]:
    """Return each variant: its points, and (with a signal) its own linear threshold."""

    def key(place: int) -> tuple[Any, ...]:
        return variant_key(measured.curve[place])

    places = measured.places(lambda row: bool(row["model"] == model))
    ordered = sorted(places, key=lambda place: [str(value) for value in key(place)])
    curves = []
    for values, group in groupby(ordered, key=key):
        inside = list(group)
        rows = [measured.curve[i] for i in inside]
        main = measured.resamples.take(
            [i for i in inside if measured.curve[i]["domain"] not in measured.side_domains]
        )
        variant = dict(zip(VARIANT_KEY, values, strict=True))
        fit = stats.threshold_fit("linear", main) if variant["has_signal"] else None
        curves.append(
            VariantCurve(
                **variant,
                n_conditions=len(inside),
                n=sum(row["n"] for row in rows),
                implicit_threshold=None if fit is None else Fit.model_validate(fit),
                points=_points(main, rows, measured.side_domains),
            )
        )
    return curves


def _overlap(measured: Measured, model: str) -> list[Overlap]:
    """Return the design effects of shared scenarios, over all main domains."""
    return [
        Overlap(**{name: row[name] for name in Overlap.model_fields})
        for row in measured.tables["scenario_overlap"].to_pylist()
        if row["model"] == model and row["domain"] is None
    ]


def _cost_curves(measured: Measured, model: str) -> list[CostCurve]:
    """Return each variant's costs against the cost ratio, over all main domains."""
    rows = [
        row
        for row in measured.tables["cost_curve"].to_pylist()
        if row["model"] == model and row["domain"] is None
    ]
    costs = [name for name in CostCurve.model_fields if name.endswith("_cost")]
    curves = []
    for values, group in groupby(rows, key=variant_key):
        points = list(group)
        curves.append(
            CostCurve(
                **dict(zip(VARIANT_KEY, values, strict=True)),
                n=points[0]["n"],
                escalation_rate=points[0]["escalation_rate"],
                cost_ratios=tuple(row["scored_ratio"] for row in points),
                **{name: tuple(row[name] for row in points) for name in costs},
            )
        )
    return curves


def _notes(
    numbers: HeadlineNumbers,
    curve: Sequence[Row],
    side_domains: Sequence[str],
    effort: str | None,
    is_thinking: bool,
    efforts: Sequence[str | None],
) -> list[str]:
    """Return remarks on how the numbers came about."""
    notes = []
    left_out = sorted({row["domain"] for row in curve} & set(side_domains))
    if left_out:
        notes.append(f"Excluded from pooled numbers: {', '.join(left_out)}.")
    if len(efforts) > 1:
        named = ", ".join(str(name) for name in efforts)
        notes.append(
            f"There are dialogues at several reasoning efforts ({named}); threshold, "
            f"self-estimated accuracy, bias and curve are those at {effort}."
        )
    if is_thinking:
        notes.append("There is no baseline without thinking; headline numbers are with thinking.")
    if not any(row["intervention"] == "no_signal" for row in curve):
        notes.append("No dialogue is without a signal, so there is no self-estimated accuracy.")
    elif numbers.implicit_threshold.linear.status == "unidentified":
        notes.append("No self-estimated accuracy: the fitted line is not known to fall.")
    return [*notes, *_precision_notes(numbers.implicit_threshold)]


def _precision_notes(thresholds: Thresholds) -> list[str]:
    """Return remarks on a threshold that rests on few dialogues."""
    fit, plain = thresholds.linear, thresholds.study_line
    if fit.status == "unidentified" or fit.low is None or fit.high is None:
        return []
    notes = []
    # The plain slope is the true one times the share of the spread that is not noise.
    if fit.slope and plain.slope is not None and 1 - plain.slope / fit.slope > NOISY:
        notes.append(
            f"{1 - plain.slope / fit.slope:.0%} of the spread of the measured accuracies is noise, "
            "which is subtracted: conditions have few dialogues."
        )
    if fit.high - fit.low > WIDE:
        notes.append(
            f"The interval of the threshold is {100 * (fit.high - fit.low):.0f} points wide: the "
            "line is barely known to fall, and a line that is steep by chance is identified more "
            "often than one that is not. Evaluate more dialogues before you rely on the value."
        )
    return notes
