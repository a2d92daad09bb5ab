"""Loading a model: from a folder of safetensors to its device, with its adapter merged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from escalometer.config import ModelCard, Workspace
from escalometer.dialogue.providers.local import adapters
from escalometer.dialogue.weights import sources
from escalometer.errors import ProviderError

_ROWS_HINT = 1024  # rows of the products that weights are laid out for: those of prompts
_CGROUP = Path("/sys/fs/cgroup")


def load(card: ModelCard, workspace: Workspace, precision: str = "float32") -> tuple[Any, Any]:
    """Return (model, tokenizer), the model on the fastest device there is.

    Parameters
    ----------
    card : ModelCard
        The model.
    workspace : Workspace
        Where weights and adapters are.
    precision : {"float32", "bfloat16", "float16"}
        Data type of the weights. An adapter is merged in float32, so that its product is rounded
        once.

    Raises
    ------
    ProviderError
        If the weights cannot be had or loaded, or the adapter does not belong to them.
    """
    model, tokenizer = read_model(card, workspace, "float32" if card.adapter else precision)
    import torch

    torch.set_num_threads(free_threads())
    if card.adapter:
        model = adapters.merge(model, card, workspace.root)
        _round(model, precision)
    if torch.cuda.is_available():
        return model.to("cuda"), tokenizer
    if torch.backends.mps.is_available():
        return model.to("mps"), tokenizer
    if precision == "float32":
        _lay_out(model)
    return model, tokenizer


def read_model(
    card: ModelCard, workspace: Workspace, precision: str = "float32"
) -> tuple[Any, Any]:
    """Return (model, tokenizer) with the stored weights: on the CPU, no adapter.

    Parameters
    ----------
    card : ModelCard
        The model.
    workspace : Workspace
        Where weights are.
    precision : {"float32", "bfloat16", "float16"}
        Data type of the weights.

    Raises
    ------
    ProviderError
        If the weights cannot be had or loaded.
    """
    folder = sources.folder(card, workspace.cache)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    # The folder is all that is read: nothing is looked up on a hub, no code of the model's is run.
    how = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **how)
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, precision), use_safetensors=True, **how
        ).eval()
    except (OSError, ValueError) as error:
        raise ProviderError(f"{card.id}: cannot load {folder}: {error}") from error
    return model, tokenizer


def _round(model: Any, precision: str) -> None:
    """Round the weights to a data type; buffers, such as those of rotary embeddings, keep theirs.

    The result has the data types of a model that is loaded in that precision.
    """
    import torch

    for weight in model.parameters():
        weight.data = weight.data.to(getattr(torch, precision))


def free_threads() -> int:
    """Return the number of cores that are idle right now, at least 1.

    More threads than idle cores are far slower than fewer: they wait for each other spinning.
    """
    import psutil

    n_cores = len(psutil.Process().cpu_affinity() or [0]) if psutil.LINUX else psutil.cpu_count()
    busy = psutil.cpu_percent(interval=0.5) / 100
    return int(max(1, round((n_cores or 1) * (1 - busy))))


def free_bytes(device: Any) -> int:
    """Return the memory that the device can still allocate, in bytes."""
    import torch

    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + unused)
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    import psutil

    free = int(psutil.virtual_memory().available)
    limit, used = _CGROUP / "memory.max", _CGROUP / "memory.current"
    if limit.exists() and used.exists() and (text := limit.read_text().strip()) != "max":
        free = min(free, int(text) - int(used.read_text()))  # a container's limit ends processes
    return max(0, free)


def is_out_of_memory(error: RuntimeError | MemoryError) -> bool:
    """Return true if an error means that memory could not be had: on CUDA, MPS or the CPU."""
    import torch

    message = str(error)
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or "can't allocate memory" in message
        or "out of memory" in message
    )


def _lay_out(model: Any) -> None:
    """Arrange the weights of linear layers for this CPU once, not at every product.

    The same float32 products: a decoding step takes half of the time, a prompt four fifths.
    """
    import torch

    if not torch._C._has_mkldnn:
        return

    class LaidOut(torch.nn.Module):
        def __init__(self, linear: torch.nn.Linear) -> None:
            super().__init__()
            weight = linear.weight.detach()
            self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS_HINT)
            self.bias = linear.bias

        def forward(self, rows: torch.Tensor) -> Any:
            product = torch.ops.mkldnn._linear_pointwise
            return product(rows, self.weight, self.bias, "none", [], "")

    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is torch.nn.Linear:
                setattr(module, name, LaidOut(child))
