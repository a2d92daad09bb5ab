"""The duration and memory of a training, estimated before it starts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from escalometer.config import Recipe

#: The share of the largest products' speed that a whole step reaches.
_EFFICIENCY = 0.5
_FLOAT_BYTES = 4
#: Memory of a process beyond its numbers: the allocator's reserve (a factor), and the libraries.
#: Measured with the default model on a CPU: 3.7 GB, its numbers being 2.7, and 9.9, being 7.5.
_KEPT, _LIBRARY_BYTES = 1.2, 0.6e9
_GPU_FLOPS = 60e12  # of bfloat16 that a step of a small model reaches on a card of 2022 (A100)


@dataclass(frozen=True)
class Estimate:
    """The size, duration and memory of a training.

    Attributes
    ----------
    n_tokens, n_separate : int
        Tokens of an epoch, and what they would be if examples shared nothing.
    memory_bytes : int
        Most memory at a time.
    seconds : float
        Duration of all epochs on this device.
    gpu_seconds : float
        Duration on one data-centre GPU, from the operations that it takes and 60 TFLOP/s.
    """

    n_tokens: int
    n_separate: int
    memory_bytes: int
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
) -> Estimate:
    """Return the cost of training `model` on `data`; the device's speed is measured briefly.

    Parameters
    ----------
    model : PreTrainedModel
        The model to train.
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
    """
    config = model.config.get_text_config()
    hidden, inner, vocabulary = config.hidden_size, config.intermediate_size, config.vocab_size
    n_layers = config.num_hidden_layers
    n_learning = min(n_layers, recipe.n_layers or n_layers)
    layers = [p for name, p in model.named_parameters() if ".layers." in name and p.dim() == 2]
    n_body = sum(p.numel() for p in layers)
    n_lora = recipe.rank * sum(sum(p.shape) for p in layers) * n_learning // n_layers
    together = recipe.batch_size if is_padded else 1
    order = np.random.default_rng(0).permutation(len(data))  # shuffled: long ones pad short ones
    lengths = [data[i].n_tokens for i in order]
    batches = [lengths[i : i + together] for i in range(0, len(lengths), together)]
    n_read = sum(len(batch) * max(batch) for batch in batches)
    n_learned = sum(item.n_learned for item in data)
    # Forward through all layers; backward through those that learn, for what they were given alone.
    forward, head = 2 * n_body, 2 * hidden * vocabulary
    per_token = forward * (1 + has_reference) + forward * n_learning / n_layers + 6 * n_lora
    flops = recipe.n_epochs * (n_read * per_token + n_learned * head * (2 + has_reference))
    longest = together * max(lengths)
    most_learned = together * max(item.n_learned for item in data)
    saved = longest * n_learning * (12 * hidden + 5 * inner + 8 * recipe.rank)
    n_weights = sum(p.numel() for p in model.parameters())
    numbers = n_weights + 4 * n_lora + saved + 3 * most_learned * vocabulary
    libraries = _LIBRARY_BYTES if device.type == "cpu" else 0
    speed = _flops_per_s(hidden, inner, device)
    return Estimate(
        n_tokens=sum(lengths),
        n_separate=sum(item.n_separate for item in data),
        memory_bytes=round(numbers * _FLOAT_BYTES * _KEPT + libraries),
        seconds=flops / (speed * _EFFICIENCY),
        gpu_seconds=flops / _GPU_FLOPS,
    )


def _flops_per_s(hidden: int, inner: int, device: torch.device) -> float:
    """Return the speed of a layer's products, measured for a second at most."""
    x = torch.randn(1024, hidden, device=device)
    w = torch.randn(inner, hidden, device=device)
    n, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < 0.5 or n < 2:
        torch.nn.functional.linear(x, w).sum().item()  # waits for the device
        n += 1
    return n * 2 * x.numel() * inner / max(spent, 1e-9)
