"""Attempts at one request: a request is tried again here and nowhere else.

What cannot get better is not tried again. What a server counts twice, it is asked for twice: none
of the protocols has a way to say that a request is a repeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, TypeAlias

from escalometer.config import ModelCard
from escalometer.dialogue.providers import Completion, Finish
from escalometer.dialogue.remote import failures
from escalometer.dialogue.remote.chat import endpoint_of
from escalometer.dialogue.remote.failures import Failure
from escalometer.dialogue.remote.http import Client
from escalometer.dialogue.remote.limits import AdaptiveLimiter
from escalometer.dialogue.remote.patience import Patience, Streak
from escalometer.dialogue.remote.repeats import Repeats
from escalometer.errors import Outage, ProviderError

#: The decoded body of a reply, by its status, headers and bytes, or the failure that it means.
Decode: TypeAlias = Callable[[int, Mapping[str, str], bytes], dict[str, Any] | Failure]


class Attempts:
    """Requests to one endpoint, each repeated until it is answered or cannot be.

    Parameters
    ----------
    card : ModelCard
        Has an endpoint.
    client : Client
        The connections to it.
    patience : Patience, optional
        Pauses between attempts.

    Attributes
    ----------
    limiter : AdaptiveLimiter
        Learns from the replies what the server can bear.
    """

    def __init__(self, card: ModelCard, client: Client, patience: Patience | None = None) -> None:
        self._card = card
        self._endpoint = endpoint = endpoint_of(card)
        self._client = client
        self._patience = patience or Patience()
        self._heard_at: float | None = None
        self._streak = Streak()
        self._repeats = Repeats()
        self.limiter = AdaptiveLimiter(
            endpoint.max_in_flight, endpoint.requests_per_minute, endpoint.tokens_per_minute
        )

    def session(self) -> AbstractAsyncContextManager[None]:
        """Hold connections open; raises `UsageError` where the key is not in the environment."""
        self._heard_at = None
        self._streak = Streak()
        return self._client.session()

    async def ask(
        self, path: str, sent: bytes, n_tokens: int, decode: Decode
    ) -> tuple[dict[str, Any] | Completion, float]:
        """Return the decoded answer or the outcome in its place, and the seconds that it took.

        Parameters
        ----------
        path : str
            Put after the card's base URL.
        sent : bytes
            The body.
        n_tokens : int
            About how many tokens it takes, for the cap on them.
        decode : callable
            `failures.of_answer`, or the same for another protocol.

        Raises
        ------
        ProviderError
            If every other request would fail too.
        """
        time = asyncio.get_running_loop().time
        asked_at = time()
        n_attempts = 0
        while True:
            found = await self._attempt(path, sent, time(), decode)
            if not isinstance(found, Failure):
                self._streak.end()
                return found, time() - asked_at
            failure = found
            if failure.kind == "fatal":
                raise ProviderError(f"{self._card.id}: {failure.reason}")
            if failure.kind in ("refused", "error"):
                self._streak.end()
                return self._ended(failure, time() - asked_at), time() - asked_at
            self._streak.n += 1
            if failure.kind == "away":
                self._check_patience(failure, asked_at)
                delay_s = self._patience.pause_s(self._streak.n)
            else:
                n_attempts += 1
                if n_attempts >= self._endpoint.max_attempts:
                    return self._ended(failure, time() - asked_at, n_attempts), time() - asked_at
                delay_s = self._patience.wait_s(n_attempts, failure.retry_after_s)
            if failure.kind == "away" or self._streak.is_long:
                self.limiter.away(self._patience.pause_s(self._streak.n))
            until = None if failure.retry_after_s else self._streak.ended
            await self.limiter.wait(delay_s, n_tokens, until)

    async def _attempt(
        self, path: str, sent: bytes, began_at: float, decode: Decode
    ) -> dict[str, Any] | Failure:
        """Return the decoded answer to one attempt, or its failure; the limiter counts it."""
        time = asyncio.get_running_loop().time
        reply = await self._client.send("POST", path, sent)
        if isinstance(reply, Failure):
            if reply.kind != "away":
                self._heard_at = time()
            if reply.kind == "overload":
                self.limiter.overloaded(0.0, began_at)
            return reply
        self._heard_at = time()
        found = decode(reply.status, reply.headers, reply.raw)
        exhausted_s = failures.exhausted_s(reply.headers)
        if exhausted_s:
            self.limiter.pause(min(exhausted_s, self._patience.most_s))
        if not isinstance(found, Failure) and self._repeats.is_repeat(found, reply.raw, sent):
            reply.drop_connection()  # the right answer is still to come over it
            return Failure("again", "the answer to another request, a second time")
        if not isinstance(found, Failure):
            # Where a server makes requests queue, more of them would only run out of time there.
            if time() - began_at < self._endpoint.timeout_s / 2:
                self.limiter.succeeded()
            return found
        failure = replace(found, reason=self._client.redacted(found.reason))
        if failure.retry_after_s > self._patience.longest_s:
            why = (
                f"the server asks to wait {failure.retry_after_s:,.0f} s; run the command "
                "again after that"
            )
            return Failure("fatal", f"{failure.reason}: {why}")
        if failure.kind == "overload" and not self._streak.is_long:
            self.limiter.overloaded(failure.retry_after_s, began_at)
        else:  # a general failure, which does not show the server's capacity
            self.limiter.pause(failure.retry_after_s if failure.kind == "overload" else 0.0)
        return failure

    def _check_patience(self, failure: Failure, asked_at: float) -> None:
        """Raise where a server has refused connections for too long; until then it costs nothing.

        Every other request would fail too: to make errors of them all would take days.
        """
        heard_at, most_s = self._heard_at, self._patience.away_s
        if heard_at is None:
            most_s = self._patience.absent_s
        gone_s = asyncio.get_running_loop().time() - max(asked_at, heard_at or asked_at)
        if gone_s > most_s:
            raise Outage(
                f"{self._card.id}: {failure.reason}. Retried for {gone_s:.0f} s. Check that the "
                "server is running and that the card's base_url is right."
            )

    def _ended(self, failure: Failure, latency_s: float, n_attempts: int = 0) -> Completion:
        """Return the outcome of a failure; after several attempts it may pass by itself."""
        finish: Finish = "refused" if failure.kind == "refused" else "error"
        reason = failure.reason + (f" (attempt {n_attempts}, the last)" if n_attempts else "")
        return Completion("", finish, 0, 0, latency_s, reason, is_passing=n_attempts > 0)
