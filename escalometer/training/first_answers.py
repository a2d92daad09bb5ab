"""First turns of training dialogues: drawn scenarios, and the model's own predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from escalometer.config import AdapterParams, ModelCard, Params, Recipe, Workspace
from escalometer.dialogue.asking import asking_store, open_engine, run_dialogues
from escalometer.dialogue.cell import Cell
from escalometer.dialogue.elicitation.rows import Dialogue
from escalometer.errors import DataError
from escalometer.runtime.interruption import Interruption
from escalometer.training import examples
from escalometer.training.adapters import training_domains
from escalometer.training.examples import Beginning

#: Budget of a first answer: a sentence, of which the first is kept.
_FIRST_TOKENS = 40


def draw_beginnings(
    adapter: AdapterParams, recipe: Recipe, params: Params, workspace: Workspace
) -> list[Beginning]:
    """Return the beginning of each tree of dialogues, the domains taking turns."""
    rng = np.random.default_rng([params.seed, 1])
    names = training_domains(adapter, params)
    cells = {name: Cell(name, params, workspace.root) for name in names}
    pools: dict[str, list[dict[str, Any]]] = {}
    for name, cell in cells.items():
        pools[name] = [
            row
            for row in cell.scenarios
            if row["split"] == "train" and set(row["conditions"]) & set(cell.conditions)
        ]
        if not pools[name]:
            raise DataError(
                f"{name} has no scenario to train on: raise sample.train_share, or remove it "
                "from `--domains`"
            )
    n, _ = examples.n_trees(recipe, adapter)
    beginnings = []
    for number in range(n):
        cell = cells[names[number % len(names)]]
        pool = pools[cell.domain]
        scenario = pool[int(rng.integers(len(pool)))]
        beginnings.append(
            examples.draw_beginning(scenario, cell.conditions, cell.task, adapter, rng)
        )
    return beginnings


def first_answers(
    card: ModelCard,
    starts: list[Beginning],
    adapter: AdapterParams,
    params: Params,
    workspace: Workspace,
) -> list[str | None]:
    """Return the model's own first answers, shortened; None where it gave no choice."""
    is_brief = adapter.first_answers == "brief"
    asking = params.query.model_copy(update={"max_tokens": _FIRST_TOKENS, "force_answer": True})
    params = params.model_copy(update={"query": asking})
    with asking_store(workspace, card.id) as store:
        engine = open_engine(card, params, workspace, store)
        planned = engine.plan([_dialogue(start) for start in starts], is_first_only=True)
        rows = run_dialogues(engine, planned, f"asking {card.id} to predict", Interruption())
    return [
        None
        if row["prediction"] is None
        else examples.first_answer(
            row["prediction_text"], start.task.choices[row["prediction"]], is_brief
        )
        for row, start in zip(rows, starts, strict=True)
    ]


def _dialogue(start: Beginning) -> Dialogue:
    return Dialogue(
        domain=start.domain,
        condition=start.condition,
        scenario_id=start.scenario_id,
        task=start.task,
        scenario=start.scenario,
        signal=start.signal,
        signal_accuracy=start.percent / 100,
        label=0,
        protocol=start.protocol,
    )
