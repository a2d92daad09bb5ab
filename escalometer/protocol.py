"""The two-turn protocol: what one dialogue asks, and in which words.

An intervention (see `escalometer.interventions`) is a function from the study's `Protocol` to one
or more variants of it; everything that a variant can change is a field here.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase

from escalometer.parsing import BINARY, DECISION_MARKER, PREDICTION_MARKER

Message = dict[str, str]

#: The four wordings of the cost statement. `{ratio}` is R; an escalation costs 1.
FRAMINGS = {
    "ratio": "Cost ratio R = {ratio}: a wrong implementation costs {ratio}x more than escalating.",
    "dollars": "Escalating costs $1. Implementing a wrong prediction costs ${ratio}.",
    "words": "Being wrong costs {ratio} times as much as asking a human.",
    "plain": "Implementing a wrong answer costs {ratio}x more than escalating.",
}


@dataclass(frozen=True)
class Task:
    """The words of one domain that the prompts need.

    Attributes
    ----------
    question : str
        What turn 1 asks to predict: ``"whether the loan officer approves the application"``.
    decider : str
        The person whose decision it is: ``"the loan officer"``.
    meanings : tuple of str
        What label 0, 1, … mean, in that order: 2 to 26, no two the same.

    Raises
    ------
    ValueError
        If there are fewer than 2 meanings, more than 26, or the same one twice.
    """

    question: str
    decider: str
    meanings: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse meanings that no marker can tell apart."""
        n = len(self.meanings)
        if not 2 <= n <= len(ascii_uppercase):
            raise ValueError(f"a task has 2 to {len(ascii_uppercase)} meanings (found {n})")
        twice = sorted({m for m in self.meanings if self.meanings.count(m) > 1})
        if twice:
            raise ValueError(f"a task's meanings must differ (found twice: {', '.join(twice)})")

    @property
    def choices(self) -> tuple[str, ...]:
        """What the prediction marker carries for each label: 0 and 1, or A, B, C, …"""
        n = len(self.meanings)
        return BINARY if n == len(BINARY) else tuple(ascii_uppercase[:n])


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
        Wording of the cost statement, a key of `FRAMINGS`.
    is_thinking : bool
        Whether the model thinks before it answers, where it has the switch.
    is_isolated : bool
        Whether turn 2 is asked in a fresh conversation that is told the prediction.
    asks_confidence : bool
        Whether turn 1 also asks for the probability of being right.
    reads_choice : bool
        Whether both turns ask for the marker alone, and the choice's probability is read.
    are_actions_swapped : bool
        Whether ``DECISION: 1`` means implement, and 0 escalate.
    has_filler : bool
        Whether a sentence as long as the cost statement stands in its place, and says no cost.
    has_other_signal : bool
        Whether the signal is that of another condition of the domain.
    """

    intervention: str = "baseline"
    has_signal: bool = True
    cost_ratio: float | None = None
    framing: str | None = None
    is_thinking: bool = False
    is_isolated: bool = False
    asks_confidence: bool = False
    reads_choice: bool = False
    are_actions_swapped: bool = False
    has_filler: bool = False
    has_other_signal: bool = False


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
    ask = (
        f"TASK: Predict {task.question}. Explain your reasoning in one sentence. "
        f"Then end with {closing}."
    )
    parts = [scenario, signal, ask] if protocol.has_signal else [scenario, ask]
    return "\n\n".join(parts)


def second_turn(
    protocol: Protocol, task: Task, scenario: str = "", signal: str = "", prediction: int = 0
) -> str:
    """Return the user's second message: the cost, if stated, and implement or escalate.

    Parameters
    ----------
    protocol, task : Protocol, Task
        What is asked, and its words.
    scenario, signal, prediction : str, str, int
        What turn 1 was about and what it predicted: stated again where turn 2 is isolated.
    """
    ask = (
        f"TASK: Implement your prediction, or escalate to {task.decider}? A decision counts as "
        f"correct if it implements a prediction that matches what {task.decider} decided, or "
        "escalates one that does not. Explain in one or two sentences. "
        f"Then end with exactly '{DECISION_MARKER} 0' (implement) or "
        f"'{DECISION_MARKER} 1' (escalate)."
    )
    if protocol.is_isolated:
        told = (
            f"Somebody predicted {task.question}: "
            f"{PREDICTION_MARKER} {task.choices[prediction]} ({task.meanings[prediction]})."
        )
        ask = "\n\n".join([scenario, *([signal] if protocol.has_signal else []), told, ask])
    if protocol.cost_ratio is None:
        return ask
    statement = FRAMINGS[protocol.framing or "ratio"].format(ratio=f"{protocol.cost_ratio:g}")
    return f"{statement}\n\n{ask}"
