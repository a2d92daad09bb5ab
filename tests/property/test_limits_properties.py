"""The limiter, with simulated time: it finds what a server bears and keeps every cap."""

from __future__ import annotations

import asyncio
import random
import selectors

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from escalometer.dialogue.remote.limits import AdaptiveLimiter


class _NoWait(selectors.DefaultSelector):
    """A selector that does not wait, but says for how long it would have."""

    asked_s = 0.0

    def select(self, timeout=None):
        self.asked_s += timeout or 0.0
        return super().select(0)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while nothing can be done."""

    def __init__(self):
        self._waits = _NoWait()
        super().__init__(self._waits)

    def time(self):
        return self._waits.asked_s


def simulate(main):
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(main)


class Served:
    """A server that bears `capacity` requests at a time and refuses the others at once."""

    def __init__(self, limiter, capacity=10**9, latency_s=0.1, retry_after_s=0.0):
        self.limiter, self.capacity, self.latency_s = limiter, capacity, latency_s
        self.retry_after_s = retry_after_s
        self.n_now = self.peak = self.n_refused = 0
        self.starts: list[tuple[float, int]] = []

    async def ask(self, n_tokens=0):
        time = asyncio.get_running_loop().time
        await self.limiter.acquire(n_tokens)
        try:
            while not await self._attempt(time, n_tokens):
                await self.limiter.wait(random.uniform(0.05, 0.2), n_tokens)  # noqa: S311
        finally:
            self.limiter.release()

    async def _attempt(self, time, n_tokens):
        self.starts.append((time(), n_tokens))
        began_at = time()
        if self.n_now >= self.capacity:
            self.n_refused += 1
            self.limiter.overloaded(self.retry_after_s, began_at)
            return False
        self.n_now += 1
        self.peak = max(self.peak, self.n_now)
        try:
            await asyncio.sleep(self.latency_s)
        finally:
            self.n_now -= 1
        self.limiter.succeeded()
        return True


def test_a_hundred_are_under_way_within_half_a_second():
    async def main():
        limiter = AdaptiveLimiter(100)
        server = Served(limiter)
        asking = [asyncio.ensure_future(server.ask()) for _ in range(4000)]
        await asyncio.sleep(0.5)
        assert server.n_now == 100
        await asyncio.gather(*asking)
        assert server.peak == 100
        return asyncio.get_running_loop().time()

    assert simulate(main()) < 4.4  # 4.0 if all 100 had been under way from the start


@pytest.mark.parametrize("capacity", [1, 5, 40])
def test_it_settles_near_what_the_server_bears(capacity):
    async def main():
        limiter = AdaptiveLimiter(200)
        server = Served(limiter, capacity)
        await asyncio.gather(*(server.ask() for _ in range(60 * capacity)))
        ideal_s = 60 * server.latency_s
        assert asyncio.get_running_loop().time() < 2 * ideal_s + 1
        assert server.n_refused < 60 * capacity / 2
        assert limiter.n_in_flight == 0

    simulate(main())


def test_an_overload_halves_once_a_round_trip():
    async def main():
        limiter = AdaptiveLimiter(64)
        for _ in range(16):
            await limiter.acquire()
        time = asyncio.get_running_loop().time
        began_at = time()
        await asyncio.sleep(0.1)
        for _ in range(10):
            limiter.overloaded(began_at=began_at)
        assert limiter.limit == 8
        await asyncio.sleep(0.1)
        limiter.overloaded(began_at=time())
        assert limiter.limit == 4

    simulate(main())


def test_retry_after_holds_back_everything_new():
    async def main():
        limiter = AdaptiveLimiter(64)
        await limiter.acquire()
        limiter.overloaded(7.5)
        limiter.release()
        await limiter.acquire()
        return asyncio.get_running_loop().time()

    assert simulate(main()) == pytest.approx(7.5)


def test_after_an_outage_it_grows_back_by_doubling():
    async def main():
        limiter = AdaptiveLimiter(128)
        server = Served(limiter)
        await asyncio.gather(*(server.ask() for _ in range(1000)))
        assert limiter.limit > 100
        for _ in range(100):
            limiter.away(5.0)
        began = asyncio.get_running_loop().time()
        assert limiter.limit == 8
        await asyncio.gather(*(server.ask() for _ in range(1000)))
        assert limiter.limit > 100
        return asyncio.get_running_loop().time() - began

    assert 5.0 < simulate(main()) < 6.7


def test_what_waits_again_goes_first():
    async def main():
        limiter = AdaptiveLimiter(1)
        order = []
        await limiter.acquire()

        async def late(name, is_urgent):
            await limiter.acquire(is_urgent=is_urgent)
            order.append(name)
            limiter.release()

        others = [asyncio.ensure_future(late(i, False)) for i in range(3)]
        await asyncio.sleep(0)
        others.append(asyncio.ensure_future(late("urgent", True)))
        await asyncio.sleep(0)
        limiter.release()
        await asyncio.gather(*others)
        return order

    assert simulate(main()) == ["urgent", 0, 1, 2]


@settings(max_examples=60, deadline=None)
@given(
    per_minute=st.integers(1, 400),
    n=st.integers(1, 300),
    gaps=st.lists(st.floats(0, 40), max_size=4),
)
def test_any_sixty_seconds_keep_the_cap_on_requests(per_minute, n, gaps):
    async def main():
        limiter = AdaptiveLimiter(1000, requests_per_minute=per_minute)
        server = Served(limiter, latency_s=0.01)
        asking = []
        for gap in [0.0, *gaps]:
            await asyncio.sleep(gap)
            asking += [asyncio.ensure_future(server.ask()) for _ in range(n // (1 + len(gaps)))]
        await asyncio.gather(*asking)
        return [at for at, _ in server.starts]

    starts = simulate(main())
    for i, at in enumerate(starts[per_minute:]):
        assert at - starts[i] > 60 - 1e-3


@settings(max_examples=60, deadline=None)
@given(
    per_minute=st.integers(100, 100_000),
    sizes=st.lists(st.integers(1, 5_000), min_size=1, max_size=80),
)
def test_any_sixty_seconds_keep_the_cap_on_tokens_but_for_one_request(per_minute, sizes):
    async def main():
        limiter = AdaptiveLimiter(1000, tokens_per_minute=per_minute)
        server = Served(limiter, latency_s=0.01)
        await asyncio.gather(*(server.ask(size) for size in sizes))
        assert [size for _, size in server.starts] == sizes  # in order: none is overtaken
        return server.starts

    starts = simulate(main())
    for i, (at, _) in enumerate(starts):
        window = [size for other, size in starts[i:] if other - at < 60]
        assert sum(window[:-1]) <= per_minute + 1e-3


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_cancelled_requests_leave_no_place_taken(seed):
    chance = random.Random(seed)  # noqa: S311

    async def main():
        limiter = AdaptiveLimiter(chance.choice([1, 4, 50]), chance.choice([None, 600]))
        server = Served(limiter, chance.choice([2, 100]))
        asking = [asyncio.ensure_future(server.ask()) for _ in range(60)]
        for _ in range(20):
            await asyncio.sleep(chance.uniform(0, 0.1))
            chance.choice(asking).cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        assert limiter.n_in_flight == 0
        await asyncio.wait_for(server.ask(), 100)

    simulate(main())
