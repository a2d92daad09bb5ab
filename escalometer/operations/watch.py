"""New releases on the lists of providers, and what became of the models in use."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from escalometer import layout
from escalometer.config import (
    IN_USE,
    NAME_PATTERN,
    ModelCard,
    Params,
    Workspace,
    load_card,
    model_names,
    validated,
    yaml_names,
)
from escalometer.dialogue.providers import ListedModel, listed
from escalometer.documents import Profile
from escalometer.documents.document import read_document
from escalometer.errors import EscalometerError
from escalometer.operations import registry
from escalometer.runtime.files import write_text

#: A pattern that matches more new names than this is too wide: no card is written for it.
MOST_NEW = 20
_MOST_LENGTH = 120

#: What a new card takes over from the nearest card of its endpoint.
_INHERITED = ("provider", "licence", "terms", "thinking", "context", "counts_marker")


@dataclass
class Watched:
    """New models on the lists of providers, and notices about models in use.

    Attributes
    ----------
    new : list of dict
        A card that was written: ``model``, ``card`` (its file), ``name`` on the server,
        ``pattern``, ``guessed_from``, ``released``.
    notices : list of dict
        What became of models in use: ``model``, ``kind`` (gone, retiring, retired, alias) and
        ``text``.
    ignored : list of dict
        Names and patterns that led to no card: ``name`` and ``reason``.
    failed : list of dict
        Endpoints whose list could not be read: ``endpoint`` and ``reason``.
    n_listed : int
        Models on all lists.
    """

    new: list[dict[str, Any]] = field(default_factory=list)
    notices: list[dict[str, Any]] = field(default_factory=list)
    ignored: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    n_listed: int = 0


def look(params: Params, workspace: Workspace, today: date) -> Watched:
    """Ask the endpoints of known models what they list, and write a card for each new release.

    Asked are endpoints whose key is in the environment, and those without a key of models that the
    project uses or has own cards of.

    Parameters
    ----------
    params : Params
        Uses `models`, `gate`, `watch` and, where `gate.against` is ``in-use``, `track`.
    workspace : Workspace
        The project, and the keys.
    today : date
        For retirements, and for the cards' first line.

    Raises
    ------
    UsageError
        If a card cannot be read.
    DataError, ProviderError
        If MLflow is asked for the release in use, as `registry.in_use`.
    """
    params = _with_release_in_use(params, workspace)
    folder = layout.cards_folder(workspace.root)
    used = {*params.models, *filter(None, [params.gate.against])}
    mentioned = used | set(yaml_names(folder))
    cards = [load_card(name, folder) for name in model_names(folder)]
    asked = [
        card
        for card in cards
        if card.endpoint is not None
        and (
            workspace.secrets.get(card.endpoint.key_env)
            if card.endpoint.key_env
            else card.id in mentioned
        )
    ]
    found = Watched()
    by_endpoint: dict[str, Sequence[ListedModel]] = {}
    for card_id, result in listed(asked, workspace).items():
        base_url = _base_url(next(card for card in asked if card.id == card_id))
        if not isinstance(result, EscalometerError):
            by_endpoint[base_url] = result
        elif base_url not in {failure["endpoint"] for failure in found.failed}:
            found.failed.append({"endpoint": base_url, "reason": str(result)})
    found.n_listed = sum(len(models) for models in by_endpoint.values())
    _add_new(found, by_endpoint, asked, params.watch.patterns, workspace.root, today)
    in_use = [card for card in cards if card.id in used]
    _notice(found, by_endpoint, in_use, params, today)
    _notice_aliases(found, in_use, workspace.root)
    return found


def _with_release_in_use(params: Params, workspace: Workspace) -> Params:
    """Return parameters whose `gate.against` is a model; MLflow is asked for that of its alias."""
    if params.gate.against != IN_USE:
        return params
    name = params.track.registered_model
    model = registry.in_use(workspace.root, workspace.tracking, name)
    gate = params.gate.model_copy(update={"against": model})
    return params.model_copy(update={"gate": gate})


def _base_url(card: ModelCard) -> str:
    assert card.endpoint is not None  # noqa: S101 - for the type checker: only such are asked
    return card.endpoint.base_url.rstrip("/")


def _add_new(
    found: Watched,
    by_endpoint: dict[str, Sequence[ListedModel]],
    asked: Sequence[ModelCard],
    patterns: Iterable[str],
    root: Path,
    today: date,
) -> None:
    """Write cards for listed names that match a pattern and that no card of the endpoint has."""
    for pattern in patterns:
        matching = [
            (base_url, model)
            for base_url, models in by_endpoint.items()
            for model in models
            if fnmatchcase(model.name.lower(), pattern.lower())
        ]
        if not matching and by_endpoint:
            found.ignored.append({"name": pattern, "reason": "the pattern matches no listed model"})
        fresh = [
            (base_url, model)
            for base_url, model in matching
            if not any(
                card.endpoint is not None
                and _base_url(card) == base_url
                and card.endpoint.model == model.name
                for card in asked
            )
            and not any(new["name"] == model.name for new in found.new)
        ]
        if len(fresh) > MOST_NEW:
            reason = f"the pattern matches {len(fresh)} new models, more than {MOST_NEW}: narrow it"
            found.ignored.append({"name": pattern, "reason": reason})
            continue
        for base_url, model in fresh:
            nearest = max(
                (card for card in asked if _base_url(card) == base_url),
                key=lambda card: _likeness(card, model.name),
            )
            _add(found, model, nearest, pattern, root, today)


def _likeness(card: ModelCard, name: str) -> float:
    assert card.endpoint is not None  # noqa: S101 - as in `_base_url`
    return difflib.SequenceMatcher(None, card.endpoint.model, name).ratio()


def _add(
    found: Watched,
    model: ListedModel,
    nearest: ModelCard,
    pattern: str,
    root: Path,
    today: date,
) -> None:
    name = model.name
    card_id = re.sub(r"[^a-z0-9._-]+", "-", name.rpartition("/")[2].lower()).strip("-._")
    if not name.isprintable() or len(name) > _MOST_LENGTH or not re.match(NAME_PATTERN, card_id):
        reason = "the name is empty, too long or has characters that no model's name has"
        found.ignored.append({"name": name[:_MOST_LENGTH], "reason": reason})
        return
    path = layout.card_file(card_id, root)
    if card_id in model_names(path.parent):
        reason = f"the card {card_id} exists and is of another model: add one by hand"
        found.ignored.append({"name": name, "reason": reason})
        return
    inherited = nearest.model_dump(mode="json", exclude_defaults=True)
    content: dict[str, Any] = {
        "id": card_id,
        "title": name,
        **{key: inherited[key] for key in _INHERITED if key in inherited},
        "endpoint": {**inherited["endpoint"], "model": name},
        "guessed_from": nearest.id,
    }
    dates = {"released": model.released, "retires": model.retires}
    content |= {key: day for key, day in dates.items() if day is not None}
    validated(path, ModelCard, content)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    write_text(
        f"# Found by `escalometer models watch` on {today}. Guessed from {nearest.id}: licence, "
        "endpoint,\n# thinking and context. Check them, add the price with its source, and remove "
        f"guessed_from.\n{text}",
        path,
    )
    found.new.append(
        {
            "model": card_id,
            "card": str(path),
            "name": name,
            "pattern": pattern,
            "guessed_from": nearest.id,
            "released": str(model.released) if model.released else None,
        }
    )


def _notice(
    found: Watched,
    by_endpoint: dict[str, Sequence[ListedModel]],
    in_use: Sequence[ModelCard],
    params: Params,
    today: date,
) -> None:
    """Add what lists and cards say of the models in use: gone, retiring."""
    for card in in_use:
        models = by_endpoint.get(_base_url(card)) if card.endpoint else None
        of_card = [m for m in models or () if card.endpoint and m.name == card.endpoint.model]
        days = [day for day in (card.retires, *(m.retires for m in of_card)) if day is not None]
        role = "the release in use" if card.id == params.gate.against else "evaluated here"
        if days and (min(days) - today).days <= params.watch.warn_days:
            day = min(days)
            is_over = day <= today
            others = [name for name in params.models if name != card.id]
            text = (
                f"{card.id} ({role}) {'was retired' if is_over else 'retires'} on {day}: gate a "
                f"replacement, e.g. `escalometer gate {others[0] if others else 'NEW'} --against "
                f"{card.id}`{'' if is_over else ', while it can still be compared'}"
            )
            kind = "retired" if is_over else "retiring"
            found.notices.append({"model": card.id, "kind": kind, "text": text})
        if models and not of_card and card.endpoint and card.endpoint.lists_models:
            text = (
                f"{card.id} ({role}): {card.endpoint.model!r} is no longer on its provider's list"
            )
            found.notices.append({"model": card.id, "kind": "gone", "text": text})


def _notice_aliases(found: Watched, in_use: Sequence[ModelCard], root: Path) -> None:
    """Add models whose name stood for several releases while they were asked."""
    for card in in_use:
        path = layout.profile_file(card.id, root)
        names = read_document(Profile, path).resolved_models if path.exists() else ()
        if len(names) > 1:
            text = (
                f"{card.id} resolved to {', '.join(names)} while it was asked: its profile mixes "
                "releases. Name a dated snapshot in its card, and evaluate again"
            )
            found.notices.append({"model": card.id, "kind": "alias", "text": text})
