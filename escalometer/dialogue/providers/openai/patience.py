"""How long to wait for a server, and how to tell that it is in trouble altogether."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

_MANY = 16  # failures in a row, of whatever requests
_MOST_PAUSE_S = 5.0  # between looks whether a server is back


@dataclass(frozen=True)
class Patience:
    """How long to wait before the next attempt, and for how long in all.

    A wait is drawn between half of a bound and the bound, which grows: the half makes sure that
    the attempts of a card's default outlast a stop of a minute (8 take 110 to 220 s), the rest
    spreads out what failed together.

    Attributes
    ----------
    first_s, growth, most_s : float
        The bound of the first wait, its factor, and the largest one.
    away_s : float
        How long a server that answered before may refuse connections.
    absent_s : float
        How long one may that never answered in this session.
    longest_s : float
        The longest wait that a server may ask for.
    """

    first_s: float = 0.5
    growth: float = 4.0
    most_s: float = 60.0
    away_s: float = 300.0
    absent_s: float = 30.0
    longest_s: float = 600.0

    def pause_s(self, n_failures: int) -> float:
        """Return how long all should wait after so many failures in a row, of any requests."""
        return min(_MOST_PAUSE_S, self.wait_s(max(1, n_failures // _MANY)))

    def wait_s(self, n_attempts: int, retry_after_s: float = 0.0) -> float:
        """Return how long to wait after so many attempts: no less than the server says."""
        bound = min(self.most_s, self.first_s * self.growth ** (n_attempts - 1))
        drawn = random.uniform(bound / 2, bound)  # noqa: S311 - no secret
        return max(drawn, retry_after_s + drawn / 10 if retry_after_s else 0.0)


class Streak:
    """Failures in a row: of one request they are its own, of many the server is in trouble.

    Then only a few requests look whether it is back, rather than all using up their attempts; and
    once one of them is answered, the others need not wait any longer.

    Attributes
    ----------
    n : int
        How many there were since the last answer.
    ended : asyncio.Event
        Set when the streak, having been a long one, ends.
    """

    def __init__(self) -> None:
        self.n = 0
        self.ended = asyncio.Event()

    @property
    def is_long(self) -> bool:
        """Whether it is the server's trouble."""
        return self.n >= _MANY

    def end(self) -> None:
        """Say that the server answered."""
        if self.is_long:
            self.ended.set()
            self.ended = asyncio.Event()
        self.n = 0
