"""Interventions: variants of the two-turn protocol, one file each, found by file name.

A new intervention is one file here that defines ::

    def variants(base: Protocol, costs: Costs) -> list[Protocol]

and its file name in params.yaml under `query.interventions`. It returns one protocol for each
dialogue that a scenario should go through: one where no cost is stated, one for each ratio and
wording where it is. Its first docstring line says what changes. What no field of `Protocol` can say
yet is a new field, and its words in `escalometer.dialogue.protocol`; golden files show them
(`python -m tests.golden.write`).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass

from escalometer.dialogue.protocol import Protocol
from escalometer.errors import UsageError, unknown_name


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
    protocols: list[Protocol] = module.variants(Protocol(intervention=name), costs)
    return protocols


def other_condition(names_by_accuracy: Sequence[str]) -> dict[str, str]:
    """Return the other condition whose signal each condition borrows; each is lent once.

    Parameters
    ----------
    names_by_accuracy : sequence of str
        A domain's conditions, each once, ordered by the accuracy that their signals state. The
        partner is half of the list away, so that what is stated differs by much for all of them.

    Raises
    ------
    UsageError
        If there are fewer than two.
    """
    n = len(names_by_accuracy)
    if n < 2:
        listed = ", ".join(names_by_accuracy) or "none"
        raise UsageError(
            "the intervention other_signal borrows another condition's signal, so a domain needs "
            f"two conditions or more (found {n}: {listed}); raise sample.n_conditions or leave the "
            "intervention out"
        )
    return {name: names_by_accuracy[(i + n // 2) % n] for i, name in enumerate(names_by_accuracy)}
