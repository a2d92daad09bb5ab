"""Models behind any endpoint that supports OpenAI's chat completions.

OpenAI itself, Anthropic's and Google's compatible endpoints, Together, OpenRouter, vLLM,
llama.cpp's server, Ollama. Requests are repeated by `remote.attempts`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from escalometer.config import ModelCard, Workspace
from escalometer.dialogue.providers import Completion, Readable, Request
from escalometer.dialogue.providers.openai.batches import Batches
from escalometer.dialogue.remote import chat, failures
from escalometer.dialogue.remote.attempts import Attempts
from escalometer.dialogue.remote.http import Client
from escalometer.dialogue.remote.patience import Patience


def connect(card: ModelCard, workspace: Workspace) -> OpenAIProvider:
    """Return the provider; its key is looked up when a session opens."""
    return OpenAIProvider(card, workspace)


class OpenAIProvider:
    """A model behind an OpenAI-compatible endpoint; see `RemoteProvider`.

    Attributes
    ----------
    batches : Batches or None
        The endpoint's batch API, where the card says that it has one.

    Raises
    ------
    UsageError
        If the card has no endpoint.
    """

    can_force = False  # no protocol for it: many refuse a conversation that ends in an answer

    def __init__(
        self, card: ModelCard, workspace: Workspace, patience: Patience | None = None
    ) -> None:
        self._card = card
        endpoint = chat.endpoint_of(card)
        self._client = Client(card, workspace)
        self._attempts = Attempts(card, self._client, patience)
        self.limiter = self._attempts.limiter
        self.batches = Batches(card, self._client) if endpoint.has_batches else None
        always_thinks = card.thinking is not None and card.thinking.off is None
        self.readable: Readable | None = (
            "first" if endpoint.has_logprobs and not always_thinks else None
        )
        self.identity = {
            "provider": "openai",
            "base_url": endpoint.base_url.rstrip("/"),
            "model": endpoint.model,
        }

    def parameters(self, request: Request) -> Mapping[str, Any]:
        """Return the request's body without model and messages; see `chat.parameters`."""
        return chat.parameters(self._card, request)

    def session(self) -> AbstractAsyncContextManager[None]:
        """Hold connections open; raises `UsageError` where the key is not in the environment."""
        return self._attempts.session()

    async def answer(self, request: Request) -> Completion:
        """Return the answer after as many attempts as the card allows; see `RemoteProvider`."""
        sent = json.dumps(chat.body(self._card, request), ensure_ascii=False).encode()
        n_tokens = chat.estimated_tokens(request.messages[-1][1]) + request.max_tokens
        found, latency_s = await self._attempts.ask(
            "/chat/completions", sent, n_tokens, failures.of_answer
        )
        if isinstance(found, Completion):
            return found
        return chat.completion(self._card, request, found, latency_s)
