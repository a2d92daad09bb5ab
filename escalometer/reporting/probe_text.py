"""An adapter beside its base model, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO

from rich.console import RenderableType
from rich.text import Text

from escalometer.documents.wording import count, share, visible, with_span
from escalometer.reporting.probe_rows import probe_rows, published_rows, sentences
from escalometer.reporting.terminal import heading, plain_table, render, write


def probes_text(probes: Mapping[str, Any], width: int = 100) -> str:
    """Return probes.json as plain text."""
    return render(_parts(probes), width)


def print_probes(probes: Mapping[str, Any], stream: TextIO) -> None:
    """Write probes.json to `stream` for people, in colour where that is a terminal."""
    write(_parts(probes), stream)


def _parts(probes: Mapping[str, Any]) -> list[RenderableType]:
    title = f"{probes['adapter']} beside {probes['base']}: escalation accuracy (95 % intervals)"
    parts: list[RenderableType] = [heading(visible(title)), _table(probes), Text()]
    parts += [Text(visible(said)) for said in sentences(probes)]
    published = [row for row in published_rows(probes) if not row["is_ours"]]
    told = "; ".join(f"{row['model']} {_told(row)}" for row in published)
    parts.append(
        Text(visible(f"Published ({probes['published']['source']}): {told}."), style="dim")
    )
    return parts


def _told(row: Mapping[str, Any]) -> str:
    if row["held_out"].endswith("%"):
        return f"{row['overall']} overall, {row['held_out']} held-out domain"
    return str(row["overall"])


def _table(probes: Mapping[str, Any]) -> RenderableType:
    table = plain_table(
        [
            ("probe", "left"),
            *((title, "right") for title in ("n", "base", "tuned", "unparsed")),
            ("most frequent mistake", "left"),
        ]
    )
    table.columns[0].min_width = 28
    for row in probe_rows(probes):
        table.add_row(
            row["label"],
            count(row["n"]),
            share(row["base"]["estimate"]),
            with_span(row["tuned"]),
            count(row["tuned"]["n_unparsed"]),
            row["worst"],
        )
    return table
