"""The fitting of an adapter: loading, an estimate of time and memory, progress and logging."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from escalometer import layout, tracking
from escalometer.config import AdapterParams, ModelCard, Recipe, Workspace
from escalometer.dialogue.providers.local import loading
from escalometer.runtime.files import read_json, write_json
from escalometer.runtime.interruption import Interruption
from escalometer.runtime.progress import progress

if TYPE_CHECKING:
    from escalometer.training.trainer import Trained

#: The way in which a training is computed, next to its checkpoints.
EXECUTION_FILE = "execution.json"


def normalize_files(folder: Path, card: ModelCard) -> None:
    """Make the files of a fresh adapter reproducible: its base by name, its layers in order."""
    (folder / "README.md").unlink(missing_ok=True)  # an unfilled template
    config = read_json(folder / layout.ADAPTER_CONFIG)
    config["base_model_name_or_path"] = card.hub_id or card.id
    config["target_modules"] = sorted(config["target_modules"])  # a set, in whatever order
    write_json(config, folder / layout.ADAPTER_CONFIG)


def fit_adapter(
    rows: list[dict[str, Any]],
    card: ModelCard,
    recipe: Recipe,
    adapter: AdapterParams,
    seed: int,
    folder: Path,
    workspace: Workspace,
    run: tracking.TrainingRun | None,
) -> Trained:
    """Train an adapter, and return its number of steps and its loss.

    Parameters
    ----------
    rows : list of dict
        Rows of `schema.EXAMPLES`.
    card, recipe, adapter : ModelCard, Recipe, AdapterParams
        The base model, its training recipe, and the adapter's parameters.
    seed : int
        Determines the order of examples and the adapter's initial weights.
    folder : Path
        Folder of checkpoints and of the finished adapter.
    workspace : Workspace
        Where weights are.
    run : TrainingRun or None
        Where steps are logged; None in a process that keeps no record. With one, the duration and
        memory are estimated and printed first, and progress is shown.

    Raises
    ------
    ProviderError
        If the model cannot be loaded, or memory does not suffice.
    """
    model, tokenizer = loading.read_model(card, workspace)
    from escalometer.training import execution, planning, preferences, prefix_trees, trainer

    interruption = Interruption()
    kind = preferences if adapter.method == "dpo" else trainer
    data = kind.prepare(rows, tokenizer, recipe, adapter.shares_prefixes)
    is_padded = not isinstance(data[0], prefix_trees.Tree)
    places = (folder / "checkpoints", folder / "adapter")
    chosen, forecast = None, None
    if run is not None:  # the first process decides for all
        began = execution.kept(folder / EXECUTION_FILE, trainer.n_processes(), trainer.n_shards())
        chosen, forecast = planning.plan(model, data, recipe, adapter.method == "dpo", began)
        print(
            f"{run.name}: {len(rows):,} examples, {forecast.spell()}; {chosen.spell()}",
            file=sys.stderr,
        )
        planning.check_memory(forecast, card)
        execution.keep(chosen, folder / EXECUTION_FILE)
    chosen = trainer.same_in_all(chosen)

    def fit(on_step: trainer.OnStep) -> Trained:
        trained: Trained = kind.fit(model, tokenizer, data, recipe, seed, *places, on_step, chosen)
        return trained

    if run is None:
        return fit(lambda _step, _numbers: interruption.check())
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
