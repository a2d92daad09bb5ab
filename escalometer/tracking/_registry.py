"""Adapters as versions of registered models: their files, by name, and their probes' results."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from escalometer.errors import ProviderError
from escalometer.layout import ADAPTER_RECORD, adapter_files
from escalometer.runtime.files import digest_of_files, partial_of
from escalometer.runtime.git import git_commit
from escalometer.tracking._store import connected, find_run

#: The version in use, and one to compare with it. `latest` is MLflow's own alias of the newest
#: version, and cannot be set.
CHAMPION, CHALLENGER = "champion", "challenger"

_DIGEST = "adapter_sha256"
_PROBES = "probes_sha256"


def register(client: Any, name: str, run_id: str, adapter: Path, tags: Mapping[str, str]) -> str:
    """Keep the adapter's files as a version of the registered model `name` and return its number.

    The files are logged unchanged: MLflow's own flavour for PEFT models loses the weights of a
    local base model. The first version becomes the champion, later ones are challengers.

    Parameters
    ----------
    client : MlflowClient
        Of the MLflow to keep it in.
    name : str
        The registered model's, and the adapter's.
    run_id : str
        The run that it was trained in.
    adapter : Path
        Its folder.
    tags : mapping of str to str
        Of the version and of the run.
    """
    from mlflow.entities import LoggedModelOutput

    tags = {**tags, _DIGEST: digest_of_files(adapter_files(adapter))}
    version = _registered(client, name, run_id, tags[_DIGEST])
    if version is None:
        experiment_id = client.get_run(run_id).info.experiment_id
        model = client.create_logged_model(
            experiment_id, name, run_id, tags, model_type="lora-adapter"
        )
        client.log_model_artifacts(model.model_id, str(adapter))
        client.finalize_logged_model(model.model_id, "READY")
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        _create_registered_model(client, name)
        model_version = client.create_model_version(
            name, f"models:/{model.model_id}", run_id, tags, model_id=model.model_id
        )
        version = str(model_version.version)
    aliases = client.get_registered_model(name).aliases
    if CHAMPION not in aliases:
        client.set_registered_model_alias(name, CHAMPION, version)
    elif str(aliases[CHAMPION]) != version:
        client.set_registered_model_alias(name, CHALLENGER, version)
    for key, value in tags.items():
        client.set_tag(run_id, key, value)
    return version


def _registered(client: Any, name: str, run_id: str, digest: str) -> str | None:
    """Return the version that has this adapter of this run already, registered before a kill."""
    for version in client.search_model_versions(f"name = '{name}'"):
        if version.run_id == run_id and version.tags.get(_DIGEST) == digest:
            return str(version.version)
    return None


def _create_registered_model(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def fetch_adapter(
    name: str, version: str, folder: Path, root: Path = Path(), uri: str | None = None
) -> Path:
    """Bring the files of a registered adapter into `folder`, and return it.

    Parameters
    ----------
    name : str
        The registered model's.
    version : str
        Its number, or an alias: ``"champion"``, ``"challenger"``, ``"latest"``.
    folder : Path
        Where to put it; it must not exist.
    root, uri : Path, str
        As of `log`.

    Raises
    ------
    ProviderError
        If there is no such version, or MLflow's files are not the registered ones.
    """
    import mlflow

    with connected(root, uri) as (client, _):
        registered = (
            client.get_model_version(name, version)
            if version.isdigit()
            else client.get_model_version_by_alias(name, version)
        )
        partial = partial_of(folder)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        mlflow.artifacts.download_artifacts(
            artifact_uri=f"models:/{name}/{registered.version}", dst_path=str(partial)
        )
    what = f"version {registered.version} of {name} in MLflow"
    try:
        digest = digest_of_files(adapter_files(partial))
    except FileNotFoundError as error:
        raise ProviderError(f"{what} is not an adapter: {error.filename} is missing") from error
    if digest != registered.tags.get(_DIGEST):
        raise ProviderError(
            f"{what} has sha256 {digest[:12]}…, but {str(registered.tags.get(_DIGEST))[:12]}… "
            "was registered: the files are damaged or were replaced. Train it again"
        )
    partial.replace(folder)
    return folder


def track_probes(
    name: str,
    metrics: Mapping[str, float],
    artifacts: Sequence[Path],
    adapter: Path,
    root: Path = Path(),
    uri: str | None = None,
) -> str:
    """Log the results of an adapter's probes in its training run, and return the run's id.

    The same result is logged once. Where the run is in another MLflow, since the adapter was
    trained elsewhere, the result gets a new run here.

    Parameters
    ----------
    name : str
        The adapter's.
    metrics : mapping of str to float
        Flat metrics: one for each probe, role and number.
    artifacts : sequence of Path
        Files and folders to keep.
    adapter : Path
        Its folder, with training.json.
    root, uri : Path, str
        As of `log`.

    Raises
    ------
    ProviderError
        If MLflow refuses or cannot be reached.
    """
    from mlflow.entities import Metric

    record = json.loads((adapter / ADAPTER_RECORD).read_text(encoding="utf-8"))
    trained = record.get("mlflow") or {}
    digest = hashlib.sha256(json.dumps(sorted(metrics.items())).encode()).hexdigest()
    with connected(root, uri) as (client, experiment_id):
        same = f"tags.adapter = '{name}' and tags.{_PROBES} = '{digest}'"
        if logged := client.search_runs([experiment_id], same):
            return str(logged[0].info.run_id)
        run = find_run(client, trained.get("run_id"))
        is_own = run is None
        if run is None:
            tags = {"git_commit": git_commit(root), "adapter": name}
            run = client.create_run(experiment_id, run_name=f"{name} probes", tags=tags)
        run_id = str(run.info.run_id)
        now_ms = int(time.time() * 1000)
        entries = [Metric(key, float(x), now_ms, 0) for key, x in metrics.items()]
        for i in range(0, len(entries), 1000):
            client.log_batch(run_id, metrics=entries[i : i + 1000])
        for path in artifacts:
            if path.is_dir():
                client.log_artifacts(run_id, str(path), f"probes/{path.name}")
            else:
                client.log_artifact(run_id, str(path), "probes")
        client.set_tag(run_id, _PROBES, digest)
        if is_own:
            client.set_terminated(run_id, "FINISHED")
    return run_id
