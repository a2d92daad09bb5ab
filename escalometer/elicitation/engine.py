"""Running two-turn dialogues: store first, model second, every dialogue accounted for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from escalometer.elicitation.store import CompletionStore, request_key
from escalometer.parsing import BINARY, DECISION_MARKER, PREDICTION_MARKER, parse_marker
from escalometer.protocol import Protocol, Task, first_turn, second_turn
from escalometer.providers import BatchProvider, Completion, Request


@dataclass(frozen=True)
class Dialogue:
    """One dialogue to hold: a scenario under a condition, in one variant of the protocol."""

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
    """How answers are asked for and read: budget in tokens, closing, which marker counts, prices.

    `input_usd` and `output_usd` are dollars a token.
    """

    max_tokens: int
    force_answer: bool
    counts_marker: Literal["first", "last"]
    input_usd: float = 0.0
    output_usd: float = 0.0


def _ignore(_n: int, _free: bool) -> None:
    """Take no notice of progress."""


@dataclass
class Tally:
    """Counts of one run: answers that the model gave now, and answers that the store had."""

    n_called: int = 0
    n_stored: int = 0


class Engine:
    """Holds dialogues with one model.

    Parameters
    ----------
    provider : Provider
        The model.
    store : CompletionStore
        Asked before the model; given every answer at once.
    answering : Answering
        How answers are asked for and read.
    """

    def __init__(
        self, provider: BatchProvider, store: CompletionStore, answering: Answering
    ) -> None:
        self._provider = provider
        self._store = store
        self._answering = answering
        self._on_answer: Callable[[int, bool], None] = _ignore
        self.tally = Tally()

    def n_answers(self, dialogues: Sequence[Dialogue]) -> int:
        """Return how many answers the dialogues need: shared turns count once."""
        first = {d: self._key(self._first_request(d)) for d in dialogues}
        second = {(first[d], second_turn(d.protocol, d.task)) for d in dialogues}
        return len(set(first.values())) + len(second)

    def hold(
        self, dialogues: Sequence[Dialogue], on_answer: Callable[[int, bool], None]
    ) -> list[dict[str, Any]]:
        """Return one row of the decisions table for each dialogue, in the order given.

        Parameters
        ----------
        dialogues : sequence of Dialogue
            What to ask. Dialogues with the same first turn share its completion.
        on_answer : callable
            ``on_answer(n, free)`` is called when `n` more of `n_answers` are settled; `free` where
            that took no call: the store had them, or the first turn left nothing to ask.
        """
        self._on_answer = on_answer
        rows: dict[int, dict[str, Any]] = {}
        for chunk in self._chunks(dialogues):
            first = [self._first_request(dialogues[i]) for i in chunk]
            predictions = self._ask(first)
            second = {
                i: self._second_request(dialogues[i], request, answer.text)
                for i, request, answer in zip(chunk, first, predictions, strict=True)
                if self._choice(answer, request) is not None
            }
            skipped = {
                (self._key(request), second_turn(dialogues[i].protocol, dialogues[i].task))
                for i, request in zip(chunk, first, strict=True)
                if i not in second
            }
            on_answer(len(skipped), True)
            decisions = dict(zip(second, self._ask(list(second.values())), strict=True))
            for i, request, answer in zip(chunk, first, predictions, strict=True):
                rows[i] = self._row(dialogues[i], request, answer, second.get(i), decisions.get(i))
        return [rows[i] for i in range(len(dialogues))]

    def _chunks(self, dialogues: Sequence[Dialogue]) -> Iterator[list[int]]:
        """Yield indices of dialogues that fill one batch of first turns, similar lengths together.

        What the store has comes first, and apart, so that a resumed run fills its batches.
        """
        requests = [self._first_request(dialogue) for dialogue in dialogues]
        keys = [self._key(request) for request in requests]
        stored = self._store.get(set(keys))

        def rank(i: int) -> tuple[bool, int, str]:
            return keys[i] not in stored, len(requests[i].messages[0][1]), keys[i]

        chunk: list[int] = []
        n_first = 0
        was_new = False
        for key, group in groupby(sorted(range(len(dialogues)), key=rank), key=lambda i: keys[i]):
            is_new = key not in stored
            if chunk and (n_first == self._provider.batch_size or is_new != was_new):
                yield chunk
                chunk, n_first = [], 0
            chunk.extend(group)
            n_first += 1
            was_new = is_new
        if chunk:
            yield chunk

    def _first_request(self, dialogue: Dialogue) -> Request:
        prompt = first_turn(dialogue.protocol, dialogue.task, dialogue.scenario, dialogue.signal)
        messages = (("user", prompt),)
        return self._request(dialogue, messages, PREDICTION_MARKER, dialogue.task.choices)

    def _second_request(self, dialogue: Dialogue, first: Request, answer: str) -> Request:
        prompt = second_turn(dialogue.protocol, dialogue.task)
        messages = (*first.messages, ("assistant", answer), ("user", prompt))
        return self._request(dialogue, messages, DECISION_MARKER, BINARY)

    def _request(
        self,
        dialogue: Dialogue,
        messages: tuple[tuple[str, str], ...],
        marker: str,
        choices: tuple[str, ...],
    ) -> Request:
        return Request(
            messages=messages,
            marker=marker,
            max_tokens=self._answering.max_tokens,
            force_answer=self._answering.force_answer,
            is_thinking=dialogue.protocol.is_thinking,
            replicate=dialogue.replicate,
            choices=choices,
        )

    def _key(self, request: Request) -> str:
        return request_key(self._provider.identity, request)

    def _ask(self, requests: Sequence[Request]) -> list[Completion]:
        """Return a completion for each request; equal requests are asked once."""
        identity = self._provider.identity
        keys = [self._key(request) for request in requests]
        by_key = dict(zip(keys, requests, strict=True))
        found = self._store.get(by_key)
        self.tally.n_stored += len(found)
        self._on_answer(len(found), True)
        missing = [(key, request) for key, request in by_key.items() if key not in found]
        if missing:
            for i, completion in self._provider.complete([request for _, request in missing]):
                key, request = missing[i]
                if completion.finish != "error":  # errors are asked again next time
                    self._store.put(identity, request, completion)
                found[key] = completion
                self.tally.n_called += 1
                self._on_answer(1, False)
        return [found[key] for key in keys]

    def _choice(self, answer: Completion | None, request: Request | None) -> int | None:
        """Return the index of the choice that `answer` to `request` states, if any."""
        if answer is None or request is None or answer.finish in ("refused", "error"):
            return None
        which = self._answering.counts_marker
        return parse_marker(answer.text, request.marker, which, request.choices)

    def _status(self, answers: Sequence[Completion], is_complete: bool) -> str:
        last = answers[-1]
        if last.finish in ("refused", "error"):
            return last.finish
        if not is_complete:
            return "truncated" if last.finish == "length" else "unparsed"
        return "forced" if any(answer.finish == "forced" for answer in answers) else "ok"

    def _row(
        self,
        dialogue: Dialogue,
        first: Request,
        predicted: Completion,
        second: Request | None,
        decided: Completion | None,
    ) -> dict[str, Any]:
        escalate = self._choice(decided, second)
        answers = [predicted] if decided is None else [predicted, decided]
        n_prompt = sum(answer.n_prompt_tokens for answer in answers)
        n_completion = sum(answer.n_completion_tokens for answer in answers)
        protocol, how = dialogue.protocol, self._answering
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
            "reasoning_effort": None,
            "cost_ratio": protocol.cost_ratio,
            "framing": protocol.framing,
            "force_answer": how.force_answer,
            "label": dialogue.label,
            "prediction": self._choice(predicted, first),
            "escalate": escalate,
            "status": self._status(answers, escalate is not None),
            "detail": None,
            "stated_confidence": None,
            "prediction_probability": None,
            "escalate_probability": None,
            "resolved_model": None,
            "prompt": first.messages[-1][1],
            "prediction_text": predicted.text,
            "decision_prompt": second.messages[-1][1] if second else None,
            "decision_text": decided.text if decided else None,
            "prediction_thinking": None,
            "decision_thinking": None,
            "n_prompt_tokens": n_prompt,
            "n_completion_tokens": n_completion,
            "cost_usd": n_prompt * how.input_usd + n_completion * how.output_usd,
            "latency_s": sum(answer.latency_s for answer in answers),
        }
