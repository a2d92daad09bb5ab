"""An endpoint's list of models with the dates that it states, by one request an endpoint."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from escalometer.config import ModelCard, Workspace
from escalometer.dialogue.providers import ListedModel
from escalometer.dialogue.remote import failures
from escalometer.dialogue.remote.chat import endpoint_of
from escalometer.dialogue.remote.failures import Failure
from escalometer.dialogue.remote.http import Client
from escalometer.errors import EscalometerError, ProviderError

_WITHIN_S = 15.0


def rows(raw: bytes) -> list[Mapping[str, Any]]:
    """Return the rows of a list of models that have a name; none where it is not one."""
    try:
        content: Any = json.loads(raw)
    except ValueError:
        return []
    found = content.get("data", content.get("models")) if isinstance(content, dict) else content
    found = found if isinstance(found, list) else []
    named = [_as_named(row) for row in found if isinstance(row, dict)]
    return [row for row in named if row.get("id")]


def _as_named(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row with the names of OpenAI's list; TypeSafe's has `name` and `release_date`."""
    if row.get("id") or not row.get("name"):
        return row
    return {**row, "id": row["name"], "created": row.get("release_date")}


def listed(
    cards: Sequence[ModelCard], workspace: Workspace
) -> dict[str, Sequence[ListedModel] | EscalometerError]:
    """Return what the endpoint of each card lists, by the card's id; as `providers.listed`."""
    groups: dict[tuple[str, str | None], list[ModelCard]] = {}
    for card in cards:
        endpoint = endpoint_of(card)
        groups.setdefault((endpoint.base_url.rstrip("/"), endpoint.key_env), []).append(card)

    async def all_groups() -> list[Sequence[ListedModel] | EscalometerError]:
        return await asyncio.gather(*(_listed(group[0], workspace) for group in groups.values()))

    found = asyncio.run(all_groups())
    return {
        card.id: result
        for group, result in zip(groups.values(), found, strict=True)
        for card in group
    }


async def _listed(
    card: ModelCard, workspace: Workspace
) -> Sequence[ListedModel] | EscalometerError:
    client = Client(card, workspace)
    base_url = endpoint_of(card).base_url
    try:
        async with client.session():
            reply = await client.list_models(_WITHIN_S)
    except EscalometerError as error:
        return error
    if isinstance(reply, Failure):
        return ProviderError(f"{base_url}: {reply.reason}")
    if reply.status != 200:
        failure = failures.of_answer(reply.status, reply.headers, reply.raw)
        reason = failure.reason if isinstance(failure, Failure) else f"status {reply.status}"
        return ProviderError(f"{base_url}: {client.redacted(reason)}")
    return [
        ListedModel(str(row["id"]), _date(row.get("created")), _date(row.get("shutdown_date")))
        for row in rows(reply.raw)
    ]


def _date(value: Any) -> date | None:
    """Return a date that a list states: seconds since 1970, or a text that begins with the day."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC).date() if value > 0 else None
        return date.fromisoformat(str(value)[:10]) if value else None
    except (ValueError, OverflowError, OSError):
        return None
