"""Fine-tuning with real parts, from the command to the registered, evaluated, tuned model."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
import yaml

from escalometer.adapter_files import sha256
from escalometer.config import load_card
from tests.conftest import clean_clone, read_json
from tests.e2e.test_pipeline import ENVIRONMENT, run

pytestmark = pytest.mark.slow

NAME = "tiny-escalates"
TRAIN = ("escalometer", "train", "tiny", "--examples", "16")
KILLED = "tiny-killed"
#: A training of 60 steps, kept every ten.
LONG = ("escalometer", "train", "tiny", "--examples", "240", "--probes", "none", "--name", KILLED)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path) -> Iterator[Path]:
    """A project whose tiny model learns little and soon: byte by byte, texts are long.

    The tests share it, as they do the data that whichever is first prepares; each has a name for
    what it trains.
    """
    project = clean_clone(tmp_path_factory.mktemp("train") / "project", tiny_weights)
    path = project / "models" / "tiny.yaml"
    recipe = {"rank": 4, "alpha": 8, "n_branches": 4, "batch_size": 4, "max_length": 4000}
    card = {**yaml.safe_load(path.read_text("utf-8")), "training": recipe}
    path.write_text(yaml.safe_dump(card), "utf-8")
    path = project / "params.yaml"
    params = yaml.safe_load(path.read_text("utf-8"))
    probes = params["train"]["probes"]
    params["train"]["probes"] = {**dict.fromkeys(probes, 2), "small": []}
    path.write_text(yaml.safe_dump(params), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENVIRONMENT, "ESCALOMETER_CACHE", str(project / ".escalometer" / "cache"))
        yield project


@pytest.fixture
def quick(prepared: Path) -> Iterator[Path]:
    """The shared project, whose params.yaml the commands of a test may edit."""
    before = (prepared / "params.yaml").read_bytes()
    yield prepared
    (prepared / "params.yaml").write_bytes(before)


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
    told = read_json(quick / "models" / "adapters" / NAME / "training.json")
    assert told["mlflow"]["run_id"] == version.run_id

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


def last_step(root: Path) -> int:
    """The last step of the training that MLflow holds."""
    with sqlite3.connect(root / "mlflow.db", timeout=30) as store:
        (found,) = store.execute(
            "select max(step) from metrics join runs using (run_uuid)"
            " where key = 'loss' and runs.name = ?",
            [KILLED],
        ).fetchone()
    return int(found)


def last_checkpoint(root: Path) -> int:
    """The step of the latest checkpoint, 0 before the first.

    Read from files: whoever reads a database that is written at each step waits for its lock, and
    the training goes on meanwhile.
    """
    kept = root.glob(f".escalometer/cache/training/{KILLED}-*/checkpoints/checkpoint-*")
    found = [path for path in kept if (path / "trainer_state.json").exists()]
    return max((int(path.name.removeprefix("checkpoint-")) for path in found), default=0)


def stopped(root: Path, checkpoint: int, how: signal.Signals) -> tuple[int, str]:
    """Stop the training once it has a checkpoint; return the exit code and what was said."""
    process = subprocess.Popen(
        LONG,
        cwd=root,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    while last_checkpoint(root) < checkpoint and process.poll() is None:
        time.sleep(0.05)
    assert process.poll() is None, "it ended before it could be stopped"
    process.send_signal(how)
    _, said = process.communicate(timeout=120)
    return process.returncode, said


@pytest.mark.timeout(580)
def test_a_training_goes_on_after_kill_9_and_after_an_interrupt(quick: Path):
    code, _ = stopped(quick, 10, signal.SIGKILL)
    assert code == -signal.SIGKILL
    time.sleep(3)
    reached = last_step(quick)
    time.sleep(3)
    assert last_step(quick) == reached >= 10  # nothing of it is left running
    code, said = stopped(quick, reached - reached % 10 + 10, signal.SIGINT)
    assert code == 130, said
    assert "run the same command to go on" in said
    run(quick, *LONG)

    mlflow.set_tracking_uri(f"sqlite:///{quick / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    (version,) = client.search_model_versions(f"name = '{KILLED}'")
    trained = client.get_run(version.run_id)
    experiment = client.get_experiment_by_name("escalometer").experiment_id
    assert len(client.search_runs([experiment], f"run_name = '{KILLED}'")) == 1
    assert trained.info.status == "FINISHED"
    steps = [m.step for m in client.get_metric_history(trained.info.run_id, "loss")]
    told = read_json(quick / "models" / "adapters" / KILLED / "training.json")
    assert steps == list(range(1, told["n_steps"] + 1))
