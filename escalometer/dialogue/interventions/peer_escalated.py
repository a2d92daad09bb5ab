"""Before turn 2, a sentence says that a colleague escalated such a case."""

from __future__ import annotations

from dataclasses import replace

from escalometer.dialogue.interventions import Costs
from escalometer.dialogue.protocol import Protocol


def variants(base: Protocol, costs: Costs) -> list[Protocol]:
    """Return the base protocol with that sentence."""
    return [replace(base, precedent="peer_escalated")]
