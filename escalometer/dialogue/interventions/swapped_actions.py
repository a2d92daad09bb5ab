"""DECISION: 1 means implement and 0 escalate, to detect a preference for one digit."""

from __future__ import annotations

from dataclasses import replace

from escalometer.dialogue.interventions import Costs
from escalometer.dialogue.protocol import Protocol


def variants(base: Protocol, costs: Costs) -> list[Protocol]:
    """Return the base protocol with the digits of the two actions swapped."""
    return [replace(base, are_actions_swapped=True)]
