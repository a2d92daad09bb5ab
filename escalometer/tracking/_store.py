"""Where MLflow keeps things, and what reaching it takes."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from escalometer.errors import ProviderError

EXPERIMENT = "escalometer"


def default_uri(root: Path) -> str:
    """Return the address of the local store: a SQLite file in the project."""
    return f"sqlite:///{(root / 'mlflow.db').resolve()}"


def git_commit(root: Path) -> str:
    """Return the commit that is checked out, or ``unknown`` outside of git.

    ``-dirty`` follows where tracked files differ from it, dvc.lock aside: the pipeline writes that
    while it runs.
    """
    git = ["git", "-C", str(root)]
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S603
    if head.returncode:
        return "unknown"
    command = [*git, "diff", "--quiet", "HEAD", "--", ".", ":(exclude)dvc.lock"]
    is_clean = subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603
    return head.stdout.strip() + ("" if is_clean else "-dirty")


@contextlib.contextmanager
def connected(root: Path, uri: str | None) -> Iterator[Any]:
    """Yield (client, id of our experiment) of the MLflow at `uri`.

    Parameters
    ----------
    root : Path
        The project; holds the store where `uri` is None.
    uri : str, optional
        MLflow's tracking address.

    Raises
    ------
    ProviderError
        If MLflow refuses or cannot be reached, now or while the context lasts.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import logging
    import warnings

    import mlflow
    from mlflow.exceptions import MlflowException

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    # Hints on schemas for serving and on sources of data: this is a record of tables, not a model.
    warnings.filterwarnings("ignore", module="mlflow")
    address = uri or default_uri(root)
    try:
        mlflow.set_tracking_uri(address)
        experiment = mlflow.get_experiment_by_name(EXPERIMENT)
        if experiment is not None:
            experiment_id = experiment.experiment_id
        elif uri is None:
            artifacts = (root / "mlruns").resolve().as_uri()
            experiment_id = mlflow.create_experiment(EXPERIMENT, artifact_location=artifacts)
        else:
            experiment_id = mlflow.create_experiment(EXPERIMENT)
        yield mlflow.MlflowClient(), experiment_id
    except MlflowException as error:
        raise ProviderError(f"MLflow at {address}: {error}") from error


def find_run(client: Any, run_id: str | None) -> Any:
    """Return the run of that id, or None if this MLflow has none."""
    from mlflow.exceptions import MlflowException

    if not run_id:
        return None
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    return run if run.info.lifecycle_stage == "active" else None
