"""Answers, requests and names as the texts of a completion store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from escalometer.dialogue.providers import Completion

_DEFAULTS = {field.name: field.default for field in fields(Completion)}


def completion_text(completion: Completion) -> str:
    """Return a completion as the store's text: fields with default values are left out."""
    said = {
        name: value for name, value in asdict(completion).items() if value != _DEFAULTS.get(name)
    }
    return json_text(said)


def completion_of(text: str) -> Completion:
    """Return the completion of the store's `text`."""
    said = json.loads(text)
    if said.get("probabilities") is not None:
        said["probabilities"] = tuple(said["probabilities"])
    return Completion(**said)


def json_text(content: Any) -> str:
    """Return JSON that any engine can store: it has no NUL, and no half of a surrogate pair."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(content, sort_keys=True)
    return text


def identity_text(identity: Mapping[str, str]) -> str:
    """Return a model's identity as text."""
    return json.dumps(dict(identity), sort_keys=True)


def differ(left: str, right: str) -> bool:
    """Return whether two completions, as the store's texts, answer differently."""
    one, other = completion_of(left), completion_of(right)
    said = [(c.text, c.finish, c.thinking, c.probabilities) for c in (one, other)]
    return said[0] != said[1]


def batch_text(name: str) -> str:
    """Return a batch's id, a foreign text, in a form that any engine can store."""
    is_plain = name.isprintable() and not name.startswith('"')
    return name if is_plain else json.dumps(name)


def batch_of(text: str) -> str:
    """Return the batch's id of `batch_text`."""
    return json.loads(text) if text.startswith('"') else text
