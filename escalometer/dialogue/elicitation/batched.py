"""Batches of requests to a model on this machine, each batch's second turns right after it."""

from __future__ import annotations

from escalometer.dialogue.elicitation.budget import Budget
from escalometer.dialogue.elicitation.work import Keep, Work
from escalometer.dialogue.elicitation.writer import Writer
from escalometer.dialogue.providers import BatchProvider, Request


def run_batched(
    provider: BatchProvider, work: Work, keep: Keep, budget: Budget, writer: Writer | None
) -> None:
    """Ask all of `work`, and the turns that follow, in batches of similar lengths.

    The second turns of a batch are asked before the next batch, while the provider still has the
    first ones in its cache.

    Raises
    ------
    BudgetError
        If the budget leaves no room for the next request.
    """

    def length(item: tuple[str, Request]) -> tuple[int, int, str]:
        key, request = item
        return len(request.messages), sum(len(content) for _, content in request.messages), key

    waiting = sorted(work.items(), key=length)
    while waiting:
        size = provider.batch_size
        chunk, waiting = waiting[:size], waiting[size:]
        followers = _complete(provider, chunk, keep, budget, writer, len(waiting))
        _complete(
            provider, sorted(followers.items(), key=length), keep, budget, writer, len(waiting)
        )


def _complete(
    provider: BatchProvider,
    items: list[tuple[str, Request]],
    keep: Keep,
    budget: Budget,
    writer: Writer | None,
    n_waiting: int,
) -> Work:
    followers: Work = {}
    affordable = []
    for key, request in items:
        if not budget.reserve(request):
            break
        affordable.append((key, request))
    if affordable:
        for i, completion in provider.complete([request for _, request in affordable]):
            followers |= keep(*affordable[i], completion)
            if writer is not None:
                writer.check()
    if len(affordable) < len(items):
        raise budget.reached(len(items) - len(affordable) + len(followers) + n_waiting)
    return followers
