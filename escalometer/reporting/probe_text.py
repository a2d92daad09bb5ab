"""An adapter beside its base model, as text."""

from __future__ import annotations

from typing import TextIO

from rich.console import RenderableType
from rich.text import Text

from escalometer.documents import Probes
from escalometer.documents.wording import count, share, visible, with_span
from escalometer.reporting.probe_rows import PublishedRow, probe_rows, published_rows, sentences
from escalometer.reporting.terminal import Column, heading, plain_table, render, write


def probes_text(probes: Probes, width: int = 100) -> str:
    """Return the probes of an adapter as plain text."""
    return render(_parts(probes), width)


def print_probes(probes: Probes, stream: TextIO) -> None:
    """Write the probes of an adapter to `stream`, in colour where that is a terminal."""
    write(_parts(probes), stream)


def _parts(probes: Probes) -> list[RenderableType]:
    title = f"{probes.adapter} compared with {probes.base}: escalation accuracy (95% intervals)"
    parts: list[RenderableType] = [heading(visible(title)), _table(probes), Text()]
    parts += [Text(visible(sentence)) for sentence in sentences(probes)]
    published = "; ".join(
        f"{row.model} {_published_words(row)}" for row in published_rows(probes) if not row.is_ours
    )
    source = probes.published.source
    parts.append(Text(visible(f"Published ({source}): {published}."), style="dim"))
    return parts


def _published_words(row: PublishedRow) -> str:
    if row.held_out.endswith("%"):
        return f"{row.overall} overall, {row.held_out} held-out domain"
    return row.overall


def _table(probes: Probes) -> RenderableType:
    table = plain_table(
        [
            Column("probe", "left", min_width=28),
            *("n", "base", "tuned", "unparsed"),
            Column("most frequent mistake", "left"),
        ]
    )
    for row in probe_rows(probes):
        table.add_row(
            row.label,
            count(row.probe.n),
            share(row.probe.base.estimate),
            with_span(row.probe.tuned),
            count(row.probe.tuned.n_unparsed),
            row.worst,
        )
    return table
