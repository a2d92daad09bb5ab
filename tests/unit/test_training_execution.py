"""The choice of an execution, and that recipes without its settings stay what they were."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from transformers import LlamaConfig, LlamaForCausalLM

from escalometer.config import Recipe
from escalometer.errors import ProviderError
from escalometer.training import execution, planning
from escalometer.training.execution import Execution, candidates
from escalometer.training.prefix_trees import tree_of
from tests.unit.test_prefix_trees import EXAMPLES

CPU, GPU = torch.device("cpu"), torch.device("cuda")
SETTINGS = {"precision", "gradient_checkpointing", "trees_at_a_time"}


def test_a_recipe_without_settings_of_the_computation_has_the_record_it_had() -> None:
    assert SETTINGS.isdisjoint(Recipe().record())
    assert Recipe().record() == Recipe(precision="auto", trees_at_a_time=None).record()
    fixed = Recipe(precision="bfloat16", gradient_checkpointing=False).record()
    assert fixed == {
        **Recipe().record(),
        "precision": "bfloat16",
        "gradient_checkpointing": False,
    }


def test_settings_that_do_not_exist_are_refused() -> None:
    for wrong in ({"precision": "float16"}, {"trees_at_a_time": 0}):
        with pytest.raises(ValidationError):
            Recipe.model_validate(wrong)


def test_a_cpu_computes_in_float32_one_tree_at_a_time() -> None:
    assert candidates(Recipe(), CPU, 4, 100) == [Execution(), Execution("float32", True)]


def test_a_gpu_computes_in_bfloat16_with_as_many_trees_as_fill_a_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    options = candidates(Recipe(), GPU, 12, execution.ROW_TOKENS / 5)
    assert [(one.gradient_checkpointing, one.trees_at_a_time) for one in options] == [
        (False, 4),
        (False, 3),
        (False, 2),
        (False, 1),
        (True, 4),
        (True, 3),
        (True, 2),
        (True, 1),
    ]
    assert {one.precision for one in options} == {"bfloat16"}
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert {one.precision for one in candidates(Recipe(), GPU, 1, 100)} == {"float32"}


def test_settings_of_the_recipe_decide() -> None:
    recipe = Recipe(precision="bfloat16", gradient_checkpointing=True, trees_at_a_time=5)
    assert candidates(recipe, CPU, 8, 100) == [Execution("bfloat16", True, 4)]  # divides 8


def test_checkpointing_is_chosen_where_activations_do_not_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=97,
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=12,
        num_attention_heads=6,
        num_key_value_heads=2,
    )
    model, trees, recipe = LlamaForCausalLM(config), [tree_of(EXAMPLES)] * 3, Recipe(rank=2)

    def needed(free: float) -> tuple[Execution, int]:
        monkeypatch.setattr(planning.loading, "free_bytes", lambda _: free)
        chosen, found = planning.plan(model, trees, recipe, has_reference=False)
        return chosen, found.memory_bytes - found.loaded_bytes

    plain, most = needed(1e12)
    assert plain == Execution()
    checkpointed, less = needed(0.9 * most)
    assert checkpointed == Execution(gradient_checkpointing=True)
    assert less < 0.7 * most
    monkeypatch.setattr(planning.loading, "free_bytes", lambda _: 0.8 * most)
    # A resumed training computes as it began.
    assert planning.plan(model, trees, recipe, False, began=Execution())[0] == Execution()


def test_the_execution_of_an_interrupted_training_is_kept(tmp_path) -> None:
    path = tmp_path / "execution.json"
    assert execution.kept(path, 1, 1) is None
    began = Execution("bfloat16", True, 2, 2, 2)
    execution.keep(began, path)
    assert execution.kept(path, 2, 2) == began
    with pytest.raises(ProviderError, match="used 2 processes and 2 parts of the model"):
        execution.kept(path, 1, 1)
    path.write_text('{"precision": ', encoding="utf-8")
    with pytest.raises(ProviderError, match="damaged"):
        execution.kept(path, 2, 2)
