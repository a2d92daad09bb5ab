"""Evaluations over time as text: a table, and warnings where the mix changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.console import RenderableType
from rich.text import Text

from escalometer.documents import History, HistoryEntry
from escalometer.documents.wording import DASH, count, share, visible, with_span
from escalometer.reporting.terminal import Column, heading, plain_table, render, write

#: Marks a row whose mix is not that of the row before.
MARK = "*"


def history_text(history: History, width: int = 100) -> str:
    """Return a history as plain text."""
    return render(_parts(history), width)


def print_history(history: History, stream: TextIO) -> None:
    """Write a history to `stream`, in colour where that is a terminal."""
    write(_parts(history), stream)


def _parts(history: History) -> Sequence[RenderableType]:
    n = len(history.entries)
    table = plain_table(
        [
            Column("", "left"),
            Column("date (UTC)", "left", can_wrap=False),
            Column("model", "left", min_width=24),
            "dialogues",
            "threshold",
            "accuracy",
            "escalated",
            "USD",
        ],
        gap=1,
    )
    for entry in history.entries:
        table.add_row(*_row(entry))
    parts: list[RenderableType] = [
        Text(f"History of {visible(history.name)}: {count(n)} evaluations", style="bold"),
        Text(f"Models: {visible(', '.join(history.models))}"),
        Text(f"Numbers are of: {visible(_variants(history))}"),
        Text(),
        table,
    ]
    if history.warnings:
        parts += [
            Text(),
            heading(f"Changes besides the model ({MARK} in the table)"),
            *(Text(f"Warning: {visible(words)}", style="yellow") for words in history.warnings),
        ]
    return parts


def _row(entry: HistoryEntry) -> list[str]:
    threshold = DASH if entry.threshold.estimate is None else with_span(entry.threshold)
    resolved = f" ({entry.resolved_models})" if entry.resolved_models else ""
    alias = f" [{entry.alias}]" if entry.alias else ""
    return [
        MARK if entry.changes or entry.unknown else "",
        entry.logged_at[:16].replace("T", " "),
        visible(f"{entry.model}{resolved}{alias}"),
        count(entry.n_decisions),
        threshold,
        share(entry.predictive_accuracy),
        share(entry.escalation_rate),
        DASH if entry.cost_usd is None else f"{entry.cost_usd:.2f}",
    ]


def _variants(history: History) -> str:
    names = dict.fromkeys(entry.variant or "unknown" for entry in history.entries)
    return ", ".join(names)
