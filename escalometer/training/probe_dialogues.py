"""Dialogues of the probes with an adapter and its base, and their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from escalometer import layout
from escalometer.cases.task import Task
from escalometer.config import AdapterParams, ModelCard, Params, Workspace, load_card
from escalometer.dialogue.asking import open_engine, run_dialogues
from escalometer.dialogue.cell import Cell
from escalometer.dialogue.elicitation.rows import Dialogue
from escalometer.dialogue.elicitation.store import CompletionStore
from escalometer.errors import DataError, UsageError
from escalometer.runtime.interruption import Interruption
from escalometer.training import probes
from escalometer.training.adapters import adapter_named, training_domains
from escalometer.training.chains import mistake, optimal_escalate
from escalometer.training.probe_cells import PLAIN
from escalometer.training.probes import ProbeDialogue, ProbeDomain

#: Columns that are kept as the decisions table has them.
_KEPT = (
    *("domain", "condition", "scenario_id", "has_signal", "cost_ratio", "framing", "label"),
    *("prediction", "escalate", "status", "detail", "prompt", "prediction_text"),
    *("decision_prompt", "decision_text", "n_prompt_tokens", "n_completion_tokens"),
    *("cost_usd", "latency_s"),
)


def adapter_cards(
    name: str, params: Params, root: Path
) -> tuple[AdapterParams, tuple[ModelCard, ModelCard]]:
    """Return the parameters of an adapter, and the cards of its base and of itself.

    Raises
    ------
    UsageError
        If the name or a card is unknown, or the card is not that of the adapter.
    """
    adapter = adapter_named(name, params)
    base, tuned = (load_card(model, layout.cards_folder(root)) for model in (adapter.model, name))
    if tuned.adapter != name:
        raise UsageError(
            f"models/{name}.yaml is not the card of the adapter {name!r} (adapter: "
            f"{tuned.adapter}); train it: `escalometer train {adapter.model} --name {name}`"
        )
    return adapter, (base, tuned)


def plan_probes(
    name: str, params: Params, root: Path = Path()
) -> tuple[list[ProbeDialogue], dict[str, Task]]:
    """Return the dialogues for an adapter and its base, and the task of each domain.

    Raises
    ------
    DataError
        If scenarios are absent, nothing is left to ask, or a signal states no percentage.
    """
    adapter = adapter_named(name, params)
    names = (*training_domains(adapter, params), adapter.holdout)
    cells = {domain: Cell(domain, params, root) for domain in names}
    *trained, held_out = (
        ProbeDomain(domain, cell.conditions, cell.scenarios) for domain, cell in cells.items()
    )
    try:
        asked = probes.build(trained, held_out, params.train.probes.of(name), params.seed)
    except ValueError as error:
        raise DataError(
            f"the probes change what a signal of {adapter.holdout} states: {error}"
        ) from error
    if not asked:
        raise DataError(
            "no probe has a dialogue: raise a size under train.probes in params.yaml, or keep "
            "scenarios for evaluation (lower sample.signal_share or train_share)"
        )
    return asked, {domain: cell.task for domain, cell in cells.items()}


def answer_probes(
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
    return run_dialogues(engine, engine.plan(dialogues), f"probing {card.id}", interruption)


def dialogue_of(asked: ProbeDialogue, task: Task) -> Dialogue:
    """Return the dialogue of one probe, in the words of its domain."""
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


def probed_row(
    role: str, model: str, asked: ProbeDialogue, decision: dict[str, Any]
) -> dict[str, Any]:
    """Return a row of `schema.PROBED`.

    Parameters
    ----------
    role : str
        One of `schema.ROLES`.
    model : str
        Its name.
    asked : Asked
        The planned dialogue.
    decision : dict
        Its row of the decisions table, from the engine.
    """
    ratio = decision["cost_ratio"]
    optimal = optimal_escalate(asked.percent, ratio)
    text = decision["decision_text"]
    return {name: decision[name] for name in _KEPT} | {
        "probe": asked.probe,
        "model_role": role,
        "model": model,
        "is_plain": asked.probe in PLAIN,
        "percent": asked.percent,
        "domain_percent": asked.domain_percent,
        "optimal_escalate": optimal,
        "domain_optimal_escalate": optimal_escalate(asked.domain_percent, ratio),
        "is_right": decision["escalate"] == optimal,
        "mistake": None if text is None else mistake(text, asked.percent, ratio),
    }
