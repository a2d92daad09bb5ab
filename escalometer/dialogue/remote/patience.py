"""Waiting for a server: pauses between attempts, and the detection of an outage."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

_MANY = 16  # failures in a row, of whatever requests
_MOST_PAUSE_S = 5.0  # between looks whether a server is back


@dataclass(frozen=True)
class Patience:
    """Pauses before the next attempt, and their limit in all.

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
        """Return the pause for all requests after so many failures in a row."""
        return min(_MOST_PAUSE_S, self.wait_s(max(1, n_failures // _MANY)))

    def wait_s(self, n_attempts: int, retry_after_s: float = 0.0) -> float:
        """Return the pause after so many attempts: no less than the server's own."""
        bound = min(self.most_s, self.first_s * self.growth ** (n_attempts - 1))
        drawn = random.uniform(bound / 2, bound)  # noqa: S311 - no secret
        return max(drawn, retry_after_s + drawn / 10 if retry_after_s else 0.0)


class Streak:
    """Failures in a row: one request's are its own, many requests' are an outage.

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
        """True if the failures amount to an outage of the server."""
        return self.n >= _MANY

    def end(self) -> None:
        """Reset the streak, since the server answered."""
        if self.is_long:
            self.ended.set()
            self.ended = asyncio.Event()
        self.n = 0
