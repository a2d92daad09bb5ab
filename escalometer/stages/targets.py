"""Stage targets: one adapter's training data, from scenarios of the train split."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import numpy as np

from escalometer import layout
from escalometer.config import Params, Workspace, load_card
from escalometer.runtime.files import write_json
from escalometer.schema import EXAMPLES, write_table
from escalometer.training import examples
from escalometer.training.adapters import adapter_named, training_domains
from escalometer.training.first_answers import draw_beginnings, first_answers


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
    card = load_card(adapter.model, layout.cards_folder(workspace.root))
    recipe = card.training
    starts = draw_beginnings(adapter, recipe, params, workspace)
    answers = first_answers(card, starts, adapter, params, workspace)
    rng = np.random.default_rng([adapter.seed_in(params.seed), 2])
    rows: list[dict[str, Any]] = []
    answered = [pair for pair in zip(starts, answers, strict=True) if pair[1] is not None]
    for number, (start, answer) in enumerate(answered):
        rows += examples.tree_rows(number, start, str(answer), recipe.n_branches, adapter, rng)
    _, n_drills = examples.n_trees(recipe, adapter)
    for number in range(len(answered), len(answered) + n_drills):
        rows += examples.drill_rows(number, recipe.n_branches, adapter, rng)
    write_table(rows, EXAMPLES, layout.examples_file(name, workspace.root))
    kinds = Counter(row["kind"] for row in rows)
    summary = {
        "adapter": name,
        "model": adapter.model,
        "holdout": adapter.holdout,
        "domains": training_domains(adapter, params),
        "n_trees": len(answered) + n_drills,
        "n_unanswered": len(starts) - len(answered),  # the model gave no first answer
        "n_examples": dict(sorted(kinds.items())),
        "n_scenarios": len({row["scenario_id"] for row in rows if row["scenario_id"]}),
    }
    write_json(summary, layout.targets_folder(name, workspace.root) / "about.json")
    counted = ", ".join(f"{n:,} {kind}" for kind, n in sorted(kinds.items()))
    print(f"data/targets/{name}: {len(rows):,} examples ({counted})", file=sys.stderr)
