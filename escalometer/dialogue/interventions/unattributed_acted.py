"""Control of peer_acted: the same sentence without an author."""

from __future__ import annotations

from dataclasses import replace

from escalometer.dialogue.interventions import Costs
from escalometer.dialogue.protocol import Protocol


def variants(base: Protocol, costs: Costs) -> list[Protocol]:
    """Return the base protocol with that sentence."""
    return [replace(base, precedent="unattributed_acted")]
