"""Both turns ask for the marker alone, so that the choice's own probability can be read."""

from __future__ import annotations

from dataclasses import replace

from escalometer.dialogue.interventions import Costs
from escalometer.dialogue.protocol import Protocol


def variants(base: Protocol, costs: Costs) -> list[Protocol]:
    """Return the base protocol without explanations."""
    return [replace(base, reads_choice=True)]
