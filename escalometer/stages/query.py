"""Stage query: one model × one domain, from scenarios to decisions."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from escalometer.config import ModelCard, Params, Workspace, load_card
from escalometer.dialogue import interventions
from escalometer.dialogue.elicitation.budget import Budget
from escalometer.dialogue.elicitation.engine import Engine, Plan
from escalometer.dialogue.elicitation.rows import Answering, Dialogue
from escalometer.dialogue.elicitation.store import CompletionStore
from escalometer.dialogue.protocol import Protocol, Task
from escalometer.dialogue.providers import RemoteProvider, connect
from escalometer.errors import DataError, UsageError
from escalometer.runtime.interruption import Interruption
from escalometer.runtime.progress import progress
from escalometer.schema import CHOSEN, CONDITIONS, DECISIONS, SCENARIOS, read_table, write_table
from escalometer.stages import read_json


def run(model: str, domain: str, params: Params, workspace: Workspace) -> None:
    """Ask `model` every dialogue of `domain` and write data/decisions/<model>/<domain>.parquet.

    Parameters
    ----------
    model, domain : str
        The cell.
    params : Params
        Uses `query` and `ask`.
    workspace : Workspace
        Where the project, the cache and the completion store are.

    Raises
    ------
    UsageError
        If a name is unknown, the model has no price and nobody allowed that, or the store cannot be
        written.
    DataError
        If the scenarios are absent or none was drawn.
    ProviderError
        If the model cannot be reached, fetched or loaded.
    BudgetError
        If the budget is used up; what was answered is kept.
    """
    card = load_card(model, workspace.root / "models")
    dialogues = plan(domain, params, workspace.root, model)
    store = CompletionStore(workspace.store)
    interruption = Interruption()
    try:
        with store.writing():
            engine = open_engine(card, params, workspace, store)
            planned = engine.plan(dialogues)
            rows = hold(engine, planned, f"querying {model} on {domain}", interruption)
    finally:
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
    for line in shortfalls(rows, engine.tally.n_passing):
        print(f"warning: {line}", file=sys.stderr)


def hold(
    engine: Engine, planned: Plan, title: str, interruption: Interruption
) -> list[dict[str, Any]]:
    """Return the rows of what was planned, with a progress bar, unless somebody interrupts."""
    with progress(title, engine.n_answers(planned), "answers") as bar:

        def on_answer(n: int, free: bool) -> None:
            bar.advance(n, free=free)
            interruption.check()

        return engine.hold(planned, on_answer)


def open_engine(
    card: ModelCard, params: Params, workspace: Workspace, store: CompletionStore
) -> Engine:
    """Return the engine that asks the model of `card` within the budget of `params.ask`.

    Raises
    ------
    UsageError
        If the model has no price and nobody allowed that, or has no batches and they are wanted.
    """
    check_price(card, params)
    provider = connect(card, workspace)
    is_batch = params.ask.use_batches and isinstance(provider, RemoteProvider)
    if is_batch and not (card.endpoint and card.endpoint.has_batches):
        raise UsageError(f"models/{card.id}.yaml does not say that its endpoint takes batches")
    n_requests, cost_usd = store.spent(workspace.run)
    budget = Budget(
        max_cost_usd=params.ask.max_cost_usd,
        max_requests=params.ask.max_requests,
        price=card.price,
        thinking_tokens=card.thinking.max_tokens if card.thinking else 0,
        is_batch=is_batch,
        cost_usd=cost_usd,
        n_requests=n_requests,
    )
    answering = Answering(
        max_tokens=max(params.query.max_tokens, card.answer_tokens),
        force_answer=params.query.force_answer,
        counts_marker=card.counts_marker,
        price=card.price,
        is_batch=is_batch,
    )
    return Engine(
        provider, store, answering, budget=budget, retry=workspace.retry, run=workspace.run
    )


def check_price(card: ModelCard, params: Params) -> None:
    """Raise UsageError if nobody knows what the model costs, and nobody said that this is fine."""
    if card.price is None and not params.ask.allow_unpriced:
        raise UsageError(
            f"models/{card.id}.yaml has no price, so no budget could be kept: add the price, or "
            "say --allow-unpriced"
        )


def shortfalls(rows: list[dict[str, Any]], n_passing: int) -> list[str]:
    """Return what a reader of the decisions should know of those that did not end as asked."""
    lines = []
    counts = Counter(row["status"] for row in rows if row["status"] not in ("ok", "forced"))
    n_empty = sum("empty" in (row["detail"] or "") for row in rows)
    for status, n in counts.most_common():
        example = next(row["detail"] for row in rows if row["status"] == status)
        empty = f", {n_empty} of them empty" if status == "unparsed" and n_empty else ""
        lines.append(f"{n} of {len(rows)} dialogues are {status}{empty}, such as: {example}")
    if counts:
        names = ",".join(sorted(counts))
        lines.append(f"they are kept; `escalometer evaluate … --retry {names}` asks them again")
    if n_passing:
        lines.append(f"{n_passing} requests failed for a reason that may pass")
    return lines


class Cell:
    """One domain as the models see it: scenarios, conditions, and the words of its prompts.

    Raises
    ------
    DataError
        If the scenarios are absent.
    """

    def __init__(self, domain: str, params: Params, root: Path = Path()) -> None:
        self.domain = domain
        self._folder = folder = root / "data" / "scenarios" / domain
        about = read_json(folder / "domain.json")
        words = about["task"]
        self.is_main: bool = about["is_main"]
        self.task = Task(words["question"], words["decider"], tuple(words["meanings"]))
        self.scenarios = read_table(folder / "scenarios.parquet", SCENARIOS).to_pylist()
        self.conditions: dict[str, dict[str, Any]] = {
            row["condition"]: row
            for row in read_table(folder / "conditions.parquet", CONDITIONS).to_pylist()
        }
        costs = interventions.Costs(params.query.cost_ratios, tuple(params.query.framings))
        self._protocols = [
            protocol
            for name in params.query.interventions
            for protocol in interventions.variants(name, costs)
        ]
        self._n_replicates = params.query.n_replicates
        self._others: dict[str, str] = {}
        if any(protocol.has_other_signal for protocol in self._protocols):
            accuracy = {name: row["signal_accuracy"] for name, row in self.conditions.items()}
            ranked = sorted(accuracy, key=lambda name: (accuracy[name], name))
            self._others = interventions.other_condition(ranked)

    def drawn(self) -> list[dict[str, Any]]:
        """Return the fixed design: rows of `schema.CHOSEN`."""
        return [
            {"domain": self.domain, "condition": name, "scenario_id": row["scenario_id"]}
            for row in self.scenarios
            for name in row["drawn_for"]
        ]

    def dialogue(
        self, scenario: Mapping[str, Any], condition: str, protocol: Protocol, replicate: int = 0
    ) -> Dialogue:
        """Return one dialogue about a scenario under a condition."""
        told = self.conditions[self._others[condition] if protocol.has_other_signal else condition]
        return Dialogue(
            domain=self.domain,
            condition=condition,
            scenario_id=scenario["scenario_id"],
            task=self.task,
            scenario=scenario["text"],
            signal=told["signal"],
            signal_accuracy=told["signal_accuracy"],
            label=scenario["label"],
            protocol=protocol,
            replicate=replicate,
        )

    def dialogues(self, chosen: Sequence[Mapping[str, Any]]) -> list[Dialogue]:
        """Return the dialogues of a design: its rows × protocol variants × replicates.

        Raises
        ------
        DataError
            If the design is empty.
        """
        by_id = {row["scenario_id"]: row for row in self.scenarios}
        found = [
            self.dialogue(by_id[row["scenario_id"]], row["condition"], protocol, replicate)
            for row in chosen
            for protocol in self._protocols
            for replicate in range(self._n_replicates)
        ]
        if not found:
            raise DataError(f"{self._folder}: no scenario was drawn for evaluation")
        return found


def plan(
    domain: str, params: Params, root: Path = Path(), model: str | None = None
) -> list[Dialogue]:
    """Return the dialogues of a domain: those of `model`'s design, or of the fixed one.

    Raises
    ------
    UsageError
        If a name is unknown.
    DataError
        If scenarios or the design are absent, or no scenario was drawn.
    """
    cell = Cell(domain, params, root)
    if model is None or params.sample.precision is None:
        return cell.dialogues(cell.drawn())
    path = root / "data" / "designs" / model / f"{domain}.parquet"
    return cell.dialogues(read_table(path, CHOSEN).to_pylist())
