"""The forecast of a run's cost, from the tokens of a sample, with its uncertainty.

Where the store has answers of the same model, tokens are extrapolated from those: per character of
the prompt, and per answer. Where it has none, English text is taken to have four characters to a
token, and an answer anything from a short one to the whole of its budget.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from escalometer.config import Price
from escalometer.dialogue.elicitation.budget import cost_of, worst_tokens
from escalometer.dialogue.providers import Completion, Request

#: Characters a token, of English text: about, at the least, at the most.
CHARACTERS = (4.2, 3.2, 5.0)
#: Tokens of an answer where nothing is known: about half of the budget, at least so many.
_SHORT_ANSWER = 15
#: With fewer answers than this, assumed tokens are better than extrapolated ones.
_FEWEST = 8


@dataclass(frozen=True)
class Forecast:
    """Requests still to be made, and their cost in dollars: an estimate and an interval.

    Attributes
    ----------
    n_requests : int
        Requests without an answer, second turns included.
    cost_usd, low_usd, high_usd : float
        Estimate and about 95% of what it may be.
    n_seen : int
        Answers that the estimate is from; 0 where tokens are assumed.
    is_priced : bool
        Whether the price is known; the dollars are 0 where it is not.
    """

    n_requests: int
    cost_usd: float
    low_usd: float
    high_usd: float
    n_seen: int
    is_priced: bool = True

    def __add__(self, other: Forecast) -> Forecast:
        """Return the sum of two forecasts, whose errors are taken to be fully correlated."""
        return Forecast(
            self.n_requests + other.n_requests,
            self.cost_usd + other.cost_usd,
            self.low_usd + other.low_usd,
            self.high_usd + other.high_usd,
            self.n_seen + other.n_seen,
            self.is_priced and other.is_priced,
        )

    def spell(self) -> str:
        """Return the forecast in one line."""
        calls = f"{self.n_requests:,} requests"
        if not self.is_priced:
            return f"{calls}, price unknown"
        if not self.high_usd:
            return f"{calls}, free of charge"
        source = (
            f"estimated from {self.n_seen} stored answers"
            if self.n_seen
            else "tokens assumed: no stored answer of this model"
        )
        return (
            f"{calls}, about ${self.cost_usd:.2f} "
            f"(${self.low_usd:.2f} to ${self.high_usd:.2f}; {source})"
        )


def forecast(
    prompts: list[Request],
    n_requests: int,
    seen: list[tuple[int, Completion]],
    price: Price | None,
    thinking_tokens: int = 0,
    is_batch: bool = False,
) -> Forecast:
    """Return the cost of `n_requests` requests like `prompts`.

    Parameters
    ----------
    prompts : list of Request
        A sample of the requests.
    n_requests : int
        The number of requests.
    seen : list of (int, Completion)
        Answers of the same model to such requests, each with the characters of its prompt.
    price : Price or None
        Of the model's tokens; None costs nothing here.
    thinking_tokens : int
        Most tokens of thinking of an answer, where a request asks for it.
    is_batch : bool
        Whether they are asked at the price of batches.
    """
    seen = [(n, answer) for n, answer in seen if n and answer.n_prompt_tokens]
    if not n_requests or not prompts:
        return Forecast(0, 0.0, 0.0, 0.0, len(seen), price is not None)
    characters = float(np.mean([_n_characters(request) for request in prompts]))
    longest = float(np.mean([worst_tokens(request, thinking_tokens)[1] for request in prompts]))
    if len(seen) >= _FEWEST:
        rates = np.array([answer.n_prompt_tokens / n for n, answer in seen])
        answers = np.array([answer.n_completion_tokens for _, answer in seen], dtype=float)
        rate, answer = float(rates.mean()), float(answers.mean())
        # Of a difference of means: the mean of future answers varies as well as that of past ones.
        scale = np.sqrt(1 / len(seen) + 1 / n_requests)
        off_rate, off_answer = 2 * float(rates.std()) * scale, 2 * float(answers.std()) * scale
        # Stored answers may be of other domains: the interval has a least width.
        bounds = [
            (max(0.9 * rate - off_rate, 0.0), max(0.8 * answer - off_answer, 1.0)),
            (1.1 * rate + off_rate, min(1.2 * answer + off_answer, longest)),
        ]
    else:
        rate, answer = 1 / CHARACTERS[0], max(longest / 2, _SHORT_ANSWER)
        bounds = [
            (1 / CHARACTERS[2], min(_SHORT_ANSWER, longest)),
            (1 / CHARACTERS[1], longest),
        ]

    def cost(rate: float, answer: float) -> float:
        tokens = Completion("", "stop", round(rate * characters), round(answer), 0.0)
        return n_requests * cost_of(price, tokens, is_batch)

    low, high = (cost(*bound) for bound in bounds)
    estimate = cost(rate, answer)
    return Forecast(
        n_requests, estimate, min(low, estimate), max(high, estimate), len(seen), price is not None
    )


def _n_characters(request: Request) -> int:
    return sum(len(content) for _, content in request.messages)
