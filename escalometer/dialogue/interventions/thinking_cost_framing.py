"""The model thinks, and the cost ratio is stated before turn 2."""

from __future__ import annotations

from dataclasses import replace

from escalometer.dialogue.interventions import Costs
from escalometer.dialogue.protocol import Protocol


def variants(base: Protocol, costs: Costs) -> list[Protocol]:
    """Return one protocol with thinking for each cost ratio and wording."""
    return [
        replace(base, is_thinking=True, cost_ratio=ratio, framing=framing)
        for ratio in costs.ratios
        for framing in costs.framings
    ]
