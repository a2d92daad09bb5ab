"""The canary: a fixed panel of prompts asked again on each scheduled day, past the store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from escalometer import layout
from escalometer.config import Params, Workspace, load_card
from escalometer.dialogue.asking import open_engine
from escalometer.dialogue.elicitation.engine import Engine
from escalometer.dialogue.elicitation.keys import request_of
from escalometer.dialogue.elicitation.store import open_store
from escalometer.documents import CanaryLook
from escalometer.operations import canary_numbers as numbers
from escalometer.operations.canary_panel import begin, check_same, look_of
from escalometer.operations.canary_state import CanaryState, Look, read_state, write_state
from escalometer.stats import drift


def look(
    model: str,
    params: Params,
    workspace: Workspace,
    now: datetime,
    restart: bool = False,
    *,
    again: bool = False,
    n_prompts: int | None = None,
) -> CanaryLook:
    """Return the result of one look at `model`; the first ones measure its own noise.

    The panel's prompts are asked and paid for; the store neither gives nor gets an answer. The
    record in .escalometer/canary/ is written after each complete round of answers, so that an
    interrupted baseline resumes.

    Parameters
    ----------
    model : str
        A card.
    params : Params
        Uses `canary`, `query` and `ask`; `canary` where a panel begins.
    workspace : Workspace
        Where the project and the completion store are.
    now : datetime
        With its time zone. A second look on the same day in UTC asks nothing.
    restart : bool
        Whether a new panel begins, with a new baseline. It replaces the record at its first answer.
    again : bool
        Whether to look although there was a look today, or drift was reported.
    n_prompts : int, optional
        Size of a new panel, in place of `canary.n_prompts`.

    Raises
    ------
    UsageError
        If the model has no price and that was not allowed, or the record is of another model,
        panel or version.
    DataError
        If the store has no answer of this model, or the record is damaged.
    BudgetError
        If the budget leaves no room for a whole round of answers.
    ProviderError
        If the model cannot be asked at all.
    """
    card = load_card(model, layout.cards_folder(workspace.root))
    workspace = replace(workspace, limits={**workspace.limits, "use_batches": False})
    path = layout.canary_file(model, workspace.root)
    state = None if restart else read_state(path)
    store = open_store(workspace.store)
    try:
        engine = open_engine(card, params, workspace, store)
        if state is None:
            state = begin(model, engine, store, params, n_prompts or params.canary.n_prompts)
        else:
            check_same(state, engine, n_prompts)
    finally:
        store.close()
    return _Watch(state, engine, path, now.astimezone(UTC), again).look()


class _Watch:
    """One call: the record, the engine, and how much was asked before."""

    def __init__(
        self, state: CanaryState, engine: Engine, path: Path, now: datetime, again: bool
    ) -> None:
        self._state = state
        self._engine = engine
        self._path = path
        self._now = now
        self._again = again
        self._spent = engine.spent

    def look(self) -> CanaryLook:
        state, today = self._state, self._now.date()
        if not state.is_measured:
            return self._measure(state.n_due(today, self._again))
        if not self._again:
            if state.drift_since is not None:
                return self._result("drift")
            if state.last is not None and state.last.day >= today:
                return self._result("looked today")
        found = self._ask()
        if not self._is_enough(found):
            return self._result("not enough answers", found)
        found = found.model_copy(update={"p_value": numbers.p_value(state, found)})
        state = state.model_copy(update={"looks": (*state.looks, found)})
        evidence = numbers.evidence(state)
        if state.drift_since is None and drift.is_alarm(evidence, state.alpha):
            since = str(state.looks[evidence.since].day)
            state = state.model_copy(update={"drift_since": since, "drift_at": found.at})
        self._keep(state)
        return self._result("no drift" if state.drift_since is None else "drift")

    def _measure(self, n_due: int) -> CanaryLook:
        """Ask for the baseline's answers that are due today."""
        for _ in range(n_due):
            found = self._ask()
            if not self._is_enough(found):
                return self._result("not enough answers", found)
            baseline = (*self._state.baseline, found)
            self._keep(self._state.model_copy(update={"baseline": baseline}))
        return self._result("baseline" if n_due else "looked today")

    def _ask(self) -> Look:
        requests = {str(i): request_of(parts) for i, parts in enumerate(self._state.requests)}
        answers = self._engine.ask_past_the_store(requests)
        pairs = [(requests[key], answers[key]) for key in requests]
        return look_of(pairs, self._engine, self._state.mode, self._now.isoformat())

    def _is_enough(self, found: Look) -> bool:
        return 2 * found.n_answered >= len(self._state.requests)

    def _keep(self, state: CanaryState) -> None:
        write_state(state, self._path)
        self._state = state

    def _result(self, status: Any, failed: Look | None = None) -> CanaryLook:
        """Return the document of the last look, or of one with too few answers."""
        state, last = self._state, failed or self._state.last
        compared = (
            None
            if failed
            else numbers.flips(state, state.looks[-1] if state.looks else state.stored)
        )
        evidence = numbers.evidence(state).value
        models, models_before = numbers.said(state, "resolved_models")
        prints, prints_before = numbers.said(state, "fingerprints")
        n_requests, cost_usd = self._engine.spent
        return CanaryLook(
            model=state.model,
            looked_at=last.at if last else self._now.isoformat(),
            mode=state.mode,
            status=status,
            n_prompts=len(state.requests),
            n_answered=last.n_answered if last else 0,
            n_flips=compared[0] if compared else None,
            expected_flips=compared[1] if compared else None,
            noise=numbers.noise(state),
            n_baseline=len(state.baseline),
            n_baseline_planned=state.n_baseline,
            n_looks=len(state.looks),
            p_value=state.looks[-1].p_value if state.looks and not failed else None,
            evidence=evidence,
            evidence_limit=drift.limit(state.alpha),
            drift_since=state.drift_since,
            drift_at=state.drift_at,
            resolved_models=models,
            resolved_models_before=models_before,
            fingerprints=prints,
            fingerprints_before=prints_before,
            notices=tuple(numbers.notices(state)),
            n_requests=n_requests - self._spent[0],
            cost_usd=cost_usd - self._spent[1],
        )
