"""The execution of a training on a device: precision, gradient checkpointing, trees at a time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from escalometer.config import Recipe
from escalometer.errors import DataError, ProviderError
from escalometer.runtime.files import read_json, write_json

#: Tokens in one row of a batch from which further trees do not make a GPU faster.
ROW_TOKENS = 8192

_DATA_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Execution:
    """The way in which a training is computed; what is learned does not depend on it.

    Attributes
    ----------
    precision : {"float32", "bfloat16"}
        Data type of the base model's weights and of its products. LoRA's weights, their gradients
        and the optimizer's state are in float32.
    gradient_checkpointing : bool
        Whether activations are computed again in the backward pass and not kept.
    trees_at_a_time : int
        Trees in one row of a batch.
    n_processes : int
        Processes that train together; each reads a part of the data.
    n_shards : int
        Parts of the model, one per process; 1 if each process has the whole model.
    """

    precision: Literal["float32", "bfloat16"] = "float32"
    gradient_checkpointing: bool = False
    trees_at_a_time: int = 1
    n_processes: int = 1
    n_shards: int = 1

    @property
    def data_type(self) -> torch.dtype:
        """Data type of the base model's weights."""
        return _DATA_TYPES[self.precision]

    def spell(self) -> str:
        """Return the execution in a few words."""
        parts: list[str] = [self.precision]
        if self.trees_at_a_time > 1:
            parts.append(f"{self.trees_at_a_time} trees at a time")
        if self.gradient_checkpointing:
            parts.append("gradient checkpointing")
        if self.n_processes > 1:
            whole = "a part of the model" if self.n_shards > 1 else "the whole model"
            parts.append(f"{self.n_processes} processes with {whole} each")
        return ", ".join(parts)

    def record(self) -> dict[str, Any]:
        """Return the execution as JSON."""
        return asdict(self)


def precision(recipe: Recipe, device: torch.device) -> Literal["float32", "bfloat16"]:
    """Return the data type of the base model's weights: bfloat16 on GPUs that compute in it."""
    if recipe.precision != "auto":
        return recipe.precision
    is_fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if is_fast else "float32"


def candidates(
    recipe: Recipe,
    device: torch.device,
    trees_per_step: int,
    tokens_per_tree: float,
    n_processes: int = 1,
    n_shards: int = 1,
) -> list[Execution]:
    """Return the executions that a recipe allows, the fastest first, the smallest last.

    Parameters
    ----------
    recipe : Recipe
        Says what is fixed.
    device : torch.device
        The device to train on.
    trees_per_step : int
        Trees that a process learns from in each step; trees at a time divide it.
    tokens_per_tree : float
        Mean number of tokens of a tree.
    n_processes, n_shards : int
        As of `Execution`.
    """
    chosen = precision(recipe, device)
    numbers = [n for n in range(trees_per_step, 0, -1) if trees_per_step % n == 0]
    if recipe.trees_at_a_time is not None:
        numbers = [next(n for n in numbers if n <= recipe.trees_at_a_time)]
    elif device.type != "cuda":
        numbers = [1]  # one tree makes a core busy
    else:
        numbers = [n for n in numbers if n == 1 or n * tokens_per_tree <= ROW_TOKENS]
    setting = recipe.gradient_checkpointing
    return [
        Execution(chosen, checkpointing, n, n_processes, n_shards)
        for checkpointing in ((False, True) if setting == "auto" else (setting,))
        for n in numbers
    ]


def kept(path: Path, n_processes: int, n_shards: int) -> Execution | None:
    """Return the execution of a training that was interrupted, if there is one.

    Raises
    ------
    ProviderError
        If the file is damaged, or the training began with other processes: its checkpoints are
        theirs.
    """
    if not path.exists():
        return None
    try:
        found = Execution(**read_json(path))
    except (TypeError, DataError) as error:
        raise ProviderError(f"{path} is damaged: remove its folder to train anew") from error
    if (found.n_processes, found.n_shards) != (n_processes, n_shards):
        raise ProviderError(
            f"the interrupted training used {found.n_processes} processes and {found.n_shards} "
            f"parts of the model, this one uses {n_processes} and {n_shards}: start it in the same "
            f"way, or remove {path.parent} to train anew"
        )
    return found


def keep(execution: Execution, path: Path) -> None:
    """Write the execution next to the checkpoints: a resumed training computes in the same way."""
    write_json(execution.record(), path)
