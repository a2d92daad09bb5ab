"""Dialogues that share nothing, for benchmarks of how they are held."""

from __future__ import annotations

from escalometer.cases.task import Task
from escalometer.dialogue.elicitation.rows import Dialogue
from escalometer.dialogue.protocol import Protocol

TASK = Task("whether the guest keeps the booking", "the guest", ("cancelled", "kept"))
SCENARIO = (
    "Hotel booking {i}. Two adults, no children, three nights in a city hotel, booked {i} days "
    "ahead through an online agency, with breakfast, no special requests, 95 euros a night. "
)


def dialogues(n: int, length: int = 1) -> list[Dialogue]:
    """Return `n` dialogues about scenarios of `length` times 170 characters."""
    return [
        Dialogue(
            domain="hotel_bookings",
            condition="c",
            scenario_id=str(i),
            task=TASK,
            scenario=(SCENARIO * length).format(i=i),
            signal="A decision tree finds: where no special requests are made, 52% were kept.",
            signal_accuracy=0.52,
            label=1,
            protocol=Protocol(),
        )
        for i in range(n)
    ]
