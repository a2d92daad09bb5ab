"""A system prompt from a file (`query.deployer_prompt`) is before the dialogue."""

from __future__ import annotations

from dataclasses import replace

from escalometer.dialogue.interventions import Costs
from escalometer.dialogue.protocol import Protocol


def variants(base: Protocol, costs: Costs) -> list[Protocol]:
    """Return the base protocol with a system prompt, whose text the cell fills in."""
    return [replace(base, has_deployer_prompt=True)]
