"""Weights from the Hugging Face hub: one commit, safetensors alone, every file verified."""

from __future__ import annotations

import fnmatch
import hashlib
import sys
from pathlib import Path
from typing import Any

from escalometer.config import HubSource
from escalometer.errors import ProviderError

#: No pickles, and no code.
_WANTED = ("*.safetensors", "*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt")
#: The same weights again, in the layout of another library.
_UNWANTED = ("consolidated*",)
_CHUNK = 1 << 20


def fetch(source: HubSource, target: Path) -> None:
    """Download the model's files of the card's commit into `target`.

    Parameters
    ----------
    source : HubSource
        Which model, at which commit.
    target : Path
        A folder; what an interrupted attempt left in it is used.

    Raises
    ------
    ProviderError
        If the hub cannot be reached or refuses, has no safetensors there, or sends other bytes
        than it announces.
    """
    from huggingface_hub import HfApi, errors, snapshot_download

    what = f"{source.id} at {source.revision}"
    print(f"fetching {what} from the Hugging Face hub (once) …", file=sys.stderr, flush=True)
    try:
        model_info = HfApi().model_info(source.id, revision=source.revision, files_metadata=True)
        if model_info.sha != source.revision:
            raise ProviderError(f"{what}: the hub answered for another commit, {model_info.sha}")
        files = [file for file in model_info.siblings or [] if _is_wanted(file.rfilename)]
        if not any(file.rfilename.endswith(".safetensors") for file in files):
            raise ProviderError(f"{what} has no *.safetensors file; pickled weights are not read")
        snapshot_download(
            source.id,
            revision=source.revision,
            local_dir=target,
            allow_patterns=[file.rfilename for file in files],
        )
    except (OSError, ValueError, errors.HTTPError) as error:  # type: ignore[attr-defined]
        raise ProviderError(
            f"could not fetch {what} from the Hugging Face hub: {_reason(error)}. Check the "
            "network, and the model's terms if it is gated; or fetch the folder elsewhere and "
            "name it in the card: source: {kind: folder, path: …}."
        ) from error
    for file in files:
        _verify(file, target / file.rfilename, what)


def _is_wanted(name: str) -> bool:
    if "/" in name:  # other formats and other sizes live in separate folders
        return False
    wanted, unwanted = (
        any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
        for patterns in (_WANTED, _UNWANTED)
    )
    return wanted and not unwanted


def _verify(file: Any, path: Path, what: str) -> None:
    """Compare a file with its size, and with its SHA-256 where the hub states one."""
    n_bytes = path.stat().st_size if path.is_file() else None
    if n_bytes is None or (file.size is not None and n_bytes != file.size):
        raise ProviderError(
            f"{what}: {file.rfilename} has {n_bytes or 0:,} bytes, expected {file.size or 0:,}. "
            "Run this again."
        )
    if file.lfs is None:
        return
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != file.lfs.sha256:
        path.unlink()  # else it would look complete
        raise ProviderError(
            f"{what}: {file.rfilename} is not what the hub announces: its sha256 is "
            f"{digest.hexdigest()}, expected {file.lfs.sha256}. Run this again."
        )


def _reason(error: Exception) -> str:
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0]}" if first else type(error).__name__
