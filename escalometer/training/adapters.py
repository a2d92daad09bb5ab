"""Adapters by name, and the cards of tuned models, sealed with a digest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from escalometer.config import (
    AdapterParams,
    ModelCard,
    Params,
    edit_card,
    load_card,
    model_names,
    validated,
)
from escalometer.dialogue.providers.local.adapters import folder
from escalometer.errors import UsageError, unknown_name
from escalometer.layout import adapter_files, adapter_folder, card_file, cards_folder
from escalometer.runtime.files import digest_of_files
from escalometer.runtime.git import is_tracked

#: Budget of a tuned model's answer: the chain before its marker has some 60 to 100 tokens.
ANSWER_TOKENS = 128

#: Fields that a tuned model's card has from its base's, in the order of the card.
_INHERITED = ("provider", "licence", "released", "hub_id", "source", "thinking", "context", "price")


def adapter_named(name: str, params: Params) -> AdapterParams:
    """Return the parameters of the adapter `name`, from params.yaml.

    Raises
    ------
    UsageError
        If it says nothing.
    """
    if name not in params.train.adapters:
        raise unknown_name("adapter", name, sorted(params.train.adapters))
    return params.train.adapters[name]


def training_domains(adapter: AdapterParams, params: Params) -> list[str]:
    """Return the domains that the adapter is trained on: all but the one held out.

    Raises
    ------
    UsageError
        If none is left.
    """
    domains = [d for d in adapter.domains or params.domains if d != adapter.holdout]
    if not domains:
        raise UsageError(
            f"{adapter.holdout} is held out and params.yaml names no other domain to train on: add "
            "one to `domains`, or hold out another (`--holdout`)"
        )
    return domains


def check_base(model: str, root: Path = Path()) -> ModelCard:
    """Return the card of `model`, after checking that it can be fine-tuned here.

    Raises
    ------
    UsageError
        If there is no such card, its weights are not on this machine, or it is tuned already.
    """
    card = load_card(model, cards_folder(root))
    if card.provider != "local":
        raise UsageError(
            f"{model} is a remote model: only weights on this machine can be fine-tuned. "
            "`escalometer models add OWNER/NAME@COMMIT` (or a folder of safetensors) adds a "
            "card of a local model; models/README.md has an example"
        )
    if card.adapter is not None:
        raise UsageError(
            f"{model} has an adapter already ({card.adapter}): fine-tune its base model instead"
        )
    return card


def check_name(name: str, model: str, root: Path = Path()) -> None:
    """Refuse a name whose card is not this adapter's, so that no card is overwritten.

    Raises
    ------
    UsageError
        If models/<name>.yaml is the card of another model, or of an adapter in git: DVC cannot
        write a folder that git tracks.
    """
    if name == model:
        raise UsageError(f"{name} is the base model itself: give the tuned one another --name")
    if name not in model_names(cards_folder(root)):
        return
    if load_card(name, cards_folder(root)).adapter != name:
        raise UsageError(f"models/{name}.yaml is the card of another model: choose another --name")
    if is_tracked(adapter_folder(name, root)):
        raise UsageError(
            f"the adapter {name} comes with the repository, and git tracks its files: choose "
            "another --name. README.md in its folder contains the command that trains it again"
        )


def write_card(name: str, model: str, root: Path = Path()) -> Path:
    """Write the card of the tuned model `name` unless it is there, and return its file.

    A card that is there and has the base's weights stays as it is, with what people changed in it.

    Parameters
    ----------
    name : str
        The adapter, and the card's id.
    model : str
        The base model, whose card it is made from.
    root : Path
        The project.

    Raises
    ------
    UsageError
        If the base cannot be fine-tuned, or the card of that name is another model's.
    """
    base = check_base(model, root)
    check_name(name, model, root)
    path = card_file(name, root)
    if path.exists() and load_card(name, cards_folder(root)).source == base.source:
        return path
    inherited = base.model_dump(mode="json", include=set(_INHERITED), exclude_defaults=True)
    content: dict[str, Any] = {
        "id": name,
        "title": f"{base.title} + {name}",
        **{key: inherited[key] for key in _INHERITED if key in inherited},
        "adapter": name,
        "counts_marker": "first",  # it may go on to invent turns
        "answer_tokens": ANSWER_TOKENS,
    }
    validated(path, ModelCard, content)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    path.write_text(
        f"# Tuned: {model} with the adapter that `escalometer train {model} --name {name}` makes.\n"
        f"# adapter_sha256 comes in when it is trained.\n{text}",
        encoding="utf-8",
    )
    return path


def seal(name: str, root: Path = Path()) -> str:
    """Write the adapter's digest into its card, keeping comments, and return it.

    With another adapter than that the model is refused; and what DVC made with another one goes
    stale, since the card has changed.

    Parameters
    ----------
    name : str
        The adapter; its card has the same name.
    root : Path
        The project.

    Raises
    ------
    UsageError
        If there is no such card, or it is not of this adapter.
    ProviderError
        If the adapter is not there.
    """
    card = load_card(name, cards_folder(root))
    if card.adapter != name:
        raise UsageError(f"models/{name}.yaml is not a card of the adapter {name!r}")
    sha256 = digest_of_files(adapter_files(folder(card, root)))
    if card.adapter_sha256 != sha256:
        edit_card(name, {"adapter_sha256": sha256}, cards_folder(root))
    return sha256
