"""Concurrent requests to a model behind a server, second turns first."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections import deque
from contextlib import AbstractAsyncContextManager

from escalometer.dialogue.elicitation.budget import Budget, worst_tokens
from escalometer.dialogue.elicitation.work import Keep, Work
from escalometer.dialogue.elicitation.writer import Writer
from escalometer.dialogue.providers import RemoteProvider, Request
from escalometer.errors import EscalometerError, Interrupted, Outage, ProviderError

#: Seconds for requests under way after a stop, and after a failure: most likely they are paid for.
GRACE_S, AFTER_FAILURE_S = 20.0, 60.0

#: After so many requests in a row without an answer, each retried, the model counts as gone.
MOST_FAILURES = 20

_LOOK_S = 0.2


def run_concurrently(
    provider: RemoteProvider, work: Work, keep: Keep, budget: Budget, writer: Writer | None
) -> None:
    """Ask all of `work`, and the turns that follow.

    Raises
    ------
    BudgetError
        If the budget leaves no room for the next request; those under way are waited for.
    ProviderError
        If the model cannot be asked at all; likewise.
    Interrupted
        On Ctrl-C or SIGTERM; those under way are waited for a few seconds.
    """
    asyncio.run(_ConcurrentRun(provider, work, keep, budget, writer).run())


class _ConcurrentRun:
    """A run that starts requests as the limiter, the budget and the store allow."""

    def __init__(
        self,
        provider: RemoteProvider,
        work: Work,
        keep: Keep,
        budget: Budget,
        writer: Writer | None,
    ) -> None:
        self._provider = provider
        self._keep = keep
        self._budget = budget
        self._writer = writer
        self._first = deque(work.items())
        self._second: deque[tuple[str, Request]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._failure: EscalometerError | None = None
        self._broken: BaseException | None = None
        self._stopped = asyncio.Event()
        self._n_failures = 0  # in a row

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        try:
            session = self._provider.session()
            if await self._entered(session):
                async with contextlib.AsyncExitStack() as stack:
                    stack.push_async_exit(session)
                    try:
                        await self._start_requests()
                    finally:
                        await self._end()
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
        if self._failure is not None:
            raise self._broken or self._failure

    async def _entered(self, session: AbstractAsyncContextManager[None]) -> bool:
        """Enter the session, which may start a server; return false if stopped before that."""
        entering = asyncio.ensure_future(session.__aenter__())
        stopped = asyncio.ensure_future(self._stopped.wait())
        await asyncio.wait({entering, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not entering.done():
            entering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await entering
            return False
        await entering
        return True

    def _stop(self) -> None:
        if self._failure is not None:  # asked twice: do not wait
            for task in self._under_way:
                task.cancel()
        elif self._under_way:
            print(
                f"stopping: {len(self._under_way)} requests are in flight and have "
                f"{GRACE_S:.0f} s; interrupt again to stop at once",
                file=sys.stderr,
            )
        self._fail(Interrupted("interrupted; all answers are kept: run the same command to resume"))

    def _fail(self, failure: EscalometerError) -> None:
        self._failure = self._failure or failure
        self._stopped.set()
        self._changed.set()

    async def _start_requests(self) -> None:
        while self._failure is None and (self._first or self._second or self._under_way):
            if self._writer is not None and self._writer.is_stuck:
                self._writer.check()
                await asyncio.sleep(_LOOK_S)
                continue
            waiting = self._second or self._first
            if not waiting:
                await self._change()
                continue
            request = waiting[0][1]
            if not self._budget.reserve(request):
                if not self._under_way:
                    raise self._budget.reached(len(self._first) + len(self._second))
                await self._change()
                continue
            if not await self._acquire(request):
                self._budget.settle(request, None)
                return
            # A second turn that came up while waiting goes first.
            if self._second and waiting is self._first:
                self._budget.settle(request, None)
                if self._budget.reserve(self._second[0][1]):
                    waiting = self._second
                elif not self._budget.reserve(request):
                    self._provider.limiter.release()
                    continue
            key, request = waiting.popleft()
            task = asyncio.create_task(self._ask(key, request))
            self._under_way.add(task)
            task.add_done_callback(self._end_of)

    async def _acquire(self, request: Request) -> bool:
        """Return true if a place was had before the run failed or was stopped."""
        n_tokens = sum(worst_tokens(request, self._budget.thinking_tokens))
        place = asyncio.ensure_future(self._provider.limiter.acquire(n_tokens))
        await asyncio.sleep(0)  # most places are free at once
        if not place.done():
            stopped = asyncio.ensure_future(self._stopped.wait())
            await asyncio.wait({place, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
        if self._failure is not None:
            if not place.cancel():
                self._provider.limiter.release()
            return False
        await place
        return True

    def _end_of(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = self._broken or error  # not the model's fault: the run cannot continue
            self._fail(ProviderError(f"stopped: {error}"))
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _ask(self, key: str, request: Request) -> None:
        try:
            completion = await self._provider.answer(request)
        except ProviderError as error:
            self._budget.settle(request, None)
            self._fail(error)
            return
        except asyncio.CancelledError:
            self._budget.settle(request, None)
            raise
        finally:
            self._provider.limiter.release()
        self._second.extend(self._keep(key, request, completion).items())
        self._n_failures = self._n_failures + 1 if completion.is_passing else 0
        if self._n_failures >= MOST_FAILURES:
            self._fail(
                Outage(
                    f"{self._n_failures} requests in a row got no answer, the last: "
                    f"{completion.error}. All answers are kept: run the same command to resume."
                )
            )

    async def _end(self) -> None:
        """Wait for requests under way; after a failure or a stop only for a while."""
        if self._under_way:
            is_stopped = isinstance(self._failure, Interrupted)
            _, late = await asyncio.wait(
                set(self._under_way), timeout=GRACE_S if is_stopped else AFTER_FAILURE_S
            )
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
