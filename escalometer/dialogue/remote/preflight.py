"""Check of endpoints before a run: one request for each, for the models that it lists."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Sequence

from escalometer.config import ModelCard, Workspace
from escalometer.dialogue.remote import failures
from escalometer.dialogue.remote.chat import endpoint_of
from escalometer.dialogue.remote.failures import Failure
from escalometer.dialogue.remote.http import Client
from escalometer.dialogue.remote.listing import rows
from escalometer.errors import EscalometerError, Outage, ProviderError, UsageError

_WITHIN_S = 4.0
_NEAR = 3


def check(cards: Sequence[ModelCard], workspace: Workspace) -> dict[str, EscalometerError]:
    """Return why models cannot be asked, by name; models that can are left out.

    An endpoint that has no list of models, or has none at the moment, is no reason.
    """
    groups: dict[tuple[str, str | None], list[ModelCard]] = {}
    found: dict[str, EscalometerError] = {}
    for card in cards:
        try:
            endpoint = endpoint_of(card)
        except UsageError as error:
            found[card.id] = error
            continue
        groups.setdefault((endpoint.base_url.rstrip("/"), endpoint.key_env), []).append(card)

    async def all_groups() -> list[dict[str, EscalometerError]]:
        return await asyncio.gather(*(_check(group, workspace) for group in groups.values()))

    for errors in asyncio.run(all_groups()):
        found |= errors
    return found


async def _check(cards: Sequence[ModelCard], workspace: Workspace) -> dict[str, EscalometerError]:
    """Check the models of one endpoint and key."""
    client = Client(cards[0], workspace)
    try:
        async with client.session():
            reply = await client.list_models(_WITHIN_S)
    except UsageError as error:
        return {card.id: error for card in cards}
    if isinstance(reply, Failure):
        if reply.kind not in ("away", "fatal"):
            return {}  # slow, or broken off: the run tries again
        kind = Outage if reply.kind == "away" else ProviderError
        why = "Check that the server is running and that the card's base_url is right."
        return {card.id: kind(f"{card.id}: {reply.reason}. {why}") for card in cards}
    if reply.status != 200:
        failure = failures.of_answer(reply.status, reply.headers, reply.raw)
        is_listless = reply.status in (404, 405, 501)
        if is_listless or not isinstance(failure, Failure) or failure.kind != "fatal":
            return {}
        reason = client.redacted(failure.reason)
        return {card.id: ProviderError(f"{card.id}: {reason}") for card in cards}
    listed = [str(row["id"]) for row in rows(reply.raw)]
    unknown = [
        card
        for card in cards
        if listed
        and endpoint_of(card).lists_models
        and not is_listed(listed, endpoint_of(card).model)
    ]
    return {card.id: _unknown(card, listed) for card in unknown}


def is_listed(listed: Sequence[str], model: str) -> bool:
    """Return whether a model is listed: by its name, a release of it, or a path that ends in it."""
    return any(
        model in (name, name.partition(":")[0])  # Ollama's llama3 is llama3:latest
        or name == model.partition(":")[0]  # OpenRouter's variants, such as :free
        or name.endswith(f"/{model}")
        or name.startswith(f"{model}-")
        for name in listed
    )


def _unknown(card: ModelCard, listed: Sequence[str]) -> ProviderError:
    endpoint = endpoint_of(card)
    near = difflib.get_close_matches(endpoint.model, listed, n=_NEAR, cutoff=0.4)
    meant = f" Similar: {', '.join(near)}." if near else ""
    return ProviderError(
        f"{card.id}: {endpoint.base_url} does not list the model {endpoint.model!r}.{meant} "
        f"Correct endpoint.model in models/{card.id}.yaml, or set endpoint.lists_models: false "
        "there if the endpoint has more models than it lists"
    )
