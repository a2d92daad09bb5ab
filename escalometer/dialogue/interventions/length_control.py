"""A sentence as long as the cost statement replaces it and does not mention costs."""

from __future__ import annotations

from dataclasses import replace

from escalometer.dialogue.interventions import Costs
from escalometer.dialogue.protocol import Protocol


def variants(base: Protocol, costs: Costs) -> list[Protocol]:
    """Return one protocol for each wording: its filler is the same at every ratio."""
    return [replace(base, framing=framing, has_filler=True) for framing in costs.framings]
