"""A comparison of two models as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.console import RenderableType
from rich.text import Text

from escalometer.documents import Comparison, ModelDifference
from escalometer.documents.wording import (
    cost,
    count,
    number,
    p_value,
    points,
    ratio,
    share,
    span,
    visible,
)
from escalometer.reporting.gate_text import resolved_words
from escalometer.reporting.terminal import Column, heading, indented, plain_table, render, write
from escalometer.reporting.variants import label

#: Names of the metrics for people, and their units; others are in the JSON alone.
METRICS = {
    "predictive_accuracy": ("predictive accuracy", "share"),
    "escalation_rate": ("escalation rate", "share"),
    "implicit_threshold": ("implicit threshold", "share"),
    "self_estimated_accuracy": ("self-estimated accuracy", "share"),
    "calibration_bias": ("calibration bias", "points"),
    "share_answered": ("answered", "share"),
    "escalation_accuracy": ("right actions", "share"),
    "realized_cost": ("cost", "cost"),
    "regret": ("regret", "cost"),
}
_BOUNDS = "{low}–{high}"
_MOST_CONDITIONS, _MOST_DIALOGUES = 8, 5


def comparison_text(comparison: Comparison, cost_ratio: float = 4.0, width: int = 100) -> str:
    """Return a comparison as plain text.

    Parameters
    ----------
    comparison : Comparison
        The comparison of two models.
    cost_ratio : float
        R at which variants that state no cost are scored.
    width : int
        Columns, at least 80.
    """
    return render(_parts(comparison, cost_ratio), width)


def print_comparison(comparison: Comparison, stream: TextIO, cost_ratio: float = 4.0) -> None:
    """Write the comparison to `stream`, in colour where that is a terminal."""
    write(_parts(comparison, cost_ratio), stream)


def _parts(comparison: Comparison, cost_ratio: float) -> list[RenderableType]:
    first, second = (visible(model) for model in comparison.models)
    n_first, n_second = comparison.n_dialogues
    paired = (
        f"{count(comparison.n_paired)} dialogues paired by scenario"
        if comparison.is_paired
        else "not paired: the scenarios of the dialogues are unknown"
    )
    parts: list[RenderableType] = [
        Text(f"A: {first} ({count(n_first)} dialogues)", style="bold"),
        Text(f"B: {second} ({count(n_second)} dialogues)", style="bold"),
        Text(visible(f"{paired}; source: {comparison.source}")),
        Text(),
        heading("Differences B − A over the main domains (95% intervals)"),
        _table(_rows(comparison, cost_ratio, None)),
        Text(
            "p is Holm-corrected over all comparisons of the document. Variants that state no "
            f"cost are scored at R = {ratio(cost_ratio)}; optimal actions and regret use the "
            "conditions' measured accuracies.",
            style="dim",
        ),
    ]
    domains = sorted({row.domain for row in comparison.differences if row.domain is not None})
    for domain in domains:
        rows = [
            row
            for row in _rows(comparison, cost_ratio, domain)
            if row.intervention in ("baseline", "no_signal")
        ]
        if rows:
            parts += [Text(), heading(f"In {visible(domain)}"), _table(rows)]
    if any("extrapolated" in (row.statuses or ()) for row in comparison.differences):
        parts.append(
            Text(
                "¹ outside of the observed accuracies: interpret its direction, not its value.",
                style="dim",
            )
        )
    parts += [Text(), heading("Disagreements"), *_disagreements(comparison)]
    notes = [
        *resolved_words(comparison.resolved_models), *_undefined(comparison), *comparison.notes
    ]  # fmt: skip
    parts += [Text(f"Note: {visible(note)}", style="dim") for note in notes]
    return parts


def _rows(comparison: Comparison, cost_ratio: float, domain: str | None) -> list[ModelDifference]:
    """Return the rows for people: one yardstick, one R, and what was answered where it varies."""
    order = list(METRICS)
    rows = [
        row
        for row in comparison.differences
        if row.domain == domain
        and row.metric in METRICS
        and row.scored_against in (None, "predictive_accuracy")
        and (row.is_cost_stated or row.cost_ratio in (None, cost_ratio))
        and (row.metric != "share_answered" or row.p_value is not None)
    ]
    variants = {_variant(row): None for row in sorted(rows, key=lambda r: order.index(r.metric))}
    # The baseline first; sorting is stable, so metrics keep the order of `METRICS`.
    places = {name: i for i, name in enumerate(sorted(variants, key=_baseline_first))}
    return sorted(rows, key=lambda row: (places[_variant(row)], order.index(row.metric)))


def _variant(row: ModelDifference) -> str:
    stated = f" R = {ratio(row.cost_ratio)}" if row.is_cost_stated else ""
    return f"{label(row)}{stated}"


def _baseline_first(name: str) -> tuple[bool, str]:
    return not name.startswith("baseline"), name


def _table(rows: Sequence[ModelDifference]) -> RenderableType:
    table = plain_table([Column("", "left"), "A", "B", "B − A", "interval", "p"])
    variant = None
    for row in rows:
        if _variant(row) != variant:
            variant = _variant(row)
            table.add_row(Text(visible(variant), style="bold"))
        title, unit = METRICS[row.metric]
        marks = ["¹" if status == "extrapolated" else "" for status in row.statuses or ("", "")]
        change, is_cost = row.difference.estimate, unit == "cost"
        table.add_row(
            f"  {title}",
            number(row.first, unit) + marks[0],
            number(row.second, unit) + marks[1],
            _signed_cost(change) if is_cost else points(change),
            span(row.difference, "cost" if is_cost else "points", _BOUNDS),
            p_value(row.p_corrected),
        )
    return table


def _signed_cost(value: float | None) -> str:
    if value is None or cost(value).startswith("−"):
        return cost(value)
    return f"+{cost(value)}"


def _undefined(comparison: Comparison) -> list[str]:
    """Return the reasons of differences that are undefined."""
    return list(
        dict.fromkeys(
            f"{METRICS[row.metric][0]}, {_variant(row)}, main domains: {row.reason}."
            for row in comparison.differences
            if row.reason and row.metric in METRICS and row.domain is None
        )
    )


def _disagreements(comparison: Comparison) -> list[RenderableType]:
    found = comparison.disagreements
    if found.n is None:
        return [Text("Not available: no dialogues are paired by scenario.")]
    n = found.n
    whole = share(n / comparison.n_paired)
    parts: list[RenderableType] = [
        Text(
            f"{count(n)} of {count(comparison.n_paired)} dialogues differ ({whole}): prediction "
            f"in {count(found.n_other_prediction)}, action in {count(found.n_other_action)}."
        )
    ]
    if not n:
        return parts
    table = plain_table([Column("condition", "left"), "differ", "of", "share"])
    for row in found.by_condition[:_MOST_CONDITIONS]:
        table.add_row(
            visible(f"{row.domain}: {row.condition}, {row.intervention}"),
            count(row.n),
            count(row.n_pairs),
            share(row.n / row.n_pairs),
        )
    parts.append(table)
    for pair in found.dialogues[:_MOST_DIALOGUES]:
        a = _decision(pair.first_prediction, pair.first_escalate, pair.first_status)
        b = _decision(pair.second_prediction, pair.second_escalate, pair.second_status)
        words = (
            f"{pair.domain}, {pair.condition}, {pair.intervention}, scenario "
            f"{pair.scenario_id}: label {pair.label}; A {a}, B {b}"
        )
        parts.append(indented(Text(visible(words), style="dim")))
    if n > min(_MOST_DIALOGUES, found.n_listed):
        parts.append(Text("Write all of them with --out FILE (.csv or .parquet).", style="dim"))
    return parts


def _decision(prediction: int | None, escalate: int | None, status: str) -> str:
    """Return a model's prediction and action, or how its dialogue ended instead."""
    if prediction is None or escalate is None:
        return status
    return f"predicts {prediction} and {'escalates' if escalate else 'implements'}"
