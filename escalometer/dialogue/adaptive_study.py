"""An adaptive study: a model's answers decide how many dialogues each condition gets."""

from __future__ import annotations

import sys
from typing import Any

from escalometer import layout
from escalometer.cases import sampling
from escalometer.config import Params, Workspace, load_card
from escalometer.dialogue.asking import asking_store, open_engine
from escalometer.dialogue.cell import Cell
from escalometer.dialogue.elicitation.engine import Engine
from escalometer.dialogue.protocol import Protocol
from escalometer.errors import BudgetError, UsageError
from escalometer.runtime.interruption import Interruption
from escalometer.runtime.progress import progress
from escalometer.stats import adaptive_design

Chosen = dict[str, list[dict[str, Any]]]


class Study:
    """An adaptive study of one model: its pool of scenarios, its design and its rows so far."""

    def __init__(self, cells: dict[str, Cell], params: Params) -> None:
        self._cells = {domain: cell for domain, cell in cells.items() if cell.is_main}
        if not self._cells:
            raise UsageError(
                "--precision needs a main domain: the implicit threshold is "
                "estimated on main domains"
            )
        for cell in self._cells.values():
            if len(cell.task.meanings) != 2:
                raise UsageError(f"--precision works with two outcomes; {cell.domain} has more")
        #: Scenarios of each condition, in the order of the draw.
        self._order: dict[adaptive_design.Key, list[dict[str, Any]]] = {}
        pool = []
        for domain, cell in self._cells.items():
            for condition in cell.conditions:
                under = [
                    row
                    for row in cell.scenarios
                    if row["split"] == "eval" and condition in row["conditions"]
                ]
                by_id = {row["scenario_id"]: row for row in under}
                names = sampling.draw(
                    {row["scenario_id"]: row["n_cases"] for row in under},
                    len(under),
                    sampling.generator(params.seed, domain, condition),
                    {row["scenario_id"]: row["text"] for row in under},
                )
                self._order[domain, condition] = [by_id[name] for name in names]
                of_label = [sum(r["n_cases"] for r in under if r["label"] == y) for y in (0, 1)]
                pool.append(of_label)
        assert params.sample.precision is not None  # noqa: S101 - for the type checker
        self.design = adaptive_design.Design([*self._order], pool, params.sample.precision)
        self.n_rounds = 0
        self._n_taken = dict.fromkeys(self._order, 0)
        self._rows: list[dict[str, Any]] = []

    @property
    def counts(self) -> adaptive_design.Counts:
        """Outcomes of the dialogues that ended as asked, as `adaptive_design.tally` gives them."""
        place_of = {key: i for i, key in enumerate(self._order)}
        answered = [row for row in self._rows if row["escalate"] is not None]
        return adaptive_design.tally(
            [place_of[row["domain"], row["condition"]] for row in answered],
            [row["label"] for row in answered],
            [int(row["prediction"] == row["label"]) for row in answered],
            [row["escalate"] for row in answered],
            len(place_of),
        )

    def run(self, engine: Engine, on_answer: Any, bar: Any) -> str:
        """Run rounds of dialogues until the design is precise enough; return the reason to stop."""
        while True:
            available = {key: len(row) - self._n_taken[key] for key, row in self._order.items()}
            if self.design.is_precise(self.counts, available):
                return "precision"
            size = self.design.round_size(self.counts, available)
            if not size:
                return "no more scenarios"
            allocation = self.design.allocate(self.counts, size, available)
            asked = [
                self._cells[domain].dialogue(scenario, condition, Protocol())
                for (domain, condition), n in allocation.items()
                for scenario in self._next(domain, condition, n)
            ]
            plan = engine.plan(asked)
            try:
                rows = engine.hold(plan, on_answer)
            except BudgetError as error:
                self._rows += engine.finished(plan)
                print(f"warning: {error}", file=sys.stderr)
                return "budget"
            self._rows += rows
            self.n_rounds += 1
            bar.advance(len(rows))
            for key, n in allocation.items():
                self._n_taken[key] += n

    def _next(self, domain: str, condition: str, n: int) -> list[dict[str, Any]]:
        begin = self._n_taken[domain, condition]
        return self._order[domain, condition][begin : begin + n]

    def chosen(self) -> Chosen:
        """Return the scenarios that were asked about, by domain."""
        rows: Chosen = {domain: [] for domain in self._cells}
        for row in self._rows:
            rows[row["domain"]].append(
                {name: row[name] for name in ("domain", "condition", "scenario_id")}
            )
        return rows


def ask_adaptively(
    study: Study, model: str, params: Params, workspace: Workspace
) -> dict[str, Any]:
    """Ask `model` round by round until the study is precise enough; return the result."""
    card = load_card(model, layout.cards_folder(workspace.root))
    with asking_store(workspace, model) as store:
        engine = open_engine(card, params, workspace, store)
        interruption = Interruption()
        with progress(f"designing for {model}", None, "dialogues") as bar:

            def on_answer(n: int, free: bool) -> None:  # noqa: ARG001 - the engine's signature
                interruption.check()

            stopped_by = study.run(engine, on_answer, bar)
            bar.total = bar.done  # the total is known only now
    threshold = study.design.estimate(study.counts)
    n_dialogues = int(study.counts.sum())
    print(
        f"{model}: {study.n_rounds} rounds, {n_dialogues} dialogues, "
        f"threshold {threshold.status}, half-width {threshold.half_width:.3f}; "
        f"stopped by: {stopped_by}",
        file=sys.stderr,
    )
    return {
        "precision": params.sample.precision,
        "estimate": threshold.estimate if threshold.status != "unidentified" else None,
        "low": threshold.low,
        "high": threshold.high,
        "status": threshold.status,
        "n_dialogues": n_dialogues,
        "n_rounds": study.n_rounds,
        "stopped_by": stopped_by,
    }
