"""The duration and memory of a training, estimated before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import psutil
import torch

from escalometer.config import Recipe
from escalometer.training.execution import Execution
from escalometer.training.layer_costs import LayerCosts, measure

_FLOAT_BYTES = 4
#: The allocators' reserve over the numbers that a step keeps.
_RESERVE = 1.1
#: TRL's head computes logits again in its backward pass, and entropy and accuracy in addition: its
#: time over that of our head, and its copies of the logits on a CPU, both measured. Its kernel for
#: GPUs keeps none.
_PADDED_HEAD, _PADDED_COPIES = 2.0, 7
_GPU_FLOPS = 60e12  # of bfloat16 that a step of a small model reaches on a card of 2022 (A100)


@dataclass(frozen=True)
class Estimate:
    """The size, duration and memory of a training.

    Attributes
    ----------
    n_tokens, n_separate : int
        Tokens of an epoch, and what they would be if examples shared nothing.
    memory_bytes : int
        Most memory at a time, of each process: of a GPU, or of the process on a CPU.
    loaded_bytes : int
        The part of it that was in use when the estimate was made.
    seconds : float
        Duration of all epochs on these devices.
    gpu_seconds : float
        Duration on one data-centre GPU, from the operations that it takes and 60 TFLOP/s.
    """

    n_tokens: int
    n_separate: int
    memory_bytes: int
    loaded_bytes: int
    seconds: float
    gpu_seconds: float

    def spell(self) -> str:
        """Return the estimate in one line."""
        minutes = self.seconds / 60
        duration = f"{minutes:.0f} min" if minutes >= 2 else f"{self.seconds:.0f} s"
        return (
            f"{self.n_tokens:,} tokens ({self.n_separate:,} if examples shared nothing), "
            f"about {duration} and {self.memory_bytes / 1e9:.1f} GB of memory here "
            f"({self.gpu_seconds:.0f} s of arithmetic on a data-centre GPU)"
        )


class Item(Protocol):
    """One item of a trainer's batch: an example, a tree of them, a pair."""

    @property
    def n_tokens(self) -> int:
        """Number of tokens to read."""
        ...

    @property
    def n_separate(self) -> int:
        """Number of tokens to read if each example were separate."""
        ...

    @property
    def n_learned(self) -> int:
        """Number of tokens to learn."""
        ...


def estimate(
    model: Any,
    data: Sequence[Item],
    recipe: Recipe,
    device: torch.device,
    is_padded: bool,
    has_reference: bool = False,
    execution: Execution | None = None,
    costs: LayerCosts | None = None,
) -> Estimate:
    """Return the cost of training `model` on `data`; the cost of a layer is measured briefly.

    Parameters
    ----------
    model : PreTrainedModel
        The model to train, on the CPU.
    data : sequence of Item
        The training data.
    recipe : Recipe
        The hyperparameters.
    device : torch.device
        The device to train on.
    is_padded : bool
        Whether a batch of the recipe's is read at a time, each item as long as the longest, and not
        one item after the other.
    has_reference : bool
        Whether the model as it was reads everything as well, to compare.
    execution : Execution, optional
        How it is computed; None: in float32, one tree at a time.
    costs : LayerCosts, optional
        Costs of a layer that were measured before, with the execution's precision.
    """
    execution = execution or Execution()
    together = max(1, recipe.batch_size // execution.n_processes) if is_padded else 1
    data_type = execution.data_type
    costs = costs or measure(model, data, recipe, device, data_type, together)
    config = model.config.get_text_config()
    n_layers = config.num_hidden_layers
    n_learning = min(n_layers, recipe.n_layers or n_layers)
    order = np.random.default_rng(0).permutation(len(data))  # shuffled: long ones pad short ones
    lengths = [data[i].n_tokens for i in order]
    batches = [lengths[i : i + together] for i in range(0, len(lengths), together)]
    n_read = sum(len(batch) * max(batch) for batch in batches)
    n_learned = sum(item.n_learned for item in data)
    # TRL's trainer scores every position, ours those that are learned.
    n_scored = n_read if is_padded else n_learned

    again = costs.again_s if execution.gradient_checkpointing else 0.0
    per_token = (
        (n_layers - n_learning) * costs.forward_s
        + n_learning * (costs.learning_s + again)
        + has_reference * n_layers * costs.forward_s
    )
    # A reference is scored forward alone, a third of the work.
    head_s = costs.head_s * (_PADDED_HEAD if is_padded else 1)
    seconds = n_read * per_token + n_scored * head_s * (1 + has_reference / 3)

    at_a_time = together if is_padded else execution.trees_at_a_time
    most_read = sum(sorted(lengths)[-at_a_time:]) if not is_padded else together * max(lengths)
    most_learned = sum(sorted(item.n_learned for item in data)[-at_a_time:])
    most_scored = most_read if is_padded else most_learned
    size = data_type.itemsize
    if execution.gradient_checkpointing:  # a layer's input, and one layer in full
        kept = most_read * (n_learning * config.hidden_size * size + costs.kept_bytes)
    else:
        kept = most_read * n_learning * costs.kept_bytes
    # Logits, their logarithms and gradients in float32, and the logits as they are computed.
    copies = 3 * _FLOAT_BYTES + (size if size < _FLOAT_BYTES else 0)
    if is_padded:
        copies = _FLOAT_BYTES * (1 if device.type == "cuda" else _PADDED_COPIES)
    scores = most_scored * config.vocab_size * copies
    n_trained = costs.n_trained * n_learning
    trained = 4 * n_trained * _FLOAT_BYTES / execution.n_shards  # weights, gradients, two moments
    n_weights = sum(p.numel() for p in model.parameters())
    weights = n_weights * size / execution.n_shards
    if execution.n_shards > 1:  # two layers are gathered at a time, and the embeddings
        gathered = 2 * costs.n_weights + config.vocab_size * config.hidden_size
        weights += min(n_weights, gathered) * size
    loaded = _loaded_bytes() if device.type == "cpu" else 0
    stored = sum(p.numel() * p.element_size() for p in model.parameters())
    before = max(0, loaded - stored) + weights if device.type == "cpu" else weights
    return Estimate(
        n_tokens=sum(lengths),
        n_separate=sum(item.n_separate for item in data),
        memory_bytes=round(before + (trained + kept + scores) * _RESERVE),
        loaded_bytes=loaded,
        seconds=recipe.n_epochs * seconds / execution.n_processes,
        gpu_seconds=_operations(model, recipe, costs, n_read, n_learned, has_reference)
        / _GPU_FLOPS,
    )


def _operations(
    model: Any,
    recipe: Recipe,
    costs: LayerCosts,
    n_read: int,
    n_learned: int,
    has_reference: bool,
) -> float:
    """Return the operations of the whole training, from the sizes of its products."""
    config = model.config.get_text_config()
    n_layers = config.num_hidden_layers
    n_learning = min(n_layers, recipe.n_layers or n_layers)
    # Forward through all layers; backward through those that learn, for what they were given alone.
    forward, head = 2 * costs.n_weights * n_layers, 2 * config.hidden_size * config.vocab_size
    per_token = (
        forward * (1 + has_reference)
        + forward * n_learning / n_layers
        + 6 * costs.n_trained * n_learning
    )
    return float(recipe.n_epochs * (n_read * per_token + n_learned * head * (2 + has_reference)))


def _loaded_bytes() -> int:
    """Return the memory of this process: its libraries, and the model."""
    return int(psutil.Process().memory_info().rss)
