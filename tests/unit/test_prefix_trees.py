"""A tree of examples teaches what its examples teach one by one."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy, pad
from transformers import LlamaConfig, LlamaForCausalLM

from escalometer.training import attention
from escalometer.training.prefix_trees import IGNORED, Encoded, Tree, TreeCollator, tree_of


def model(implementation: str) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=97,
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=2,
    )
    attention.register()
    made = LlamaForCausalLM(config).train()
    made.set_attn_implementation(implementation)
    return made


def example(shared: list[int], rest: list[int], n_learned: int) -> Encoded:
    tokens = shared + rest
    n = len(tokens) - n_learned
    return Encoded(tokens, [IGNORED] * n + tokens[n:])


SHARED = [3, 14, 15, 92, 65, 35, 89, 79, 32, 38]
EXAMPLES = [
    Encoded(SHARED[:7], [IGNORED] * 4 + SHARED[4:7]),  # a first answer: ends within the others
    example(SHARED, [46, 26, 43, 38, 32], 3),
    example(SHARED, [50, 28], 1),
    example(SHARED, [84, 19, 71, 69, 39, 93, 75], 4),
]


def gradients(loss: torch.Tensor, of: LlamaForCausalLM) -> dict[str, torch.Tensor]:
    loss.backward()
    return {name: p.grad.clone() for name, p in of.named_parameters()}


def loss_of(of: LlamaForCausalLM, batch: dict) -> torch.Tensor:
    labels = batch.pop("labels")
    if of.config._attn_implementation != attention.NAME:
        batch.pop("trees", None)
    logits = of(**batch, use_cache=False).logits
    following = pad(labels[:, 1:], (0, 1), value=IGNORED)
    return cross_entropy(logits[0], following[0], ignore_index=IGNORED, reduction="sum")


@pytest.mark.parametrize("implementation", ["sdpa", attention.NAME])
def test_a_trees_loss_and_gradients_are_those_of_its_examples(implementation):
    tree = tree_of(EXAMPLES)
    assert tree.n_tokens < tree.n_separate == sum(len(e.tokens) for e in EXAMPLES)
    whole = model(implementation)
    together = loss_of(whole, TreeCollator()([tree.row()]))
    of_tree = gradients(together, whole)
    single = model("sdpa")
    losses = [
        loss_of(single, {"input_ids": torch.tensor([e.tokens]), "labels": torch.tensor([e.labels])})
        for e in EXAMPLES
    ]
    apart = torch.stack(losses).sum()
    torch.testing.assert_close(together, apart, rtol=1e-5, atol=1e-5)
    for name, expected in gradients(apart, single).items():
        torch.testing.assert_close(of_tree[name], expected, rtol=1e-4, atol=1e-5, msg=name)


def test_branches_do_not_see_each_other():
    other = example(SHARED, [1, 2, 3, 4], 2)
    of = model(attention.NAME)
    alone = tree_of([EXAMPLES[1], EXAMPLES[2]])
    beside = tree_of([EXAMPLES[1], other])
    logits = []
    for tree in (alone, beside):
        batch = TreeCollator()([tree.row()])
        batch.pop("labels")
        logits.append(of(**batch, use_cache=False).logits[0, : len(EXAMPLES[1].tokens)])
    torch.testing.assert_close(logits[0], logits[1])


def test_what_a_branch_learns_first_is_predicted_within_it():
    # The examples part only within what they learn: the trunk ends before.
    tree = tree_of([example(SHARED, [5, 6, 7, 8], 4), example(SHARED, [5, 6, 9], 3)])
    assert tree.trunk.tokens == SHARED[:-1]
    assert all(branch.labels[0] == IGNORED for branch in tree.branches)


def test_examples_that_share_nothing_make_no_tree():
    with pytest.raises(ValueError, match="a common beginning"):
        tree_of([example([1, 2], [3], 1), example([4, 5], [6], 1)])


OTHERS = [example([7, 7, 8, 9], [11, 12, 13], 2), example([7, 7, 8, 9], [14, 15], 1)]


@pytest.mark.parametrize("implementation", ["sdpa", attention.NAME])
def test_trees_in_one_row_have_the_loss_and_gradients_of_separate_trees(implementation):
    trees = [tree_of(EXAMPLES), tree_of(OTHERS), tree_of(EXAMPLES[1:])]
    one_row = model(implementation)
    together = loss_of(one_row, TreeCollator()([tree.row() for tree in trees]))
    of_row = gradients(together, one_row)
    separate = model(implementation)
    losses = [loss_of(separate, TreeCollator()([tree.row()])) for tree in trees]
    apart = torch.stack(losses).sum()
    torch.testing.assert_close(together, apart, rtol=1e-5, atol=1e-5)
    for name, expected in gradients(apart, separate).items():
        torch.testing.assert_close(of_row[name], expected, rtol=1e-4, atol=1e-5, msg=name)


def test_no_tree_predicts_the_first_token_of_the_next():
    learned = Tree(Encoded([1, 2], [1, 2]), (Encoded([3, 4], [IGNORED, 4]),)).row()
    labels = TreeCollator()([learned, learned])["labels"]
    assert labels.tolist() == [[IGNORED, 2, IGNORED, 4, IGNORED, 2, IGNORED, 4]]


def test_the_mask_is_left_out_for_the_attention_that_does_not_read_it():
    batch = TreeCollator(has_mask=False)([tree_of(EXAMPLES).row()])
    assert "attention_mask" not in batch
    whole, without = model(attention.NAME), model(attention.NAME)
    with_mask = loss_of(whole, TreeCollator()([tree_of(EXAMPLES).row()]))
    assert float(loss_of(without, batch)) == float(with_mask)
