"""A card's weights behind a vLLM server, asked like any endpoint with OpenAI's protocol.

The server is started for the card's weights and adapter and ends with this process, or it is given:
by `endpoint.base_url` in the card or by the environment variable ESCALOMETER_VLLM_URL.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from escalometer import layout
from escalometer.config import Endpoint, ModelCard, Workspace
from escalometer.dialogue.providers import Completion, Readable, Request
from escalometer.dialogue.providers.vllm import command, server
from escalometer.dialogue.remote import chat, failures, preflight
from escalometer.dialogue.remote.attempts import Attempts
from escalometer.dialogue.remote.failures import Failure
from escalometer.dialogue.remote.http import Client, Reply
from escalometer.dialogue.remote.patience import Patience
from escalometer.dialogue.weights import adapters, sources
from escalometer.errors import EscalometerError, ProviderError, UsageError
from escalometer.runtime import extras

_ADDRESS = "ESCALOMETER_VLLM_URL"
_MAX_IN_FLIGHT = 256  # by replica: what vLLM has in a batch, by default
_TIMEOUT_S = 600.0
#: The replica that a task's requests go to.
_replica: ContextVar[int | None] = ContextVar("_replica", default=None)


def connect(card: ModelCard, workspace: Workspace) -> VllmProvider:
    """Return the provider; a server is started when a session opens."""
    return VllmProvider(card, workspace)


def check(cards: Sequence[ModelCard], workspace: Workspace) -> dict[str, EscalometerError]:
    """Return why models cannot be asked: vLLM is absent, or a given server does not have them."""
    found: dict[str, EscalometerError] = {}
    for card in cards:
        try:
            address = _given_address(card, workspace)
            if address is None:
                _need_vllm(workspace)
            else:
                given, place = _as_remote(card, workspace, address)
                found |= preflight.check([given], place)
        except EscalometerError as error:
            found[card.id] = error
    return found


class VllmProvider:
    """A model behind a vLLM server; see `RemoteProvider`.

    Raises
    ------
    UsageError
        If the card names no weights.
    MissingExtra
        If vLLM is not installed, no server is given, and the card does not pin a version.
    Outage
        If a given server does not answer, and the card does not pin a version.
    """

    can_force = False  # an answer that ends without its marker stays as it is
    batches = None

    def __init__(
        self, card: ModelCard, workspace: Workspace, patience: Patience | None = None
    ) -> None:
        self._address = _given_address(card, workspace)
        self.computes_here = self._address is None  # by a server that it starts
        # vLLM runs on GPUs: what `auto` means does not depend on where keys are computed.
        self._precision = "bfloat16" if card.precision == "auto" else card.precision
        self.identity = {
            "provider": "vllm",
            "model": card.id,
            "revision": sources.revision(card),
            "precision": self._precision,
            "version": card.serving.version or _version(self._address, workspace),
        }
        if card.adapter:
            revision = self.identity["revision"]
            self.identity["adapter"] = adapters.digest(card, workspace.root, revision)
        self._original, self._workspace, self._patience = card, workspace, patience
        self._n_replicas = 1
        self._server: server.Server | None = None
        self._reach(self._address or f"http://{command.HOST}:9/v1", workspace)
        always_thinks = card.thinking is not None and card.thinking.off is None
        self.readable: Readable | None = None if always_thinks else "first"

    def _reach(self, address: str, workspace: Workspace) -> None:
        """Send requests to the server at `address` from now on."""
        self._card, place = _as_remote(self._original, workspace, address, self._n_replicas)
        self._client = _ReplicaClient(self._card, place)
        self._attempts = Attempts(self._card, self._client, self._patience)
        self.limiter = self._attempts.limiter

    def parameters(self, request: Request) -> Mapping[str, Any]:
        """Return the request's body without model and messages.

        An answer whose choices are digits ends after its marker, since what follows is not used.
        """
        card = self._card
        if card.thinking is None:
            if request.is_thinking:
                raise UsageError(
                    f"{card.id} does not support thinking: its card has no thinking.on. Remove "
                    "the interventions that need thinking, or add the setting."
                )
            # As the provider `local`: templates without this switch ignore it.
            body = chat.parameters(card, request)
            body["chat_template_kwargs"] = {"enable_thinking": False}
        else:
            body = chat.parameters(card, request)
        thinks = request.is_thinking or (card.thinking is not None and card.thinking.off is None)
        is_digit = all(choice.isdigit() for choice in request.choices)
        if is_digit and not thinks and not request.reads_first_token:
            body |= {"stop": _endings(request), "include_stop_str_in_output": True}
        return body

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        """Start the server, unless one is given or runs already, and hold connections open.

        Raises
        ------
        ProviderError
            If the server does not start, or is of another version than keys have.
        """
        if self._address is not None:
            self._check_version(server.version_at(self._address))
        elif self._server is None or not self._server.is_running:
            await self._start()
        async with self._attempts.session():
            yield

    async def _start(self) -> None:
        card, workspace = self._original, self._workspace
        program = _need_vllm(workspace)
        self._check_version(_version(None, workspace))
        self._n_replicas = command.n_replicas(card, workspace.secrets)
        port = server.free_port()
        line = command.arguments(
            card,
            weights=await asyncio.to_thread(sources.folder, card, workspace.cache),
            adapter=adapters.folder(card, workspace.root) if card.adapter else None,
            precision=self._precision,
            replicas=self._n_replicas,
            port=port,
        )
        log = layout.server_log(card.id, workspace.root)
        self._server = started = server.Server(card.id, port, log, card.serving.startup_s)
        await started.start([program, *line], workspace.secrets, workspace.cache / "vllm.lock")
        with_key = {**workspace.secrets, server.KEY_NAME: started.key}
        address = f"http://{command.HOST}:{port}/v1"
        self._reach(address, replace(workspace, secrets=with_key))

    def _check_version(self, version: str) -> None:
        if version != self.identity["version"]:
            raise ProviderError(
                f"{self._original.id}: keys of answers have vLLM {self.identity['version']} "
                f"(serving.version), but the server is {version}. Install that version, or change "
                f"models/{self._original.id}.yaml: all answers are then requested again"
            )

    async def answer(self, request: Request) -> Completion:
        """Return the answer; see `RemoteProvider`.

        All turns of a dialogue go to the replica that has its beginning in its cache.
        """
        if self._server is not None:
            self._server.check()
        sent = {
            "model": chat.endpoint_of(self._card).model,
            "messages": [{"role": role, "content": text} for role, text in request.messages],
            **self.parameters(request),
        }
        if self._n_replicas > 1:
            first = next(text for role, text in request.messages if role == "user")
            digest = hashlib.sha256(first.encode()).digest()
            _replica.set(int.from_bytes(digest[:8], "big") % self._n_replicas)
        n_tokens = chat.estimated_tokens(request.messages[-1][1]) + request.max_tokens
        found, latency_s = await self._attempts.ask(
            "/chat/completions",
            json.dumps(sent, ensure_ascii=False).encode(),
            n_tokens,
            failures.of_answer,
        )
        if isinstance(found, Completion):
            return found
        return chat.completion(self._card, request, found, latency_s)


def _endings(request: Request) -> list[str]:
    """Return the texts that end an answer: marker, choice, and what cannot continue a number."""
    return [
        f"{request.marker}{space}{choice}{after}"
        for choice in request.choices
        for space in (" ", "")
        for after in ("\n", " ")
    ]


class _ReplicaClient(Client):
    """A client whose requests go to the replica of their dialogue."""

    async def send(
        self,
        method: str,
        path: str,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Reply | Failure:
        replica = _replica.get()
        if replica is not None:
            headers = {**(headers or {}), "X-data-parallel-rank": str(replica)}
        return await super().send(method, path, data, headers, timeout_s)


def _given_address(card: ModelCard, workspace: Workspace) -> str | None:
    """Return the address of a server that runs already, if one is given."""
    in_card = card.endpoint.base_url if card.endpoint else ""
    return in_card or workspace.secrets.get(_ADDRESS) or None


def _version(address: str | None, workspace: Workspace) -> str:
    """Return the version of the given server, or of the vLLM that would be started."""
    if address is not None:
        return server.version_at(address)
    _need_vllm(workspace)
    return importlib.metadata.version("vllm")


def _need_vllm(workspace: Workspace) -> str:
    """Return the program `vllm`; raise where it is not installed."""
    extras.need("vllm", "the provider vllm")
    program = command.executable(workspace.secrets)
    if program is None:
        raise UsageError(
            "the package vllm is installed, but its program `vllm` is not on the path. "
            "Install it again: pip install --force-reinstall --no-deps vllm"
        )
    return program


def _as_remote(
    card: ModelCard, workspace: Workspace, address: str, n_replicas: int = 1
) -> tuple[ModelCard, Workspace]:
    """Return the card with the endpoint at `address`, and the place that has its key."""
    given = card.endpoint
    endpoint = given or Endpoint(
        model=command.served_name(card),
        key_env=server.KEY_NAME if workspace.secrets.get(server.KEY_NAME) else None,
        timeout_s=_TIMEOUT_S,
        max_in_flight=_MAX_IN_FLIGHT * n_replicas,
    )
    endpoint = endpoint.model_copy(update={"base_url": address, "has_logprobs": True})
    thinking = card.thinking
    if thinking is not None:
        switches = {"on": _switch(thinking.on), "off": _switch(thinking.off)}
        thinking = thinking.model_copy(update=switches)
    return card.model_copy(update={"endpoint": endpoint, "thinking": thinking}), workspace


def _switch(fields: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return fields of a request for a switch of thinking: a local model's has those of a template.

    A card for a server may have them as the request has them.
    """
    if not fields or "chat_template_kwargs" in fields:
        return fields
    return {"chat_template_kwargs": dict(fields)}
