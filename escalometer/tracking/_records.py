"""An evaluation in MLflow: a run, nested runs, tables, traces."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from escalometer.runtime.files import digest
from escalometer.tracking._releases import EVALUATION, Release, logged_model, register, version_of
from escalometer.tracking._store import EXPERIMENT, connected, default_uri

#: Hexadecimal digits of a file's digest; MLflow keeps no more than 36.
_DIGITS = 16


@dataclass(frozen=True)
class RunRecord:
    """The content of one run of MLflow.

    Attributes
    ----------
    name : str
        Name of the run.
    parameters : mapping
        Flat parameters.
    metrics : mapping of str to float
        Flat metrics.
    tags : mapping of str to str
        Tags.
    tables : mapping of str to Path
        Data sets (Parquet) by name; their digests are logged.
    headlines : sequence of str
        Metrics that are also those of the release.
    measured_on : str, optional
        The table that these are of, where it is one.
    artifacts : sequence of Path
        Files and folders to keep.
    dialogues : sequence of mapping
        Rows of the decisions table to keep as traces.
    children : sequence of RunRecord
        Nested runs.
    """

    name: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, Path] = field(default_factory=dict)
    headlines: Sequence[str] = ()
    measured_on: str | None = None
    artifacts: Sequence[Path] = ()
    dialogues: Sequence[Mapping[str, Any]] = ()
    children: Sequence[RunRecord] = ()


def log(
    record: RunRecord, root: Path, uri: str | None = None, release: Release | None = None
) -> dict[str, Any]:
    """Log a run with its nested runs, and return its ``uri``, ``experiment`` and ``run_id``.

    Of a release, also ``registered_model`` and ``version``. The same evaluation gets one version,
    however often it is logged.

    Parameters
    ----------
    record : RunRecord
        What to keep.
    root : Path
        The project; holds the store where `uri` is None.
    uri : str, optional
        MLflow's tracking address.
    release : Release, optional
        The release that was evaluated.

    Raises
    ------
    ProviderError
        If MLflow refuses or cannot be reached.
    """
    import mlflow

    logged: dict[str, Any] = {"uri": uri or default_uri(root), "experiment": EXPERIMENT}
    with connected(root, uri) as (client, _):
        mlflow.set_experiment(EXPERIMENT)
        if release is None:
            logged["run_id"], _ = _log_run(record)
        else:
            record = replace(record, tags={**record.tags, EVALUATION: release.evaluation})
            version = version_of(client, release.registered_model, release.evaluation)
            # A release that has its version has its logged model with all metrics, too.
            logged["run_id"], model_id = _log_run(record, release if version is None else None)
            number = register(client, release, version, logged["run_id"], model_id, record.tags)
            logged |= {"registered_model": release.registered_model, "version": number}
        mlflow.flush_trace_async_logging(terminate=True)
    return logged


def _log_run(
    record: RunRecord, release: Release | None = None, parents_model: str | None = None
) -> tuple[str, str]:
    """Return the ids of a run, logged with its nested runs, and of the release's logged model.

    The latter is empty where there is none; nested runs get that of their parent.
    """
    import mlflow
    from mlflow.entities import Param

    is_nested = parents_model is not None
    # Each call is a transaction, and reads the run again: there are as few as possible.
    with mlflow.start_run(run_name=record.name, nested=is_nested, tags=dict(record.tags)) as run:
        run_id, client = str(run.info.run_id), mlflow.MlflowClient()
        model_id = parents_model or ""
        if release is not None:
            model_id = logged_model(client, run.info.experiment_id, run_id, release)
        tables = {name: _data_set(name, path) for name, path in record.tables.items()}
        client.log_batch(
            run_id,
            metrics=_metrics(record, model_id, tables),
            params=[Param(key, str(value)) for key, value in record.parameters.items()],
        )
        if tables:
            kinds = ["evaluation"] * len(tables)
            mlflow.log_inputs([*tables.values()], kinds, [None] * len(tables))
        for path in record.artifacts:
            if path.is_dir():
                mlflow.log_artifacts(str(path), artifact_path=path.name)
            else:
                mlflow.log_artifact(str(path))
        for dialogue in record.dialogues:
            _log_dialogue(dialogue)
        for child in record.children:
            _log_run(child, parents_model=model_id)
        return run_id, model_id


def _metrics(record: RunRecord, model_id: str, tables: Mapping[str, Any]) -> list[Any]:
    """Return the metrics of a run; the headlines are also a logged model's, on a data set."""
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    of_model: dict[str, str] = {}
    if model_id:
        of_model["model_id"] = model_id
    if model_id and record.measured_on is not None:
        table = tables[record.measured_on]
        of_model |= {"dataset_name": table.name, "dataset_digest": table.digest}
    return [
        Metric(key, float(x), now_ms, 0, **(of_model if key in record.headlines else {}))
        for key, x in record.metrics.items()
    ]


def _data_set(name: str, path: Path) -> Any:
    """Return a table's name, digest of its file and columns; its rows are not loaded."""
    import pyarrow.parquet as pq
    from mlflow.data.dataset_source_registry import resolve_dataset_source
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.types import ColSpec, Schema

    columns = [ColSpec(_type(field.type), field.name) for field in pq.read_schema(path)]
    return MetaDataset(
        resolve_dataset_source(str(path)),
        name=name,
        digest=digest(path)[:_DIGITS],
        schema=Schema(columns),
    )


def _type(kind: pa.DataType) -> str:
    """Return MLflow's name of a column's type."""
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_floating(kind):
        return "double"
    return "long" if pa.types.is_integer(kind) else "string"


def _log_dialogue(row: Mapping[str, Any]) -> None:
    """Log one dialogue as a trace: a span for it, and one inside for each turn."""
    import mlflow

    inputs = ("domain", "condition", "scenario_id", "intervention", "cost_ratio", "status", "label")
    with mlflow.start_span(name=f"dialogue {row['condition']}") as dialogue:
        dialogue.set_inputs({key: row[key] for key in inputs})
        turns = [
            ("predict", row["prompt"], row["prediction_text"], row["prediction"]),
            ("decide", row["decision_prompt"], row["decision_text"], row["escalate"]),
        ]
        for name, prompt, answer, digit in turns:
            if prompt is None:
                continue
            with mlflow.start_span(name=name, span_type="LLM") as turn:
                turn.set_inputs({"prompt": prompt})
                turn.set_outputs({"answer": answer, "parsed": digit})
        dialogue.set_outputs({"prediction": row["prediction"], "escalate": row["escalate"]})
