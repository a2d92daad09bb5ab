"""A made-up domain, as the sample stage leaves it: what probes and trainings are tested on."""

from __future__ import annotations

import json
from pathlib import Path

from escalometer.schema import CONDITIONS, SCENARIOS, write_table

ACCURACIES = {"calm": 55, "windy": 75, "stormy": 95}


def write_domain(root: Path, domain: str) -> None:
    folder = root / "data" / "scenarios" / domain
    conditions = [
        {
            **dict.fromkeys(CONDITIONS.names),
            "domain": domain,
            "condition": name,
            "origin": "given",
            "phrase": name,
            "predicate": "true",
            "n_signal": 100,
            "n_agreeing": percent,
            "n_eval": 4,
            "signal_label": 1,
            "signal_accuracy": percent / 100,
            "n_all": 200,
            "n_all_agreeing": 2 * percent,
            "signal": f"Where it is {name}, {percent}% sailed.",
        }
        for name, percent in ACCURACIES.items()
    ]
    scenarios = [
        {
            "domain": domain,
            "scenario_id": f"{domain}{i}",
            "label": i % 2,
            "n_cases": 1,
            "split": "train" if i % 5 == 0 else "eval",
            "conditions": [*ACCURACIES],
            "drawn_for": [],
            "text": f"Boat {i} in {domain}.",
        }
        for i in range(10)
    ]
    write_table(conditions, CONDITIONS, folder / "conditions.parquet")
    write_table(scenarios, SCENARIOS, folder / "scenarios.parquet")
    task = {"question": "whether it sails", "decider": "the skipper", "meanings": ["no", "yes"]}
    about = {"domain": domain, "is_main": True, "edition": "e", "task": task}
    (folder / "domain.json").write_text(json.dumps(about), encoding="utf-8")
