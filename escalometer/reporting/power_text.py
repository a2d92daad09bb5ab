"""Sample sizes as text."""

from __future__ import annotations

from typing import TextIO

from rich.console import RenderableType
from rich.text import Text

from escalometer.documents import SampleSizes
from escalometer.documents.wording import count, points, share
from escalometer.reporting.terminal import Column, plain_table, render, write


def power_text(sizes: SampleSizes, width: int = 100) -> str:
    """Return sample sizes as plain text; `width` in columns."""
    return render(_parts(sizes), width)


def print_power(sizes: SampleSizes, stream: TextIO) -> None:
    """Write sample sizes to `stream`."""
    write(_parts(sizes), stream)


def _parts(sizes: SampleSizes) -> list[RenderableType]:
    titles = ("dialogues per condition", "dialogues per arm", "power")
    table = plain_table([Column("arms", "left"), *titles], gap=2)
    for row in sizes.designs:
        table.add_row(
            row.design, count(row.n_per_condition), count(row.n_per_arm), share(row.power)
        )
    unpaired, paired = (count(row.n_per_condition) for row in sizes.designs[:2])
    second = sizes.rate + sizes.difference
    sentence = (
        f"To detect a change of a share from {share(sizes.rate)} to {share(second)} "
        f"({points(sizes.difference)}) with power {share(sizes.power, 0)}, each of\n"
        f"{sizes.n_conditions} conditions needs {unpaired} dialogues in each arm, or {paired} if "
        f"both arms use the same\nscenarios and differ on {share(sizes.discordance)} of them."
    )
    return [table, Text(), Text(sentence)]
