"""The signal is that of another condition of the domain, with its accuracy."""

from __future__ import annotations

from dataclasses import replace

from escalometer.dialogue.interventions import Costs
from escalometer.dialogue.protocol import Protocol


def variants(base: Protocol, costs: Costs) -> list[Protocol]:
    """Return the base protocol with a borrowed signal (see `other_condition`)."""
    return [replace(base, has_other_signal=True)]
