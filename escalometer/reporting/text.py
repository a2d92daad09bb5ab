"""A profile as text, for a terminal of 80 to 100 columns, with colour or without."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from escalometer.reporting.findings import (
    editions,
    findings,
    headline,
    origin,
    status_rows,
    status_warnings,
)
from escalometer.reporting.variants import SCORES, intervention_rows
from escalometer.reporting.wording import (
    DASH,
    count,
    estimate,
    ratio,
    share,
    span,
    visible,
)

MIN_WIDTH, MAX_WIDTH = 80, 100
BAR_WIDTH = 10
BOUNDS = "{low}–{high}"  # in tables, where columns are scarce


def profile_text(profile: Mapping[str, Any], cost_ratio: float = 4.0, width: int = 100) -> str:
    """Return the profile as plain text.

    Parameters
    ----------
    profile : mapping
        The document of ``escalometer profile --json``.
    cost_ratio : float
        R of the optimal threshold and of the table of interventions.
    width : int
        Columns, at least 80.
    """
    return _render(profile, cost_ratio, width, has_colour=False)


def print_profile(profile: Mapping[str, Any], stream: TextIO, cost_ratio: float = 4.0) -> None:
    """Write the profile to `stream`, in colour where that is a terminal.

    Characters that the stream's encoding lacks are written as question marks: a report must not
    fail on a terminal that is set to ASCII.
    """
    has_colour = stream.isatty()
    width = Console(file=stream).width if has_colour else MAX_WIDTH
    text = _render(profile, cost_ratio, width, has_colour)
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding))
    stream.flush()


def _render(profile: Mapping[str, Any], cost_ratio: float, width: int, has_colour: bool) -> str:
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=min(max(width, MIN_WIDTH), MAX_WIDTH),
        force_terminal=has_colour,
        color_system="auto" if has_colour else None,
        highlight=False,
        markup=False,  # names come from users' files; a bracket in one is no style
        emoji=False,
        legacy_windows=False,
    )
    for part in _parts(profile, cost_ratio):
        console.print(part)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _parts(profile: Mapping[str, Any], cost_ratio: float) -> list[RenderableType]:
    name = visible(profile["model"])
    parts: list[RenderableType] = [
        Text(f"Escalation profile of {name}", style="bold"),
        Text(visible(origin(profile))),
        *([Text(visible(editions(profile)))] if editions(profile) else []),
        Text(),
        Text(visible(headline(profile, cost_ratio)), style="bold"),
        Text(),
        _heading("How the dialogues ended"),
        _statuses(profile),
    ]
    parts += [_indented(Text(f"! {said}", style="yellow")) for said in status_warnings(profile)]
    parts += [Text(), _heading("The model as a whole (95 % intervals)")]
    for finding in findings(profile, cost_ratio):
        line = Text(f"{finding.title:<36}")
        line.append(finding.value, style="bold")
        words = Text(finding.words)
        if finding.beyond != DASH:
            words.append(f" Beyond these conditions: {finding.beyond}.", style="dim")
        parts += [line, _indented(words)]
    parts.append(
        Text(
            "Intervals hold for these conditions; those 'beyond' them resample whole conditions.",
            style="dim",
        )
    )
    parts += [Text(f"Note: {visible(said)}") for said in profile.get("notes") or []]
    parts += [Text(), _heading(f"Interventions at R = {ratio(cost_ratio)}")]
    parts += _interventions(profile, cost_ratio)
    parts += [Text(), _heading("Escalation rate by condition (baseline)"), *_curve(profile)]
    return parts


def _heading(text: str) -> Text:
    return Text(text, style="bold underline")


def _indented(text: Text) -> Padding:
    return Padding(text, (0, 0, 0, 4))


def _table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")


def _statuses(profile: Mapping[str, Any]) -> Table:
    table = _table()
    table.add_column("status")
    table.add_column("dialogues", justify="right")
    table.add_column("share", justify="right")
    table.add_column("meaning")
    for status, n, part, words in status_rows(profile):
        table.add_row(visible(status), count(n), part, words)
    return table


def _interventions(profile: Mapping[str, Any], cost_ratio: float) -> list[RenderableType]:
    rows = intervention_rows(profile, cost_ratio)
    if not rows:
        scored = sorted({row["cost_ratio"] for row in profile["interventions"]})
        found = ", ".join(ratio(r) for r in scored) or "none"
        return [Text(f"Not scored at R = {ratio(cost_ratio)}; cost ratios scored: {found}.")]
    table = _table()
    table.padding = (0, 1, 0, 0)
    table.add_column("", overflow="fold")
    for title in ("n", "right by\naccuracy", "right by\nsignal", "acts alone", "cost", "regret"):
        table.add_column(title, justify="right")
    for row in rows:
        by_accuracy, by_signal = (row["scores"].get(against, {}) for against in SCORES)
        cells = [
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
            *(
                f"{estimate(cell, unit)}\n{span(cell, unit, pattern=BOUNDS)}"
                for cell, unit in cells
            ),
        )
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
    return [table, *(Text(note, style="dim") for note in notes)]


def _scores(rows: list[dict[str, Any]]) -> list[Any]:
    return [score.get("escalation_accuracy") for row in rows for score in row["scores"].values()]


def _curve(profile: Mapping[str, Any]) -> list[RenderableType]:
    rows = profile["curve"]
    if not rows:
        return [Text("No condition has a usable dialogue of the baseline intervention.")]
    table = _table()
    table.padding = (0, 1, 0, 0)
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
