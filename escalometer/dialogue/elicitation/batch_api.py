"""Requests in a server's batches: turn 1 as one batch, turn 2 as the next, at half the price.

A batch takes up to a day, and this process need not wait for it: submitted batches are recorded in
the store, and the next run resumes them. A batch that holds requests which this run does not want
stays open for a run that does.
"""

from __future__ import annotations

import asyncio
import sys
import time

from escalometer.dialogue.elicitation.budget import Budget
from escalometer.dialogue.elicitation.store import CompletionStore
from escalometer.dialogue.elicitation.work import Keep, Work
from escalometer.dialogue.elicitation.writer import Writer
from escalometer.dialogue.providers import BatchApi, RemoteProvider
from escalometer.errors import ProviderError, UsageError

#: Seconds between two polls of a batch: at first, and at the most.
FIRST_LOOK_S, MOST_S = 0.5, 60.0

#: How often a request is submitted that its batch had no result for.
_MOST_ROUNDS = 3


def run_batches(
    provider: RemoteProvider,
    work: Work,
    keep: Keep,
    budget: Budget,
    writer: Writer,
    store: CompletionStore,
    run: str,
) -> None:
    """Ask all of `work`, and the turns that follow, in as few batches as the server allows.

    Raises
    ------
    BudgetError
        If the budget leaves no room for all requests; those that it has room for are asked.
    ProviderError
        If the server does not take a batch or gives no results.
    UsageError
        If the provider has no batches.
    """
    if provider.batches is None:
        raise UsageError("the provider of this model has no batch API: remove --batch")
    asyncio.run(_Batches(provider, keep, budget, writer, store, run).all(work))


class _Batches:
    def __init__(
        self,
        provider: RemoteProvider,
        keep: Keep,
        budget: Budget,
        writer: Writer,
        store: CompletionStore,
        run: str,
    ) -> None:
        self._provider = provider
        self._keep = keep
        self._budget = budget
        self._writer = writer
        self._store = store
        self._run = run

    async def all(self, work: Work) -> None:
        async with self._provider.session():
            api = self._provider.batches
            assert api is not None  # noqa: S101 - for the type checker
            while work:
                work = await self._round(api, work)

    async def _round(self, api: BatchApi, work: Work) -> Work:
        """Return the requests that follow from those of `work`, all of which are answered then."""
        followers: Work = {}
        for attempt in range(1, _MOST_ROUNDS + 1):
            batches = self._resumed(work)
            resumed_keys = {key for keys in batches.values() for key in keys}
            asked, n_left = self._affordable(
                {k: r for k, r in work.items() if k not in resumed_keys}
            )
            for keys, content in api.split(asked):
                # The same for the same requests, so that a batch whose creation was not noted any
                # more is found again; another one once that batch has ended.
                label = api.labelled(keys, self._store.n_batches(keys))
                name = await api.submit(content, label)
                self._store.note_batch(name, self._provider.identity, self._run, keys)
                batches[name] = keys
            lost: Work = {}
            for name, keys in batches.items():
                wanted = {key: work[key] for key in keys}
                await self._wait(api, name, len(keys))
                async for key, completion in api.collect(name, wanted):
                    if completion.is_passing and attempt < _MOST_ROUNDS:
                        lost[key] = work[key]
                        self._budget.settle(work[key], None)
                    else:
                        followers |= self._keep(key, work[key], completion)
                    self._writer.check()
                self._writer.flush()  # only then may the batch be forgotten
                self._store.close_batch(name)
            if n_left:
                raise self._budget.reached(n_left + len(lost) + len(followers))
            if not lost:
                break
            work = lost
        return followers

    def _resumed(self, work: Work) -> dict[str, list[str]]:
        """Return batches of earlier runs whose requests are all wanted now, with their keys."""
        batches: dict[str, list[str]] = {}
        for name, keys in self._store.open_batches(self._provider.identity):
            if keys and all(key in work for key in keys):
                batches[name] = keys
                for key in keys:
                    self._budget.reserve(work[key], is_certain=True)
        if batches:
            print(f"resuming {len(batches)} batches that were submitted before", file=sys.stderr)
        return batches

    def _affordable(self, work: Work) -> tuple[Work, int]:
        asked: Work = {}
        for key, request in work.items():
            if not self._budget.reserve(request):
                break
            asked[key] = request
        return asked, len(work) - len(asked)

    async def _wait(self, api: BatchApi, name: str, n_requests: int) -> None:
        look_s, last_line, began = FIRST_LOOK_S, "", time.monotonic()
        while True:
            state = await api.poll(name)
            line = f"batch {name}: {state.status}, {state.n_completed}/{n_requests} done"
            if line != last_line:
                waited = f", {time.monotonic() - began:.0f} s" if last_line else ""
                print(
                    f"{line}{waited} (you can stop waiting: run the same command later)",
                    file=sys.stderr,
                )
                last_line = line
            if state.state == "done":
                return
            if state.state == "failed":
                self._store.close_batch(name)
                raise ProviderError(f"batch {name} failed: {state.error}; run this again")
            await asyncio.sleep(look_s)
            look_s = min(MOST_S, look_s * 1.5)
