"""Stage query: one model × one domain, from scenarios to decisions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from escalometer import interventions
from escalometer.config import Params, Workspace, load_card
from escalometer.elicitation.engine import Answering, Dialogue, Engine
from escalometer.elicitation.store import CompletionStore
from escalometer.errors import DataError, UsageError
from escalometer.lifeline import Interruption
from escalometer.progress import progress
from escalometer.protocol import Task
from escalometer.providers import RemoteProvider, connect
from escalometer.schema import CONDITIONS, DECISIONS, SCENARIOS, read_table, write_table
from escalometer.stages import read_json


def run(model: str, domain: str, params: Params, workspace: Workspace) -> None:
    """Ask `model` every dialogue of `domain` and write data/decisions/<model>/<domain>.parquet.

    Parameters
    ----------
    model, domain : str
        The cell.
    params : Params
        Uses `query`.
    workspace : Workspace
        Where the project, the cache and the completion store are.

    Raises
    ------
    UsageError
        If a name is unknown.
    DataError
        If the scenarios are absent or none was drawn.
    ProviderError
        If the model cannot be fetched or loaded.
    """
    card = load_card(model, workspace.root / "models")
    dialogues = plan(domain, params, workspace.root)
    provider = connect(card, workspace)
    if isinstance(provider, RemoteProvider):
        raise UsageError(f"{model} is behind a server; such models cannot be asked yet")
    store = CompletionStore(workspace.store)
    answering = Answering(
        max_tokens=params.query.max_tokens,
        force_answer=params.query.force_answer,
        counts_marker=card.counts_marker,
        input_usd=card.price.input_usd_per_million / 1e6 if card.price else 0.0,
        output_usd=card.price.output_usd_per_million / 1e6 if card.price else 0.0,
    )
    engine = Engine(provider, store, answering)
    title = f"querying {model} on {domain}"
    interruption = Interruption()
    with store.writing(), progress(title, engine.n_answers(dialogues), "answers") as bar:

        def on_answer(n: int, free: bool) -> None:
            bar.advance(n, free=free)
            interruption.check()

        rows = engine.hold(dialogues, on_answer)
    store.close()
    edition = read_json(workspace.root / "data" / "scenarios" / domain / "domain.json")["edition"]
    for row in rows:
        row |= {"model": model, "edition": edition}
    path = workspace.root / "data" / "decisions" / model / f"{domain}.parquet"
    write_table(rows, DECISIONS, path)
    print(
        f"{path.relative_to(workspace.root)}: {len(rows)} dialogues, "
        f"{engine.tally.n_called} model calls, {engine.tally.n_stored} answers from the store",
        file=sys.stderr,
    )


def plan(domain: str, params: Params, root: Path = Path()) -> list[Dialogue]:
    """Return the dialogues of a domain: drawn scenarios × protocol variants × replicates.

    Raises
    ------
    UsageError
        If a name is unknown.
    DataError
        If the scenarios are absent or none was drawn.
    """
    folder = root / "data" / "scenarios" / domain
    about = read_json(folder / "domain.json")
    words = about["task"]
    task = Task(words["question"], words["decider"], tuple(words["meanings"]))
    conditions: dict[str, dict[str, Any]] = {
        row["condition"]: row
        for row in read_table(folder / "conditions.parquet", CONDITIONS).to_pylist()
    }
    costs = interventions.Costs(params.query.cost_ratios, tuple(params.query.framings))
    protocols = [
        protocol
        for name in params.query.interventions
        for protocol in interventions.variants(name, costs)
    ]
    dialogues = [
        Dialogue(
            domain=domain,
            condition=condition,
            scenario_id=scenario["scenario_id"],
            task=task,
            scenario=scenario["text"],
            signal=conditions[condition]["signal"],
            signal_accuracy=conditions[condition]["signal_accuracy"],
            label=scenario["label"],
            protocol=protocol,
            replicate=replicate,
        )
        for scenario in read_table(folder / "scenarios.parquet", SCENARIOS).to_pylist()
        for condition in scenario["drawn_for"]
        for protocol in protocols
        for replicate in range(params.query.n_replicates)
    ]
    if not dialogues:
        raise DataError(f"{folder}: no scenario was drawn for evaluation")
    return dialogues
