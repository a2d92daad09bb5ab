"""The user's LoRA adapters: found by name, and checked against the card and its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from escalometer.config import FolderSource, HubSource, ModelCard
from escalometer.errors import ProviderError
from escalometer.layout import (
    ADAPTER_CONFIG,
    ADAPTER_RECORD,
    adapter_files,
    adapter_folder,
)
from escalometer.resources import folder_path, resource
from escalometer.runtime.files import digest_of_files


def restore(folder: Path) -> str:
    """Return how to get an adapter's files back: git has those that ship, DVC the trained ones."""
    name = f"models/adapters/{folder.name}"
    return (
        f"restore it (`git checkout -- {name}` if it came with the repository, "
        f"`dvc checkout --force {name}` or `dvc pull` if it was trained), or train it again"
    )


def _stored(name: str, root: Path) -> Path:
    """Return the adapter's folder in the project, or else the built-in one, if there is one."""
    path = adapter_folder(name, root)
    if not path.exists() and resource("models", "adapters", name).is_dir():
        return folder_path("models", "adapters", name)
    return path


def folder(card: ModelCard, root: Path) -> Path:
    """Return the folder of the card's adapter: models/adapters/<name>, or a built-in one.

    Raises
    ------
    ProviderError
        If it is not there, or not in safetensors.
    """
    path = _stored(str(card.adapter), root)
    missing = [file.name for file in adapter_files(path) if not file.is_file()]
    if not missing:
        return path
    what = f"{card.id}: the adapter {card.adapter!r} lacks {' and '.join(missing)} in {path}"
    if (path / "adapter_model.bin").is_file():
        raise ProviderError(
            f"{what}; a pickled adapter_model.bin is not read, since loading it may run code: "
            "save it as safetensors"
        )
    raise ProviderError(f"{what}; {restore(path)}")


def digest(card: ModelCard, root: Path, revision: str) -> str:
    """Return the adapter's name and sha256, after checking that the card means these bytes.

    Parameters
    ----------
    card : ModelCard
        Names the adapter.
    root : Path
        The project.
    revision : str
        Of the card's weights, from `weights.revision`.

    Raises
    ------
    ProviderError
        As of `folder`; or if it was trained on other weights, or is not the adapter whose digest
        the card holds: damaged, exchanged, or trained again.
    """
    path = folder(card, root)
    what = f"{card.id}: the adapter {card.adapter!r} in {path}"
    named_base = mapping(path / ADAPTER_CONFIG, what).get("base_model_name_or_path")
    check_base(card, str(named_base or ""), what)
    record = mapping(path / ADAPTER_RECORD, what) if (path / ADAPTER_RECORD).exists() else {}
    if record.get("revision", revision) != revision:
        raise ProviderError(
            f"{what} was trained on {record.get('model')} ({record['revision']}), but the card's "
            f"weights are {revision}: train one for these weights, or name those in "
            f"models/{card.id}.yaml"
        )
    sha256 = digest_of_files(adapter_files(path))
    if card.adapter_sha256 not in (None, sha256):
        raise ProviderError(
            f"{what} is not the one that models/{card.id}.yaml names: its sha256 is "
            f"{sha256[:12]}…, the card says {str(card.adapter_sha256)[:12]}…. If it is damaged, "
            f"{restore(path)}. If you replaced it on purpose, write "
            f" its digest to the card: `escalometer stage seal --cell {card.adapter}`"
        )
    return f"{card.adapter}@sha256:{sha256}"


def mapping(path: Path, what: str) -> dict[str, Any]:
    """Return the JSON mapping of a file in an adapter's folder."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ProviderError(
            f"{what} has a broken {path.name}: {error}; {restore(path.parent)}"
        ) from error
    if not isinstance(content, dict):
        raise ProviderError(
            f"{what} has a broken {path.name}: it is not a mapping; {restore(path.parent)}"
        )
    return content


def check_base(card: ModelCard, base: str, what: str) -> None:
    """Refuse an adapter that names a base which the card's weights cannot be."""
    base_names = {card.id, card.hub_id}
    if isinstance(card.source, HubSource):
        base_names.add(card.source.id)
    if isinstance(card.source, FolderSource):
        base_names |= {str(card.source.path), card.source.path.name}
    # A folder's path does not identify weights; two different hub ids do.
    is_hub_id = base.count("/") == 1 and not base.startswith((".", "/", "~"))
    hub_ids = {name for name in base_names if name and "/" in name and not name.startswith("/")}
    if is_hub_id and hub_ids and base not in hub_ids:
        raise ProviderError(
            f"{what} was trained on {base}, but the card's weights are {' or '.join(hub_ids)}"
        )
