"""Trainings in MLflow: one run across crashes; the registered adapter is unchanged."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM

from escalometer import tracking
from escalometer.errors import ProviderError
from escalometer.tracking import TrainingRun

TAGS = {"base_model": "tiny", "holdout": "movielens", "method": "sft"}


@pytest.fixture
def table(tmp_path) -> Path:
    path = tmp_path / "examples.parquet"
    pq.write_table(pa.table({"text": ["Rain?"], "tree": [1]}), path)
    return path


def opened(root: Path, table: Path, name: str = "careful") -> TrainingRun:
    return TrainingRun.open(
        name,
        {"learning_rate": 5e-5, "long": "x" * 9000},
        {"examples": table},
        root,
        None,
        root / "kept" / "mlflow.json",
    )


def client(root: Path) -> mlflow.MlflowClient:
    mlflow.set_tracking_uri(tracking.default_uri(root))
    return mlflow.MlflowClient()


def logits(weights: Path, adapter: Path) -> torch.Tensor:
    from peft import PeftModel

    model = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32)
    tuned = PeftModel.from_pretrained(model, adapter).eval()
    with torch.no_grad():
        return tuned(torch.arange(3, 40)[None]).logits


def test_the_registered_adapter_gives_the_same_answers_as_the_trained_one(
    tiny_adapter, tiny_weights, table, tmp_path
):
    run = opened(tmp_path, table)
    run.log(1, {"loss": 2.0, "learning_rate": 1e-5})
    made = run.finish(tiny_adapter, {"final_loss": 0.5}, TAGS, [table])
    assert made == {"run_id": run.run_id, "model_name": "careful", "version": "1"}

    back = tracking.fetch_adapter("careful", "champion", tmp_path / "back", tmp_path)
    assert {path.name for path in back.iterdir()} == {path.name for path in tiny_adapter.iterdir()}
    expected = logits(tiny_weights, tiny_adapter)
    assert torch.equal(logits(tiny_weights, back), expected)
    plain = AutoModelForCausalLM.from_pretrained(tiny_weights, dtype=torch.float32).eval()
    with torch.no_grad():
        assert not torch.allclose(plain(torch.arange(3, 40)[None]).logits, expected, atol=0.1)

    found = client(tmp_path).get_model_version("careful", "1")
    assert TAGS.items() <= found.tags.items()
    assert {"adapter_sha256", "git_commit"} <= set(found.tags)
    logged = client(tmp_path).get_run(run.run_id)
    assert logged.info.status == "FINISHED"
    assert logged.data.params["learning_rate"] == "5e-05"
    assert logged.data.metrics == {"loss": 2.0, "learning_rate": 1e-5, "final_loss": 0.5}
    assert [given.dataset.name for given in logged.inputs.dataset_inputs] == ["examples"]
    assert len(logged.outputs.model_outputs) == 1
    artifacts = client(tmp_path).list_artifacts(run.run_id)
    assert "examples.parquet" in {artifact.path for artifact in artifacts}


def test_a_killed_training_resumes_its_run_and_logs_no_step_twice(table, tmp_path):
    first = opened(tmp_path, table)
    for step in (1, 2, 3):
        first.log(step, {"loss": float(step)})
    # Killed here; the last checkpoint is that of step 1.
    again = opened(tmp_path, table)
    assert (again.run_id, again.last_step) == (first.run_id, 3)
    for step in (2, 3, 4):
        again.log(step, {"loss": float(step)})
    history = client(tmp_path).get_metric_history(again.run_id, "loss")
    assert [metric.step for metric in history] == [1, 2, 3, 4]
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        again.abort()
    assert client(tmp_path).get_run(again.run_id).info.status == "KILLED"
    third = opened(tmp_path, table)
    assert third.run_id == first.run_id
    assert client(tmp_path).get_run(third.run_id).info.status == "RUNNING"
    try:
        raise ValueError
    except ValueError:
        third.abort()
    assert client(tmp_path).get_run(third.run_id).info.status == "FAILED"


def test_a_deleted_run_is_created_again(table, tmp_path):
    first = opened(tmp_path, table)
    client(tmp_path).delete_run(first.run_id)
    second = opened(tmp_path, table)
    assert second.run_id != first.run_id
    (tmp_path / "kept" / "mlflow.json").write_text("{")
    assert opened(tmp_path, table).run_id not in (first.run_id, second.run_id)
    (tmp_path / "kept" / "mlflow.json").write_text(json.dumps({"run_id": "0" * 32}))
    assert opened(tmp_path, table).last_step == -1


def test_a_second_training_becomes_the_challenger(tiny_adapter, table, tmp_path):
    run = opened(tmp_path, table)
    assert run.finish(tiny_adapter, {}, TAGS)["version"] == "1"
    assert run.finish(tiny_adapter, {}, TAGS)["version"] == "1"  # run again after a kill
    (tmp_path / "kept" / "mlflow.json").unlink()
    assert opened(tmp_path, table).finish(tiny_adapter, {}, TAGS)["version"] == "2"
    aliases = client(tmp_path).get_registered_model("careful").aliases
    assert {alias: str(x) for alias, x in aliases.items()} == {"champion": "1", "challenger": "2"}
    back = tracking.fetch_adapter("careful", "latest", tmp_path / "back", tmp_path)
    assert (back / "adapter_config.json").exists()


def test_files_exchanged_in_mlflow_are_refused(tiny_adapter, table, tmp_path):
    opened(tmp_path, table).finish(tiny_adapter, {}, TAGS)
    (kept,) = (tmp_path / "mlruns").rglob("adapter_model.safetensors")
    kept.write_bytes(kept.read_bytes()[:-4] + b"\0\1\0\1")
    with pytest.raises(ProviderError, match="damaged or were replaced"):
        tracking.fetch_adapter("careful", "1", tmp_path / "back", tmp_path)
    assert not (tmp_path / "back").exists()
    with pytest.raises(ProviderError, match=r"MLflow at .*nobody"):
        tracking.fetch_adapter("nobody", "1", tmp_path / "back", tmp_path)


def test_probes_are_logged_once_in_the_run_of_the_training(tiny_adapter, table, tmp_path):
    made = opened(tmp_path, table).finish(tiny_adapter, {}, TAGS)
    (tiny_adapter / "training.json").write_text(json.dumps({"mlflow": made}))
    metrics = {"held_out_domain.tuned.escalation_accuracy": 0.97}

    def track(metrics: dict[str, float]) -> str:
        return tracking.track_probes("careful", metrics, [table], tiny_adapter, tmp_path)

    assert track(metrics) == track(metrics) == made["run_id"]
    logged = client(tmp_path).get_metric_history(made["run_id"], *metrics)
    assert [metric.value for metric in logged] == [0.97]
    assert [a.path for a in client(tmp_path).list_artifacts(made["run_id"], "probes")] == [
        "probes/examples.parquet"
    ]
    # Trained elsewhere: its run is not in this MLflow.
    (tiny_adapter / "training.json").write_text(json.dumps({"mlflow": {"run_id": "0" * 32}}))
    other = {**metrics, "ties.tuned.escalation_accuracy": 0.9}
    assert track(other) == track(other) != made["run_id"]


def test_an_unreachable_mlflow_is_a_provider_error(table, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ProviderError, match=r"MLflow at http://127.0.0.1:9"):
        TrainingRun.open("careful", {}, {}, tmp_path, "http://127.0.0.1:9", tmp_path / "m.json")
    assert not (tmp_path / "m.json").exists()
