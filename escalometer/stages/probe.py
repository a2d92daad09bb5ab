"""Stage probe: an adapter evaluated on what it never saw, beside the model that it began as."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from escalometer.config import AdapterParams, ModelCard, Params, Workspace, load_card
from escalometer.dialogue.elicitation.rows import Dialogue
from escalometer.dialogue.elicitation.store import CompletionStore
from escalometer.dialogue.protocol import Task
from escalometer.errors import DataError, UsageError
from escalometer.runtime.interruption import Interruption
from escalometer.schema import PROBED, ROLES, write_table
from escalometer.stages import write_json
from escalometer.stages.query import Cell, hold, open_engine
from escalometer.training import probe_results as analysis
from escalometer.training import probes
from escalometer.training.adapters import adapter_named, training_domains
from escalometer.training.chains import best, mistake
from escalometer.training.probe_cells import PLAIN
from escalometer.training.probes import Asked, Material
from escalometer.warehouse import SQL_FOLDER

#: Columns that are kept as the decisions table has them.
_KEPT = (
    *("domain", "condition", "scenario_id", "has_signal", "cost_ratio", "framing", "label"),
    *("prediction", "escalate", "status", "detail", "prompt", "prediction_text"),
    *("decision_prompt", "decision_text", "n_prompt_tokens", "n_completion_tokens"),
    *("cost_usd", "latency_s"),
)


def run(name: str, params: Params, workspace: Workspace) -> dict[str, Any]:
    """Hold the probes with an adapter and its base, write data/probes/<name>, return probes.json.

    Parameters
    ----------
    name : str
        A key of ``train.adapters``, and of the card of the tuned model.
    params : Params
        Uses `seed`, `domains`, `query.max_tokens`, `ask` and `train`. Answers are always closed
        where they end without a marker, whatever `query.force_answer` says.
    workspace : Workspace
        Where the project, the cache and the completion store are.

    Raises
    ------
    UsageError
        If a name is unknown, the tuned card names another adapter, or a model has no price.
    DataError
        If scenarios are absent, or a signal states no percentage.
    ProviderError
        If a model or the adapter cannot be loaded.
    BudgetError
        If the budget is used up; what was answered is kept.
    """
    adapter, cards = find_cards(name, params, workspace.root)
    asked, tasks = plan(name, params, workspace.root)
    dialogues = [_dialogue(one, tasks[one.domain]) for one in asked]
    rows: list[dict[str, Any]] = []
    store = CompletionStore(workspace.store)
    interruption = Interruption()
    try:
        with store.writing():
            for role, card in zip(ROLES, cards, strict=True):
                held = _hold(card, dialogues, params, workspace, store, interruption)
                rows += [probed_row(role, card.id, *pair) for pair in zip(asked, held, strict=True)]
    finally:
        store.close()
    folder = workspace.root / "data" / "probes" / name
    write_table(rows, PROBED, folder / "decisions.parquet")
    made = pa.Table.from_pylist(rows, schema=PROBED)
    tables = analysis.measure(made, workspace.root / SQL_FOLDER)
    for stem, table in tables.items():
        write_table(table, table.schema, folder / f"{stem.removeprefix('probe_')}.parquet")
    base, tuned = cards
    about = {
        "adapter": name,
        "base": base.id,
        "holdout": adapter.holdout,
        "domains": training_domains(adapter, params),
        "method": adapter.method,
        "targets": adapter.targets,
        "base_max_tokens": max(params.query.max_tokens, base.answer_tokens),
        "tuned_max_tokens": max(params.query.max_tokens, tuned.answer_tokens),
    }
    document = analysis.document(tables, about)
    write_json(document, folder / "probes.json")
    print(
        f"{folder.relative_to(workspace.root)}: {len(asked)} dialogues, held by both",
        file=sys.stderr,
    )
    return document


def find_cards(
    name: str, params: Params, root: Path
) -> tuple[AdapterParams, tuple[ModelCard, ModelCard]]:
    """Return what params.yaml says of an adapter, and the cards of its base and of itself.

    Raises
    ------
    UsageError
        If the name or a card is unknown, or the card is not that of the adapter.
    """
    adapter = adapter_named(name, params)
    base, tuned = (load_card(model, root / "models") for model in (adapter.model, name))
    if tuned.adapter != name:
        raise UsageError(
            f"models/{name}.yaml is the card of no adapter {name!r} (adapter: {tuned.adapter}); "
            f"train it: `escalometer train {adapter.model} --name {name}`"
        )
    return adapter, (base, tuned)


def plan(name: str, params: Params, root: Path = Path()) -> tuple[list[Asked], dict[str, Task]]:
    """Return what an adapter and its base are to be asked, and the words of each domain.

    Raises
    ------
    DataError
        If scenarios are absent, nothing is left to ask, or a signal states no percentage.
    """
    adapter = adapter_named(name, params)
    names = (*training_domains(adapter, params), adapter.holdout)
    cells = {domain: Cell(domain, params, root) for domain in names}
    *trained, held_out = (
        Material(domain, cell.conditions, cell.scenarios) for domain, cell in cells.items()
    )
    try:
        asked = probes.build(trained, held_out, params.train.probes.of(name), params.seed)
    except ValueError as error:
        raise DataError(
            f"the probes change what a signal of {adapter.holdout} states: {error}"
        ) from error
    if not asked:
        raise DataError(
            "no probe has a dialogue: raise a size under train.probes in params.yaml, or draw "
            "scenarios for evaluation (sample.signal_share and train_share take the others)"
        )
    return asked, {domain: cell.task for domain, cell in cells.items()}


def _hold(
    card: ModelCard,
    dialogues: list[Dialogue],
    params: Params,
    workspace: Workspace,
    store: CompletionStore,
    interruption: Interruption,
) -> list[dict[str, Any]]:
    """Return a row of the decisions table for each dialogue with one model."""
    query = params.query.model_copy(update={"force_answer": True})
    engine = open_engine(card, params.model_copy(update={"query": query}), workspace, store)
    return hold(engine, engine.plan(dialogues), f"probing {card.id}", interruption)


def _dialogue(asked: Asked, task: Task) -> Dialogue:
    return Dialogue(
        domain=asked.domain,
        condition=asked.condition,
        scenario_id=asked.scenario_id,
        task=task,
        scenario=asked.scenario,
        signal=asked.signal,
        signal_accuracy=asked.percent / 100,
        label=asked.label,
        protocol=asked.protocol,
    )


def probed_row(role: str, model: str, asked: Asked, made: dict[str, Any]) -> dict[str, Any]:
    """Return a row of `schema.PROBED`.

    Parameters
    ----------
    role : str
        One of `schema.ROLES`.
    model : str
        Its name.
    asked : Asked
        What the dialogue was to be about.
    made : dict
        Its row of the decisions table, as the engine gives it.
    """
    ratio = made["cost_ratio"]
    optimal = best(asked.percent, ratio)
    text = made["decision_text"]
    return {name: made[name] for name in _KEPT} | {
        "probe": asked.probe,
        "model_role": role,
        "model": model,
        "is_plain": asked.probe in PLAIN,
        "percent": asked.percent,
        "domain_percent": asked.domain_percent,
        "optimal_escalate": optimal,
        "domain_optimal_escalate": best(asked.domain_percent, ratio),
        "is_right": made["escalate"] == optimal,
        "mistake": None if text is None else mistake(text, asked.percent, ratio),
    }
