"""Time and memory per token of a layer and of the head, measured on the device that trains.

A model of a single layer, with random weights and LoRA, reads an item of the training data forward
and backward. What holds for one layer holds for each: this takes a fraction of a step.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import get_peft_model
from torch.nn.functional import cross_entropy, linear
from transformers import AutoModelForCausalLM

from escalometer.config import Recipe
from escalometer.training import attention
from escalometer.training.prefix_trees import Tree, TreeCollator

#: Tokens of the measured layer's vocabulary: none of its time is the head's.
_FEW_TOKENS = 256
#: Tokens that the layer, and positions that the head, reads at most.
_MOST_TOKENS, _MOST_SCORED = 4096, 256
#: Repetitions after the first, and seconds after which there are no more.
_REPETITIONS, _SECONDS = 5, 1.0


@dataclass(frozen=True)
class LayerCosts:
    """Costs of one layer and of the head.

    Attributes
    ----------
    forward_s : float
        Seconds per token of a layer that does not learn.
    learning_s : float
        Seconds per token of a layer with LoRA, forward and backward.
    again_s : float
        Seconds per token of such a layer, forward alone: what gradient checkpointing repeats.
    kept_bytes : float
        Bytes per token that a layer with LoRA keeps for its backward pass.
    n_trained : int
        LoRA's weights in a layer.
    n_weights : int
        The base model's weights in a layer.
    head_s : float
        Seconds per scored position: logits and loss, forward and backward.
    """

    forward_s: float
    learning_s: float
    again_s: float
    kept_bytes: float
    n_trained: int
    n_weights: int
    head_s: float


def measure(
    model: Any,
    data: Sequence[Any],
    recipe: Recipe,
    device: torch.device,
    data_type: torch.dtype,
    together: int,
) -> LayerCosts:
    """Return the costs of a layer of `model` and of its head.

    Parameters
    ----------
    model : PreTrainedModel
        The model to train; it is not changed.
    data : sequence of Item
        The training data; the one of median length is read.
    recipe : Recipe
        LoRA's hyperparameters.
    device : torch.device
        The device to train on.
    data_type : torch.dtype
        Of the base model's weights and products.
    together : int
        Items of a padded batch; does not matter for trees.
    """
    item = sorted(data, key=lambda one: one.n_tokens)[len(data) // 2]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        layer = _layer(model, recipe, device, data_type, is_tree=isinstance(item, Tree))
        batch = _batch(item, layer.config.hidden_size, device, data_type, together)
        n_tokens = batch["inputs_embeds"].shape[:2].numel()
        is_cast = data_type == torch.bfloat16

        def read() -> torch.Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=is_cast):
                outputs = layer(**batch, use_cache=False, logits_to_keep=1)
            logits: torch.Tensor = outputs.logits
            return logits.float().sum()

        def forward() -> None:
            with torch.no_grad():
                read()

        def untrained() -> None:
            with layer.disable_adapter():
                forward()

        return LayerCosts(
            forward_s=_seconds(untrained, device) / n_tokens,
            learning_s=_seconds(lambda: torch.autograd.backward(read()), device) / n_tokens,
            again_s=_seconds(forward, device) / n_tokens,
            kept_bytes=_kept_bytes(read, layer) / n_tokens,
            n_trained=sum(p.numel() for p in layer.parameters() if p.requires_grad),
            n_weights=sum(
                p.numel()
                for name, p in layer.named_parameters()
                if ".layers." in name and not p.requires_grad
            ),
            head_s=_head_seconds(model, device, data_type),
        )


def _layer(
    model: Any, recipe: Recipe, device: torch.device, data_type: torch.dtype, is_tree: bool
) -> Any:
    """Return a model of one layer as those of `model`, with LoRA."""
    from escalometer.training.trainer import lora

    config = copy.deepcopy(model.config.get_text_config())
    n_layers = config.num_hidden_layers
    for key, value in vars(config).items():
        if isinstance(value, list) and len(value) == n_layers:  # one entry per layer
            setattr(config, key, value[-1:])
    config.num_hidden_layers, config.vocab_size = 1, _FEW_TOKENS
    config.bos_token_id = config.eos_token_id = config.pad_token_id = None
    if is_tree:
        attention.register()
    with torch.device(device):
        single = AutoModelForCausalLM.from_config(
            config,
            dtype=data_type,
            attn_implementation=attention.NAME if is_tree else model.config._attn_implementation,
        )
        return get_peft_model(single, lora(recipe, 1)).train()


def _batch(
    item: Any, hidden: int, device: torch.device, data_type: torch.dtype, together: int
) -> dict[str, Any]:
    """Return what a layer reads of an item: random activations, and the places of its tokens."""
    batch: dict[str, Any] = {}
    n_rows, n_tokens = 1, item.n_tokens
    if isinstance(item, Tree):
        tree = TreeCollator(has_mask=False)([item.row()])
        batch = {
            "position_ids": tree["position_ids"].to(device),
            "trees": [layout.to(device) for layout in tree["trees"]],
        }
    else:
        n_rows = max(1, min(together, _MOST_TOKENS // n_tokens))
    activations = torch.randn(n_rows, n_tokens, hidden, device=device, dtype=data_type)
    return {**batch, "inputs_embeds": activations.requires_grad_()}


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the median duration of `work`, after a first time that does not count."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    work()
    wait()
    durations: list[float] = []
    while len(durations) < _REPETITIONS and sum(durations) < _SECONDS:
        began = time.perf_counter()
        work()
        wait()
        durations.append(time.perf_counter() - began)
    return statistics.median(durations)


def _kept_bytes(read: Callable[[], torch.Tensor], layer: Any) -> int:
    """Return the bytes that a forward pass keeps for its backward pass, weights excluded."""
    weights = {p.untyped_storage().data_ptr() for p in layer.parameters()}
    kept: dict[int, int] = {}
    alive: list[torch.Tensor] = []  # so that no memory is used twice

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        read()
    return sum(kept.values())


def _head_seconds(model: Any, device: torch.device, data_type: torch.dtype) -> float:
    """Return the seconds that logits and loss of one position take, forward and backward."""
    weight = model.get_output_embeddings().weight.detach().to(device, data_type)
    vocabulary, hidden = weight.shape
    n = _MOST_SCORED
    activations = torch.randn(n, hidden, device=device, dtype=data_type, requires_grad=True)
    targets = torch.randint(vocabulary, (n,), device=device)

    def score() -> None:
        logits = linear(activations, weight).float()
        torch.autograd.backward(cross_entropy(logits, targets, reduction="sum"))

    return _seconds(score, device) / n
