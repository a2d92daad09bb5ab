"""Turn 2 is a new conversation that quotes somebody's prediction."""

from __future__ import annotations

from dataclasses import replace

from escalometer.dialogue.interventions import Costs
from escalometer.dialogue.protocol import Protocol


def variants(base: Protocol, costs: Costs) -> list[Protocol]:
    """Return the base protocol with turn 2 on its own."""
    return [replace(base, is_isolated=True)]
