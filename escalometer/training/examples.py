"""Examples for fine-tuning: scenarios with signals and costs, and the target answers.

Examples come in trees. Those of one tree share scenario, signal and the model's own first answer,
and differ in the cost that turn 2 states; training reads the common prefix once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from escalometer.cases.task import PREDICTION_MARKER, Task
from escalometer.config import AdapterParams, Recipe
from escalometer.dialogue.protocol import (
    FRAMINGS,
    MORE_FRAMINGS,
    Protocol,
    first_turn,
    second_turn,
    state_cost,
)
from escalometer.stats.policy import exact
from escalometer.training.chains import optimal_escalate, write_chain, write_label
from escalometer.training.held_out import TRAINED_RATIOS, UNTRAINED_PERCENTS, UNTRAINED_RATIOS
from escalometer.training.signals import in_words, vary

#: Percentages that a signal may state in training.
PERCENTS = tuple(p for p in range(50, 100) if p not in UNTRAINED_PERCENTS)

_RATIOS = tuple(r for r in range(2, 61) if r not in UNTRAINED_RATIOS)
_TRAINED_FRAMINGS = (*FRAMINGS, *MORE_FRAMINGS)

#: Percentages about something else, so that the model learns which one to read.
_ASIDES = (
    "A note on file says that {other}% of last year's cases were reopened.",
    "The office was {other}% full that week.",
    "By the way, {other}% of records of this kind are typed by hand.",
)
#: Conditions that belong to no domain, with other numbers in them.
_DRILL_PHRASES = (
    "the rate is over {number}%",
    "the share is under {number}%",
    "the amount is at least {number},000",
    "the gap is 0.{number} or more",
    "the file is {number} days old",
    "nothing was overdue",
)
_DRILL_TASK = "TASK: Implement or escalate?"
_STATED, _GUESSED = "The signal says", "I expect to be right in"
_SENTENCE = re.compile(r"\A.*?[.!?](?=\s|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Beginning:
    """The common part of a tree's examples, before the model's first answer.

    Attributes
    ----------
    domain, scenario_id, condition : str
        The scenario, and the condition that the signal describes.
    task : Task
        The domain's words.
    scenario, signal : str
        As turn 1 has them; the signal may be withheld by `protocol`.
    percent : int
        The percentage in the signal; where it is withheld, the condition's.
    """

    domain: str
    scenario_id: str
    condition: str
    task: Task
    scenario: str
    signal: str
    percent: int
    protocol: Protocol

    @property
    def prompt(self) -> str:
        """The prompt of turn 1."""
        return first_turn(self.protocol, self.task, self.scenario, self.signal)


def draw_beginning(
    scenario: Mapping[str, Any],
    conditions: Mapping[str, Mapping[str, Any]],
    task: Task,
    adapter: AdapterParams,
    rng: np.random.Generator,
) -> Beginning:
    """Return a beginning about `scenario`, under one of its conditions.

    Parameters
    ----------
    scenario : mapping
        Row of `schema.SCENARIOS`, of the train split.
    conditions : mapping of str to mapping
        Rows of `schema.CONDITIONS` by name.
    task : Task
        The domain's words.
    adapter : AdapterParams
        Determines what signals state.
    rng : numpy.random.Generator
        Draws condition, percentage and wording.

    Raises
    ------
    ValueError
        If the scenario is not of the train split.
    """
    if scenario["split"] != "train":
        raise ValueError(f"scenario {scenario['scenario_id']} is of the {scenario['split']} split")
    name = str(rng.choice([c for c in scenario["conditions"] if c in conditions]))
    condition = conditions[name]
    percent = round(100 * condition["signal_accuracy"])
    signal, text = condition["signal"], scenario["text"]
    if adapter.signals == "any":
        percent = int(rng.choice(PERCENTS))
        signal = vary(signal, condition["phrase"], percent, rng)
        if rng.random() < 0.2:
            aside = str(rng.choice(_ASIDES)).format(other=int(rng.integers(3, 98)))
            text = f"{text}\n{aside}"
    return Beginning(
        domain=scenario["domain"],
        scenario_id=scenario["scenario_id"],
        condition=name,
        task=task,
        scenario=text,
        signal=signal,
        percent=percent,
        protocol=Protocol(has_signal=adapter.signals != "none"),
    )


def tree_rows(
    number: int,
    start: Beginning,
    answer: str,
    n: int,
    adapter: AdapterParams,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Return a tree's rows of `schema.EXAMPLES`: its first answer, and `n` second ones.

    Parameters
    ----------
    number : int
        The tree's.
    start : Beginning
        The common part of its examples.
    answer : str
        The model's own first answer, its marker at the end (see `first_answer`).
    n : int
        Examples of turn 2.
    adapter : AdapterParams
        Determines ratios, wordings and targets.
    rng : numpy.random.Generator
        Draws ratios and wordings.
    """
    asked = [{"role": "user", "content": start.prompt}]
    shared = {
        "tree": number,
        "domain": start.domain,
        "scenario_id": start.scenario_id,
        "split": "train",
        "percent": start.percent,
    }
    rows = [_row(shared, "predict", asked, answer)]
    for protocol in _costs(start, n, adapter, rng):
        messages = [
            *asked,
            {"role": "assistant", "content": answer},
            {"role": "user", "content": second_turn(protocol, start.task)},
        ]
        rows.append(_decide(shared, "decide", messages, protocol, adapter, rng))
    return rows


def drill_rows(
    number: int, n: int, adapter: AdapterParams, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Return a tree of `n` rows of `schema.EXAMPLES` that need little but the arithmetic.

    They are second turns as well: a chain in reply to a first one would teach to decide before
    predicting. Each has another percentage: a training step with a single one forgets the others.
    Where first answers are brief, the marker at their beginning is a target too.
    """
    kind = "drill_both" if adapter.first_answers == "brief" else "drill"
    rows = []
    for _ in range(n):
        percent = int(rng.choice(PERCENTS))
        signal, phrase = f"Accuracy: {percent}%.", "nothing was overdue"
        if rng.random() < 0.3:
            phrase = str(rng.choice(_DRILL_PHRASES)).format(number=int(rng.integers(2, 100)))
            signal = f"A decision tree finds: where {phrase}, {percent}% were right."
        (cost,) = _costs_of(percent, 1, adapter, rng)
        messages = [
            {"role": "user", "content": vary(signal, phrase, percent, rng)},
            {"role": "assistant", "content": f"{PREDICTION_MARKER} {int(rng.integers(2))}"},
            {"role": "user", "content": f"{state_cost(cost)}\n\n{_DRILL_TASK}"},
        ]
        shared = {"tree": number, "percent": percent}
        rows.append(_decide(shared, kind, messages, cost, adapter, rng))
    return rows


def first_answer(text: str, choice: str, is_brief: bool = False) -> str:
    """Return a model's first answer, corrected to one sentence and its own choice.

    Parameters
    ----------
    text : str
        The model's text.
    choice : str
        Its choice, as after the marker.
    is_brief : bool
        Whether to keep the choice alone.
    """
    if is_brief:
        return f"{PREDICTION_MARKER} {choice}"
    sentence = text.split(PREDICTION_MARKER)[0].strip()
    if match := _SENTENCE.search(sentence):
        sentence = match[0]
    return f"{' '.join(sentence.split())}\n{PREDICTION_MARKER} {choice}".lstrip()


def n_trees(recipe: Recipe, adapter: AdapterParams) -> tuple[int, int]:
    """Return the numbers of trees of dialogues and of drills."""
    n = adapter.n_examples or recipe.n_examples
    share = recipe.drill_share if adapter.drill_share is None else adapter.drill_share
    n_drills = round(n * share)
    return -(-(n - n_drills) // recipe.n_branches), -(-n_drills // recipe.n_branches)


def _decide(
    shared: Mapping[str, Any],
    kind: str,
    messages: Sequence[Mapping[str, str]],
    protocol: Protocol,
    adapter: AdapterParams,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return the row of an example whose answer decides."""
    percent, ratio = shared["percent"], protocol.cost_ratio or 0.0
    is_stated = adapter.signals != "none" or kind.startswith("drill")

    def answer(percent: int) -> str:
        if adapter.targets == "label":
            return write_label(percent, ratio)
        return write_chain(percent, ratio, _STATED if is_stated else _GUESSED)

    row = {
        **_row(shared, kind, messages, answer(percent)),
        "cost_ratio": ratio,
        "framing": protocol.framing,
        "escalate": optimal_escalate(percent, ratio),
    }
    if adapter.method == "dpo":
        row["rejected"] = answer(_across(percent, ratio, rng))
    return row


def _row(
    shared: Mapping[str, Any], kind: str, messages: Sequence[Mapping[str, str]], target: str
) -> dict[str, Any]:
    empty = dict.fromkeys(
        ("domain", "scenario_id", "split", "rejected", "cost_ratio", "framing", "escalate")
    )
    return {**empty, **shared, "kind": kind, "messages": list(messages), "target": target}


def _across(percent: int, ratio: float, rng: np.random.Generator) -> int:
    """Return a percentage on the other side of the threshold, which leads to the wrong decision."""
    percents = [
        p for p in range(1, 100) if optimal_escalate(p, ratio) != optimal_escalate(percent, ratio)
    ]
    return int(rng.choice(percents))


def _costs(
    start: Beginning, n: int, adapter: AdapterParams, rng: np.random.Generator
) -> Iterator[Protocol]:
    for cost in _costs_of(start.percent, n, adapter, rng):
        yield replace(cost, has_signal=start.protocol.has_signal)


def _costs_of(
    percent: int, n: int, adapter: AdapterParams, rng: np.random.Generator
) -> list[Protocol]:
    """Return `n` distinct statements of costs, half of them where the decision is close."""
    framings = adapter.framings or _TRAINED_FRAMINGS
    drawn: list[Protocol] = []
    seen: set[float | tuple[float, str]] = set()
    for attempt in range(40 * n):
        ratio = _ratio(percent, adapter, rng)
        # The study's own wordings as often as all others together.
        pool = [f for f in framings if f in FRAMINGS] if rng.random() < 0.5 else list(framings)
        framing = str(rng.choice(pool or list(framings)))
        # Different ratios, as long as there are some; then the same ones in different words.
        key = ratio if attempt < 20 * n else (ratio, framing)
        if key in seen:
            continue
        seen |= {ratio, (ratio, framing)}
        speaks = "{ratio} times" in (FRAMINGS | MORE_FRAMINGS)[framing]  # "four times", not "$four"
        in_letters = rng.random() < 0.15 and speaks and ratio < 21 and ratio == int(ratio)
        drawn.append(
            Protocol(
                intervention="cost_framing",
                cost_ratio=ratio,
                framing=framing,
                ratio_text=in_words(int(ratio)) if in_letters else None,
            )
        )
        if len(drawn) == n:
            break
    return drawn


def _ratio(percent: int, adapter: AdapterParams, rng: np.random.Generator) -> float:
    if adapter.cost_ratios is not None:
        return float(rng.choice(adapter.cost_ratios))
    kind = rng.random()
    if kind < 0.3:
        return float(rng.choice(TRAINED_RATIOS))
    if kind < 0.65:  # close to a tie: there a wrong product decides wrongly
        even = 100 / (100 - percent)
        close = [r for r in _RATIOS if abs(r - even) <= max(2, 0.2 * even)]
        if close:
            return float(rng.choice(close))
    if kind > 0.97:
        return float(exact(int(rng.integers(2, 12))) + exact("0.5"))
    return float(rng.choice(_RATIOS))
