"""Rows of the decisions table: a dialogue's choices and its status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from escalometer.cases.task import Task
from escalometer.config import Price
from escalometer.dialogue.elicitation.budget import cost_of
from escalometer.dialogue.parsing import parse_confidence, parse_marker, strip_thinking
from escalometer.dialogue.protocol import Protocol
from escalometer.dialogue.providers import Completion, Request

#: Outcomes of an answer, as `--retry` names them.
OUTCOMES = ("ok", "forced", "refused", "error", "truncated", "empty", "unparsed")


@dataclass(frozen=True)
class Dialogue:
    """One dialogue: a scenario under a condition, in one variant of the protocol.

    `signal_accuracy` is the accuracy in `signal`, which may be another condition's.
    """

    domain: str
    condition: str
    scenario_id: str
    task: Task
    scenario: str
    signal: str
    signal_accuracy: float
    label: int
    protocol: Protocol
    replicate: int = 0


@dataclass(frozen=True)
class Answering:
    """Settings of a model's answers: token budget, closing, which marker counts, prices.

    `is_batch`: whether answers cost the price of batches.
    """

    max_tokens: int
    force_answer: bool
    counts_marker: Literal["first", "last"]
    price: Price | None = None
    is_batch: bool = False

    def choice(self, answer: Completion | None, request: Request | None) -> int | None:
        """Return the index of the choice that `answer` to `request` states, if any."""
        if answer is None or request is None or answer.finish in ("refused", "error"):
            return None
        return parse_marker(answer.text, request.marker, self.counts_marker, request.choices)

    def outcome(self, answer: Completion, request: Request) -> str:
        """Return the outcome of one answer: one of `OUTCOMES`."""
        if answer.finish in ("refused", "error"):
            return answer.finish
        if self.choice(answer, request) is not None:
            return "forced" if answer.finish == "forced" else "ok"
        if answer.finish == "length":
            return "truncated"
        return "unparsed" if strip_thinking(answer.text).strip() else "empty"


def row(
    dialogue: Dialogue,
    answering: Answering,
    turns: Sequence[tuple[Request, Completion]],
    parameters: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a dialogue's row of the decisions table, without the model's name and edition.

    Parameters
    ----------
    dialogue : Dialogue
        The dialogue.
    answering : Answering
        Settings for reading answers.
    turns : sequence of (Request, Completion)
        Turn 1, and turn 2 where there was one.
    parameters : mapping
        Parameters that were sent beside the messages of turn 1.
    """
    protocol = dialogue.protocol
    first, predicted = turns[0]
    second, decided = turns[1] if len(turns) > 1 else (None, None)
    answers = [answer for _, answer in turns]
    prediction = answering.choice(predicted, first)
    escalate = answering.choice(decided, second)
    if escalate is not None and protocol.are_actions_swapped:
        escalate = 1 - escalate
    outcomes = [answering.outcome(answer, request) for request, answer in turns]
    effort = parameters.get("reasoning_effort")
    return {
        "domain": dialogue.domain,
        "condition": dialogue.condition,
        "scenario_id": dialogue.scenario_id,
        "intervention": protocol.intervention,
        "replicate": dialogue.replicate,
        "signal_accuracy": dialogue.signal_accuracy,
        "has_signal": protocol.has_signal,
        "is_thinking": protocol.is_thinking,
        "is_isolated": protocol.is_isolated,
        "reasoning_effort": None if effort is None else str(effort),
        "cost_ratio": protocol.cost_ratio,
        "framing": protocol.framing,
        "force_answer": answering.force_answer,
        "label": dialogue.label,
        "prediction": prediction,
        "escalate": escalate,
        "status": _status(outcomes),
        "detail": _detail(outcomes, answers),
        "stated_confidence": (
            parse_confidence(predicted.text, answering.counts_marker)
            if (protocol.asks_confidence or first.meanings)
            and predicted.finish not in ("refused", "error")
            else None
        ),
        "prediction_probability": (
            None
            if prediction is None or predicted.probabilities is None
            else predicted.probabilities[prediction]
        ),
        "escalate_probability": (
            None
            if decided is None or decided.probabilities is None
            else decided.probabilities[0 if protocol.are_actions_swapped else 1]
        ),
        "resolved_model": answers[-1].resolved_model,
        "prompt": first.messages[-1][1],
        "prediction_text": predicted.text,
        "decision_prompt": second.messages[-1][1] if second else None,
        "decision_text": decided.text if decided else None,
        "prediction_thinking": predicted.thinking or None,
        "decision_thinking": (decided.thinking or None) if decided else None,
        "n_prompt_tokens": sum(answer.n_prompt_tokens for answer in answers),
        "n_completion_tokens": sum(answer.n_completion_tokens for answer in answers),
        "cost_usd": sum(cost_of(answering.price, answer, answering.is_batch) for answer in answers),
        "latency_s": sum(answer.latency_s for answer in answers),
    }


def _status(outcomes: Sequence[str]) -> str:
    """Return the dialogue's status; an empty answer is an unparsed one (see `_detail`)."""
    last = outcomes[-1]
    if last in ("ok", "forced"):
        if len(outcomes) == 2:
            return "forced" if "forced" in outcomes else "ok"
        return "unparsed"  # impossible: turn 1 had a choice, so turn 2 was requested
    return "unparsed" if last == "empty" else last


def _detail(outcomes: Sequence[str], answers: Sequence[Completion]) -> str | None:
    """Return the turn and the reason of a dialogue that did not end as asked, None for others."""
    last = outcomes[-1]
    if last in ("ok", "forced"):
        return None
    why = answers[-1].error
    return f"turn {len(outcomes)}: {last}" + (f": {why}" if why else "")
