"""Direct preference optimization on the same examples: the right answer before a wrong one.

The wrong answer is the chain of another percentage, one on the other side of the threshold.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from escalometer.config import Recipe
from escalometer.errors import DataError
from escalometer.training import trainer
from escalometer.training.execution import Execution
from escalometer.training.prefix_trees import encode


@dataclass(frozen=True)
class Pair:
    """A conversation and two answers to it.

    Attributes
    ----------
    prompt, chosen, rejected : list of dict
        Messages.
    n_tokens, n_learned : int
        Tokens of both conversations, and of both answers.
    """

    prompt: list[dict[str, str]]
    chosen: list[dict[str, str]]
    rejected: list[dict[str, str]]
    n_tokens: int
    n_learned: int

    @property
    def n_separate(self) -> int:
        """Number of tokens to read: pairs share nothing."""
        return self.n_tokens


def prepare(
    rows: Sequence[Mapping[str, Any]], tokenizer: Any, recipe: Recipe, _shares_prefixes: bool
) -> list[Pair]:
    """Return the pairs of a table of examples: those that have a wrong answer.

    Parameters
    ----------
    rows, tokenizer, recipe
        As of `trainer.prepare`.

    Raises
    ------
    DataError
        If there is none.
    """
    pairs, n_out = [], 0
    for row in rows:
        if row["rejected"] is None:
            continue
        encoded = [encode({**row, "target": row[key]}, tokenizer) for key in ("target", "rejected")]
        if max(answer.n_tokens for answer in encoded) > recipe.max_length:
            n_out += 1
            continue
        chosen, rejected = (
            [{"role": "assistant", "content": row[key]}] for key in ("target", "rejected")
        )
        n_tokens = sum(answer.n_tokens for answer in encoded)
        n_learned = sum(answer.n_learned for answer in encoded)
        pairs.append(Pair(list(row["messages"]), chosen, rejected, n_tokens, n_learned))
    if not pairs:
        raise DataError("the examples contain no pairs: create them again with `method: dpo`")
    if n_out:
        print(f"{n_out} pairs longer than {recipe.max_length} tokens excluded", file=sys.stderr)
    return pairs


def fit(
    model: Any,
    tokenizer: Any,
    data: Sequence[Pair],
    recipe: Recipe,
    seed: int,
    checkpoints: Path,
    adapter: Path,
    on_step: trainer.OnStep,
    execution: Execution | None = None,
) -> trainer.Trained:
    """Train LoRA on pairs by TRL's DPO; parameters as of `trainer.fit`.

    References
    ----------
    Rafailov et al., "Direct Preference Optimization", arXiv 2305.18290.
    """
    execution = execution or Execution()
    model.to(execution.data_type)
    keywords = trainer.settings(recipe, seed, checkpoints, True, execution)
    keywords["learning_rate"] = recipe.dpo_learning_rate
    dpo_trainer = DPOTrainer(
        model=model,
        args=DPOConfig(**keywords, beta=recipe.dpo_beta),
        train_dataset=Dataset.from_list(
            [{"prompt": p.prompt, "chosen": p.chosen, "rejected": p.rejected} for p in data]
        ),
        processing_class=tokenizer,
        peft_config=trainer.lora(recipe, model.config.get_text_config().num_hidden_layers),
    )
    if execution.gradient_checkpointing:
        trainer.enable_checkpointing(dpo_trainer.model)
    return trainer.finish(dpo_trainer, checkpoints, adapter, on_step)
