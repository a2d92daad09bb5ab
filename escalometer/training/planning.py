"""The choice of an execution whose estimated memory is free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from escalometer.config import ModelCard, Recipe
from escalometer.dialogue.providers.local import loading
from escalometer.errors import ProviderError
from escalometer.training import trainer
from escalometer.training.estimate import Estimate, estimate
from escalometer.training.execution import Execution, candidates
from escalometer.training.layer_costs import measure
from escalometer.training.prefix_trees import Tree

#: The share of free memory that a training may be estimated to need: estimates are not exact.
_USABLE = 0.85


def plan(
    model: Any,
    data: Sequence[Any],
    recipe: Recipe,
    has_reference: bool,
    began: Execution | None = None,
) -> tuple[Execution, Estimate]:
    """Return the fastest execution whose memory is free, or else the smallest, and its estimate.

    Parameters
    ----------
    model : PreTrainedModel
        The base model, on the CPU.
    data : sequence of Item
        The training data.
    recipe : Recipe
        The hyperparameters, and what is fixed of the execution.
    has_reference : bool
        Whether the base model reads everything as well.
    began : Execution, optional
        The execution of an interrupted training, which is not changed.
    """
    device = trainer.device()
    is_padded = not isinstance(data[0], Tree)
    options = (
        [began]
        if began
        else candidates(
            recipe,
            device,
            1 if is_padded else trainer.trees_per_step(recipe),
            sum(item.n_tokens for item in data) / len(data),
            trainer.n_processes(),
            trainer.n_shards(),
        )
    )
    together = trainer.batches(recipe, is_padded)[0]
    costs = measure(model, data, recipe, device, options[0].data_type, together)
    free = loading.free_bytes(device)
    for execution in options:
        found = estimate(model, data, recipe, device, is_padded, has_reference, execution, costs)
        if found.memory_bytes - found.loaded_bytes <= _USABLE * free:
            break
    return execution, found


def check_memory(forecast: Estimate, card: ModelCard) -> None:
    """Refuse a training whose memory is not free.

    Raises
    ------
    ProviderError
        If more is needed than is free.
    """
    free = loading.free_bytes(trainer.device())
    needed = forecast.memory_bytes - forecast.loaded_bytes
    if needed > free:
        raise ProviderError(
            f"training needs about {needed / 1e9:.1f} GB of memory more than is in use and "
            f"{free / 1e9:.1f} GB are free: lower n_branches, rank or n_layers under `training` in "
            f"models/{card.id}.yaml, or free memory"
        )
