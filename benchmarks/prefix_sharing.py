"""Examples a second: TRL's trainer on trees of examples against the same trainer on each by itself.

    python benchmarks/prefix_sharing.py data/targets/NAME/examples.parquet [--trees 6]

Both train the same LoRA of the default model on the same examples, tree by tree: once as one
tree-shaped sequence, once as a padded batch that TRL's own collator makes. Steps alternate, in one
process; printed are the losses, which must agree, and the time of forward and backward.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import groupby
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from escalometer.cli import workspace
from escalometer.config import load_card
from escalometer.dialogue.providers.local import loading
from escalometer.schema import EXAMPLES, read_table
from escalometer.training import attention
from escalometer.training.prefix_trees import Encoded, TreeCollator, encode, tree_of
from escalometer.training.trainer import TreeTrainer, lora, settings

MODEL = "smollm2-135m-instruct"


def trainer(kind: type[SFTTrainer], data: list[Any], tokenizer: Any, folder: str) -> SFTTrainer:
    """Return a trainer of the default model's recipe."""
    recipe = load_card(MODEL).training
    model, _ = loading.read_model(load_card(MODEL), workspace())
    if kind is TreeTrainer:
        attention.register()
        model.set_attn_implementation(attention.NAME)
    how = settings(recipe, 0, Path(folder), is_padded=kind is SFTTrainer)
    return kind(
        model=model,
        args=SFTConfig(**how, dataset_kwargs={"skip_prepare_dataset": True}),
        train_dataset=Dataset.from_list([item.row() for item in data]),
        data_collator=TreeCollator() if kind is TreeTrainer else None,
        processing_class=tokenizer,
        peft_config=lora(recipe, model.config.num_hidden_layers),
    )


def step(of: SFTTrainer, batch: dict[str, Any]) -> tuple[float, float]:
    """Seconds and loss of one forward and backward pass."""
    n = (batch["labels"] != -100).sum()
    began = time.perf_counter()
    loss = of.training_step(of.model, batch, n)
    spent = time.perf_counter() - began
    of.model.zero_grad()
    return spent, float(loss)


def main() -> None:
    """Train both, and print how they compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("examples", type=Path)
    parser.add_argument("--trees", type=int, default=6)
    given = parser.parse_args()
    rows = read_table(given.examples, EXAMPLES).to_pylist()
    _, tokenizer = loading.read_model(load_card(MODEL), workspace())
    groups: list[list[Encoded]] = []
    for _, group in groupby(rows, key=lambda row: row["tree"]):
        members = list(group)
        if any(row["kind"] == "decide" for row in members):
            groups.append([encode(row, tokenizer) for row in members])
        if len(groups) > given.trees:
            break
    trees = [tree_of(group) for group in groups]
    with tempfile.TemporaryDirectory() as folder:
        shared = trainer(TreeTrainer, trees, tokenizer, folder)
        apart = trainer(SFTTrainer, groups[0], tokenizer, folder)
        total = {"tree": 0.0, "separate": 0.0}
        n = 0
        for i, (tree, group) in enumerate(zip(trees, groups, strict=True)):
            tree_s, tree_loss = step(shared, TreeCollator()([tree.row()]))
            batch = apart.data_collator([example.row() for example in group])
            apart_s, apart_loss = step(apart, batch)
            if abs(tree_loss - apart_loss) > 1e-3:
                raise SystemExit(f"losses differ: {tree_loss} and {apart_loss}")
            if i == 0:
                continue  # warms up
            total["tree"] += tree_s
            total["separate"] += apart_s
            n += len(group)
            print(
                f"{len(group)} examples, {tree.n_tokens:,} tokens of {tree.n_separate:,}: "
                f"{tree_s:.1f} s against {apart_s:.1f} s; "
                f"loss {tree_loss:.5f} and {apart_loss:.5f}",
                flush=True,
            )
    rates = {key: n / spent for key, spent in total.items()}
    print(
        f"{rates['tree']:.2f} examples a second as trees, {rates['separate']:.2f} one by one: "
        f"{rates['tree'] / rates['separate']:.2f} times as many"
    )


if __name__ == "__main__":
    main()
