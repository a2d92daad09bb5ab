"""The connection to MLflow, and the address of its store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from escalometer.errors import ProviderError
from escalometer.layout import mlflow_artifacts, mlflow_file

EXPERIMENT = "escalometer"


def default_uri(root: Path) -> str:
    """Return the address of the local store: a SQLite file in the project."""
    return f"sqlite:///{mlflow_file(root).resolve()}"


#: Retries of a request that somebody waits for: a quarter of a minute, not MLflow's four.
_FEW_RETRIES = 3


@contextlib.contextmanager
def connected(root: Path, uri: str | None, is_patient: bool = True) -> Iterator[Any]:
    """Yield (client, id of our experiment) of the MLflow at `uri`.

    Parameters
    ----------
    root : Path
        The project; holds the store where `uri` is None.
    uri : str, optional
        MLflow's tracking address.
    is_patient : bool
        False where somebody waits: a server that is away is given up sooner, unless the
        environment says how often a request is repeated.

    Raises
    ------
    ProviderError
        If MLflow refuses or cannot be reached, now or while the context lasts.
    """
    import logging
    import warnings

    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES as RETRIES
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    from escalometer.tracking._database import create
    from escalometer.tracking._library import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    # These warn of schemas for serving and of data sources, neither of which a record needs.
    warnings.filterwarnings("ignore", module="mlflow")
    address = uri or default_uri(root)
    if uri is None:
        create(mlflow_file(root))
    is_limited = not is_patient and not RETRIES.is_set()
    try:
        if is_limited:
            RETRIES.set(_FEW_RETRIES)
        mlflow.set_tracking_uri(address)
        experiment = mlflow.get_experiment_by_name(EXPERIMENT)
        if experiment is not None:
            experiment_id = experiment.experiment_id
        elif uri is None:
            artifacts = mlflow_artifacts(root).resolve().as_uri()
            experiment_id = mlflow.create_experiment(EXPERIMENT, artifact_location=artifacts)
        else:
            experiment_id = mlflow.create_experiment(EXPERIMENT)
        yield mlflow.MlflowClient(), experiment_id
    except (MlflowException, RequestException) as error:
        raise ProviderError(f"MLflow at {address}: {error}") from error
    finally:
        if is_limited:
            RETRIES.unset()


def prepare_store(root: Path) -> str:
    """Return the address of a project's local store, which is made where there is none.

    By the address alone, a store that is not there yet would keep its artifacts elsewhere.

    Raises
    ------
    ProviderError
        If it cannot be made.
    """
    if not mlflow_file(root).exists():
        with connected(root, None):
            pass
    return default_uri(root)


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
