"""A ledger as text for a terminal."""

from __future__ import annotations

from typing import TextIO

from rich.console import RenderableType
from rich.text import Text

from escalometer.documents.ledger import LedgerAlarm, LedgerSummary
from escalometer.documents.wording import DASH, count, share, span, visible, with_span
from escalometer.reporting import terminal
from escalometer.reporting.terminal import Column, plain_table


def print_ledger(summary: LedgerSummary, stream: TextIO) -> None:
    """Write the summary of a ledger to `stream`."""
    terminal.write(_parts(summary), stream)


def ledger_text(summary: LedgerSummary, width: int = 100) -> str:
    """Return the summary of a ledger as plain text."""
    return terminal.render(_parts(summary), width)


def _parts(summary: LedgerSummary) -> list[RenderableType]:
    only = next(iter(summary.policies)) if len(summary.policies) == 1 else None
    about = summary.policy or only or f"{count(len(summary.policies))} together"
    when = f", {summary.first[:10]} to {summary.last[:10]}" if (
        summary.first and summary.last
    ) else ""  # fmt: skip
    parts: list[RenderableType] = [
        Text(f"Ledger: {count(summary.n)} cases{when}", style="bold"),
        Text(visible(f"Policy: {about}. Models: {', '.join(summary.models) or DASH}.")),
        Text(
            f"Acted: {share(summary.acted_share)} ({count(summary.n_acted)}), audited "
            f"{share(summary.audited_share)} of them; escalated: "
            f"{share(summary.escalated_share)} ({count(summary.n_escalated)})."
        ),
        Text(
            f"Labels: {count(summary.n_labelled_acted)} of audited cases, "
            f"{count(summary.n_labelled_escalated)} of escalated ones; pending: "
            f"{count(summary.n_pending)}."
        ),
        Text(),
        terminal.heading("All cases, weighted by propensity (95% intervals)"),
        Text(f"Predictive accuracy        {with_span(summary.accuracy)}"),
        Text(f"  of escalated cases       {with_span(summary.escalated_accuracy)}"),
        Text(f"Wrong actions, of acted    {with_span(summary.wrong_rate)}"),
        Text(f"Realized cost per case     {with_span(summary.cost, 'cost')}"),
    ]
    if summary.alarm is not None:
        parts += [Text(), _alarm(summary.alarm)]
    if summary.conditions:
        parts += [Text(), terminal.heading("By condition"), _conditions(summary)]
    parts += [Text(f"! {visible(note)}", style="yellow") for note in summary.notes]
    return parts


def _alarm(alarm: LedgerAlarm) -> Text:
    promise = f"{'limit' if alarm.is_limit else 'held-out upper bound'} {share(alarm.promised)}"
    bound = (
        f"at least {share(alarm.lower_bound)} of acted cases are wrong, with "
        f"{share(1 - alarm.level)} confidence at every look"
    )
    if alarm.is_raised:
        words = (
            f"ALARM: wrong actions exceed the policy's promise ({promise}): {bound}. Raised after "
            f"{count(alarm.n_at_alarm)} of {count(alarm.n)} labels of audited cases."
        )
        return Text(words, style="bold red")
    return Text(
        f"No alarm: after {count(alarm.n)} labels of audited cases, {bound}; promise: {promise}."
    )


def _conditions(summary: LedgerSummary) -> RenderableType:
    table = plain_table(
        [
            Column("condition", "left"),
            "cases",
            "acted",
            "labels",
            "accuracy",
            "wrong of acted",
        ],
        gap=2,
    )
    for row in summary.conditions:
        n_labels = row.n_labelled_acted + row.n_labelled_escalated
        accuracy, wrong = (
            DASH if found.estimate is None else f"{share(found.estimate)} {span(found)}"
            for found in (row.accuracy, row.wrong_rate)
        )
        name = visible(f"{row.domain}/{row.condition}")
        table.add_row(
            name, count(row.n), share(row.n_acted / row.n), count(n_labels), accuracy, wrong
        )
    return table
