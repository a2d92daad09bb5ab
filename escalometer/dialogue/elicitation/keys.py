"""Keys of completions: a hash of everything that determines the answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any

from escalometer.cases.task import BINARY
from escalometer.dialogue.providers import Provider, Request

#: Characters of a text shown on either side of the first difference.
_AROUND = 30


def request_parts(request: Request, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request's fields and its further parameters, as they are stored and hashed.

    Fields that were added to requests later are left out at their defaults, so that old keys stay
    valid.
    """
    parts: dict[str, Any] = {
        "messages": request.messages,
        "marker": request.marker,
        "max_tokens": request.max_tokens,
        "force_answer": request.force_answer,
        "is_thinking": request.is_thinking,
        "replicate": request.replicate,
    }
    if request.choices != BINARY:
        parts["choices"] = request.choices
    if request.reads_choice:
        parts["reads_choice"] = True
    if request.reads_first_token:
        parts["reads_first_token"] = True
    if request.meanings:
        parts["meanings"] = request.meanings
    if parameters:
        parts["parameters"] = dict(parameters)
    return parts


def request_of(parts: Mapping[str, Any]) -> Request:
    """Return the request of `request_parts`."""
    fields = {name: value for name, value in parts.items() if name != "parameters"}
    fields["messages"] = tuple((role, content) for role, content in fields["messages"])
    fields["choices"] = tuple(fields.get("choices", BINARY))
    fields["meanings"] = tuple(fields.get("meanings", ()))
    return Request(**fields)


def request_key(
    identity: Mapping[str, str], request: Request, parameters: Mapping[str, Any] | None = None
) -> str:
    """Return the key of `request` to the model with `identity`: a SHA-256 in hexadecimal.

    Parameters
    ----------
    identity : mapping of str to str
        Of the provider.
    request : Request
        What is asked.
    parameters : mapping, optional
        Parameters that the provider sends beside the messages.
    """
    parts = request_parts(request, parameters or {})
    content = json.dumps([dict(identity), parts], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


class Keys:
    """The keys of one model's requests, made as by `request_key` in half of the time.

    A run has as many keys as requests, and most requests differ in their messages alone: the JSON
    around the messages is made once for each kind of request.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._around: dict[tuple[Any, ...], tuple[str, str]] = {}

    def __call__(self, request: Request) -> str:
        """Return the key of `request`."""
        kind = (
            request.marker,
            request.max_tokens,
            request.force_answer,
            request.is_thinking,
            request.replicate,
            request.choices,
            request.reads_choice,
            request.reads_first_token,
            request.meanings,
        )
        around = self._around.get(kind)
        if around is None:
            parts = request_parts(request, self._provider.parameters(request)) | {"messages": None}
            content = [dict(self._provider.identity), parts]
            before, _, after = json.dumps(content, sort_keys=True, ensure_ascii=False).partition(
                '"messages": null'
            )
            around = self._around[kind] = f'{before}"messages": [', f"]{after}"
        messages = ", ".join(
            [f"[{encode_basestring(r)}, {encode_basestring(c)}]" for r, c in request.messages]
        )
        return hashlib.sha256(f"{around[0]}{messages}{around[1]}".encode()).hexdigest()


def differences(asked: Mapping[str, Any], stored: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the differences between a new request and a stored one, in words.

    Parameters
    ----------
    asked, stored : mapping
        Identity and `request_parts` of each, in one mapping, as JSON gives them.
    prefix : str
        Name of the mapping, for parts inside of parts.
    """
    parts: list[str] = []
    for name in sorted({*asked, *stored}):
        if asked.get(name) == stored.get(name):
            continue
        asked_value, stored_value, path = asked.get(name), stored.get(name), f"{prefix}{name}"
        if isinstance(asked_value, Mapping) and isinstance(stored_value, Mapping):
            parts += differences(asked_value, stored_value, f"{path}.")
        elif name == "messages":
            parts += _different_messages(asked_value or [], stored_value or [])
        else:
            parts.append(
                f"{path}: {_spell(asked_value)} is requested, {_spell(stored_value)} is stored"
            )
    return parts


def _spell(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _different_messages(asked: list[Any], stored: list[Any]) -> list[str]:
    if len(asked) != len(stored):
        return [f"messages: {len(asked)} are requested, {len(stored)} are stored"]
    for i, ((role, asked_text), (_, stored_text)) in enumerate(
        zip(asked, stored, strict=True), start=1
    ):
        if asked_text != stored_text:
            at = common_length(asked_text, stored_text)
            shown = [
                json.dumps(text[max(0, at - _AROUND) : at + _AROUND], ensure_ascii=False)
                for text in (asked_text, stored_text)
            ]
            return [
                f"message {i} ({role}), from character {at + 1}: {shown[0]} is requested, "
                f"{shown[1]} is stored"
            ]
    return ["messages: their roles"]


def common_length(left: str, right: str) -> int:
    """Return the number of leading characters that two texts share."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[:middle] == right[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
