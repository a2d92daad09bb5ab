"""Requests to a model: the engine for a card and its budget, and a run with progress.

Every stage and command that asks a model does it by these functions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from escalometer.config import AskParams, ModelCard, Params, Workspace
from escalometer.dialogue.elicitation.budget import Budget
from escalometer.dialogue.elicitation.engine import Engine, Plan
from escalometer.dialogue.elicitation.rows import Answering
from escalometer.dialogue.elicitation.store import CompletionStore, open_store
from escalometer.dialogue.providers import RemoteProvider, connect
from escalometer.errors import UsageError
from escalometer.runtime.interruption import Interruption
from escalometer.runtime.progress import progress


@contextlib.contextmanager
def asking_store(workspace: Workspace, *models: str) -> Iterator[CompletionStore]:
    """Yield the completion store, to ask these models: no other process does so meanwhile."""
    store = open_store(workspace.store)
    try:
        with store.asking(*models):
            yield store
    finally:
        store.close()


def run_dialogues(
    engine: Engine, plan: Plan, title: str, interruption: Interruption
) -> list[dict[str, Any]]:
    """Return the rows of a plan's dialogues, with a progress bar; an interruption ends the run."""
    with progress(title, engine.n_answers(plan), "answers") as bar:

        def on_answer(n: int, free: bool) -> None:
            bar.advance(n, free=free)
            interruption.check()

        return engine.hold(plan, on_answer)


def open_engine(
    card: ModelCard,
    params: Params,
    workspace: Workspace,
    store: CompletionStore,
    holder: str = "",
) -> Engine:
    """Return the engine that asks the model of `card` within the limits of the run.

    Other processes spend from the same limits if `holder` names the share of this one.

    Raises
    ------
    UsageError
        If the model has no price and that was not allowed, or has no batches and they are wanted.
    """
    limits = workspace.asking(params)
    check_price(card, limits)
    provider = connect(card, workspace)
    is_batch = limits.use_batches and isinstance(provider, RemoteProvider)
    if is_batch and not (card.endpoint and card.endpoint.has_batches):
        raise UsageError(
            f"models/{card.id}.yaml does not declare a batch API (endpoint.has_batches)"
        )
    n_requests, cost_usd = store.spent(workspace.run)
    budget = Budget(
        max_cost_usd=limits.max_cost_usd,
        max_requests=limits.max_requests,
        price=card.price,
        thinking_tokens=card.thinking.max_tokens if card.thinking else 0,
        is_batch=is_batch,
        cost_usd=cost_usd,
        n_requests=n_requests,
    )
    answering = Answering(
        max_tokens=max(params.query.max_tokens, card.answer_tokens),
        force_answer=params.query.force_answer,
        counts_marker=card.counts_marker,
        price=card.price,
        is_batch=is_batch,
    )
    return Engine(
        provider,
        store,
        answering,
        budget=budget,
        retry=workspace.retry,
        retry_before=workspace.retry_before,
        run=workspace.run,
        holder=holder,
    )


def check_price(card: ModelCard, limits: AskParams) -> None:
    """Raise UsageError if the card has no price and `allow_unpriced` is off."""
    if card.price is None and not limits.allow_unpriced:
        raise UsageError(
            f"models/{card.id}.yaml has no price, so the cost cannot be limited: add the price, "
            "or allow it: `evaluate --allow-unpriced` or ESCALOMETER_ALLOW_UNPRICED=1 for one run, "
            "ask.allow_unpriced in params.yaml for all"
        )
