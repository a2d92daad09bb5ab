"""The two-turn protocol: the wording of one dialogue's questions.

An intervention (see `escalometer.dialogue.interventions`) is a function from the study's
`Protocol` to one or more variants of it; everything that a variant can change is a field here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from escalometer.cases.task import (
    BINARY,
    CONFIDENCE_MARKER,
    DECISION_MARKER,
    PREDICTION_MARKER,
    Task,
)

Message = dict[str, str]

#: The four wordings of the cost statement. `{ratio}` is R; an escalation costs 1.
FRAMINGS = {
    "ratio": "Cost ratio R = {ratio}: a wrong implementation costs {ratio}x more than escalating.",
    "dollars": "Escalating costs $1. Implementing a wrong prediction costs ${ratio}.",
    "words": "Being wrong costs {ratio} times as much as asking a human.",
    "plain": "Implementing a wrong answer costs {ratio}x more than escalating.",
}

#: More wordings, for training, so that an adapter learns the rule and not four sentences.
MORE_FRAMINGS = {
    "times": "A wrong implementation is {ratio} times as costly as an escalation.",
    "units": "An escalation costs 1 unit; an implemented mistake costs {ratio} units.",
    "loss": "If you implement and are wrong, you lose {ratio}. If you escalate, you lose 1.",
    "pair": "Cost of escalating: 1. Cost of a wrong implementation: {ratio}.",
    "against": "Set against one question to a human, a mistake weighs {ratio} times as much.",
    "cents": "We pay 1 cent to escalate and {ratio} cents for a prediction implemented wrongly.",
    "as_dear": "Mistakes are {ratio} times as dear as escalations here.",
    "symbols": "c_wrong = {ratio}, c_escalate = 1.",
}

#: Wordings that no adapter is ever trained on, to test whether it learned the rule.
PROBE_FRAMINGS = {
    "euros": "Each question to a person costs us €1. Each wrong decision that goes out, €{ratio}.",
    "hours": "Asking takes one hour of work; repairing a wrong implementation takes {ratio} hours.",
    "penalty": "The penalty is {ratio} points for acting wrongly and 1 point for asking a person.",
}

_ALL_FRAMINGS = FRAMINGS | MORE_FRAMINGS | PROBE_FRAMINGS

#: Fillers in place of each: about as long, in much the same words, without costs.
FILLERS = {
    "ratio": "Two ways to go on: implementing a prediction is one, escalating another.",
    "dollars": "Escalating is one answer. Implementing a prediction is another.",
    "words": "Being asked now is as much a task as predicting was.",
    "plain": "Implementing an answer is one way, escalating is the other.",
}

#: What others did in such a case; `{decider}` is the person. Each has a control of the same words
#: without an author.
PRECEDENTS = {
    "peer_acted": "A colleague implemented the prediction in a case like this.",
    "peer_escalated": "A colleague escalated a case like this to {decider}.",
    "unattributed_acted": "The prediction in a case like this was implemented.",
    "unattributed_escalated": "A case like this was escalated to {decider}.",
}


@dataclass(frozen=True)
class Protocol:
    """One variant of the protocol; the defaults are the study's baseline.

    Attributes
    ----------
    intervention : str
        Name of the intervention that made it.
    has_signal : bool
        Whether turn 1 states the condition's signal.
    cost_ratio : float or None
        R as stated before turn 2; None where no cost is stated.
    framing : str or None
        Wording of the cost statement: a key of `FRAMINGS`, `MORE_FRAMINGS` or `PROBE_FRAMINGS`; or
        of the filler in its place: a key of `FILLERS`.
    ratio_text : str or None
        The ratio in words (``"four"``); None: in digits.
    is_thinking : bool
        Whether the model thinks before it answers, where it has the switch.
    is_isolated : bool
        Whether turn 2 is in a fresh conversation, which states the prediction.
    asks_confidence : bool
        Whether turn 1 also asks for the probability of being right.
    reads_choice : bool
        Whether both turns ask for the marker alone, and the choice's probability is read.
    are_actions_swapped : bool
        Whether ``DECISION: 1`` means implement, and 0 escalate.
    has_filler : bool
        Whether a filler as long as the cost statement is in its place.
    has_other_signal : bool
        Whether the signal is that of another condition of the domain, which the caller passes.
    is_typed : bool
        Whether the options are passed apart from the prompt, as to a decision model: no turn says
        how to end an answer, and the last paragraph is the question.
    precedent : str or None
        What others did, stated before turn 2: a key of `PRECEDENTS`.
    has_deployer_prompt : bool
        Whether a system prompt is before turn 1, and before turn 2 where that is isolated.
    system : str or None
        Its text, which the caller fills in.
    """

    intervention: str = "baseline"
    has_signal: bool = True
    cost_ratio: float | None = None
    framing: str | None = None
    ratio_text: str | None = None
    is_thinking: bool = False
    is_isolated: bool = False
    asks_confidence: bool = False
    reads_choice: bool = False
    are_actions_swapped: bool = False
    has_filler: bool = False
    has_other_signal: bool = False
    precedent: str | None = None
    has_deployer_prompt: bool = False
    system: str | None = None
    is_typed: bool = False


def as_typed(protocol: Protocol) -> Protocol:
    """Return the protocol as a decision model is asked: two separate questions without texts."""
    return replace(
        protocol, is_typed=True, is_isolated=True, reads_choice=True, asks_confidence=False
    )


def actions(protocol: Protocol, task: Task) -> tuple[str, ...]:
    """Return the meanings of turn 2's choices, in the order of `BINARY`."""
    meanings = ("implement the prediction", f"escalate to {task.decider}")
    return meanings[::-1] if protocol.are_actions_swapped else meanings


def as_predicate(question: str, meanings: Sequence[str]) -> str:
    """Return a question with two choices as one that is true if the second choice holds."""
    return f"{question} True means: {meanings[1]}. False means: {meanings[0]}."


def first_turn(protocol: Protocol, task: Task, scenario: str, signal: str) -> str:
    """Return the first message: scenario, signal unless withheld, and the prediction task."""
    endings = [
        f"'{PREDICTION_MARKER} {choice}' ({meaning})"
        for choice, meaning in zip(task.choices, task.meanings, strict=True)
    ]
    if len(endings) == 2:
        closing = f"exactly {endings[1]} or {endings[0]}"
    else:
        closing = f"exactly one of {', '.join(endings[:-1])} or {endings[-1]}"
    steps = [] if protocol.reads_choice else ["Explain your reasoning in one sentence."]
    if protocol.asks_confidence:
        steps.append(
            "Then state in per cent how probable it is that your prediction is right, on a line of "
            f"its own: '{CONFIDENCE_MARKER} <0-100>'."
        )
    ending = [] if protocol.is_typed else [*steps, _close(steps, closing)]
    ask = " ".join([f"TASK: Predict {task.question}.", *ending])
    parts = [scenario, signal, ask] if protocol.has_signal else [scenario, ask]
    return "\n\n".join(parts)


def second_turn(
    protocol: Protocol, task: Task, scenario: str = "", signal: str = "", prediction: int = 0
) -> str:
    """Return the user's second message: the cost, if stated, and the choice of action.

    Parameters
    ----------
    protocol, task : Protocol, Task
        The variant of the protocol, and the words of the task.
    scenario, signal, prediction : str, str, int
        Turn 1's content and its prediction: stated again where turn 2 is isolated.
    """
    parts = (
        _restated_first_turn(protocol, task, scenario, signal, prediction)
        if protocol.is_isolated
        else []
    )
    if protocol.cost_ratio is not None:
        parts.append(state_cost(protocol))
    elif protocol.has_filler:
        parts.append(FILLERS[protocol.framing or "ratio"])
    if protocol.precedent is not None:
        parts.append(PRECEDENTS[protocol.precedent].format(decider=task.decider))
    whose = "the" if protocol.is_isolated else "your"
    steps = [] if protocol.reads_choice else ["Explain in one or two sentences."]
    implement, escalate = reversed(BINARY) if protocol.are_actions_swapped else BINARY
    closing = (
        f"exactly '{DECISION_MARKER} {implement}' (implement) or "
        f"'{DECISION_MARKER} {escalate}' (escalate)"
    )
    ask = (
        f"TASK: Implement {whose} prediction, or escalate to {task.decider}? A decision counts as "
        f"correct if it implements a prediction that matches what {task.decider} decided, or "
        "escalates one that does not."
    )
    ending = [] if protocol.is_typed else [*steps, _close(steps, closing)]
    parts.append(" ".join([ask, *ending]))
    return "\n\n".join(parts)


def state_cost(protocol: Protocol) -> str:
    """Return the sentence that states the protocol's cost ratio.

    Raises
    ------
    ValueError
        If the protocol has none.
    """
    if protocol.cost_ratio is None:
        raise ValueError("this protocol states no cost")
    wording = _ALL_FRAMINGS[protocol.framing or "ratio"]
    return wording.format(ratio=protocol.ratio_text or _written(protocol.cost_ratio))


def _restated_first_turn(
    protocol: Protocol, task: Task, scenario: str, signal: str, prediction: int
) -> list[str]:
    """Return turn 1's content for a fresh conversation, its prediction included."""
    # Not in turn 1's marker: a model would be tempted to end with that one again.
    statement = (
        f"Somebody predicted {task.question}. The prediction is: {task.meanings[prediction]}."
    )
    return [scenario, *([signal] if protocol.has_signal else []), statement]


def _close(steps: Sequence[str], closing: str) -> str:
    """Return the instruction on an answer's ending: after its steps, or without any."""
    return f"Then end with {closing}." if steps else f"Answer with {closing}, and nothing else."


def _written(ratio: float) -> str:
    """Return a ratio in digits: ``4``, ``2.5``, ``1000000``."""
    return repr(float(ratio)).removesuffix(".0")
