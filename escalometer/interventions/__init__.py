"""Interventions: variants of the two-turn protocol, one file each, found by file name.

A new intervention is one file here that defines ::

    def variants(base: Protocol, costs: Costs) -> list[Protocol]

and its file name in params.yaml under `query.interventions`. It returns one protocol for each
dialogue that a scenario should go through: one where no cost is stated, one for each ratio and
wording where it is. Its first docstring line says what changes.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass

from escalometer.errors import unknown_name
from escalometer.protocol import Protocol


@dataclass(frozen=True)
class Costs:
    """The cost ratios (R, at least 1) and wordings (keys of `protocol.FRAMINGS`) to state."""

    ratios: tuple[float, ...]
    framings: tuple[str, ...]


def names() -> list[str]:
    """Return the interventions that exist, in alphabetical order."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def variants(name: str, costs: Costs) -> list[Protocol]:
    """Return the protocols that the intervention `name` asks of every scenario.

    Raises
    ------
    UsageError
        If there is no such intervention.
    """
    if name not in names():
        raise unknown_name("intervention", name, names())
    module = importlib.import_module(f"{__name__}.{name}")
    made: list[Protocol] = module.variants(Protocol(intervention=name), costs)
    return made
