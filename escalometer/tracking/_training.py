"""A training in MLflow: one run, however often it is interrupted, and its adapter at the end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from escalometer.runtime.files import write_json
from escalometer.runtime.git import git_commit
from escalometer.tracking._registry import register
from escalometer.tracking._store import connected, find_run

#: MLflow takes so many parameters at a time, and texts up to so many characters.
_N_PARAMETERS, _MOST_TEXT = 100, 6000


class TrainingRun:
    """The run of one training; `open` creates or resumes it.

    Attributes
    ----------
    name : str
        The adapter's, the run's and the registered model's.
    run_id : str
        In MLflow.
    last_step : int
        The last step that is logged already, -1 if none is: steps that an interrupted training
        repeats are not logged again.
    """

    def __init__(self, name: str, run_id: str, last_step: int, root: Path, uri: str | None) -> None:
        self.name = name
        self.run_id = run_id
        self.last_step = last_step
        self._root = root
        self._uri = uri

    @classmethod
    def open(
        cls,
        name: str,
        parameters: Mapping[str, Any],
        tables: Mapping[str, Path],
        root: Path,
        uri: str | None,
        run_file: Path,
    ) -> TrainingRun:
        """Return the run that `run_file` names, resumed, or a new one, recorded there.

        Parameters
        ----------
        name : str
            The adapter's.
        parameters : mapping
            Flat parameters.
        tables : mapping of str to Path
            The training data (Parquet) by name; its digests are logged.
        root : Path
            The project; holds the store where `uri` is None.
        uri : str, optional
            MLflow's tracking address.
        run_file : Path
            A JSON file beside the training's checkpoints.

        Raises
        ------
        ProviderError
            If MLflow refuses or cannot be reached.
        """
        with connected(root, uri) as (client, experiment_id):
            previous_id = _recorded_run_id(run_file)
            if previous_id and (last_step := _resume(client, previous_id)) is not None:
                return cls(name, previous_id, last_step, root, uri)
            tags = {"git_commit": git_commit(root), "adapter": name}
            run = client.create_run(experiment_id, run_name=name, tags=tags)
            run_id = str(run.info.run_id)
            _log_parameters(client, run_id, parameters)
            client.log_inputs(run_id, [_input(key, path) for key, path in tables.items()])
        write_json({"run_id": run_id}, run_file)
        return cls(name, run_id, -1, root, uri)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log a step's metrics, all at once, unless the step is logged already.

        Raises
        ------
        ProviderError
            If MLflow refuses or cannot be reached.
        """
        if step <= self.last_step:
            return
        with connected(self._root, self._uri) as (client, _):
            client.log_batch(self.run_id, metrics=_metrics(metrics, step))
        self.last_step = step

    def finish(
        self,
        adapter: Path,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        artifacts: Sequence[Path] = (),
    ) -> dict[str, str]:
        """Register the adapter, close the run, and return ``run_id``, ``model_name``, ``version``.

        The same adapter is registered once, however often this is called.

        Parameters
        ----------
        adapter : Path
            Its folder, all files of which are kept.
        metrics : mapping of str to float
            The training's results.
        tags : mapping of str to str
            Of run and version: base model and its revision, the domain held out, the method. The
            commit and the adapter's digest are added.
        artifacts : sequence of Path
            Files and folders to keep with the run.

        Raises
        ------
        ProviderError
            If MLflow refuses or cannot be reached.
        """
        with connected(self._root, self._uri) as (client, _):
            client.log_batch(self.run_id, metrics=_metrics(metrics, max(0, self.last_step)))
            for path in artifacts:
                if path.is_dir():
                    client.log_artifacts(self.run_id, str(path), path.name)
                else:
                    client.log_artifact(self.run_id, str(path))
            commit = client.get_run(self.run_id).data.tags["git_commit"]
            version = register(
                client, self.name, self.run_id, adapter, {**tags, "git_commit": commit}
            )
            client.set_terminated(self.run_id, "FINISHED")
        return {"run_id": self.run_id, "model_name": self.name, "version": version}

    def abort(self) -> None:
        """Mark the run as failed, or as killed where it was stopped; `open` resumes it.

        Called while the exception that ended the training is handled.

        Raises
        ------
        ProviderError
            If MLflow refuses or cannot be reached.
        """
        is_stopped = isinstance(sys.exception(), KeyboardInterrupt | SystemExit)
        with connected(self._root, self._uri) as (client, _):
            client.set_terminated(self.run_id, "KILLED" if is_stopped else "FAILED")


def _recorded_run_id(run_file: Path) -> str | None:
    try:
        return str(json.loads(run_file.read_text(encoding="utf-8"))["run_id"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _resume(client: Any, run_id: str) -> int | None:
    """Set a run running again and return its last step; None if it is not in this MLflow."""
    run = find_run(client, run_id)
    if run is None:
        return None
    client.update_run(run_id, status="RUNNING")
    steps = [
        metric.step for key in run.data.metrics for metric in client.get_metric_history(run_id, key)
    ]
    return max(steps, default=-1)


def _log_parameters(client: Any, run_id: str, parameters: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    entries = [Param(key, str(value)[:_MOST_TEXT]) for key, value in parameters.items()]
    for i in range(0, len(entries), _N_PARAMETERS):
        client.log_batch(run_id, params=entries[i : i + _N_PARAMETERS])


def _metrics(metrics: Mapping[str, float], step: int) -> list[Any]:
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    return [Metric(key, float(value), now_ms, step) for key, value in metrics.items()]


def _input(name: str, path: Path) -> Any:
    import mlflow
    import pandas as pd
    from mlflow.entities import DatasetInput, InputTag

    data = mlflow.data.from_pandas(pd.read_parquet(path), source=str(path), name=name)
    return DatasetInput(data._to_mlflow_entity(), [InputTag("mlflow.data.context", "training")])
