"""Evaluations that MLflow has a record of, read back for `escalometer history`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from escalometer.layout import mlflow_file
from escalometer.tracking._aliases import ReleaseVersion, aliased
from escalometer.tracking._releases import EVALUATION
from escalometer.tracking._store import connected

_PARENT = "mlflow.parentRunId"
#: Runs that MLflow returns at a time.
_PAGE = 1000


@dataclass(frozen=True)
class TrackedRun:
    """An evaluation of a model, as it was logged.

    Attributes
    ----------
    run_id, model : str
    logged_at : datetime
        UTC.
    parameters, tags : mapping of str to str
    metrics : mapping of str to float
    alias : str, optional
        ``in-use`` or ``candidate``, if the evaluation's version has one of these aliases.
    release : ReleaseVersion, optional
        That version.
    """

    run_id: str
    model: str
    logged_at: datetime
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    alias: str | None = None
    release: ReleaseVersion | None = None


def evaluations(root: Path, uri: str | None = None) -> list[TrackedRun]:
    """Return all evaluations, the earliest first; none where nothing was ever logged.

    Parameters
    ----------
    root : Path
        The project; holds the store where `uri` is None.
    uri : str, optional
        MLflow's tracking address.

    Raises
    ------
    ProviderError
        If MLflow refuses or cannot be reached.
    """
    if uri is None and not mlflow_file(root).exists():
        return []
    found = []
    with connected(root, uri) as (client, experiment_id):
        aliases, token = aliased(client), None
        while True:
            page = client.search_runs(
                [experiment_id], max_results=_PAGE, order_by=["start_time ASC"], page_token=token
            )
            found += [
                TrackedRun(
                    run.info.run_id,
                    run.data.tags["model"],
                    datetime.fromtimestamp(run.info.start_time / 1000, UTC),
                    dict(run.data.params),
                    dict(run.data.tags),
                    dict(run.data.metrics),
                    *aliases.get(run.data.tags.get(EVALUATION, ""), ()),
                )
                for run in page
                # Nested runs are of one domain; trainings have an adapter in place of a model.
                if "model" in run.data.tags and _PARENT not in run.data.tags
            ]
            token = page.token
            if not token:
                return sorted(found, key=lambda run: (run.logged_at, run.run_id))
