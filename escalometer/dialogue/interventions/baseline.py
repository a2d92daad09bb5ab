"""The study's protocol: the signal is stated, the cost is not."""

from __future__ import annotations

from escalometer.dialogue.interventions import Costs
from escalometer.dialogue.protocol import Protocol


def variants(base: Protocol, costs: Costs) -> list[Protocol]:
    """Return the base protocol alone."""
    return [base]
