"""Conditions of an evaluation besides the model, as tags of its run in MLflow."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import pyarrow as pa

#: Hexadecimal digits of a digest.
_DIGITS = 12


def mix_tags(tables: Iterable[pa.Table]) -> dict[str, str]:
    """Return editions, conditions, scenarios, prompts and interventions of decisions.

    Of what is long there is the number of different values and a digest of them, which do not
    depend on the order of rows, on answers, or on the model.

    Parameters
    ----------
    tables : iterable of Table
        Decisions of one model, as in `schema.DECISIONS`.
    """
    editions: set[str] = set()
    conditions: set[str] = set()
    scenarios: set[str] = set()
    prompts: set[str] = set()
    interventions: set[str] = set()
    replicates: set[str] = set()
    for table in tables:
        for row in table.select(_COLUMNS).to_pylist():
            domain, condition = row["domain"], row["condition"]
            editions.add(f"{domain}={row['edition']}")
            conditions.add(f"{domain}/{condition} {row['signal_accuracy']}")
            scenarios.add(f"{domain}/{condition}/{row['scenario_id']}")
            parts = (row["intervention"], row["framing"], row["cost_ratio"])
            variant = " ".join(str(part) for part in parts if part is not None)
            interventions.add(variant)
            replicates.add(str(row["replicate"]))
            # The last paragraph is the task; those before are scenario and signal.
            prompts.add(f"{domain} {variant} 1 {row['prompt'].rpartition(_PARAGRAPH)[2]}")
            # A turn 2 of its own repeats the scenario, and its prediction depends on the model: if
            # isolated, and of decision models in any case.
            if row["decision_prompt"]:
                task = row["decision_prompt"]
                repeats = task.startswith(row["prompt"].partition(_PARAGRAPH)[0] + _PARAGRAPH)
                task = task.rpartition(_PARAGRAPH)[2] if row["is_isolated"] or repeats else task
                prompts.add(f"{domain} {variant} 2 {task}")
    return {
        "mix.editions": ",".join(sorted(editions)),
        "mix.conditions": _digest(conditions),
        "mix.scenarios": _digest(scenarios),
        "mix.prompts": _digest(prompts),
        "mix.interventions": ",".join(sorted(interventions)),
        "mix.replicates": str(len(replicates)),
    }


_PARAGRAPH = "\n\n"
_COLUMNS = [
    *("domain", "edition", "condition", "signal_accuracy", "scenario_id", "replicate"),
    *("intervention", "framing", "cost_ratio", "is_isolated", "prompt", "decision_prompt"),
]


def _digest(values: set[str]) -> str:
    combined = hashlib.sha256("\n".join(sorted(values)).encode()).hexdigest()
    return f"{len(values)} ({combined[:_DIGITS]})"
