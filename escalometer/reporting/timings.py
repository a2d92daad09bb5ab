"""Where the time of a run went, as a table for a terminal."""

from __future__ import annotations

from typing import TextIO

from rich.text import Text

from escalometer.reporting.terminal import Column, heading, indented, plain_table, write
from escalometer.runtime.timings import Timings, processor_s

_EXPLAINED = (
    "stage: processor time of the stage's process. run: processor time of the run's own process "
    "meanwhile, for DVC and Prefect. peak: most memory of the stage's process."
)


def print_timings(timings: Timings, stream: TextIO) -> None:
    """Write wall time and processor time of each part of a run, and of the whole, to `stream`."""
    table = plain_table([Column("seconds", "left"), "wall", "stage", "run", "peak MiB"], gap=2)
    for part in timings.parts:
        table.add_row(
            part.name,
            f"{part.wall_s:.1f}",
            "" if part.stage_s is None else f"{part.stage_s:.1f}",
            f"{part.own_s:.1f}",
            "" if part.peak_bytes is None else f"{part.peak_bytes / 2**20:,.0f}",
        )
    whole = (
        f"In all {sum(part.wall_s for part in timings.parts):.1f} s in these parts; "
        f"{processor_s():.1f} s of processor time, imports and start-up included."
    )
    write(
        [
            Text(),
            heading("Timings"),
            table,
            indented(Text(whole), 0),
            indented(Text(_EXPLAINED), 0),
        ],
        stream,
    )
