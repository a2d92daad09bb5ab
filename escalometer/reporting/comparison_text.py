"""A comparison of two models as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import RenderableType
from rich.text import Text

from escalometer.documents.wording import DASH, cost, count, points, ratio, share, span, visible
from escalometer.reporting.gate_text import resolved_words
from escalometer.reporting.terminal import heading, indented, plain_table, render, write
from escalometer.reporting.variants import label

#: What each metric is called for people, and its unit; what is not here is in the JSON alone.
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


def comparison_text(document: Mapping[str, Any], cost_ratio: float = 4.0, width: int = 100) -> str:
    """Return the document of ``escalometer compare --json`` as plain text."""
    return render(_parts(document, cost_ratio), width)


def print_comparison(document: Mapping[str, Any], stream: TextIO, cost_ratio: float = 4.0) -> None:
    """Write the comparison to `stream`, in colour where that is a terminal."""
    write(_parts(document, cost_ratio), stream)


def _parts(document: Mapping[str, Any], cost_ratio: float) -> list[RenderableType]:
    first, second = (visible(model) for model in document["models"])
    n_first, n_second = document["n_dialogues"]
    paired = (
        f"{count(document['n_paired'])} dialogues are about the same scenario"
        if document["is_paired"]
        else "not paired: which dialogues are about the same scenario is unknown"
    )
    parts: list[RenderableType] = [
        Text(f"A: {first} ({count(n_first)} dialogues)", style="bold"),
        Text(f"B: {second} ({count(n_second)} dialogues)", style="bold"),
        Text(visible(f"{paired}; source: {document['source']}")),
        Text(),
        heading("Differences B − A over the main domains (95 % intervals)"),
        _table(_rows(document, cost_ratio, None)),
        Text(
            "p is corrected for all comparisons of the document (Holm). What states no cost "
            f"is scored at R = {ratio(cost_ratio)}; right actions and regret go by the "
            "conditions' measured accuracy.",
            style="dim",
        ),
    ]
    domains = sorted({r["domain"] for r in document["differences"] if r["domain"] is not None})
    for domain in domains:
        rows = [
            row
            for row in _rows(document, cost_ratio, domain)
            if row["intervention"] in ("baseline", "no_signal")
        ]
        if rows:
            parts += [Text(), heading(f"In {visible(domain)}"), _table(rows)]
    if any("extrapolated" in (row.get("statuses") or ()) for row in document["differences"]):
        parts.append(
            Text("¹ outside of the accuracies seen: a direction, not a value.", style="dim")
        )
    parts += [Text(), heading("Where they disagree"), *_disagreements(document)]
    said = [*resolved_words(document), *_undefined(document), *document["notes"]]
    parts += [Text(f"Note: {visible(note)}", style="dim") for note in said]
    return parts


def _rows(
    document: Mapping[str, Any], cost_ratio: float, domain: str | None
) -> list[Mapping[str, Any]]:
    """Return the rows for people: one yardstick, one R, and what was answered where it varies."""
    order = list(METRICS)
    rows = [
        row
        for row in document["differences"]
        if row["domain"] == domain
        and row["metric"] in METRICS
        and row["scored_against"] in (None, "predictive_accuracy")
        and (row["is_cost_stated"] or row["cost_ratio"] in (None, cost_ratio))
        and (row["metric"] != "share_answered" or row["p_value"] is not None)
    ]
    variants = {_variant(row): None for row in sorted(rows, key=lambda r: order.index(r["metric"]))}
    # The baseline first; sorting is stable, so metrics keep the order of `METRICS`.
    first_ones = {name: i for i, name in enumerate(sorted(variants, key=_baseline_first))}
    return sorted(rows, key=lambda row: (first_ones[_variant(row)], order.index(row["metric"])))


def _variant(row: Mapping[str, Any]) -> str:
    stated = f" R = {ratio(row['cost_ratio'])}" if row["is_cost_stated"] else ""
    return f"{label(row)}{stated}"


def _baseline_first(name: str) -> tuple[bool, str]:
    return not name.startswith("baseline"), name


def _table(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    titles = ("A", "B", "B − A", "interval", "p")
    table = plain_table([("", "left"), *((title, "right") for title in titles)])
    variant = None
    for row in rows:
        if _variant(row) != variant:
            variant = _variant(row)
            table.add_row(Text(visible(variant), style="bold"))
        title, unit = METRICS[row["metric"]]
        write_one = {"share": share, "points": points, "cost": cost}[unit]
        marks = [
            "¹" if status == "extrapolated" else "" for status in row.get("statuses") or ("", "")
        ]
        change = row["difference"]["estimate"]
        kind = "cost" if unit == "cost" else "points"
        table.add_row(
            f"  {title}",
            write_one(row["first"]) + marks[0],
            write_one(row["second"]) + marks[1],
            _signed(change) if kind == "cost" else points(change),
            span(row["difference"], kind, pattern=_BOUNDS),
            _p(row["p_corrected"]),
        )
    return table


def _signed(value: float | None) -> str:
    if value is None or cost(value).startswith("−"):
        return cost(value)
    return f"+{cost(value)}"


def _p(value: float | None) -> str:
    if value is None:
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _undefined(document: Mapping[str, Any]) -> list[str]:
    """Return why numbers that are not there are not."""
    return list(
        dict.fromkeys(
            f"{METRICS[row['metric']][0]}, {_variant(row)}, {row['domain'] or 'main domains'}: "
            f"{row['reason']}."
            for row in document["differences"]
            if row["reason"] and row["metric"] in METRICS and row["domain"] is None
        )
    )


def _disagreements(document: Mapping[str, Any]) -> list[RenderableType]:
    found = document["disagreements"]
    if found["n"] is None:
        return [Text("Unknown: no two dialogues are known to be about the same scenario.")]
    n = found["n"]
    whole = share(n / document["n_paired"])
    parts: list[RenderableType] = [
        Text(
            f"In {count(n)} of {count(document['n_paired'])} dialogues ({whole}): another "
            f"prediction in {count(found['n_other_prediction'])}, another action in "
            f"{count(found['n_other_action'])}."
        )
    ]
    if not n:
        return parts
    columns = [("condition", "left"), ("differ", "right"), ("of", "right"), ("share", "right")]
    table = plain_table(columns)
    for row in found["by_condition"][:_MOST_CONDITIONS]:
        table.add_row(
            visible(f"{row['domain']}: {row['condition']}, {row['intervention']}"),
            count(row["n"]),
            count(row["n_pairs"]),
            share(row["n"] / row["n_pairs"]),
        )
    parts.append(table)
    for row in found["dialogues"][:_MOST_DIALOGUES]:
        said = (
            f"{row['domain']}, {row['condition']}, {row['intervention']}, scenario "
            f"{row['scenario_id']}: label {row['label']}; A {_said(row, 'first')}, "
            f"B {_said(row, 'second')}"
        )
        parts.append(indented(Text(visible(said), style="dim")))
    if n > min(_MOST_DIALOGUES, found["n_listed"]):
        parts.append(Text("All of them: --out FILE (.csv or .parquet).", style="dim"))
    return parts


def _said(row: Mapping[str, Any], side: str) -> str:
    prediction, escalate = row[f"{side}_prediction"], row[f"{side}_escalate"]
    if prediction is None or escalate is None:
        return str(row[f"{side}_status"])
    return f"predicts {prediction} and {'escalates' if escalate else 'acts'}"
