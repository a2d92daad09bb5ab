"""Adapters that differ in their training seed alone: spread over seeds beside that over dialogues.

The first adapter has a name, the others that name with ``-seed2``, ``-seed3``, …
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.text import Text

from escalometer.documents import Probes
from escalometer.documents.wording import points, share, visible
from escalometer.reporting.probe_rows import probe_rows
from escalometer.reporting.terminal import Column, heading, plain_table
from escalometer.stats.distributions import student_quantile

_NUMBERED = re.compile(r"(.+)-seed\d+")


@dataclass(frozen=True)
class SpreadRow:
    """One probe over the seeds; shares in [0, 1].

    Attributes
    ----------
    label : str
        The probe in words.
    estimates : tuple of float
        Escalation accuracy of each adapter.
    half_width : float
        Half of the 95% interval over dialogues, the mean over adapters.
    """

    label: str
    estimates: tuple[float, ...]
    half_width: float

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return statistics.fmean(self.estimates)

    @property
    def deviation(self) -> float:
        """Standard deviation over seeds."""
        return statistics.stdev(self.estimates)

    @property
    def between_two(self) -> float:
        """Difference that two adapters of different seeds exceed in 5% of pairs."""
        n = len(self.estimates)
        return student_quantile(n - 1, 0.975) * self.deviation * 2**0.5


@dataclass(frozen=True)
class SeedSpread:
    """The adapters of one recipe.

    Attributes
    ----------
    name : str
        The first one's.
    n_seeds : int
    rows : list of SpreadRow
    """

    name: str
    n_seeds: int
    rows: list[SpreadRow]

    @property
    def sentence(self) -> str:
        """Interpretation of the spread for comparisons."""
        widest = max(self.rows, key=lambda row: row.between_two)
        return (
            f"A difference between two adapters is larger than the spread over seeds if it exceeds "
            f"the last column: at most {points(widest.between_two).lstrip('+')} "
            f"({widest.label}). {self.n_seeds} seeds determine it only roughly."
        )


def seed_spreads(probes: Sequence[Probes]) -> list[SeedSpread]:
    """Return the spread of each group of at least two adapters that differ in their seed."""
    groups: dict[str, list[Probes]] = {}
    for found in probes:
        numbered = _NUMBERED.fullmatch(found.adapter)
        groups.setdefault(numbered.group(1) if numbered else found.adapter, []).append(found)
    return [_spread(name, group) for name, group in groups.items() if len(group) > 1]


def _spread(name: str, group: Sequence[Probes]) -> SeedSpread:
    by_label: dict[str, list[tuple[float, float]]] = {}
    for found in group:
        for row in probe_rows(found):
            tuned = row.probe.tuned
            if tuned.estimate is not None and tuned.low is not None and tuned.high is not None:
                half = (tuned.high - tuned.low) / 2
                by_label.setdefault(row.label, []).append((tuned.estimate, half))
    rows = [
        SpreadRow(label, tuple(e for e, _ in values), statistics.fmean(h for _, h in values))
        for label, values in by_label.items()
        if len(values) == len(group)
    ]
    return SeedSpread(name, len(group), rows)


def spread_parts(spread: SeedSpread) -> list[RenderableType]:
    """Return the spread for a terminal."""
    table = plain_table(
        [
            Column("probe", "left", min_width=24),
            *("mean", "lowest", "highest", "sd over seeds", "± dialogues", "two seeds"),
        ]
    )
    for row in spread.rows:
        table.add_row(
            row.label,
            share(row.mean),
            share(min(row.estimates)),
            share(max(row.estimates)),
            points(row.deviation).lstrip("+"),
            points(row.half_width).lstrip("+"),
            points(row.between_two).lstrip("+"),
        )
    title = f"{spread.name}: escalation accuracy over {spread.n_seeds} training seeds"
    return [heading(visible(title)), table, Text(visible(spread.sentence))]
