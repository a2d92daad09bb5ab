"""Stage train: an adapter from its examples, resumable, recorded in MLflow."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time

from escalometer import layout, tracking
from escalometer.config import Params, Workspace
from escalometer.dialogue.weights import sources
from escalometer.runtime.files import digest, read_json, write_json
from escalometer.schema import EXAMPLES, read_table
from escalometer.training import adapters
from escalometer.training.fitting import EXECUTION_FILE, fit_adapter, normalize_files


def run(name: str, params: Params, workspace: Workspace, tracking_uri: str | None = None) -> None:
    """Train the adapter `name` and write models/adapters/<name>.

    Checkpoints are written to the cache every few steps: after a kill the same command resumes, and
    gives the same adapter. Under ``accelerate launch`` several processes train together, and the
    first one writes.

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
    recipe, seed = card.training, adapter.seed_in(params.seed)
    table = layout.examples_file(name, workspace.root)
    rows = read_table(table, EXAMPLES).to_pylist()
    settings = {
        "model": card.id,
        "revision": sources.revision(card),
        "seed": seed,
        **{f"adapter.{key}": value for key, value in adapter.model_dump(mode="json").items()},
        **{f"recipe.{key}": value for key, value in recipe.record().items()},
        "examples_sha256": digest(table),
    }
    # The folder's name is a hash of all that determines the adapter: no other training resumes it.
    settings_digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    work_folder = workspace.cache / "training" / f"{name}-{settings_digest[:16]}"
    work_folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    from escalometer.training import size_reduction, trainer

    if not trainer.is_first():  # of several under `accelerate launch`: another one keeps the record
        fit_adapter(rows, card, recipe, adapter, seed, work_folder, workspace, None)
        return
    run = tracking.TrainingRun.open(
        name,
        settings,
        {"examples": table},
        workspace.root,
        tracking_uri,
        work_folder / "mlflow.json",
    )
    try:
        trained = fit_adapter(rows, card, recipe, adapter, seed, work_folder, workspace, run)
    except BaseException:
        run.abort()
        raise
    fresh = work_folder / "adapter"
    size_reduction.reduce_size(fresh, recipe.stored_rank, recipe.stored_type)
    normalize_files(fresh, card)
    record = {
        "name": name,
        **settings,
        "n_steps": trained.n_steps,
        "loss": trained.loss,
        "execution": read_json(work_folder / EXECUTION_FILE),
        "duration_s": round(time.monotonic() - began, 1),
    }
    write_json(record, fresh / layout.ADAPTER_RECORD)
    tags = {"base_model": card.id, "revision": settings["revision"], "holdout": adapter.holdout}
    run_ids = run.finish(fresh, {"final_loss": trained.loss}, {**tags, "method": adapter.method})
    write_json({**record, "mlflow": run_ids}, fresh / layout.ADAPTER_RECORD)
    out = layout.adapter_folder(name, workspace.root)
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(fresh, out)
    shutil.rmtree(work_folder)
    unit = "nats per target token" if adapter.method == "sft" else "nats per pair (DPO loss)"
    print(f"models/adapters/{name}: {trained.loss:.4f} {unit}", file=sys.stderr)
