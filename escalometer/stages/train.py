"""Stage train: an adapter from its examples, resumable, recorded in MLflow."""

from __future__ import annotations

import shutil
import sys
import time

from escalometer import tracking
from escalometer.config import Params, Recipe, Workspace, load_card
from escalometer.errors import UsageError
from escalometer.schema import EXAMPLES, read_table
from escalometer.stages import write_json
from escalometer.stages.targets import adapter_named


def run(name: str, params: Params, workspace: Workspace, tracking_uri: str | None = None) -> None:
    """Train the adapter `name` and write models/adapters/<name>.

    What is learned is kept every few steps in the cache: killed at any moment, the same command
    goes on from there, and comes to the same adapter.

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
    adapter = adapter_named(name, params)
    card = load_card(adapter.model, workspace.root / "models")
    if card.provider != "local" or card.adapter:
        raise UsageError(
            f"models/{card.id}.yaml is {'an adapter' if card.adapter else 'asked elsewhere'}: only "
            "the weights of a local model can be fine-tuned"
        )
    recipe = card.training or Recipe()
    table = workspace.root / "data" / "targets" / name / "examples.parquet"
    rows = read_table(table, EXAMPLES).to_pylist()
    settings = _settings(adapter, recipe, card, params.seed, table)
    kept = workspace.cache / "training" / f"{name}-{_digest(settings)}"
    kept.mkdir(parents=True, exist_ok=True)
    out = workspace.root / "models" / "adapters" / name
    made = kept / "adapter"
    began = time.monotonic()
    logged = tracking.TrainingRun.open(
        name,
        _flat(settings),
        {"examples": table},
        workspace.root,
        tracking_uri,
        kept / "mlflow.json",
    )
    try:
        trained = _train(rows, card, recipe, adapter, params.seed, workspace, kept, made, logged)
    except BaseException:
        logged.abort()
        raise
    record = {
        "adapter": name,
        **settings,
        **trained,
        "trained_s": round(time.monotonic() - began, 1),
    }
    record["mlflow"] = logged.finish(made, {"final_loss": trained["loss"]}, card, record)
    write_json(record, made / "training.json")
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(made, out)
    shutil.rmtree(kept)
    print(f"models/adapters/{name}: loss {trained['loss']:.4f} a token", file=sys.stderr)
