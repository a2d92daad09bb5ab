"""The engine of two-turn dialogues: the store is asked first, then the model.

Dialogues with the same first turn share its completion. Turn 2 follows turn 1 at once, whichever
way the model is asked: in batches on this machine (`batched`), many at a time behind a server
(`concurrent`), or as a server's own batches (`batch_api`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from escalometer.cases.task import BINARY, DECISION_MARKER, PREDICTION_MARKER
from escalometer.dialogue.elicitation.batch_api import run_batches
from escalometer.dialogue.elicitation.batched import run_batched
from escalometer.dialogue.elicitation.budget import Budget
from escalometer.dialogue.elicitation.concurrent import run_concurrently
from escalometer.dialogue.elicitation.keys import Keys
from escalometer.dialogue.elicitation.rows import Answering, Dialogue, row
from escalometer.dialogue.elicitation.store import KEY_START, CompletionStore, Entry
from escalometer.dialogue.elicitation.work import Keep, Work
from escalometer.dialogue.elicitation.writer import Writer
from escalometer.dialogue.protocol import actions, as_typed, first_turn, second_turn
from escalometer.dialogue.providers import (
    BatchProvider,
    Completion,
    Readable,
    RemoteProvider,
    Request,
    is_typed,
)
from escalometer.errors import UsageError
from escalometer.runtime.garbage_collection import without_garbage_collection

OnAnswer = Callable[[int, bool], None]


@dataclass
class Tally:
    """Counts of one run.

    Attributes
    ----------
    n_called, n_stored : int
        Answers that the model gave now, and those that the store had.
    n_passing : int
        Requests that the provider failed on, and may not next time: not kept in the store.
    """

    n_called: int = 0
    n_stored: int = 0
    n_passing: int = 0


@dataclass
class Plan:
    """The requests of some dialogues, and their answers so far.

    Attributes
    ----------
    dialogues : sequence of Dialogue
        What is to be held.
    first : list of str
        Key of each dialogue's first turn.
    requests : dict of str to Request
        All requests known so far; second turns are known once the first is answered.
    answers : dict of str to Completion
        All answers so far.
    second : dict of int to str
        Key of the second turn, by the dialogue's index.
    is_first_only : bool
        Whether the dialogues end after turn 1.
    """

    dialogues: Sequence[Dialogue]
    is_first_only: bool = False
    first: list[str] = field(default_factory=list)
    requests: dict[str, Request] = field(default_factory=dict)
    answers: dict[str, Completion] = field(default_factory=dict)
    second: dict[int, str] = field(default_factory=dict)
    of_first: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def missing(self) -> Work:
        """Return the known requests that have no answer."""
        return {key: req for key, req in self.requests.items() if key not in self.answers}


class Engine:
    """An engine that runs dialogues with one model.

    Parameters
    ----------
    provider : BatchProvider or RemoteProvider
        The model.
    store : CompletionStore
        Asked before the model; given every answer at once.
    answering : Answering
        How answers are asked for and read.
    budget : Budget, optional
        What may be spent; by default there is no cap.
    retry : frozenset of str
        Outcomes (`rows.OUTCOMES`) whose kept answers are asked for again.
    retry_before : str, optional
        Time from which on kept answers are not asked for again.
    run : str
        Whose budget pays.
    holder : str
        Name of this process's share of the budget, where others spend from the same one.
    """

    def __init__(
        self,
        provider: BatchProvider | RemoteProvider,
        store: CompletionStore,
        answering: Answering,
        *,
        budget: Budget | None = None,
        retry: frozenset[str] = frozenset(),
        retry_before: str | None = None,
        run: str = "",
        holder: str = "",
    ) -> None:
        self._provider = provider
        self._is_typed = is_typed(provider)
        self._store = store
        forces = answering.force_answer and provider.can_force
        self._answering = replace(answering, force_answer=forces)
        self._budget = budget or Budget(price=answering.price)
        self._retry = retry
        self._retry_before = retry_before
        self._run = run
        self._holder = holder
        self._keys = Keys(provider)
        self.tally = Tally()

    @property
    def identity(self) -> Mapping[str, str]:
        """The model's identity, which is part of every key."""
        return self._provider.identity

    @property
    def is_batch(self) -> bool:
        """True if the server's batches are used."""
        return self._budget.is_batch

    def parameters(self, request: Request) -> Mapping[str, Any]:
        """Return the parameters that are sent with `request` beside its messages."""
        return self._provider.parameters(request)

    def choice(self, answer: Completion, request: Request) -> int | None:
        """Return the index of the choice that `answer` states, if any."""
        return self._answering.choice(answer, request)

    @property
    def readable(self) -> Readable | None:
        """The probabilities that a request for one token returns; see `Provider`."""
        return self._provider.readable

    @property
    def spent(self) -> tuple[int, float]:
        """The number of requests of this run so far, and their cost in dollars."""
        return self._budget.n_requests, self._budget.cost_usd

    def ask_past_the_store(self, work: Work) -> dict[str, Completion]:
        """Return fresh answers by key; the store neither gives nor gets any.

        Raises
        ------
        BudgetError
            Before anything is asked, if the budget leaves no room for all: nothing keeps a part.
        ProviderError
            If the model cannot be asked at all.
        """
        if not self._budget.has_room(work.values()):
            raise self._budget.too_small(len(work))
        answers: dict[str, Completion] = {}

        def keep(key: str, request: Request, completion: Completion) -> Work:
            answers[key] = completion
            self._budget.settle(request, completion)
            return {}

        self._drive(work, keep, None)
        return answers

    @without_garbage_collection()
    def plan(self, dialogues: Sequence[Dialogue], is_first_only: bool = False) -> Plan:
        """Return the dialogues' requests with the answers that the store has."""
        plan = Plan(dialogues, is_first_only)
        for i, dialogue in enumerate(dialogues):
            request = self._first_request(dialogue)
            key = self._keys(request)
            plan.first.append(key)
            plan.requests[key] = request
            plan.of_first[key].append(i)
        stored = self._stored(plan.requests)
        plan.answers |= stored
        second: Work = {}
        for key in stored:
            second |= self._follow(plan, key)
        plan.answers |= self._stored(second)
        self.tally.n_stored += len(plan.answers)
        return plan

    def n_answers(self, plan: Plan) -> int:
        """Return the number of answers that the dialogues need: shared turns count once."""
        if plan.is_first_only:
            return len(plan.of_first)
        return len(plan.of_first) + len(
            {
                (key, self._second_text(d, 0))
                for key, d in zip(plan.first, plan.dialogues, strict=True)
            }
        )

    def hold(self, plan: Plan, on_answer: OnAnswer) -> list[dict[str, Any]]:
        """Return one row of the decisions table for each dialogue, in the order given.

        Rows of dialogues that end after turn 1 lack what turn 2 would say.

        Parameters
        ----------
        plan : Plan
            From `plan`.
        on_answer : callable
            ``on_answer(n, free)`` is called when `n` more of `n_answers` are settled; `free` where
            that took no call: the store had them, or the first turn left nothing to ask.

        Raises
        ------
        BudgetError
            If the budget leaves no room for the next request.
        ProviderError
            If the model cannot be asked at all.
        UsageError
            If answers cannot be kept.
        """
        on_answer(len(plan.answers), True)
        for key in list(plan.answers):
            on_answer(self._n_skipped(plan, key), True)
        if work := plan.missing():
            writer = Writer(self._store)
            if self._holder and self._budget.has_cap:
                self._budget.shared = self._shared_budget(writer)
            try:
                self._ask(plan, work, writer, on_answer)
            finally:
                writer.close()
        return self._rows(plan)

    def _shared_budget(self, writer: Writer) -> Callable[[int, float], bool]:
        """Return what asks the store for a share of the budget; see `Budget.shared`."""
        budget = self._budget

        def shared(n_requests: int, cost_usd: float) -> bool:
            writer.flush()  # what was spent is in the store, and need not be reserved any more
            is_left = self._store.reserve(
                self._run,
                self._holder,
                n_requests,
                cost_usd,
                max_requests=budget.max_requests,
                max_cost_usd=budget.max_cost_usd,
            )
            if not is_left:
                budget.n_requests, budget.cost_usd = self._store.spent(self._run)
            return is_left

        return shared

    def _ask(self, plan: Plan, work: Work, writer: Writer, on_answer: OnAnswer) -> None:
        identity = self._provider.identity

        # A look at the store for each second turn would hold up the answers that come in meanwhile.
        known = self._store.keys(identity)

        def keep(key: str, request: Request, completion: Completion) -> Work:
            plan.answers[key] = completion
            cost = self._budget.settle(request, completion)
            self.tally.n_called += 1
            if completion.is_passing:
                self.tally.n_passing += 1
            else:
                parameters = self._provider.parameters(request)
                writer.keep(
                    Entry(
                        key,
                        identity,
                        request,
                        parameters,
                        completion,
                        self._run,
                        cost,
                        replaces=bool(self._retry),
                    )
                )
            on_answer(1, False)
            on_answer(self._n_skipped(plan, key), True)
            second = self._follow(plan, key)
            stored = self._stored({k: r for k, r in second.items() if k[:KEY_START] in known})
            if stored:
                plan.answers |= stored
                self.tally.n_stored += len(stored)
                on_answer(len(stored), True)
                second = {k: r for k, r in second.items() if k not in stored}
            return second

        self._drive(work, keep, writer)

    def _drive(self, work: Work, keep: Keep, writer: Writer | None) -> None:
        if isinstance(self._provider, RemoteProvider) and self.is_batch and writer is not None:
            run_batches(self._provider, work, keep, self._budget, writer, self._store, self._run)
        elif isinstance(self._provider, RemoteProvider):
            run_concurrently(self._provider, work, keep, self._budget, writer)
        else:
            run_batched(self._provider, work, keep, self._budget, writer)

    def _follow(self, plan: Plan, key: str) -> Work:
        """Return the second turns that follow an answered first one."""
        found: Work = {}
        if plan.is_first_only:
            return found
        answer = plan.answers[key]
        for i in plan.of_first.get(key, ()):
            dialogue, request = plan.dialogues[i], plan.requests[key]
            prediction = self._answering.choice(answer, request)
            if prediction is None:
                continue
            second = self._second_request(dialogue, request, answer.text, prediction)
            plan.second[i] = second_key = self._keys(second)
            if second_key not in plan.requests:  # else it is under way, or answered
                plan.requests[second_key] = found[second_key] = second
        return found

    def _n_skipped(self, plan: Plan, key: str) -> int:
        """Return the number of second turns without a question, since turn 1 has no choice."""
        if key not in plan.of_first or plan.is_first_only:
            return 0
        if self._answering.choice(plan.answers[key], plan.requests[key]) is not None:
            return 0
        return len({self._second_text(plan.dialogues[i], 0) for i in plan.of_first[key]})

    def _stored(self, requests: Mapping[str, Request]) -> dict[str, Completion]:
        found = self._store.get(requests)
        if not self._retry:
            return found
        before = self._retry_before
        recent = set() if before is None else self._store.stored_since(before, found)
        return {
            key: answer
            for key, answer in found.items()
            if key in recent or self._answering.outcome(answer, requests[key]) not in self._retry
        }

    def _asked(self, dialogue: Dialogue) -> Dialogue:
        """Return the dialogue in the form in which this model is asked."""
        if not self._is_typed:
            return dialogue
        if dialogue.protocol.system is not None:
            raise UsageError(
                f"a decision model takes no system prompt: ask {self.identity['model']} without "
                f"the intervention {dialogue.protocol.intervention}"
            )
        return replace(dialogue, protocol=as_typed(dialogue.protocol))

    def _first_request(self, dialogue: Dialogue) -> Request:
        dialogue = self._asked(dialogue)
        prompt = first_turn(dialogue.protocol, dialogue.task, dialogue.scenario, dialogue.signal)
        messages = (*_system(dialogue), ("user", prompt))
        task = dialogue.task
        return self._request(dialogue, messages, PREDICTION_MARKER, task.choices, task.meanings)

    def _second_request(
        self, dialogue: Dialogue, first: Request, answer: str, prediction: int
    ) -> Request:
        dialogue = self._asked(dialogue)
        messages: tuple[tuple[str, str], ...] = (("user", self._second_text(dialogue, prediction)),)
        if dialogue.protocol.is_isolated:
            messages = (*_system(dialogue), *messages)
        else:
            messages = (*first.messages, ("assistant", answer), *messages)
        meanings = actions(dialogue.protocol, dialogue.task)
        return self._request(dialogue, messages, DECISION_MARKER, BINARY, meanings)

    def _second_text(self, dialogue: Dialogue, prediction: int) -> str:
        dialogue = self._asked(dialogue)
        return second_turn(
            dialogue.protocol, dialogue.task, dialogue.scenario, dialogue.signal, prediction
        )

    def _request(
        self,
        dialogue: Dialogue,
        messages: tuple[tuple[str, str], ...],
        marker: str,
        choices: tuple[str, ...],
        meanings: tuple[str, ...],
    ) -> Request:
        return Request(
            messages=messages,
            marker=marker,
            max_tokens=self._answering.max_tokens,
            force_answer=self._answering.force_answer,
            is_thinking=dialogue.protocol.is_thinking,
            replicate=dialogue.replicate,
            choices=choices,
            reads_choice=dialogue.protocol.reads_choice,
            meanings=meanings if self._is_typed else (),
        )

    def finished(self, plan: Plan) -> list[dict[str, Any]]:
        """Return the rows of those dialogues that have all of their answers."""
        return self._rows(plan, only_finished=True)

    def _rows(self, plan: Plan, only_finished: bool = False) -> list[dict[str, Any]]:
        made = []
        for i, (key, dialogue) in enumerate(zip(plan.first, plan.dialogues, strict=True)):
            keys = [key, *([plan.second[i]] if i in plan.second else [])]
            if only_finished and not all(k in plan.answers for k in keys):
                continue
            turns = [(plan.requests[k], plan.answers[k]) for k in keys]
            made.append(
                row(dialogue, self._answering, turns, self._provider.parameters(turns[0][0]))
            )
        return made


def _system(dialogue: Dialogue) -> tuple[tuple[str, str], ...]:
    """Return the message before a conversation: the deployer's prompt, where there is one."""
    text = dialogue.protocol.system
    return () if text is None else (("system", text),)
