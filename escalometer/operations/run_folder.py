"""A folder for a run whose parameters are not those of params.yaml, which stays as it is.

The folder is a project of its own, with the run's params.yaml, dvc.yaml and outputs. It shares
what is paid for and what is recorded with the project it belongs to: completion store, DVC's
cache, MLflow and Prefect. The same parameters have the same folder, so that a run that is started
again does only what is left.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import yaml

from escalometer import __version__, layout
from escalometer.config import Params, Workspace, adopt_card
from escalometer.operations.project import code_digest, pipeline
from escalometer.pipeline import set_up
from escalometer.runtime.files import partial_of, write_json, write_text

#: Sections that do not determine a run's outputs.
_APART = {"ask", "watch", "canary"}
_DIGITS = 8

#: Folders of the project that a run reads as they are.
_SHARED = (
    layout.DOMAINS_FOLDER,
    layout.SUITES_FOLDER,
    layout.PROMPTS_FOLDER,
    layout.CARDS_FOLDER / "adapters",
    layout.DATA_FOLDER / "downloads",
)


def folder_of(params: Params, root: Path) -> Path:
    """Return the folder of a run: its last model, and a digest of what determines its outputs."""
    content = json.dumps(params.model_dump(mode="json", exclude=_APART), sort_keys=True)
    code = hashlib.sha256(content.encode()).hexdigest()[:_DIGITS]
    return layout.runs_folder(root) / f"{params.models[-1]}-{code}"


def prepare(params: Params, workspace: Workspace) -> Path:
    """Make the folder of a run, or bring it up to date with the project, and return it.

    Parameters
    ----------
    params : Params
        The run's.
    workspace : Workspace
        The project that it belongs to.

    Raises
    ------
    UsageError
        If a card does not exist, or DVC cannot be set up.
    """
    root = workspace.root.resolve()
    folder = folder_of(params, root)
    _write(f"# Parameters of one run, written by it.\n{_spelled(params)}", folder / "params.yaml")
    _write(pipeline(), folder / layout.PIPELINE_FILE)
    record = {"version": __version__, "code": code_digest(), "files": {}}
    write_json(record, folder / layout.RECORD_FILE)
    for name in _SHARED:
        _link(root / name, folder / name)
    for model in params.models:
        card = layout.card_file(model, root)
        if card.exists():
            _write(card.read_text(encoding="utf-8"), layout.card_file(model, folder))
        else:
            layout.card_file(model, folder).unlink(missing_ok=True)
            adopt_card(model, layout.cards_folder(folder))
    for domain in params.domains:
        _copy_raw(layout.raw_folder(domain, root), layout.raw_folder(domain, folder))
    set_up(folder, cache=root / ".dvc" / "cache")
    return folder


def environment(workspace: Workspace) -> dict[str, str]:
    """Return the variables by which stages in a run's folder find store and record of the project.

    MLflow's local store is made where there is none.
    """
    found: dict[str, str] = {}
    if isinstance(workspace.store, Path):  # else the variable is set, and is the same anywhere
        found["ESCALOMETER_STORE"] = str(workspace.store.resolve())
    if workspace.tracking is None:
        from escalometer.tracking import prepare_store

        found["MLFLOW_TRACKING_URI"] = prepare_store(workspace.root)
    return found


def _spelled(params: Params) -> str:
    content = params.model_dump(mode="json")
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def _write(text: str, path: Path) -> None:
    """Write a file if it differs, so that DVC need not read it again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(text, path)


def _link(shared: Path, path: Path) -> None:
    if path.is_symlink() and (not shared.exists() or path.readlink() != shared):
        path.unlink()
    if not path.is_symlink() and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        if shared.exists():
            path.symlink_to(shared, target_is_directory=True)
        else:
            path.mkdir()


def _copy_raw(given: Path, folder: Path) -> None:
    """Bring the raw files of the project into a run's folder, where they differ."""
    if not given.is_dir() or _listed(given) == _listed(folder):
        return
    partial = partial_of(folder)
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(given, partial, copy_function=_linked_or_copied)
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)


def _listed(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of each raw file in a folder."""
    stats = {path.name: path.stat() for path in folder.glob("*") if path.suffix != ".json"}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def _linked_or_copied(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
