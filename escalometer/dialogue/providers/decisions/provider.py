"""Models behind a decisions endpoint, in OpenAI's form or in that of System One.

Such an endpoint takes an input and typed questions. It has no conversation, temperature or token
limit, so every turn is a request with one question.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from escalometer.config import ModelCard, Workspace
from escalometer.dialogue.providers import Completion, Readable, Request
from escalometer.dialogue.providers.decisions import answers, questions
from escalometer.dialogue.remote import chat
from escalometer.dialogue.remote.attempts import Attempts
from escalometer.dialogue.remote.http import Client
from escalometer.dialogue.remote.patience import Patience
from escalometer.errors import UsageError


def connect(card: ModelCard, workspace: Workspace) -> DecisionsProvider:
    """Return the provider; its key is looked up when a session opens."""
    return DecisionsProvider(card, workspace)


class DecisionsProvider:
    """A decision model behind an endpoint; see `RemoteProvider` and `providers.is_typed`.

    Raises
    ------
    UsageError
        If the card has no endpoint, does not say its form, or declares batches.
    """

    can_force = False
    is_typed = True
    readable: Readable | None = "choice"  # every answer has probabilities
    batches = None

    def __init__(
        self, card: ModelCard, workspace: Workspace, patience: Patience | None = None
    ) -> None:
        endpoint = chat.endpoint_of(card)
        if endpoint.decision_form is None:
            raise UsageError(
                f"{card.id}: its card has no endpoint.decision_form, which the provider decisions "
                "needs. Set it to openai or system_one."
            )
        if endpoint.has_batches:
            raise UsageError(
                f"{card.id}: the provider decisions has no batches. Remove endpoint.has_batches "
                "from its card."
            )
        self._card = card
        self._form = endpoint.decision_form
        self._path = endpoint.decision_path or questions.PATHS[self._form]
        self._client = Client(card, workspace)
        self._attempts = Attempts(card, self._client, patience)
        self.limiter = self._attempts.limiter
        self.identity = {
            "provider": "decisions",
            "form": self._form,
            "path": self._path,
            "base_url": endpoint.base_url.rstrip("/"),
            "model": endpoint.model,
        }

    def parameters(self, request: Request) -> Mapping[str, Any]:
        """Return the kind of question and the card's further fields.

        Raises
        ------
        UsageError
            If the request is to be thought about: no endpoint of this kind has a switch for it.
        """
        if request.is_thinking:
            raise UsageError(
                f"{self._card.id} does not support thinking: it is a decision model. Remove the "
                "interventions that need thinking."
            )
        endpoint = chat.endpoint_of(self._card)
        return {"question": questions.kind_of(endpoint, request), **endpoint.body}

    def session(self) -> AbstractAsyncContextManager[None]:
        """Hold connections open; raises `UsageError` where the key is not in the environment."""
        return self._attempts.session()

    async def answer(self, request: Request) -> Completion:
        """Return the answer after as many attempts as the card allows; see `RemoteProvider`."""
        body = questions.body(chat.endpoint_of(self._card), request)
        sent = json.dumps(body, ensure_ascii=False).encode()
        found, latency_s = await self._attempts.ask(
            self._path, sent, chat.estimated_tokens(sent.decode()), answers.decode
        )
        if isinstance(found, Completion):
            return found
        return answers.completion(self._form, request, found, latency_s)
