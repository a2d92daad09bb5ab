"""A process that trains a tiny model on trees: FOLDER_OF_WEIGHTS OUTPUT [JSON of settings].

With `stage` as its first argument it runs the stage train in the project at OUTPUT instead.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import DistributedType
from accelerate.state import AcceleratorState
from transformers import AutoModelForCausalLM, AutoTokenizer

from escalometer.config import Recipe
from escalometer.training import trainer
from escalometer.training.execution import Execution
from escalometer.training.prefix_trees import IGNORED, Encoded, Tree, tree_of

RECIPE = {
    "rank": 4,
    "alpha": 8,
    "dropout": 0.0,
    "learning_rate": 0.01,
    "n_branches": 3,
    "batch_size": 12,
}


def trees(n: int) -> list[Tree]:
    """Return `n` random trees of three examples, of different lengths."""
    draw = random.Random(3)  # noqa: S311

    def tokens(low: int, high: int) -> list[int]:
        return [draw.randrange(2, 250) for _ in range(draw.randrange(low, high))]

    def example(shared: list[int]) -> Encoded:
        rest = tokens(4, 12)
        return Encoded(shared + rest, [IGNORED] * (len(shared) + 2) + rest[2:])

    shared = [tokens(10, 30) for _ in range(n)]
    return [tree_of([example(trunk) for _ in range(3)]) for trunk in shared]


def fit(
    weights: Path, folder: Path, execution: Execution, n_trees: int = 16, **recipe: Any
) -> list[dict[str, float]]:
    """Train on `n_trees` trees and return the trainer's log, one entry per step."""
    steps: list[dict[str, float]] = []
    trainer.fit(
        AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32),
        AutoTokenizer.from_pretrained(weights),
        trees(n_trees),
        Recipe(**{**RECIPE, **recipe}),
        5,
        folder / "checkpoints",
        folder / "adapter",
        lambda _step, numbers: steps.append(dict(numbers)),
        execution,
    )
    return [step for step in steps if "loss" in step]


def allow_fsdp_on_cpus() -> None:
    """Let accelerate shard a model over processes without a GPU, as torch does over gloo.

    accelerate reads a configuration of FSDP for GPUs only; with CPUs it replicates the model.
    """
    create = AcceleratorState.__init__

    def create_for_fsdp(self: Any, *arguments: Any, **options: Any) -> None:
        create(self, *arguments, **options)
        if self.distributed_type == DistributedType.MULTI_CPU and options.get("fsdp_plugin"):
            self.distributed_type = DistributedType.FSDP
            self.fsdp_plugin = options["fsdp_plugin"]

    AcceleratorState.__init__ = create_for_fsdp


if __name__ == "__main__":
    torch.set_num_threads(1)
    allow_fsdp_on_cpus()
    if sys.argv[1] == "stage":
        from escalometer.config import load_params
        from escalometer.stages import train
        from tests.conftest import workspace

        root = Path(sys.argv[2])
        train.run("keel", load_params(root / "params.yaml"), workspace(root))
        sys.exit(0)
    settings = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}
    n_trees = settings.pop("n_trees", 16)
    execution = Execution(**settings)
    if execution.n_processes != trainer.n_processes():
        sys.exit(f"{trainer.n_processes()} processes were started")
    log = fit(Path(sys.argv[1]), Path(sys.argv[2]), execution, n_trees)
    if trainer.is_first():
        (Path(sys.argv[2]) / "log.json").write_text(json.dumps(log), encoding="utf-8")
