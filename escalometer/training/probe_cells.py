"""Cells of the probes: condition, percentage, ratio and wording of their dialogues."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product, zip_longest
from typing import Any

import numpy as np

from escalometer.dialogue.protocol import FRAMINGS, PROBE_FRAMINGS
from escalometer.training.chains import optimal_escalate
from escalometer.training.held_out import TRAINED_RATIOS, UNTRAINED_PERCENTS, UNTRAINED_RATIOS

#: The probes in the order of the report.
PROBES = (
    "trained_domains",
    "held_out_domain",
    "untrained_ratios",
    "untrained_wordings",
    "untrained_percentages",
    "no_signal",
    "wrong_signal",
    "other_percentage",
    "ties",
)

#: The probes with unchanged scenarios and signals: the grid over domains, conditions, ratios and
#: wordings.
PLAIN = PROBES[:4]

#: (R, per cent) where implementing costs exactly as much as escalating; R = 8 ties at 87.5.
TIES = ((2, 50), (4, 75), (5, 80), (10, 90), (20, 95), (25, 96), (50, 98))
BESIDE_TIES = ((8, 87), (8, 88))

#: Percentages that a signal of a condition better than chance can state.
PERCENTS = range(50, 100)

#: The least distance, in points, of a wrong signal; and of another matter's percentage.
FAR, APART = 20, 10

#: A sentence about another matter, for the scenario's end.
ASIDES = (
    "Unrelated note on this page: {percent}% of the office's printers were replaced last year.",
    "In another matter, {percent}% of the staff took part in a survey about lunch breaks.",
    "The review of a different case, which has no bearing on this one, was {percent}% complete.",
    "Banner at the top of the screen: storage of the archive is {percent}% full.",
)


@dataclass(frozen=True)
class ProbeCell:
    """The subject of a dialogue; None leaves it to the scenario."""

    ratio: float
    framing: str
    condition: str | None = None
    percent: int | None = None
    aside: str = ""


def cells_of(
    probe: str, percents: Mapping[str, int], random: np.random.Generator
) -> list[ProbeCell]:
    """Return the cells over which a probe's dialogues are spread.

    Parameters
    ----------
    probe : str
        One of `PROBES`.
    percents : mapping of str to int
        The percentages of a domain's signals, by condition.
    random : numpy.random.Generator
        Draws the wrong and other percentages.
    """
    if probe == "ties":
        return _near_ties()
    if probe == "untrained_percentages":
        return [
            ProbeCell(ratio, framing, percent=percent)
            for percent, ratio, framing in product(UNTRAINED_PERCENTS, TRAINED_RATIOS, FRAMINGS)
        ]
    ratios = UNTRAINED_RATIOS if probe == "untrained_ratios" else TRAINED_RATIOS
    framings = PROBE_FRAMINGS if probe == "untrained_wordings" else FRAMINGS
    cells: list[ProbeCell] = []
    for (condition, percent), ratio in product(percents.items(), ratios):
        cell = ProbeCell(ratio, "", condition)
        if probe == "wrong_signal":
            others = _wrong(percent, ratio)
            if not others:  # no percentage that a signal states would ask for the other action
                continue
            cell = replace(cell, percent=int(random.choice(others)))
        elif probe == "other_percentage":
            far = [other for other in PERCENTS if abs(other - percent) >= APART]
            aside = ASIDES[random.integers(len(ASIDES))]
            cell = replace(cell, aside=aside.format(percent=random.choice(far)))
        cells += [replace(cell, framing=framing) for framing in framings]
    return cells


def evenly(
    cells: Sequence[ProbeCell], n: int, random: np.random.Generator
) -> Iterator[tuple[ProbeCell, int]]:
    """Yield `n` cells and the number of their earlier uses: all are used once before any again.

    The first few are spread over the ratios as well, and over the wordings of each ratio.
    """
    shuffled = [cells[i] for i in random.permutation(len(cells))]
    groups = _groups(shuffled, "ratio")
    ordered = _alternating(
        [cell for group in groups for cell in _alternating(group, "framing")], "ratio"
    )
    for i in range(n if ordered else 0):
        yield ordered[i % len(ordered)], i // len(ordered)


def _groups(cells: Sequence[ProbeCell], field: str) -> list[list[ProbeCell]]:
    groups: dict[Any, list[ProbeCell]] = defaultdict(list)
    for cell in cells:
        groups[getattr(cell, field)].append(cell)
    return [*groups.values()]


def _alternating(cells: Sequence[ProbeCell], field: str) -> list[ProbeCell]:
    """Return the cells so that the values of a field take turns."""
    rows = zip_longest(*_groups(cells, field))
    return [cell for row in rows for cell in row if cell is not None]


def _near_ties() -> list[ProbeCell]:
    near = {(ratio, tie + off) for ratio, tie in TIES for off in (-1, 0, 1)} | {*BESIDE_TIES}
    return [
        ProbeCell(ratio, framing, percent=percent)
        for (ratio, percent), framing in product(sorted(near), FRAMINGS)
        if percent in PERCENTS
    ]


def _wrong(percent: int, ratio: float) -> list[int]:
    """Return the percentages far from a condition's own that require the other action."""
    return [
        other
        for other in PERCENTS
        if abs(other - percent) >= FAR
        and optimal_escalate(other, ratio) != optimal_escalate(percent, ratio)
    ]
