"""Turn 1 also asks for the probability that the prediction is right."""

from __future__ import annotations

from dataclasses import replace

from escalometer.dialogue.interventions import Costs
from escalometer.dialogue.protocol import Protocol


def variants(base: Protocol, costs: Costs) -> list[Protocol]:
    """Return the base protocol with a confidence to state."""
    return [replace(base, asks_confidence=True)]
