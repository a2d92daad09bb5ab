"""The signal is withheld, so the model falls back on its own estimate of itself."""

from __future__ import annotations

from dataclasses import replace

from escalometer.dialogue.interventions import Costs
from escalometer.dialogue.protocol import Protocol


def variants(base: Protocol, costs: Costs) -> list[Protocol]:
    """Return the base protocol without its signal."""
    return [replace(base, has_signal=False)]
