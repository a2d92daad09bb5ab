"""Cells of model × domain: scenarios, conditions, prompts, and the dialogues of a design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from escalometer import layout
from escalometer.cases.task import Task
from escalometer.config import Params
from escalometer.dialogue import interventions
from escalometer.dialogue.deployer_prompts import deployer_prompt
from escalometer.dialogue.elicitation.rows import Dialogue
from escalometer.dialogue.protocol import Protocol, first_turn, second_turn
from escalometer.errors import DataError
from escalometer.runtime.files import read_json
from escalometer.schema import CHOSEN, CONDITIONS, SCENARIOS, read_table


class Cell:
    """One domain's scenarios and conditions, with the words of its prompts.

    Raises
    ------
    UsageError
        If an intervention lacks what it needs: conditions, or a prompt's file.
    DataError
        If the scenarios are absent.
    """

    def __init__(self, domain: str, params: Params, root: Path = Path()) -> None:
        self.domain = domain
        self._folder = layout.scenarios_folder(domain, root)
        description = read_json(layout.domain_file(domain, root))
        words = description["task"]
        self.is_main: bool = description["is_main"]
        self.task = Task(words["question"], words["decider"], tuple(words["meanings"]))
        self.scenarios = read_table(layout.scenarios_file(domain, root), SCENARIOS).to_pylist()
        self.conditions: dict[str, dict[str, Any]] = {
            row["condition"]: row
            for row in read_table(layout.conditions_file(domain, root), CONDITIONS).to_pylist()
        }
        costs = interventions.Costs(params.query.cost_ratios, tuple(params.query.framings))
        self.protocols = [
            protocol
            for name in params.query.interventions
            for protocol in interventions.variants(name, costs)
        ]
        if any(protocol.has_deployer_prompt for protocol in self.protocols):
            prompt = deployer_prompt(params, root)
            self.protocols = [
                replace(protocol, system=prompt.text) if protocol.has_deployer_prompt else protocol
                for protocol in self.protocols
            ]
        self._n_replicates = params.query.n_replicates
        self._others: dict[str, str] = {}
        if any(protocol.has_other_signal for protocol in self.protocols):
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
        stated = self.conditions[
            self._others[condition] if protocol.has_other_signal else condition
        ]
        return Dialogue(
            domain=self.domain,
            condition=condition,
            scenario_id=scenario["scenario_id"],
            task=self.task,
            scenario=scenario["text"],
            signal=stated["signal"],
            signal_accuracy=stated["signal_accuracy"],
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
        dialogues = [
            self.dialogue(by_id[row["scenario_id"]], row["condition"], protocol, replicate)
            for row in chosen
            for protocol in self.protocols
            for replicate in range(self._n_replicates)
        ]
        if not dialogues:
            raise DataError(f"{self._folder}: no scenario was drawn for evaluation")
        return dialogues


def longest_dialogue(cell: Cell) -> int:
    """Return the characters of the longest dialogue of a cell's fixed design, answers left out.

    0 if no scenario was drawn.
    """
    by_id = {row["scenario_id"]: row for row in cell.scenarios}
    longest: dict[str, dict[str, Any]] = {}
    for chosen in cell.drawn():
        row, condition = by_id[chosen["scenario_id"]], chosen["condition"]
        if condition not in longest or len(row["text"]) > len(longest[condition]["text"]):
            longest[condition] = row
    dialogues = [
        cell.dialogue(row, condition, protocol)
        for condition, row in longest.items()
        for protocol in cell.protocols
    ]
    return max((_n_characters(dialogue) for dialogue in dialogues), default=0)


def _n_characters(dialogue: Dialogue) -> int:
    given = (dialogue.protocol, dialogue.task, dialogue.scenario, dialogue.signal)
    first, second = len(first_turn(*given)), len(second_turn(*given))
    system = len(dialogue.protocol.system or "")
    return system + (max(first, second) if dialogue.protocol.is_isolated else first + second)


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
    path = layout.design_table(model, domain, root)
    return cell.dialogues(read_table(path, CHOSEN).to_pylist())
