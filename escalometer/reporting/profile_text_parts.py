"""What a profile's text says of domains, thresholds, differences and confidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from escalometer.documents.wording import DASH, count, p_value, ratio, visible
from escalometer.reporting.conclusions import missing
from escalometer.reporting.confidence import calibration_words, external_words
from escalometer.reporting.domain_rows import domain_rows
from escalometer.reporting.profile_text_tables import (
    WITH_MISSING_WORDS,
    Cell,
    add_moved,
    plain_table,
    two_lines,
)
from escalometer.reporting.threshold_rows import arm_rows
from escalometer.reporting.variants import SCORES, difference_rows


def domains(profile: Mapping[str, Any]) -> list[RenderableType]:
    """Return a row a domain; nothing where the only one is the model as a whole."""
    rows = domain_rows(profile)
    if len(rows) < 2:
        return []
    table = plain_table(1)
    table.add_column("", overflow="fold")
    for title in ("n", "accuracy", "threshold p*", "self-estimated", "bias (points)"):
        table.add_column(title, justify="right", no_wrap=True)
    is_moved = False
    for row in rows:
        cells: list[Cell] = [
            (row["predictive_accuracy"], "share"),
            (row["self_estimated_accuracy"], "share"),
            (row["calibration_bias"], "points"),
        ]
        accuracy, own, bias = (two_lines(cell) for cell in cells)
        fit = (row["threshold"], "share")
        table.add_row(
            visible(row["domain"]) + ("" if row["is_main"] else " ²"),
            count(row["n"]),
            accuracy,
            row["flag"] or two_lines(fit),
            own,
            bias,
        )
        due = [cells[0], None if row["flag"] else fit, *cells[1:]]
        is_moved |= add_moved(table, 2, due, missing(profile))
    notes = [
        "unidentified, extrapolated: no threshold in the accuracies seen. Self-estimated accuracy "
        "is read off the line of all domains together."
    ]
    if any(row["is_at_limit"] for row in rows):
        notes.append("A self-estimated accuracy of 0 or 100 % is the limit: it was cut there.")
    if any((row.get("self_estimated_accuracy") or {}).get("estimate") is None for row in rows):
        notes.append(f"{DASH} no dialogue without signal, or no line to read it off.")
    if not all(row["is_main"] for row in rows):
        notes.append("² Left out of every number that pools domains.")
    if is_moved:
        notes.append(WITH_MISSING_WORDS)
    return [table, *_notes(notes)]


def thresholds(profile: Mapping[str, Any]) -> list[RenderableType]:
    """Return a row an intervention with a signal; nothing where that is the baseline alone."""
    rows = arm_rows(profile)
    if len(rows) < 2:
        return []
    table = plain_table()
    table.add_column("", overflow="fold")
    for title in ("stated R", "conditions", "n", "threshold p*", "interval"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        number, _, bounds = two_lines((row["threshold"], "share")).partition("\n")
        table.add_row(
            visible(row["label"]),
            ratio(row["cost_ratio"]),
            count(row["n_conditions"]),
            count(row["n"]),
            row["flag"] or number,
            "" if row["flag"] else bounds,
        )
    note = (
        "unidentified: it does not escalate less where it is more accurate. extrapolated: the "
        "threshold lies outside of the accuracies seen."
    )
    return [table, *_notes([note] if any(row["flag"] for row in rows) else [])]


def differences(profile: Mapping[str, Any], cost_ratio: float) -> list[RenderableType]:
    """Return what interventions change against the baseline at a cost ratio."""
    rows = difference_rows(profile, cost_ratio)
    if not rows:
        return []
    table = plain_table(1)
    table.add_column("", overflow="fold")
    for title in ("pairs", "right by\naccuracy", "p", "right by\nsignal", "p", "cost"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        cells = []
        for against in SCORES:
            found = row["against"].get(against, {})
            cells.append(two_lines((found.get("escalation_accuracy"), "points")))
            cells.append(p_value(found.get("p_corrected")))
        table.add_row(
            visible(row["label"]) + ("" if row["states_cost"] else " ¹"),
            count(row["n"]) if row["is_paired"] else "not\npaired",
            *cells,
            two_lines((row["realized_cost"], "more")),
        )
    notes = [
        "right by …: points more or fewer right actions than the baseline at the same effort. p: "
        "corrected for all comparisons of this model (Holm). cost: below 0 is cheaper."
    ]
    if not all(row["is_paired"] for row in rows):
        notes.append(
            "not paired: it is not known that both were asked about the same scenarios, so their "
            "dialogues are compared as independent."
        )
    if not all(row["states_cost"] for row in rows):
        notes.append("¹ The prompt stated no cost.")
    return [table, *_notes(notes)]


def confidence(profile: Mapping[str, Any], cost_ratio: float) -> list[RenderableType]:
    """Return what the model's own score of itself is worth; nothing where it gives none."""
    said = [*calibration_words(profile), *external_words(profile, cost_ratio)]
    return [Text(visible(words)) for words in said]


def _notes(notes: list[str]) -> list[Text]:
    return [Text(note, style="dim") for note in notes]
