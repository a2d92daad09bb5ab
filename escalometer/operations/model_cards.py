"""New model cards from a reference: an address, an id, a folder."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from escalometer import layout
from escalometer.config import ModelCard, load_card, model_names
from escalometer.errors import UsageError

_FORMS = (
    "inspect/<provider>/<model> (any that inspect_ai supports), <owner>/<name>@<40-digit commit> "
    "(weights on the Hugging Face hub), a folder of safetensors (with a / in it), or "
    "<http address of an OpenAI-compatible server>#<model>"
)


def add_card(reference: str, root: Path = Path(), name: str | None = None) -> Path:
    """Write a card for the model that `reference` names and return its file.

    Parameters
    ----------
    given : str
        See the error below for the forms that it may have.
    root : Path
        The project.
    name : str, optional
        The card's id; made from `given` by default.

    Raises
    ------
    UsageError
        If `given` has none of the forms, or there is such a card already.
    """
    content = _content(reference)
    card_id = name or re.sub(r"[^a-z0-9._-]+", "-", str(content.pop("stem")).lower()).strip("-._")
    content.pop("stem", None)
    if card_id in model_names(layout.cards_folder(root)):
        raise UsageError(
            f"models/{card_id}.yaml exists already: remove it, or choose another --name"
        )
    content = {"id": card_id, **content}
    path = layout.card_file(card_id, root)
    ModelCard.model_validate(content)
    path.write_text(
        f"# Made by `escalometer models add {reference}`: check the context; add the price and "
        f"where it stands.\n{yaml.safe_dump(content, sort_keys=False)}",
        encoding="utf-8",
    )
    return path


def card_named(reference: str, root: Path = Path()) -> str:
    """Return the id of the card that `given` names; a model of inspect_ai gets one if need be."""
    if not reference.startswith("inspect/"):
        load_card(reference, layout.cards_folder(root))
        return reference
    for name in model_names(layout.cards_folder(root)):
        card = load_card(name, layout.cards_folder(root))
        if (
            card.provider == "inspect"
            and card.endpoint
            and f"inspect/{card.endpoint.model}" == reference
        ):
            return name
    return add_card(reference, root).stem


def _content(reference: str) -> dict[str, object]:
    basis: dict[str, object] = {"licence": "unknown: see the model's own page", "context": 8192}
    if match := re.fullmatch(r"inspect/([^/\s]+/\S+)", reference):
        # inspect_ai finds address and key itself; the card only says which model.
        endpoint: dict[str, object] = {"model": match[1]}
        return {
            "stem": reference.replace("/", "-"),
            "title": match[1],
            "provider": "inspect",
            "endpoint": endpoint,
            **basis,
        }
    if match := re.fullmatch(r"(https?://[^#\s]+)#(\S+)", reference):
        return {
            "stem": match[2],
            "title": match[2],
            "provider": "openai",
            "endpoint": {"base_url": match[1].rstrip("/"), "model": match[2]},
            **basis,
        }
    if match := re.fullmatch(r"([A-Za-z0-9._-]+/[A-Za-z0-9._-]+)@([0-9a-f]{40})", reference):
        source = {"kind": "hub", "id": match[1], "revision": match[2]}
        return _local(match[1].rpartition("/")[2], source, basis)
    folder = Path(reference).expanduser()
    if folder.is_dir() and list(folder.glob("*.safetensors")):
        return _local(folder.name, {"kind": "folder", "path": str(folder.resolve())}, basis)
    raise UsageError(f"{reference!r} is not a reference to a model; accepted are {_FORMS}")


def _local(stem: str, source: dict[str, str], basis: dict[str, object]) -> dict[str, object]:
    return {
        "stem": stem,
        "title": stem,
        "provider": "local",
        "source": source,
        **basis,
        "price": {"input_usd_per_million": 0.0, "output_usd_per_million": 0.0},
    }
