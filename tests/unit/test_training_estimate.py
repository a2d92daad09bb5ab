"""The estimate of a training: more for padded batches, or for two models that read."""

from __future__ import annotations

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from escalometer.config import Recipe
from escalometer.training.estimate import Estimate, estimate
from escalometer.training.prefix_trees import Encoded

RECIPE = Recipe(rank=4, alpha=8, batch_size=4)
CPU = torch.device("cpu")


def model() -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=100,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=4,
            num_attention_heads=2,
        )
    )


def examples(*lengths: int) -> list[Encoded]:
    return [Encoded([1] * n, [-100] * (n - 2) + [1, 1]) for n in lengths]


def operations(found: Estimate) -> float:
    return found.gpu_seconds  # in proportion to them, whatever this machine's speed


def test_padding_costs_what_the_longest_of_a_batch_costs() -> None:
    made, alike, mixed = model(), examples(*[40] * 8), examples(*[40] * 4, *[10] * 4)
    alone, padded = (estimate(made, alike, RECIPE, CPU, is_padded) for is_padded in (False, True))
    assert operations(padded) == operations(alone)
    assert padded.memory_bytes > alone.memory_bytes
    alone, padded = (estimate(made, mixed, RECIPE, CPU, is_padded) for is_padded in (False, True))
    assert alone.n_tokens == padded.n_tokens == 200
    assert 1.2 * operations(alone) < operations(padded) <= 1.6 * operations(alone)


def test_a_reference_reads_everything_once_more() -> None:
    made, data = model(), examples(*[40] * 8)
    one, two = (estimate(made, data, RECIPE, CPU, True, compared) for compared in (False, True))
    assert 1.3 * operations(one) < operations(two) < 1.5 * operations(one)


def test_fewer_layers_that_learn_take_less() -> None:
    made, data = model(), examples(*[40] * 8)
    upper = RECIPE.model_copy(update={"n_layers": 1})
    few, all_ = (estimate(made, data, recipe, CPU, False) for recipe in (upper, RECIPE))
    assert operations(few) < operations(all_)
    assert few.memory_bytes < all_.memory_bytes
    assert few.memory_bytes > few.loaded_bytes > 0  # of the process that estimates
