"""The folder and the environment that the stages of a flow's run have."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from escalometer.cli import workspace
from escalometer.commands._options import spell_limits
from escalometer.config import Params, Workspace, differing, load_params, with_changes
from escalometer.layout import run_lock
from escalometer.operations import run_folder
from escalometer.runtime.locks import locked
from escalometer.runtime.warm_client import VARIABLE
from escalometer.runtime.warm_process import warmed
from flows._words import say

#: Names the project, in the environment of a worker: prefect.yaml sends runs there.
PROJECT = "ESCALOMETER_PROJECT"

#: Folders whose lock is held by the command that started this process.
HELD: set[Path] = set()


@contextlib.contextmanager
def placed(
    changes: Mapping[tuple[str, ...], Any],
    limits: Mapping[str, Any] | None = None,
    retry: Sequence[str] = (),
    retry_before: str | None = None,
    run: str = "",
) -> Iterator[tuple[Params, Workspace]]:
    """Yield parameters and workspace of a run, whose folder is this process's for the block.

    The folder is the project's if the run's parameters are those of params.yaml, or else one of
    its own: docs/decisions/0037-runs-and-their-folders.md. One run at a time writes a folder.

    Parameters
    ----------
    changes : mapping
        Parameters that differ from params.yaml, by key path.
    limits : mapping of str to Any, optional
        Of requests, by key of `ask`, for this run.
    retry : sequence of str
        Outcomes whose stored answers are replaced.
    retry_before : str, optional
        Time from which on they are not.
    run : str
        An id under which requests count together.
    """
    params, project = load_params(), workspace()
    folder, variables = project.root, {}
    if new := differing(params, changes):
        params = with_changes(params, new)
        folder = run_folder.folder_of(params, project.root.resolve())
    with _only_run(folder):
        if new:
            folder = run_folder.prepare(params, project)
            variables = run_folder.environment(project)
            say(f"parameters of this run are in {folder / 'params.yaml'}")
        variables |= spell_limits(limits or {})
        if retry:
            variables["ESCALOMETER_RETRY"] = ",".join(retry)
        if retry:  # what this run has asked again once is not asked again by its next stage
            now = datetime.now(UTC).isoformat(timespec="seconds")
            variables["ESCALOMETER_RETRY_BEFORE"] = retry_before or now
        if run and "ESCALOMETER_RUN" not in os.environ:
            variables["ESCALOMETER_RUN"] = run
        with _warm(), working_in(folder, variables):
            yield params, workspace()


@contextlib.contextmanager
def _only_run(folder: Path) -> Iterator[None]:
    if folder.resolve() in HELD:
        yield
        return
    path = run_lock(folder)
    with locked(path, lambda who: say(f"waiting for another run in {folder} ({who}) to end …")):
        yield


@contextlib.contextmanager
def _warm() -> Iterator[None]:
    """Have a warm process for stages: that of the command line, or one for the block."""
    with contextlib.ExitStack() as stack:
        if VARIABLE not in os.environ:
            stack.enter_context(warmed())
        yield


@contextlib.contextmanager
def working_in(folder: Path, variables: Mapping[str, str]) -> Iterator[None]:
    """Work in a folder, with variables of the environment, for the block."""
    before, here = dict(os.environ), Path.cwd()
    os.environ.update(variables)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(here)
        for name in variables:
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)
