"""The budget of a run: caps, and costs so far, with the worst case of requests under way.

A request starts only if even its longest possible answer stays within the budget, so that no answer
can exceed a cap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from escalometer.config import Price
from escalometer.dialogue.providers import Completion, Request
from escalometer.errors import BudgetError

#: Characters of a prompt that make one token, on the safe side: English text has 4 to 5.
_CHARACTERS_A_TOKEN = 2.5
#: Requests for which a process that shares its caps with others asks at once.
_AT_ONCE = 16
#: Most tokens around a typed question, and around each of its options. Users of Jev measured 261
#: and 21: huggingface.co/datasets/lisonallen/jev-ai-benchmark.
_AROUND_QUESTION, _AROUND_OPTION = 500, 40


def cost_of(price: Price | None, completion: Completion, is_batch: bool = False) -> float:
    """Return an answer's cost in dollars, by the card's price; 0 where there is none."""
    if price is None:
        return 0.0
    cached = price.cached_input_usd_per_million
    cached_price = price.input_usd_per_million if cached is None else cached
    n_cached = min(completion.n_cached_tokens, completion.n_prompt_tokens)
    total = (
        (completion.n_prompt_tokens - n_cached) * price.input_usd_per_million
        + n_cached * cached_price
        + completion.n_completion_tokens * price.output_usd_per_million
    )
    return total / 1e6 * (1 - price.batch_discount if is_batch else 1)


def worst_tokens(request: Request, extra_tokens: int = 0) -> tuple[int, int]:
    """Return the most tokens that a request's prompt, and its answer, may have.

    Parameters
    ----------
    request : Request
        The request.
    extra_tokens : int
        Budget for thinking, on top of the answer's.
    """
    n_characters = sum(len(content) + 12 for _, content in request.messages)
    n_around = 0
    if request.meanings:
        n_characters += 2 * sum(len(meaning) for meaning in request.meanings)
        n_around = _AROUND_QUESTION + _AROUND_OPTION * len(request.meanings)
    return (
        int(n_characters / _CHARACTERS_A_TOKEN) + 1 + n_around,
        request.max_tokens + (extra_tokens if request.is_thinking else 0),
    )


@dataclass
class Budget:
    """Caps of one run, and the amounts used.

    Attributes
    ----------
    max_cost_usd, max_requests : float or None, int or None
        The caps; None for none.
    price : Price or None
        Of a model's tokens.
    thinking_tokens : int
        Most tokens of thinking, where a request asks for it.
    is_batch : bool
        Whether requests are asked at the price of batches.
    shared : callable or None
        Where other processes spend from the same caps: ``shared(n_requests, cost_usd)`` is called
        with what this one may still spend from now on, and returns whether that much is left. No
        more than is under way is always left.
    cost_usd, n_requests : float, int
        Spent so far, by earlier stages of the same run too.
    """

    max_cost_usd: float | None = None
    max_requests: int | None = None
    price: Price | None = None
    thinking_tokens: int = 0
    is_batch: bool = False
    shared: Callable[[int, float], bool] | None = None
    cost_usd: float = 0.0
    n_requests: int = 0
    _granted: tuple[int, float] = (0, 0.0)
    _reserved_usd: float = 0.0
    _n_reserved: int = 0

    @property
    def has_cap(self) -> bool:
        """True if anything is limited."""
        return self.max_requests is not None or self.max_cost_usd is not None

    def worst(self, request: Request) -> float:
        """Return the most that a request can cost, in dollars."""
        n_prompt, n_answer = worst_tokens(request, self.thinking_tokens)
        return cost_of(self.price, Completion("", "stop", n_prompt, n_answer, 0.0), self.is_batch)

    def reserve(self, request: Request, is_certain: bool = False) -> bool:
        """Reserve the worst cost of `request`; return false, reserving nothing, if it is too much.

        A request that `is_certain` is under way already, and reserved in any case.
        """
        worst = self.worst(request)
        n_asked = self.n_requests + self._n_reserved
        spent_usd = self.cost_usd + self._reserved_usd
        if self.shared is not None and not is_certain:
            if not self._is_granted(self.shared, worst):
                return False
        elif not is_certain:
            if self.max_requests is not None and n_asked + 1 > self.max_requests:
                return False
            cap = self.max_cost_usd
            if cap is not None and spent_usd + worst > cap * (1 + 1e-9):
                return False
        self._reserved_usd += worst
        self._n_reserved += 1
        return True

    def _is_granted(self, shared: Callable[[int, float], bool], worst: float) -> bool:
        """Return whether one more request is within what this process may spend."""
        needs = (self._n_reserved + 1, self._reserved_usd + worst)
        n_granted, granted_usd = self._granted
        if needs[0] <= n_granted and needs[1] <= granted_usd * (1 + 1e-9):
            return True
        shared(self._n_reserved, self._reserved_usd)  # what was spent is not reserved any more
        self._granted = (self._n_reserved, self._reserved_usd)
        # Some more than needed, so that not each request asks the store; near the end as needed.
        for n_more in (_AT_ONCE, 0):
            wanted = (needs[0] + n_more, needs[1] + n_more * worst)
            if shared(*wanted):
                self._granted = wanted
                return True
        return False

    def settle(self, request: Request, completion: Completion | None) -> float:
        """Return the cost of the answer, if there is one, and release its reservation."""
        self._reserved_usd = max(0.0, self._reserved_usd - self.worst(request))
        self._n_reserved -= 1
        if completion is None:
            return 0.0
        cost = cost_of(self.price, completion, self.is_batch)
        self.cost_usd += cost
        self.n_requests += 1
        n_granted, granted_usd = self._granted
        self._granted = (n_granted - 1, granted_usd - cost)
        return cost

    def has_room(self, requests: Iterable[Request]) -> bool:
        """Return true if all of `requests` may be asked, even at their worst cost."""
        costs = [self.worst(request) for request in requests]
        n_asked = self.n_requests + self._n_reserved + len(costs)
        if self.max_requests is not None and n_asked > self.max_requests:
            return False
        if self.max_cost_usd is None:
            return True
        spent_usd = self.cost_usd + self._reserved_usd + sum(costs)
        return spent_usd <= self.max_cost_usd * (1 + 1e-9)

    def too_small(self, n: int) -> BudgetError:
        """Return the error for `n` requests that are asked together or not at all."""
        return BudgetError(
            f"budget too small: {self._caps()} are spent, and {n} requests that belong together "
            "might exceed the limit. None of them was sent: increase ask.max_cost_usd or "
            "ask.max_requests in params.yaml, or ESCALOMETER_MAX_COST or ESCALOMETER_MAX_REQUESTS "
            "for one run."
        )

    def reached(self, n_left: int) -> BudgetError:
        """Return the error that ends a run here, with `n_left` requests unasked."""
        return BudgetError(
            f"budget reached: {self._caps()} are spent, and the next request might exceed "
            f"the limit. At least {n_left} requests are left. All answers are kept: run the "
            "same command with a larger --max-cost or --max-requests to resume."
        )

    def _caps(self) -> str:
        caps = []
        if self.max_cost_usd is not None:
            caps.append(f"${self.cost_usd:.4f} of ${self.max_cost_usd:g}")
        if self.max_requests is not None:
            caps.append(f"{self.n_requests} of {self.max_requests} requests")
        return " and ".join(caps)
