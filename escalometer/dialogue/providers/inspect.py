"""Any model that inspect_ai supports, through its model interface; an extra.

The card's ``endpoint.model`` is inspect_ai's own name (``anthropic/claude-…``, ``bedrock/…``). Its
``base_url`` is passed on; without one inspect_ai's default applies. inspect_ai names the packages
and environment variables that a model needs, and makes all attempts, as many as the card allows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from escalometer.config import ModelCard, Workspace
from escalometer.dialogue.providers import Completion, Finish, Readable, Request
from escalometer.dialogue.remote import chat, failures
from escalometer.dialogue.remote.limits import AdaptiveLimiter
from escalometer.dialogue.remote.logprobs import probabilities
from escalometer.errors import ProviderError

_FINISHES: Mapping[str, Finish] = {
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "refused",
}
_SECRET_NAMES = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_LEAST_SECRET = 8  # characters: what is shorter is not a key, and would be found everywhere


def connect(card: ModelCard, workspace: Workspace) -> InspectProvider:
    """Return the provider; inspect_ai is imported when a session opens."""
    return InspectProvider(card, workspace)


class InspectProvider:
    """A model through inspect_ai; see `RemoteProvider`."""

    can_force = False
    readable: Readable | None = None  # its answers come whole
    batches = None  # inspect_ai's own batches cannot be polled on our schedule

    def __init__(self, card: ModelCard, workspace: Workspace) -> None:
        self._card = card
        self._endpoint = endpoint = chat.endpoint_of(card, needs_address=False)
        self._workspace = workspace
        self._model: Any = None
        self.limiter = AdaptiveLimiter(
            endpoint.max_in_flight, endpoint.requests_per_minute, endpoint.tokens_per_minute
        )
        self._base_url = endpoint.base_url or None
        self.identity = {
            "provider": "inspect",
            "base_url": self._base_url or "",
            "model": endpoint.model,
        }

    def parameters(self, request: Request) -> Mapping[str, Any]:
        """Return the fields of inspect_ai's GenerateConfig that a request sets."""
        fields = chat.parameters(self._card, request)
        for name in ("max_tokens", "max_completion_tokens"):
            if name in fields:
                fields["max_tokens"] = fields.pop(name)
        return fields

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        """Make the model.

        Raises
        ------
        ProviderError
            If inspect_ai, a package or a key that the model needs is not there.
        """
        try:
            from inspect_ai._util.error import PrerequisiteError
            from inspect_ai.model import GenerateConfig, get_model
        except ImportError as error:
            raise ProviderError(
                f"{self._card.id}: provider inspect needs inspect_ai ({error}): "
                "pip install 'escalometer[inspect]'"
            ) from error
        key_env = self._endpoint.key_env
        config = GenerateConfig(
            max_connections=self._endpoint.max_in_flight,  # our limiter's limit is lower
            max_retries=self._endpoint.max_attempts - 1,
            attempt_timeout=max(1, round(self._endpoint.timeout_s)),
        )
        why = None
        try:
            self._model = get_model(
                self._endpoint.model,
                config=config,
                base_url=self._base_url,
                api_key=self._workspace.secrets.get(key_env) if key_env else None,
                memoize=False,
            )
        except (PrerequisiteError, ValueError, ImportError) as error:
            why = self._redacted(str(error))
        if why is not None:
            raise ProviderError(f"{self._card.id}: inspect_ai cannot load this model: {why}")
        try:
            yield
        finally:
            await self._model.api.aclose()
            self._model = None

    async def answer(self, request: Request) -> Completion:
        """Return the answer; see `RemoteProvider`."""
        from inspect_ai.model import (
            ChatMessageAssistant,
            ChatMessageSystem,
            ChatMessageUser,
            GenerateConfig,
        )

        kinds = {
            "system": ChatMessageSystem,
            "user": ChatMessageUser,
            "assistant": ChatMessageAssistant,
        }
        messages = [kinds[role](content=content) for role, content in request.messages]
        time = asyncio.get_running_loop().time
        asked_at = time()
        config = GenerateConfig(**self.parameters(request))
        try:
            output = await self._model.generate(messages, config=config)
        # The errors of two dozen SDKs, which have no base in common but this.
        except Exception as error:  # noqa: BLE001
            failure = self._explain(error)
        else:
            self.limiter.succeeded()
            return self._completion(request, output, time() - asked_at)
        if failure.kind == "fatal":
            raise ProviderError(f"{self._card.id}: {failure.reason}")
        if failure.kind == "overload":
            self.limiter.overloaded(failure.retry_after_s, asked_at)
        finish: Finish = "refused" if failure.kind == "refused" else "error"
        is_passing = failure.kind in ("again", "overload")
        latency_s = time() - asked_at
        return Completion("", finish, 0, 0, latency_s, failure.reason, is_passing=is_passing)

    def _explain(self, error: Exception) -> failures.Failure:
        reason = self._redacted(f"{type(error).__name__}: {error}")
        status = getattr(error, "status_code", None) or getattr(error, "code", None)
        if isinstance(status, int) and 400 <= status < 600:
            return failures.of_error(status, reason)
        if isinstance(error, TypeError | AttributeError | NotImplementedError):
            return failures.Failure("fatal", reason)
        return failures.Failure("again", reason)  # a connection, a time limit

    def _redacted(self, text: str) -> str:
        """Return `text` without any key: inspect_ai finds them in the environment by itself."""
        for name, value in self._workspace.secrets.items():
            if len(value) >= _LEAST_SECRET and any(part in name.upper() for part in _SECRET_NAMES):
                text = text.replace(value, "[key]")
        return text

    def _completion(self, request: Request, output: Any, latency_s: float) -> Completion:
        if output.error or not output.choices:
            why = self._redacted(str(output.error or "no choices"))
            return Completion("", "error", 0, 0, latency_s, why, is_passing=not output.error)
        choice = output.choices[0]
        text, thought = chat.apart(choice.message.text)
        parts = choice.message.content if isinstance(choice.message.content, list) else []
        thoughts = [str(part.reasoning) for part in parts if part.type == "reasoning"]
        thinking = "\n".join(filter(None, [*thoughts, thought]))
        finish = _FINISHES.get(choice.stop_reason, "stop")
        usage = output.usage
        n_cached = (usage.input_tokens_cache_read or 0) if usage else 0
        written = (usage.input_tokens_cache_write or 0) if usage else 0
        # inspect_ai counts what came out of a cache, or went into it, apart from the input.
        n_prompt = (usage.input_tokens if usage else 0) + n_cached + written
        n_completion = usage.output_tokens if usage else 0
        logprobs = choice.logprobs.model_dump() if choice.logprobs else None
        which = self._card.counts_marker
        return Completion(
            text=text,
            finish=finish,
            n_prompt_tokens=n_prompt
            or sum(chat.estimated_tokens(content) for _, content in request.messages),
            n_completion_tokens=n_completion or chat.estimated_tokens(text + thinking),
            latency_s=latency_s,
            error=f"refused: {choice.stop_reason}" if finish == "refused" else None,
            thinking=thinking,
            probabilities=(
                probabilities(logprobs, request, which) if request.reads_choice else None
            ),
            n_cached_tokens=n_cached,
            resolved_model=output.model or None,
        )
