"""An adaptive limit on concurrent requests: see `AdaptiveLimiter`.

All times are those of the event loop, which is monotonic: a clock that is set changes nothing, and
a loop with simulated time simulates the limiter.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_START = 16  # requests under way at first: 100 take three round trips
_RESTART = 8  # after the server was unavailable
_REGROWTH = 1 / 16  # share of the last good limit, per round trip, after an overload
_STEP = 0.25  # but not less: a server with capacity for one is tried with two every fourth time


@dataclass
class _Bucket:
    """A cap per minute as a token bucket, which any 60 seconds keep, the first included.

    The burst (a second's worth) comes off the refill. A request larger than the burst may start
    when the bucket is full, and leaves a debt.
    """

    per_minute: int
    level: float = 0.0
    at: float = 0.0

    def __post_init__(self) -> None:
        self.burst = max(1.0, self.per_minute // 60)
        refill = self.per_minute - self.burst if self.per_minute > 1 else 1.0
        self.rate = refill / 60
        self.level = self.burst

    def wait_s(self, n: float, now: float) -> float:
        """Return the seconds until `n` may be taken; 0 where they may be now."""
        if self.at:
            self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        missing = min(n, self.burst) - self.level
        return max(0.0, missing / self.rate) if missing > 1e-9 else 0.0


class AdaptiveLimiter:
    """A limit on requests under way that grows with answers and halves on overload.

    As TCP does it: doubling each round trip until the first overload, by a fixed step after; a
    second overload counts only if its request began after the first was heard of. See `Limiter`
    for what the engine uses of it.

    Parameters
    ----------
    max_in_flight : int
        The limit's limit.
    requests_per_minute, tokens_per_minute : int or None
        Caps on what is started in any 60 seconds.

    Attributes
    ----------
    limit : float
        How many requests may be under way now.
    n_in_flight : int
        How many are.
    """

    def __init__(
        self,
        max_in_flight: int,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
    ) -> None:
        self._max = float(max_in_flight)
        self.limit = min(float(_START), self._max)
        self.n_in_flight = 0
        self._borne = self._max  # below this, doubling is safe
        self._cut_at = float("-inf")
        self._paused_until = float("-inf")
        self._requests = _Bucket(requests_per_minute) if requests_per_minute else None
        self._tokens = _Bucket(tokens_per_minute) if tokens_per_minute else None
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def acquire(self, n_tokens: int = 0, is_urgent: bool = False) -> None:
        """Wait until one more request may start.

        Parameters
        ----------
        n_tokens : int
            About how many tokens it will take, for the cap on them.
        is_urgent : bool
            Whether it goes before all that wait: what was begun is ended first.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting and self._wait_s(n_tokens, loop.time()) == 0:
            self._start(n_tokens)
            return
        turn = loop.create_future()
        if is_urgent:
            self._waiting.appendleft((turn, n_tokens))
        else:
            self._waiting.append((turn, n_tokens))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Release the place of a request that has ended."""
        self.n_in_flight -= 1
        if self._waiting:
            self._admit()

    async def wait(
        self, delay_s: float, n_tokens: int = 0, until: asyncio.Event | None = None
    ) -> None:
        """Release a request's place for a time, then wait for one before all others.

        Not for so long if `until` is set before.

        The place is held again when this returns, and when it raises: who acquired it releases it.
        """
        with self._given_up():
            if until is None:
                await asyncio.sleep(delay_s)
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(until.wait(), delay_s)
            await self.acquire(n_tokens, is_urgent=True)
            self.n_in_flight -= 1  # `_given_up` takes it, without an await in between

    @contextmanager
    def _given_up(self) -> Iterator[None]:
        self.release()
        try:
            yield
        finally:
            self.n_in_flight += 1

    def succeeded(self) -> None:
        """Count an answer that came in good time."""
        if self.limit >= self._max or self.n_in_flight < self.limit / 2:
            return  # more would not be used: nothing was learnt about a higher limit
        step = 1.0 if self.limit < self._borne else max(_STEP, self._borne * _REGROWTH) / self.limit
        self.limit = min(self._max, self.limit + step)
        if self._waiting:
            self._admit()

    def overloaded(self, retry_after_s: float = 0.0, began_at: float | None = None) -> None:
        """Count an overload of the server: the limit halves, at most once a round trip.

        Parameters
        ----------
        retry_after_s : float
            How long nothing new may start, as the server said.
        began_at : float or None
            When the request was sent, in the loop's time: of what was under way when the limit
            was cut last, nothing cuts it again. None counts in any case.
        """
        now = asyncio.get_running_loop().time()
        if began_at is None or began_at > self._cut_at:
            self._cut_at = now
            self.limit = max(1.0, min(self.limit, float(self.n_in_flight)) / 2)
            self._borne = self.limit
        self.pause(retry_after_s)

    def away(self, delay_s: float) -> None:
        """Pause, since no server answers; then start few requests, then as before."""
        self.limit = min(self.limit, float(_RESTART))
        self.pause(delay_s)

    def pause(self, delay_s: float) -> None:
        """Start no request for a time."""
        until = asyncio.get_running_loop().time() + delay_s
        self._paused_until = max(self._paused_until, until)

    def _start(self, n_tokens: int) -> None:
        self.n_in_flight += 1
        if self._requests is not None:
            self._requests.level -= 1
        if self._tokens is not None:
            self._tokens.level -= n_tokens

    def _wait_s(self, n_tokens: int, now: float) -> float:
        """Return the seconds until another may start; infinite where one has to end first."""
        if self.n_in_flight >= int(self.limit):
            return float("inf")
        wait = max(0.0, self._paused_until - now)
        if self._requests is not None:
            wait = max(wait, self._requests.wait_s(1, now))
        if self._tokens is not None:
            wait = max(wait, self._tokens.wait_s(n_tokens, now))
        return wait

    def _admit(self) -> None:
        """Start what may start, in order; look again when time alone allows more."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._waiting:
            turn, n_tokens = self._waiting[0]
            if turn.done():  # given up
                self._waiting.popleft()
                continue
            wait = self._wait_s(n_tokens, now)
            if wait == 0:
                self._waiting.popleft()
                self._start(n_tokens)
                turn.set_result(None)
                continue
            if wait < float("inf"):
                if self._timer is not None:
                    self._timer.cancel()
                # A timer within the clock's resolution would fire before any time has passed.
                self._timer = loop.call_later(max(wait, 1e-3), self._admit)
            return
