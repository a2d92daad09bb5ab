"""What each probe asks about: cells of condition, percentage, ratio and wording."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product, zip_longest
from typing import Any

import numpy as np

from escalometer.dialogue.protocol import FRAMINGS, PROBE_FRAMINGS
from escalometer.training.chains import best
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

#: Those that leave scenario and signal as the data has them: the grid over domains, conditions,
#: ratios and wordings.
PLAIN = PROBES[:4]

#: (R, per cent) where implementing costs exactly as much as escalating; R = 8 ties at 87.5.
TIES = ((2, 50), (4, 75), (5, 80), (10, 90), (20, 95), (25, 96), (50, 98))
BESIDE_TIES = ((8, 87), (8, 88))

#: What a signal of a better condition than chance can state.
PERCENTS = range(50, 100)

#: A wrong signal is off by so many points at least; another matter's percentage by this many.
FAR, APART = 20, 10

#: A sentence about another matter, for the scenario's end.
ASIDES = (
    "Unrelated note on this page: {percent}% of the office's printers were replaced last year.",
    "In another matter, {percent}% of the staff took part in a survey about lunch breaks.",
    "The review of a different case, which has no bearing on this one, was {percent}% complete.",
    "Banner at the top of the screen: storage of the archive is {percent}% full.",
)


@dataclass(frozen=True)
class Cell:
    """What a dialogue is to be about; None leaves it to the scenario that comes up."""

    ratio: float
    framing: str
    condition: str | None = None
    percent: int | None = None
    aside: str = ""


def cells_of(probe: str, percents: Mapping[str, int], random: np.random.Generator) -> list[Cell]:
    """Return the cells over which a probe's dialogues are spread.

    Parameters
    ----------
    probe : str
        One of `PROBES`.
    percents : mapping of str to int
        What the signals of a domain's conditions state, by condition.
    random : numpy.random.Generator
        Which wrong and other percentages are stated.
    """
    if probe == "ties":
        return _near_ties()
    if probe == "untrained_percentages":
        return [
            Cell(ratio, framing, percent=percent)
            for percent, ratio, framing in product(UNTRAINED_PERCENTS, TRAINED_RATIOS, FRAMINGS)
        ]
    ratios = UNTRAINED_RATIOS if probe == "untrained_ratios" else TRAINED_RATIOS
    framings = PROBE_FRAMINGS if probe == "untrained_wordings" else FRAMINGS
    cells: list[Cell] = []
    for (condition, percent), ratio in product(percents.items(), ratios):
        told = Cell(ratio, "", condition)
        if probe == "wrong_signal":
            others = _wrong(percent, ratio)
            if not others:  # no percentage that a signal states would ask for the other action
                continue
            told = replace(told, percent=int(random.choice(others)))
        elif probe == "other_percentage":
            far = [other for other in PERCENTS if abs(other - percent) >= APART]
            aside = ASIDES[random.integers(len(ASIDES))]
            told = replace(told, aside=aside.format(percent=random.choice(far)))
        cells += [replace(told, framing=framing) for framing in framings]
    return cells


def evenly(
    cells: Sequence[Cell], n: int, random: np.random.Generator
) -> Iterator[tuple[Cell, int]]:
    """Yield `n` cells and how often each came before: none twice before all came once.

    The first few are spread over the ratios as well, and over the wordings of each ratio.
    """
    shuffled = [cells[i] for i in random.permutation(len(cells))]
    groups = _groups(shuffled, "ratio")
    dealt = _dealt([cell for group in groups for cell in _dealt(group, "framing")], "ratio")
    for i in range(n if dealt else 0):
        yield dealt[i % len(dealt)], i // len(dealt)


def _groups(cells: Sequence[Cell], field: str) -> list[list[Cell]]:
    groups: dict[Any, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[getattr(cell, field)].append(cell)
    return [*groups.values()]


def _dealt(cells: Sequence[Cell], field: str) -> list[Cell]:
    """Return the cells so that each value of a field comes as early as any other."""
    rows = zip_longest(*_groups(cells, field))
    return [cell for row in rows for cell in row if cell is not None]


def _near_ties() -> list[Cell]:
    near = {(ratio, tie + off) for ratio, tie in TIES for off in (-1, 0, 1)} | {*BESIDE_TIES}
    return [
        Cell(ratio, framing, percent=percent)
        for (ratio, percent), framing in product(sorted(near), FRAMINGS)
        if percent in PERCENTS
    ]


def _wrong(percent: int, ratio: float) -> list[int]:
    """Return the percentages far from a condition's own that ask for the other action."""
    return [
        other
        for other in PERCENTS
        if abs(other - percent) >= FAR and best(other, ratio) != best(percent, ratio)
    ]
