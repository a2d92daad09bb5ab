"""The model thinks before both answers (`thinking` in its card); the prompts are the same."""

from __future__ import annotations

from dataclasses import replace

from escalometer.dialogue.interventions import Costs
from escalometer.dialogue.protocol import Protocol


def variants(base: Protocol, costs: Costs) -> list[Protocol]:
    """Return the base protocol with thinking."""
    return [replace(base, is_thinking=True)]
