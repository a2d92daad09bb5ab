"""Decisions of a project, written to object storage for others to read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from escalometer import layout
from escalometer.config import Params
from escalometer.errors import DataError, UsageError, unknown_name
from escalometer.operations import recorded_sources
from escalometer.runtime import object_storage
from escalometer.runtime.object_storage import S3Address


def publish(
    folder: S3Address,
    params: Params,
    models: Sequence[str] | None = None,
    source: str | None = None,
    root: Path = Path(),
) -> list[S3Address]:
    """Write decisions as Parquet objects below a folder, all or none, and return their addresses.

    Parameters
    ----------
    folder : S3Address
        Where: `FOLDER/MODEL/DOMAIN.parquet`, or `FOLDER/SOURCE.parquet`.
    params : Params
        Its `models` and `domains` are the ones of the run.
    models : sequence of str, optional
        Only these.
    source : str, optional
        An import, in place of the run's decisions.
    root : Path
        The project.

    Raises
    ------
    UsageError
        If there is no such model, import or bucket, credentials do not allow it, or there is no
        room.
    DataError
        If a model has not been evaluated.
    Outage
        If the storage cannot be reached.
    """
    if not folder.is_folder:
        raise UsageError(f"{folder} must be a folder: {folder}/")
    if source is not None:
        if models:
            raise UsageError(f"--models selects from a run, and {source} is an import")
        recorded_sources.about(source, root)
        found = {folder.child(f"{source}.parquet"): layout.source_decisions_file(source, root)}
    else:
        found = _of_run(folder, params, models or params.models, root)
    object_storage.check_bucket(folder)
    object_storage.upload(found)
    return list(found)


def _of_run(
    folder: S3Address, params: Params, models: Sequence[str], root: Path
) -> dict[S3Address, Path]:
    found = {}
    for model in models:
        if model not in params.models:
            raise unknown_name("model", model, params.models)
        for domain in params.domains:
            file = layout.decisions_file(model, domain, root)
            if not file.exists():
                raise DataError(
                    f"{model} has not been evaluated on {domain}: run `escalometer evaluate "
                    f"{model} --domains {','.join(params.domains)}`"
                )
            found[folder.child(f"{model}/{domain}.parquet")] = file
    return found
