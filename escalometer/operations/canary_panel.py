"""The panel of a canary: its prompts, how they are asked, and what an answer is compared by."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from escalometer.cases.task import DECISION_MARKER
from escalometer.config import Params
from escalometer.dialogue.elicitation.engine import Engine
from escalometer.dialogue.elicitation.keys import differences, request_of, request_parts
from escalometer.dialogue.elicitation.store import CompletionStore
from escalometer.dialogue.providers import Completion, Request
from escalometer.errors import DataError, UsageError
from escalometer.operations.canary_state import NO_ANSWER, CanaryState, Look, Mode

#: Stored answers that are looked at for each prompt of a panel: some are replicates of others.
_PER_PROMPT = 25

#: Log-probabilities are rounded to this: what is smaller is arithmetic. None is below the least.
_DIGITS, _LEAST = 3, -30.0


def look_of(
    answers: Sequence[tuple[Request, Completion]], engine: Engine, mode: Mode, at: str
) -> Look:
    """Return the look that the answers to a panel's requests are.

    Parameters
    ----------
    answers : sequence of (Request, Completion)
        In the order of the panel.
    engine : Engine
        Reads choices.
    mode : {"choices", "probabilities"}
        What is compared.
    at : str
        The time.
    """
    models = {a.resolved_model for _, a in answers if a.resolved_model}
    prints = {a.fingerprint for _, a in answers if a.fingerprint}
    choices = tokens = None
    if mode == "choices":
        choices = tuple(_choice(request, answer, engine) for request, answer in answers)
    else:
        tokens = tuple(_tokens(request, answer) for request, answer in answers)
    return Look(
        at=at,
        choices=choices,
        tokens=tokens,
        resolved_models=tuple(sorted(models)),
        fingerprints=tuple(sorted(prints)),
    )


def _choice(request: Request, answer: Completion, engine: Engine) -> int:
    if answer.finish == "error":
        return NO_ANSWER
    choice = engine.choice(answer, request)
    return len(request.choices) if choice is None else choice


def _tokens(request: Request, answer: Completion) -> dict[str, float] | None:
    found: Mapping[str, float] | None = answer.first_token
    if answer.probabilities is not None:
        logs = (math.log(p) if p > 0 else _LEAST for p in answer.probabilities)
        found = dict(zip(request.choices, logs, strict=True))
    if answer.finish == "error" or not found:
        return None
    return {token: round(max(p, _LEAST), _DIGITS) for token, p in found.items()}


def begin(
    model: str, engine: Engine, store: CompletionStore, params: Params, n_prompts: int
) -> CanaryState:
    """Return the record of a new panel: stored prompts with a choice, of both turns, by key.

    Parameters
    ----------
    model : str
        A card.
    engine, store : Engine, CompletionStore
        How the model is asked, and what it answered.
    params : Params
        Uses `canary`.
    n_prompts : int
        Size of the panel; it is smaller if the store has fewer prompts.

    Raises
    ------
    DataError
        If the store has no answer of this model.
    """
    mode: Mode = "choices" if engine.readable is None else "probabilities"
    by_turn: dict[bool, dict[Request, tuple[Request, Completion]]] = {False: {}, True: {}}
    for _, parts, answer in store.sample(engine.identity, _PER_PROMPT * n_prompts):
        request = request_of(parts)
        if engine.choice(answer, request) is not None:
            asked = _asked(request, engine)
            by_turn[request.marker == DECISION_MARKER].setdefault(asked, (request, answer))
    first, second = (list(found.items()) for found in by_turn.values())
    n_second = min(len(second), max(n_prompts // 2, n_prompts - len(first)))
    panel = [*first[: n_prompts - n_second], *second[:n_second]]
    if not panel:
        raise DataError(f"the store has no answer of {model} to request again: evaluate it first")
    stored = look_of([pair for _, pair in panel], engine, "choices", "")
    if mode == "probabilities":
        stored = stored.model_copy(update={"choices": None})
    return CanaryState(
        model=model,
        mode=mode,
        identity=dict(engine.identity),
        requests=tuple(_parts(asked, engine) for asked, _ in panel),
        stored=stored,
        n_baseline=params.canary.n_baseline,
        baseline_days=params.canary.baseline_days,
        alpha=params.canary.alpha,
    )


def _asked(request: Request, engine: Engine) -> Request:
    """Return the panel's request for a stored one: of one token, where that is enough."""
    request = replace(request, replicate=0)
    if engine.readable is None:
        return request
    request = replace(request, force_answer=False, is_thinking=False, reads_choice=False)
    if engine.readable == "choice":
        return replace(request, reads_choice=True)
    return replace(request, reads_first_token=True, max_tokens=1)


def _parts(request: Request, engine: Engine) -> dict[str, Any]:
    """Return a request's parts as JSON has them."""
    parts: dict[str, Any] = json.loads(
        json.dumps(request_parts(request, engine.parameters(request)))
    )
    return parts


def check_same(state: CanaryState, engine: Engine, n_prompts: int | None) -> None:
    """Raise UsageError where the record is of another model, panel or way of asking."""
    remedy = f"begin a new baseline: `escalometer store canary {state.model} --restart`"
    if n_prompts is not None and n_prompts != len(state.requests):
        raise UsageError(
            f"the panel of {state.model} has {len(state.requests)} prompts, and --n is for a new "
            f"one: leave it out, or {remedy}"
        )
    reasons = differences(dict(engine.identity), state.identity)
    if state.mode == "probabilities" and engine.readable is None:
        reasons.append("log-probabilities were compared, and the card no longer offers them")
    reasons = reasons or _changed(state.requests, engine)
    if reasons:
        raise UsageError(
            f"the canary of {state.model} was begun with other settings: {'; '.join(reasons)}. "
            f"Undo the change, or {remedy}"
        )


def _changed(requests: Iterable[Mapping[str, Any]], engine: Engine) -> list[str]:
    """Return differences of the first request that would not be sent as it was."""
    for stored in requests:
        parts = _parts(request_of(stored), engine)
        if parts != stored:
            return differences(parts, stored)
    return []
