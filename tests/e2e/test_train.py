"""Fine-tuning with real parts, from the command to the registered, evaluated, tuned model."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import mlflow
import pytest
import yaml

from escalometer.adapter_files import sha256
from escalometer.config import load_card
from tests.conftest import read_json
from tests.e2e.test_pipeline import run

pytestmark = pytest.mark.slow

NAME = "tiny-escalates"
TRAIN = ("escalometer", "train", "tiny", "--examples", "16", "--probes", "small")


@pytest.fixture
def quick(project: Path) -> Path:
    """A project whose tiny model learns little and soon: byte by byte, texts are long."""
    path = project / "models" / "tiny.yaml"
    recipe = {"rank": 4, "alpha": 8, "n_branches": 4, "batch_size": 4, "max_length": 4000}
    card = {**yaml.safe_load(path.read_text("utf-8")), "training": recipe}
    path.write_text(yaml.safe_dump(card), "utf-8")
    return project


@pytest.mark.timeout(580)
def test_train_then_evaluate_from_a_clean_clone(quick: Path):
    done = run(quick, *TRAIN)
    assert f"{NAME} beside tiny" in done.stdout
    for path in (f"models/adapters/{NAME}", f"models/{NAME}.yaml", f"data/probes/{NAME}"):
        assert str(quick / path) in done.stdout
    assert f"escalometer evaluate tiny {NAME}" in done.stdout

    # The card says which adapter it means; it is what MLflow has as the champion.
    digest = sha256(quick / "models" / "adapters" / NAME)
    assert load_card(NAME, quick / "models").adapter_sha256 == digest
    mlflow.set_tracking_uri(f"sqlite:///{quick / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    version = client.get_model_version_by_alias(NAME, "champion")
    assert version.tags["adapter_sha256"] == digest
    trained = client.get_run(version.run_id)
    assert trained.info.status == "FINISHED"
    assert [given.dataset.digest for given in trained.inputs.dataset_inputs]
    assert "held_out_domain.signal.tuned.estimate" in trained.data.metrics
    assert json.loads((quick / "models" / "adapters" / NAME / "training.json").read_text())["mlflow"]

    # Nothing is left to do: neither training nor asking, and nothing is logged twice.
    with sqlite3.connect(quick / "mlflow.db") as store:
        before = store.execute("select count(*) from metrics").fetchall()
    again = run(quick, *TRAIN)
    assert "done in" not in again.stderr
    with sqlite3.connect(quick / "mlflow.db") as store:
        assert store.execute("select count(*) from metrics").fetchall() == before

    # The tuned model is evaluated like any other; the report shows its probes.
    evaluated = run(quick, "escalometer", "evaluate", "tiny", NAME, "--domains", "movielens")
    assert f"Escalation profile of {NAME}" in evaluated.stdout
    assert "train@" not in evaluated.stderr
    profile = read_json(quick / "data" / "profiles" / NAME / "profile.json")
    assert profile["n_decisions"] > 0
    assert NAME in (quick / "data" / "report" / "index.html").read_text("utf-8")
    run(quick, "escalometer", "compare", "tiny", NAME)
