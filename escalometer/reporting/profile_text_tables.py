"""The tables of a profile's text; two lines a row, the second one the intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from escalometer.documents.wording import DASH, count, estimate, ratio, share, span, visible
from escalometer.reporting.conclusions import missing
from escalometer.reporting.missing_answers import moved
from escalometer.reporting.variants import SCORES, intervention_rows

BAR_WIDTH = 10
BOUNDS = "{low}–{high}"  # in tables, where columns are scarce
#: What a row is called that says what missing answers could have made of the one above.
WITH_MISSING = "  with the missing"
WITH_MISSING_WORDS = (
    "with the missing: what the number could have been if all missing answers had gone one way; "
    "empty where that changes nothing."
)

#: An interval and its unit.
Cell = tuple[Mapping[str, Any] | None, str]


def plain_table(gap: int = 2) -> Table:
    """Return a table without rules, its columns `gap` apart."""
    return Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim")


def two_lines(cell: Cell) -> str:
    """Return the estimate with its interval below; a dash alone where it is undefined."""
    interval, unit = cell
    number, bounds = estimate(interval, unit), span(interval, unit, pattern=_pattern(unit))
    number = number.removesuffix(" points")
    return number if DASH in (number, bounds) else f"{number}\n{bounds}"


def _pattern(unit: str) -> str:
    # Between numbers with signs a dash would be one sign too many.
    return "{low} to {high}" if unit in ("points", "more") else BOUNDS


def add_moved(table: Table, n_before: int, cells: Sequence[Cell | None], n_missing: int) -> bool:
    """Add a row of what missing answers could have made of `cells`, and return whether it was due.

    Parameters
    ----------
    table : Table
    n_before : int
        How many columns come before the cells, the row's name included.
    cells : sequence of (interval, unit) or None
        None leaves its place empty.
    n_missing : int
        How many dialogues lack an answer.
    """
    found = [
        moved(cell[0], n_missing, cell[1], _pattern(cell[1])) if cell else "" for cell in cells
    ]
    if any(found):
        table.add_row(WITH_MISSING, *[""] * (n_before - 1), *found, style="dim")
    return any(found)


def interventions(profile: Mapping[str, Any], cost_ratio: float) -> list[RenderableType]:
    """Return the interventions at a cost ratio, with what has to be said of them."""
    rows = intervention_rows(profile, cost_ratio)
    if not rows:
        scored = sorted({row["cost_ratio"] for row in profile["interventions"]})
        found = ", ".join(ratio(r) for r in scored) or "none"
        return [Text(f"Not scored at R = {ratio(cost_ratio)}; cost ratios scored: {found}.")]
    table = plain_table(1)
    table.add_column("", overflow="fold")
    for title in ("n", "right by\naccuracy", "right by\nsignal", "acts alone", "cost", "regret"):
        table.add_column(title, justify="right")
    is_moved = False
    for row in rows:
        by_accuracy, by_signal = (row["scores"].get(against, {}) for against in SCORES)
        cells: list[Cell] = [
            (by_accuracy.get("escalation_accuracy"), "share"),
            (by_signal.get("escalation_accuracy"), "share"),
            (row.get("coverage"), "share"),
            (row.get("realized_cost"), "cost"),
            (by_accuracy.get("regret") or by_signal.get("regret"), "cost"),
        ]
        mark = "" if row["states_cost"] else " ¹"
        table.add_row(
            visible(row["label"]) + mark,
            count(row["n"]),
            *(two_lines(cell) for cell in cells),
        )
        is_moved |= add_moved(table, 2, cells, missing(profile))
    notes = [
        "right by …: share of actions that are the cheapest for R, given the condition's accuracy "
        "(or the accuracy that its signal states). acts alone: share not escalated. cost: a "
        "decision, in units of one escalation. regret: cost above the best policy's.",
    ]
    if not all(row["states_cost"] for row in rows):
        notes.append(
            f"¹ The prompt stated no cost; scored at R = {ratio(cost_ratio)} all the same."
        )
    if any(cell in (None, {}) or estimate(cell) == DASH for cell in _scores(rows)):
        notes.append(f"{DASH} no dialogue with both a prediction and an action to score.")
    if is_moved:
        notes.append(WITH_MISSING_WORDS)
    return [table, *(Text(note, style="dim") for note in notes)]


def _scores(rows: list[dict[str, Any]]) -> list[Any]:
    return [score.get("escalation_accuracy") for row in rows for score in row["scores"].values()]


def curve(profile: Mapping[str, Any]) -> list[RenderableType]:
    """Return the baseline's escalation rate under each condition."""
    rows = profile["curve"]
    if not rows:
        return [Text("No condition has a usable dialogue of the baseline intervention.")]
    table = plain_table(1)
    table.add_column("condition", overflow="fold", min_width=20)
    for title in ("signal", "accuracy", "escalates", "interval", "n"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, min_width=BAR_WIDTH)
    domain = None
    ordered = sorted(rows, key=lambda r: (r["domain"], r["signal_accuracy"] or 0, r["condition"]))
    for row in ordered:
        if row["domain"] != domain:
            domain = row["domain"]
            table.add_row(Text(visible(domain), style="bold"))
        table.add_row(
            f"  {visible(row['condition'])}",
            share(row["signal_accuracy"], 0),
            share(row["predictive_accuracy"]),
            share(row["escalation_rate"]),
            span(row, pattern=BOUNDS),
            count(row["n"]),
            _bar(row["escalation_rate"]),
        )
    parts: list[RenderableType] = [table]
    if any(row["escalation_rate"] is None for row in rows):
        parts.append(Text(f"{DASH} no usable dialogue under this condition.", style="dim"))
    return parts


def _bar(rate: float | None) -> str:
    if rate is None:
        return ""
    full = round(rate * BAR_WIDTH)
    return "█" * full + "░" * (BAR_WIDTH - full)
