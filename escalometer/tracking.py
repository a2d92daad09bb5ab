"""The only door to MLflow: a record of every evaluation, never read back by the pipeline."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EXPERIMENT = "escalometer"


@dataclass(frozen=True)
class RunRecord:
    """What one run of MLflow holds.

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
    artifacts: Sequence[Path] = ()
    dialogues: Sequence[Mapping[str, Any]] = ()
    children: Sequence[RunRecord] = ()


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


def log(record: RunRecord, root: Path, uri: str | None = None) -> dict[str, str]:
    """Log a run with its nested runs and return where it is: ``uri``, ``experiment``, ``run_id``.

    Parameters
    ----------
    record : RunRecord
        What to keep.
    root : Path
        The project; holds the store where `uri` is None.
    uri : str, optional
        MLflow's tracking address.

    Raises
    ------
    ProviderError
        If MLflow refuses or cannot be reached.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    import logging
    import warnings

    import mlflow
    from mlflow.exceptions import MlflowException

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    # Hints on schemas for serving and on sources of data: this is a record of tables, not a model.
    warnings.filterwarnings("ignore", module="mlflow")

    from escalometer.errors import ProviderError

    try:
        mlflow.set_tracking_uri(uri or default_uri(root))
        if uri is None and mlflow.get_experiment_by_name(EXPERIMENT) is None:
            artifacts = (root / "mlruns").resolve().as_uri()
            mlflow.create_experiment(EXPERIMENT, artifact_location=artifacts)
        mlflow.set_experiment(EXPERIMENT)
        run_id = _log_run(record, nested=False)
        mlflow.flush_trace_async_logging(terminate=True)
    except MlflowException as error:
        raise ProviderError(f"MLflow at {uri or default_uri(root)}: {error}") from error
    return {"uri": uri or default_uri(root), "experiment": EXPERIMENT, "run_id": run_id}


def _log_run(record: RunRecord, nested: bool) -> str:
    import mlflow

    with mlflow.start_run(run_name=record.name, nested=nested) as run:
        mlflow.log_params(dict(record.parameters))
        mlflow.log_metrics(dict(record.metrics))
        mlflow.set_tags(dict(record.tags))
        for name, path in record.tables.items():
            _log_table(name, path)
        for path in record.artifacts:
            if path.is_dir():
                mlflow.log_artifacts(str(path), artifact_path=path.name)
            else:
                mlflow.log_artifact(str(path))
        for dialogue in record.dialogues:
            _log_dialogue(dialogue)
        for child in record.children:
            _log_run(child, nested=True)
        return str(run.info.run_id)


def _log_table(name: str, path: Path) -> None:
    import mlflow
    import pandas as pd

    frame = pd.read_parquet(path)
    data = mlflow.data.from_pandas(frame, source=str(path), name=name)
    mlflow.log_input(data, context="evaluation")


def _log_dialogue(row: Mapping[str, Any]) -> None:
    """Keep one dialogue as a trace: a span for it, and one inside for each turn."""
    import mlflow

    about = ("domain", "condition", "scenario_id", "intervention", "cost_ratio", "status", "label")
    with mlflow.start_span(name=f"dialogue {row['condition']}") as dialogue:
        dialogue.set_inputs({key: row[key] for key in about})
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
