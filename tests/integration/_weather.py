"""Dialogues about the weather: a domain that needs no files."""

from __future__ import annotations

from escalometer.dialogue import interventions
from escalometer.dialogue.elicitation.rows import Dialogue
from escalometer.dialogue.protocol import Task

TASK = Task("whether it rains", "the farmer", ("dry", "rain"))
COSTS = interventions.Costs(ratios=(4.0, 10.0), framings=("ratio",))
NAMES = ("baseline", "no_signal", "cost_framing")


def dialogues(n_scenarios: int = 3, names=NAMES, costs=COSTS) -> list[Dialogue]:
    return [
        Dialogue(
            domain="weather",
            condition="cloudy",
            scenario_id=f"s{i}",
            task=TASK,
            scenario=f"Cloud number {i}.",
            signal="Clouds mean rain in 80%.",
            signal_accuracy=0.8,
            label=i % 2,
            protocol=protocol,
        )
        for i in range(n_scenarios)
        for name in names
        for protocol in interventions.variants(name, costs)
    ]
