"""Supervised fine-tuning: TRL's trainer on trees of examples, resumable and deterministic."""

from __future__ import annotations

import functools
import json
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list, parse_flag_from_env
from datasets import Dataset
from peft import LoraConfig
from torch.distributed.tensor import DTensor
from torch.nn.functional import cross_entropy, pad
from transformers import PrinterCallback, TrainerCallback, TrainingArguments
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from escalometer.config import Recipe
from escalometer.errors import DataError
from escalometer.training import attention
from escalometer.training.execution import Execution
from escalometer.training.prefix_trees import (
    IGNORED,
    Encoded,
    Tree,
    TreeCollator,
    encode,
    tree_sequences,
)

#: Linear layers of the usual architectures that LoRA adapts.
MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

#: Optimizer steps between two checkpoints.
SAVE_STEPS = 10

# These warn of settings that trl and peft still use, and that a user cannot change.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|peft)\b")

OnStep = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes
    ----------
    n_steps : int
        Optimizer steps.
    loss : float
        Mean loss over the last tenth of the steps, in nats: of a target token, or of a pair (DPO).
    """

    n_steps: int
    loss: float


class TreeTrainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer, with logits for the target tokens only."""

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the loss of trees: summed over their target tokens, divided by the step's."""
        labels = inputs.pop("labels")
        following = pad(labels[0, 1:], (0, 1), value=IGNORED)
        targets = (following != IGNORED).nonzero()[:, 0]
        outputs = model(**inputs, use_cache=False, logits_to_keep=targets)
        total = cross_entropy(outputs.logits[0].float(), following[targets], reduction="sum")
        loss = total / (len(targets) if num_items_in_batch is None else num_items_in_batch)
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss


class _Report(TrainerCallback):  # type: ignore[misc]
    """A callback that passes on the trainer's log."""

    def __init__(self, on_step: OnStep) -> None:
        self._on_step = on_step

    def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
        numbers = {key: float(x) for key, x in (logs or {}).items() if isinstance(x, int | float)}
        self._on_step(int(state.global_step), numbers)


def lora(recipe: Recipe, n_layers: int) -> LoraConfig:
    """Return LoRA's settings for a model of `n_layers` layers."""
    learn = None if recipe.n_layers is None else range(max(0, n_layers - recipe.n_layers), n_layers)
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=list(MODULES),
        layers_to_transform=None if learn is None else list(learn),
    )


def prepare(
    rows: Sequence[Mapping[str, Any]], tokenizer: Any, recipe: Recipe, shares_prefixes: bool
) -> list[Tree] | list[Encoded]:
    """Return the items of a table of examples for `fit`: trees, or single examples.

    Parameters
    ----------
    rows : sequence of mapping
        Of `schema.EXAMPLES`.
    tokenizer : PreTrainedTokenizerBase
        The model's.
    recipe : Recipe
        Says how long an example may be.
    shares_prefixes : bool
        Whether examples that begin alike make a tree.

    Raises
    ------
    DataError
        If no example is short enough.
    """
    items: list[Tree] | list[Encoded]
    if shares_prefixes:
        items, n_out = tree_sequences(rows, tokenizer, recipe.max_length)
    else:
        encoded = [encode(row, tokenizer) for row in rows]
        items = [example for example in encoded if example.n_tokens <= recipe.max_length]
        n_out = len(encoded) - len(items)
    if not items:
        raise DataError(
            f"all {n_out} examples are longer than {recipe.max_length} tokens: raise max_length "
            "under `training` in the model's card"
        )
    if n_out:
        print(f"{n_out} examples longer than {recipe.max_length} tokens excluded", file=sys.stderr)
    return items


@functools.cache
def _process_arguments() -> TrainingArguments:
    """Return transformers' settings of this process: its device, its index, their number."""
    return TrainingArguments(output_dir="unused", report_to="none")


def is_first() -> bool:
    """Return true in the process that writes: the only one, or the first of `accelerate launch`."""
    return bool(_process_arguments().process_index == 0)


def device() -> torch.device:
    """Return the device of this process: a GPU if there is one."""
    return torch.device(_process_arguments().device)


def n_processes() -> int:
    """Return the number of processes that train together."""
    return int(_process_arguments().world_size)


def n_shards() -> int:
    """Return the number of parts of the model: one per process under FSDP, else 1."""
    return n_processes() if parse_flag_from_env("ACCELERATE_USE_FSDP") else 1


def same_in_all(value: Any) -> Any:
    """Return the first process's value, in every process; any object that pickles."""
    return broadcast_object_list([value])[0] if n_processes() > 1 else value


def trees_per_step(recipe: Recipe) -> int:
    """Return the number of trees that each process learns from in an optimizer step."""
    return max(1, recipe.batch_size // (recipe.n_branches * n_processes()))


def batches(recipe: Recipe, is_padded: bool, trees_at_a_time: int = 1) -> tuple[int, int]:
    """Return the items that a process reads at a time, and the batches in each step.

    Parameters
    ----------
    recipe : Recipe
        Says how many examples a step learns from, all processes together.
    is_padded : bool
        Whether an item is an example, read in a padded batch, and not a tree.
    trees_at_a_time : int
        Trees in one batch; divides the trees of a step.
    """
    if is_padded:
        return max(1, recipe.batch_size // n_processes()), 1
    return trees_at_a_time, trees_per_step(recipe) // trees_at_a_time


def n_steps(n_items: int, recipe: Recipe, is_padded: bool) -> int:
    """Return the number of optimizer steps for `n_items` items of `prepare`."""
    at_a_time, n_accumulated = batches(recipe, is_padded)
    n_per_process = -(-n_items // n_processes())
    return -(-n_per_process // (at_a_time * n_accumulated)) * recipe.n_epochs


def settings(
    recipe: Recipe,
    seed: int,
    checkpoints: Path,
    is_padded: bool,
    execution: Execution | None = None,
) -> dict[str, Any]:
    """Return the trainer's settings, as keywords of `transformers.TrainingArguments`.

    Parameters
    ----------
    recipe, seed, checkpoints : Recipe, int, Path
        As of `fit`.
    is_padded : bool
        As of `batches`.
    execution : Execution, optional
        How it is computed; None: in float32, one tree at a time.
    """
    execution = execution or Execution()
    at_a_time, n_accumulated = batches(recipe, is_padded, execution.trees_at_a_time)
    return {
        "output_dir": str(checkpoints),
        "per_device_train_batch_size": at_a_time,
        "gradient_accumulation_steps": n_accumulated,
        "num_train_epochs": recipe.n_epochs,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": recipe.warmup_share,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "logging_steps": 1,
        "save_steps": SAVE_STEPS,
        "save_total_limit": 2,
        "seed": seed,
        "data_seed": seed,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_pin_memory": False,
        "gradient_checkpointing": False,  # see `enable_checkpointing`
        "max_length": None,
        # Products in bfloat16, LoRA's too, whose weights stay in float32.
        "bf16": execution.precision == "bfloat16",
        "use_cpu": execution.precision == "bfloat16" and device().type == "cpu",  # must be said
    }


def fit(
    model: Any,
    tokenizer: Any,
    data: Sequence[Tree] | Sequence[Encoded],
    recipe: Recipe,
    seed: int,
    checkpoints: Path,
    adapter: Path,
    on_step: OnStep,
    execution: Execution | None = None,
) -> Trained:
    """Train LoRA on `data`, from the latest checkpoint if there is one, and write the adapter.

    Parameters
    ----------
    model, tokenizer : PreTrainedModel, PreTrainedTokenizerBase
        The base model, on the CPU; it is changed.
    data : sequence of Tree or of Encoded
        The training data: trees, or single examples.
    recipe : Recipe
        The hyperparameters.
    seed : int
        Determines the order of the data, initial weights and dropout.
    checkpoints : Path
        The folder of checkpoints, written every `SAVE_STEPS` steps.
    adapter : Path
        The folder to write.
    on_step : callable
        ``on_step(step, numbers)`` after each optimizer step.
    execution : Execution, optional
        How it is computed; None: in float32, one tree at a time.
    """
    trainer = make(model, tokenizer, data, recipe, seed, checkpoints, execution)
    return finish(trainer, checkpoints, adapter, on_step)


def make(
    model: Any,
    tokenizer: Any,
    data: Sequence[Tree] | Sequence[Encoded],
    recipe: Recipe,
    seed: int,
    checkpoints: Path,
    execution: Execution | None = None,
) -> SFTTrainer:
    """Return a trainer of LoRA that is ready to train; parameters as of `fit`."""
    execution = execution or Execution()
    is_tree = isinstance(data[0], Tree)
    model.to(execution.data_type)
    if is_tree:
        attention.register()
        model.set_attn_implementation(attention.NAME)
    keywords = settings(recipe, seed, checkpoints, not is_tree, execution)
    trainer = (TreeTrainer if is_tree else SFTTrainer)(
        model=model,
        args=SFTConfig(**keywords, dataset_kwargs={"skip_prepare_dataset": True}),
        train_dataset=Dataset.from_list([item.row() for item in data]),
        data_collator=TreeCollator(has_mask=False) if is_tree else None,
        processing_class=tokenizer,
        peft_config=lora(recipe, model.config.get_text_config().num_hidden_layers),
    )
    if execution.gradient_checkpointing:
        enable_checkpointing(trainer.model)
    return trainer


def enable_checkpointing(model: Any) -> None:
    """Make a model with LoRA compute its activations again in the backward pass.

    The libraries also make the embeddings require gradients, for which layers below LoRA's would be
    computed backwards. Checkpoints that are not reentrant do not need that. TRL's own setting does
    it twice, which cannot be undone.
    """
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    model.disable_input_require_grads()


def finish(trainer: Any, checkpoints: Path, adapter: Path, on_step: OnStep) -> Trained:
    """Run a trainer from its latest checkpoint to the end, and write its adapter.

    Parameters
    ----------
    trainer : transformers.Trainer
        Ready to train.
    checkpoints, adapter, on_step : Path, Path, callable
        As of `fit`.
    """
    trainer.remove_callback(PrinterCallback)  # progress is ours
    trainer.add_callback(_Report(on_step))
    trainer.train(resume_from_checkpoint=latest(checkpoints))
    model = trainer.accelerator.unwrap_model(trainer.model)
    weights = _gathered(model) if trainer.is_fsdp_enabled else None
    if trainer.is_world_process_zero():
        model.save_pretrained(str(adapter), state_dict=weights, safe_serialization=True)
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    tail = history[-max(1, len(history) // 10) :]
    loss = sum(entry["loss"] for entry in tail) / len(tail)
    return Trained(int(trainer.state.global_step), loss)


def _gathered(model: Any) -> dict[str, torch.Tensor]:
    """Return the trained weights, whose parts the processes have; every process must call it."""
    return {
        name: (p.full_tensor() if isinstance(p, DTensor) else p).detach().cpu()
        for name, p in model.named_parameters()
        if p.requires_grad
    }


def latest(checkpoints: Path) -> str | None:
    """Return the newest complete checkpoint: the trainer writes its state last."""
    states = []
    for path in checkpoints.glob("checkpoint-*"):
        try:
            state = json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
            states.append((int(state["global_step"]), str(path)))
        except (OSError, ValueError, KeyError):
            continue  # killed while it was written
    return max(states)[1] if states else None
