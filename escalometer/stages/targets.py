"""Stage targets: one adapter's training data, from scenarios of the train split."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import numpy as np

from escalometer.config import AdapterParams, ModelCard, Params, Recipe, Workspace, load_card
from escalometer.dialogue.elicitation.rows import Dialogue
from escalometer.dialogue.elicitation.store import CompletionStore
from escalometer.errors import DataError
from escalometer.runtime.interruption import Interruption
from escalometer.schema import EXAMPLES, write_table
from escalometer.stages import write_json
from escalometer.stages.query import Cell, hold, open_engine
from escalometer.training import examples
from escalometer.training.adapters import adapter_named, training_domains
from escalometer.training.examples import Beginning

#: Budget of a first answer: a sentence, of which the first is kept.
_FIRST_TOKENS = 40


def run(name: str, params: Params, workspace: Workspace) -> None:
    """Write data/targets/<name>/examples.parquet and about.json.

    The model itself is asked for its first answers, so that turn 2 is learned after what it says.

    Parameters
    ----------
    name : str
        The adapter: an entry of `train.adapters`.
    params : Params
        Uses `seed`, `domains`, `query` and `train`.
    workspace : Workspace
        Where the project, the cache and the completion store are.

    Raises
    ------
    UsageError
        If there is no such adapter or model.
    DataError
        If scenarios are absent, or a domain has none to train on.
    ProviderError
        If the model cannot be fetched or loaded.
    """
    adapter = adapter_named(name, params)
    card = load_card(adapter.model, workspace.root / "models")
    recipe = card.training
    starts = _beginnings(adapter, recipe, params, workspace)
    answers = _first_answers(card, starts, adapter, params, workspace)
    rng = np.random.default_rng([params.seed, 2])
    rows: list[dict[str, Any]] = []
    answered = [pair for pair in zip(starts, answers, strict=True) if pair[1] is not None]
    for number, (start, answer) in enumerate(answered):
        rows += examples.tree(number, start, str(answer), recipe.n_branches, adapter, rng)
    _, n_drills = examples.n_trees(recipe, adapter)
    for number in range(len(answered), len(answered) + n_drills):
        rows += examples.drills(number, recipe.n_branches, adapter, rng)
    folder = workspace.root / "data" / "targets" / name
    write_table(rows, EXAMPLES, folder / "examples.parquet")
    kinds = Counter(row["kind"] for row in rows)
    about = {
        "adapter": name,
        "model": adapter.model,
        "holdout": adapter.holdout,
        "domains": training_domains(adapter, params),
        "n_trees": len(answered) + n_drills,
        "n_unanswered": len(starts) - len(answered),  # the model gave no first answer
        "n_examples": dict(sorted(kinds.items())),
        "n_scenarios": len({row["scenario_id"] for row in rows if row["scenario_id"]}),
    }
    write_json(about, folder / "about.json")
    counted = ", ".join(f"{n:,} {kind}" for kind, n in sorted(kinds.items()))
    print(f"data/targets/{name}: {len(rows):,} examples ({counted})", file=sys.stderr)


def _beginnings(
    adapter: AdapterParams, recipe: Recipe, params: Params, workspace: Workspace
) -> list[Beginning]:
    """Return what each tree of dialogues begins with, the domains taking turns."""
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
                f"{name} has no scenario to train on: raise sample.train_share, or leave it out "
                "(`--domains`)"
            )
    n, _ = examples.n_trees(recipe, adapter)
    found = []
    for number in range(n):
        cell = cells[names[number % len(names)]]
        pool = pools[cell.domain]
        scenario = pool[int(rng.integers(len(pool)))]
        found.append(examples.begin(scenario, cell.conditions, cell.task, adapter, rng))
    return found


def _first_answers(
    card: ModelCard,
    starts: list[Beginning],
    adapter: AdapterParams,
    params: Params,
    workspace: Workspace,
) -> list[str | None]:
    """Return the model's own first answers, cut short; None where it gave no choice."""
    is_brief = adapter.first_answers == "brief"
    store = CompletionStore(workspace.store)
    interruption = Interruption()
    asking = params.query.model_copy(update={"max_tokens": _FIRST_TOKENS, "force_answer": True})
    params = params.model_copy(update={"query": asking})
    try:
        with store.writing():
            engine = open_engine(card, params, workspace, store)
            planned = engine.plan([_dialogue(start) for start in starts], is_first_only=True)
            rows = hold(engine, planned, f"asking {card.id} to predict", interruption)
    finally:
        store.close()
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
