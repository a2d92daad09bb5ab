"""Stage train: an adapter from its examples, resumable, recorded in MLflow."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from escalometer import tracking
from escalometer.adapter_files import CONFIG, RECORD
from escalometer.config import AdapterParams, ModelCard, Params, Recipe, Workspace
from escalometer.dialogue.providers.local import loading, weights
from escalometer.errors import ProviderError
from escalometer.runtime.interruption import Interruption
from escalometer.runtime.progress import progress
from escalometer.schema import EXAMPLES, read_table
from escalometer.stages import read_json, write_json
from escalometer.training import adapters

if TYPE_CHECKING:
    from escalometer.training.trainer import Trained


def run(name: str, params: Params, workspace: Workspace, tracking_uri: str | None = None) -> None:
    """Train the adapter `name` and write models/adapters/<name>.

    What is learned is kept every few steps in the cache: killed at any moment, the same command
    goes on from there and comes to the same adapter. Under ``accelerate launch`` several processes
    train together, and the first one writes.

    Parameters
    ----------
    name : str
        An entry of `train.adapters`.
    params : Params
        Uses `seed` and `train`.
    workspace : Workspace
        Where the project and the cache are.
    tracking_uri : str, optional
        MLflow's address.

    Raises
    ------
    UsageError
        If there is no such adapter, or its model is not one of this machine.
    DataError
        If the examples are absent.
    ProviderError
        If the model cannot be loaded, or memory will not do.
    """
    adapter = adapters.adapter_named(name, params)
    card = adapters.check_base(adapter.model, workspace.root)
    recipe = card.training
    table = workspace.root / "data" / "targets" / name / "examples.parquet"
    rows = read_table(table, EXAMPLES).to_pylist()
    settings = {
        "model": card.id,
        "revision": weights.revision(card),
        "seed": params.seed,
        **{f"adapter.{key}": value for key, value in adapter.model_dump(mode="json").items()},
        **{f"recipe.{key}": value for key, value in recipe.model_dump(mode="json").items()},
        "examples_sha256": hashlib.sha256(table.read_bytes()).hexdigest(),
    }
    # What determines the adapter names its checkpoints: others are never gone on from.
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    kept = workspace.cache / "training" / f"{name}-{digest[:16]}"
    kept.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    from escalometer.training import trainer

    if not trainer.is_first():  # of several under `accelerate launch`: another one keeps the record
        _fit(rows, card, recipe, adapter, params.seed, kept, workspace, None)
        return
    run = tracking.TrainingRun.open(
        name, settings, {"examples": table}, workspace.root, tracking_uri, kept / "mlflow.json"
    )
    try:
        trained = _fit(rows, card, recipe, adapter, params.seed, kept, workspace, run)
    except BaseException:
        run.abort()
        raise
    fresh = kept / "adapter"
    _settle(fresh, card)
    record = {
        "name": name,
        **settings,
        "n_steps": trained.n_steps,
        "loss": trained.loss,
        "duration_s": round(time.monotonic() - began, 1),
    }
    write_json(record, fresh / RECORD)
    tags = {"base_model": card.id, "revision": settings["revision"], "holdout": adapter.holdout}
    where = run.finish(fresh, {"final_loss": trained.loss}, {**tags, "method": adapter.method})
    write_json({**record, "mlflow": where}, fresh / RECORD)
    out = workspace.root / "models" / "adapters" / name
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(fresh, out)
    shutil.rmtree(kept)
    unit = "nats a target token" if adapter.method == "sft" else "nats a pair (DPO's loss)"
    print(f"models/adapters/{name}: {trained.loss:.4f} {unit}", file=sys.stderr)


def _settle(folder: Path, card: ModelCard) -> None:
    """Let an adapter's files name its base, not a folder, and be the same each time."""
    (folder / "README.md").unlink(missing_ok=True)  # a form that nobody filled in
    about = read_json(folder / CONFIG)
    about["base_model_name_or_path"] = card.hub_id or card.id
    about["target_modules"] = sorted(about["target_modules"])  # a set, in whatever order
    write_json(about, folder / CONFIG)


def _fit(
    rows: list[dict[str, Any]],
    card: ModelCard,
    recipe: Recipe,
    adapter: AdapterParams,
    seed: int,
    kept: Path,
    workspace: Workspace,
    run: tracking.TrainingRun | None,
) -> Trained:
    """Train; with a record to keep, say what it will take, show progress and log every step."""
    model, tokenizer = loading.read(card, workspace)
    from escalometer.training import estimate, preferences, prefix_trees, trainer

    interruption = Interruption()
    kind = preferences if adapter.method == "dpo" else trainer
    data = kind.prepare(rows, tokenizer, recipe, adapter.shares_prefixes)
    is_padded = not isinstance(data[0], prefix_trees.Tree)
    places = (kept / "checkpoints", kept / "adapter")

    def fit(on_step: trainer.OnStep) -> Trained:
        made: Trained = kind.fit(model, tokenizer, data, recipe, seed, *places, on_step)
        return made

    if run is None:
        return fit(lambda _step, _numbers: interruption.check())
    device = trainer.device()
    is_compared = adapter.method == "dpo"
    forecast = estimate.estimate(model, data, recipe, device, is_padded, is_compared)
    free = loading.free_bytes(device)
    print(f"{run.name}: {len(rows):,} examples, {forecast.spell()}", file=sys.stderr)
    if forecast.memory_bytes > free:
        raise ProviderError(
            f"training needs about {forecast.memory_bytes / 1e9:.1f} GB of memory and "
            f"{free / 1e9:.1f} GB are free: lower n_branches, rank or n_layers under `training` in "
            f"models/{card.id}.yaml, or free memory"
        )
    n_steps = trainer.n_steps(len(data), recipe, is_padded)
    with progress(f"training {run.name}", n_steps, "steps") as bar:
        done = 0

        def on_step(step: int, numbers: Mapping[str, float]) -> None:
            nonlocal done
            bar.advance(step - done, free=step - done > 1)  # more at once: kept from before
            done = step
            run.log(step, numbers)
            interruption.check()

        return fit(on_step)
