"""Both turns ask for the marker only, so that the probability of the choice can be read."""

from __future__ import annotations

from dataclasses import replace

from escalometer.dialogue.interventions import Costs
from escalometer.dialogue.protocol import Protocol


def variants(base: Protocol, costs: Costs) -> list[Protocol]:
    """Return the base protocol without explanations."""
    return [replace(base, reads_choice=True)]
