"""The command line of a vLLM server, as vLLM 0.33 parses it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from escalometer.config import ModelCard
from escalometer.errors import ProviderError
from escalometer.layout import ADAPTER_CONFIG

HOST = "127.0.0.1"
_DEVICES = Path("/dev")
#: Ranks that `--max-lora-rank` takes.
_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)


def executable(environment: Mapping[str, str]) -> str | None:
    """Return the program `vllm`: next to this Python, else on the path."""
    beside = Path(sys.executable).with_name("vllm")
    return str(beside) if beside.is_file() else shutil.which("vllm", path=environment.get("PATH"))


def n_gpus(environment: Mapping[str, str]) -> int:
    """Return the number of GPUs that a server may use, at least 1, without asking a driver."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return max(1, len([name for name in visible.split(",") if name.strip()]))
    return max(1, len(list(_DEVICES.glob("nvidia[0-9]*"))))


def n_replicas(card: ModelCard, environment: Mapping[str, str]) -> int:
    """Return the number of replicas: the card's, else as many as the GPUs hold."""
    serving = card.serving
    return serving.replicas or max(1, n_gpus(environment) // serving.gpus_per_replica)


def served_name(card: ModelCard) -> str:
    """Return the name of the card's model on a server: that of its adapter, or its id."""
    return card.adapter or card.id


def arguments(
    card: ModelCard,
    *,
    weights: Path,
    adapter: Path | None,
    precision: str,
    replicas: int,
    port: int,
) -> list[str]:
    """Return what follows `vllm`.

    Parameters
    ----------
    card : ModelCard
        The model.
    weights, adapter : Path
        Their folders.
    precision : str
        Data type of the weights.
    replicas : int
        Copies of the model, each on its own GPUs.
    port : int
        Where the server listens, on this machine alone.

    Raises
    ------
    ProviderError
        If the adapter's rank is larger than any that vLLM supports.
    """
    line = ["serve", str(weights), "--host", HOST, "--port", str(port)]
    # With an adapter, both models are served; requests name the adapter.
    line += ["--served-model-name", f"{card.id}-base" if adapter else card.id]
    line += ["--dtype", precision, "--seed", "0", "--max-model-len", str(card.context)]
    # Greedy decoding alone: no repetition penalty or other default of the model's folder.
    line += ["--generation-config", "vllm"]
    line += ["--enable-prefix-caching", "--enable-prompt-tokens-details"]
    line += ["--disable-uvicorn-access-log"]
    if adapter is not None:
        module = {"name": served_name(card), "path": str(adapter)}
        line += ["--enable-lora", "--max-lora-rank", str(_rank(card, adapter))]
        line += ["--lora-modules", json.dumps(module)]  # JSON: a path may contain `=`
    if card.serving.gpus_per_replica > 1:
        line += ["--tensor-parallel-size", str(card.serving.gpus_per_replica)]
    if replicas > 1:
        line += ["--data-parallel-size", str(replicas)]
    return line


def _rank(card: ModelCard, adapter: Path) -> int:
    config = json.loads((adapter / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    rank = max([int(config.get("r", 0)), *map(int, (config.get("rank_pattern") or {}).values())])
    supported = next((most for most in _RANKS if most >= rank), None)
    if supported is None:
        raise ProviderError(
            f"{card.id}: the adapter's rank is {rank}; vLLM supports at most {_RANKS[-1]}. "
            "Use `provider: local`."
        )
    return supported
