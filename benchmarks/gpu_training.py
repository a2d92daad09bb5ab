"""Training on a GPU with random weights: trees and TRL's trainer, estimated and measured costs.

    python -m benchmarks.gpu_training             # a shape of 4 billion parameters; needs a GPU
    python -m benchmarks.gpu_training --small     # small shapes, on a CPU; about ten minutes

Each row is a training in its own process: examples per second, peak memory (allocated on a GPU, of
the process on a CPU), and duration and memory as estimated before the first step. One after the
other; what fails, because memory does not suffice, is reported and does not end the others.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Shapes of models, as keywords of their configuration.
SHAPES: dict[str, dict[str, Any]] = {
    "4b": {
        "vocab_size": 151_936,
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
    },
    "135m": {
        "vocab_size": 49_152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
    },
    "wide": {
        "vocab_size": 32_000,
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 8,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
    },
    "narrow": {
        "vocab_size": 8192,
        "hidden_size": 192,
        "intermediate_size": 512,
        "num_hidden_layers": 6,
        "num_attention_heads": 6,
        "num_key_value_heads": 3,
    },
}
#: Tokens of a trunk, branches, and tokens and learned tokens of a branch.
LARGE_TREE, SMALL_TREE = (350, 8, 150, 110), (160, 4, 80, 60)

FLOAT32, BFLOAT16 = {"precision": "float32"}, {"precision": "bfloat16"}
PACKED, CHECKPOINTED = {"trees_at_a_time": 2}, {"gradient_checkpointing": True}

ON_GPU = [
    {"shape": "4b", "kind": kind, **execution}
    for kind, execution in (
        ("trees", FLOAT32),
        ("separate", FLOAT32),
        ("trees", BFLOAT16),
        ("separate", BFLOAT16),
        ("trees", BFLOAT16 | {"trees_at_a_time": 4}),
        ("trees", BFLOAT16 | CHECKPOINTED),
        ("trees", BFLOAT16 | {"trees_at_a_time": 4} | CHECKPOINTED),
    )
]
ON_CPU = [
    {"shape": shape, "kind": kind, **execution}
    for shape, kind, execution in (
        ("135m", "trees", FLOAT32),
        ("wide", "trees", FLOAT32),
        ("wide", "separate", FLOAT32),
        ("wide", "trees", FLOAT32 | CHECKPOINTED),
        ("wide", "trees", FLOAT32 | PACKED),
        ("narrow", "trees", FLOAT32),
        ("narrow", "separate", FLOAT32),
        ("narrow", "trees", BFLOAT16),
    )
]


def groups(size: tuple[int, int, int, int], n: int, vocabulary: int) -> list[list[Any]]:
    """Return `n` groups of examples with a common beginning, of random tokens."""
    from escalometer.training.prefix_trees import IGNORED, Encoded

    n_trunk, n_branches, length, n_learned = size
    draw = random.Random(1)  # noqa: S311

    def tokens(n: int) -> list[int]:
        return [draw.randrange(vocabulary) for _ in range(n)]

    def example(trunk: list[int]) -> Encoded:
        branch = tokens(length)
        ignored = [IGNORED] * (n_trunk + length - n_learned)
        return Encoded(trunk + branch, ignored + branch[-n_learned:])

    trunks = [tokens(n_trunk) for _ in range(n)]
    return [[example(trunk) for _ in range(n_branches)] for trunk in trunks]


def tokenizer() -> Any:
    """Return a tokenizer that is only there because trainers want one."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    end = "<end>"
    words = Tokenizer(models.WordLevel({end: 0}, unk_token=end))
    return PreTrainedTokenizerFast(tokenizer_object=words, eos_token=end, pad_token=end)


def measure(run: dict[str, Any], is_small: bool) -> dict[str, Any]:
    """Train once in this process and return what was measured and what was estimated."""
    import torch
    from transformers import AutoModelForCausalLM, Qwen3Config

    from escalometer.config import Recipe
    from escalometer.training import trainer
    from escalometer.training.estimate import estimate
    from escalometer.training.execution import Execution
    from escalometer.training.prefix_trees import tree_of

    run = dict(run)
    shape, kind = SHAPES[run.pop("shape")], run.pop("kind")
    execution = Execution(**run)
    size = SMALL_TREE if is_small else LARGE_TREE
    device = trainer.device()
    n_steps, per_step = (3 if is_small else 8), (2 if is_small else 4)  # trees in each step
    recipe = Recipe(
        rank=16 if is_small else 64,
        n_branches=size[1],
        batch_size=size[1] * per_step if kind == "trees" else size[1],
    )
    examples = groups(size, n_steps * per_step, shape["vocab_size"])
    data: list[Any] = [tree_of(group) for group in examples]
    if kind == "separate":
        data = [example for group in examples[: n_steps + 1] for example in group]
    torch.manual_seed(0)
    with torch.device(device):
        config = Qwen3Config(**shape, tie_word_embeddings=True, pad_token_id=0, eos_token_id=0)
        model = AutoModelForCausalLM.from_config(config, dtype=execution.data_type)
    found = estimate(model, data, recipe, device, kind == "separate", execution=execution)
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    stamps: list[float] = []

    def on_step(_step: int, numbers: Mapping[str, float]) -> None:
        if "loss" in numbers:
            stamps.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        places = (Path(folder) / "checkpoints", Path(folder) / "adapter")
        trainer.fit(model, tokenizer(), data, recipe, 0, *places, on_step, execution)
    step_s = (stamps[-1] - stamps[0]) / (len(stamps) - 1)  # the first step warms up
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "examples_per_s": recipe.batch_size / step_s,
        "s": step_s * len(stamps),
        "estimated_s": found.seconds,
        "bytes": peak,
        "estimated_bytes": found.memory_bytes,
        "loaded_bytes": found.loaded_bytes,
    }


def main() -> None:
    """Print one row per training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="small shapes, for a CPU")
    parser.add_argument("--only", default="", help="rows whose text contains this")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(json.loads(given.one), given.small)))
        return
    columns = ("shape", "trainer", "execution", "examples per second")
    print("|", " | ".join((*columns, "s", "estimated", "peak, GB", "estimated")), "|")
    print("|---|---|---|---|---|---|---|---|")
    for run in ON_CPU if given.small else ON_GPU:
        how = ", ".join(
            str(value) if key == "precision" else f"{key}={value}"
            for key, value in run.items()
            if key not in ("shape", "kind")
        )
        if given.only not in f"{run['shape']} {run['kind']} {how}":
            continue
        program = [sys.executable, "-m", "benchmarks.gpu_training", "--one", json.dumps(run)]
        done = subprocess.run(  # noqa: S603
            program + ["--small"] * given.small, capture_output=True, text=True, check=False
        )
        start = f"| {run['shape']} | {run['kind']} | {how} |"
        if done.returncode != 0:
            print(start, f"failed: {done.stderr.strip().splitlines()[-1]}", flush=True)
            continue
        x = json.loads(done.stdout.strip().splitlines()[-1])
        print(
            start,
            f"{x['examples_per_s']:.2f} | {x['s']:.1f} | {x['estimated_s']:.1f} "
            f"({x['estimated_s'] / x['s'] - 1:+.0%}) | {x['bytes'] / 1e9:.2f} | "
            f"{x['estimated_bytes'] / 1e9:.2f} ({x['estimated_bytes'] / x['bytes'] - 1:+.0%}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
