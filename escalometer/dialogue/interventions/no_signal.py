"""The signal is omitted, so the decision depends on the model's self-estimate."""

from __future__ import annotations

from dataclasses import replace

from escalometer.dialogue.interventions import Costs
from escalometer.dialogue.protocol import Protocol


def variants(base: Protocol, costs: Costs) -> list[Protocol]:
    """Return the base protocol without its signal."""
    return [replace(base, has_signal=False)]
