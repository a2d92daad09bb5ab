"""Fine-tuning with real parts, from the command to the registered, evaluated, tuned model.

The adapter is trained once, in a copy of the evaluated project: what its base needs is current.
"""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest

from escalometer.config import load_card
from escalometer.layout import adapter_files
from escalometer.runtime.files import digest_of_files
from tests import command_line
from tests.command_line import environment
from tests.conftest import read_json
from tests.e2e.runs import Evaluated, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(580)]

NAME = "tiny-escalates"
TRAIN = ("escalometer", "train", "tiny", "--examples", "16")
KILLED = "tiny-killed"
#: A training of 60 steps, kept every ten.
LONG = ("escalometer", "train", "tiny", "--examples", "240", "--probes", "none", "--name", KILLED)


@dataclass(frozen=True)
class Trained:
    """A project in which an adapter was trained, and how."""

    root: Path
    done: subprocess.CompletedProcess[str]
    settings: dict[str, str]  # of the environment, for whatever runs next


@pytest.fixture(scope="module")
def trained(
    evaluated: Evaluated, tmp_path_factory: pytest.TempPathFactory, prefect_url: str
) -> Trained:
    root = shutil.copytree(evaluated.root, tmp_path_factory.mktemp("train") / "project")
    # The copied history is of the copied project.
    for kept in ("mlflow.db", "mlruns", ".escalometer/prefect"):
        path = root / kept
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    settings = {
        "PREFECT_API_URL": prefect_url,
        "ESCALOMETER_CACHE": str(root / ".escalometer" / "cache"),
    }
    return Trained(root, run(root, *TRAIN, **settings), settings)


@pytest.fixture(scope="module")
def digest(trained: Trained) -> str:
    """The digest of the adapter's files."""
    return digest_of_files(adapter_files(trained.root / "models" / "adapters" / NAME))


@pytest.fixture(scope="module")
def client(trained: Trained) -> mlflow.MlflowClient:
    mlflow.set_tracking_uri(f"sqlite:///{trained.root / 'mlflow.db'}")
    return mlflow.MlflowClient()


@pytest.fixture(scope="module")
def champion(client: mlflow.MlflowClient) -> Any:
    return client.get_model_version_by_alias(NAME, "champion")


def test_train_says_what_it_wrote_and_what_to_do_next(trained: Trained):
    said = trained.done.stdout
    assert f"{NAME} compared with tiny" in said
    for path in (f"models/adapters/{NAME}", f"models/{NAME}.yaml", f"data/probes/{NAME}"):
        assert str(trained.root / path) in said
        assert (trained.root / path).exists()
    assert f"escalometer evaluate tiny {NAME}" in said


def test_the_card_says_which_adapter_it_means(trained: Trained, digest: str):
    assert load_card(NAME, trained.root / "models").adapter_sha256 == digest


def test_the_champion_in_mlflow_is_that_adapter(trained: Trained, champion: Any, digest: str):
    assert champion.tags["adapter_sha256"] == digest
    told = read_json(trained.root / "models" / "adapters" / NAME / "training.json")
    assert told["mlflow"]["run_id"] == champion.run_id


def test_the_training_in_mlflow_has_its_data_and_what_the_probes_found(
    client: mlflow.MlflowClient, champion: Any
):
    logged = client.get_run(champion.run_id)
    assert logged.info.status == "FINISHED"
    assert all(given.dataset.digest for given in logged.inputs.dataset_inputs)
    assert logged.inputs.dataset_inputs
    assert "held_out_domain.signal.tuned.estimate" in logged.data.metrics


def n_metrics(root: Path) -> int:
    """The number of metrics in MLflow."""
    with sqlite3.connect(root / "mlflow.db") as store:
        (count,) = store.execute("select count(*) from metrics").fetchone()
    return int(count)


@pytest.fixture(scope="module")
def again(trained: Trained) -> tuple[str, int, int]:
    """The output of the same command with nothing to do, and MLflow's metrics around it."""
    before = n_metrics(trained.root)
    done = run(trained.root, *TRAIN, **trained.settings)
    return done.stderr, before, n_metrics(trained.root)


def test_training_again_runs_no_stage(again: tuple[str, int, int]):
    said, _, _ = again
    assert f"train@{NAME}: current" in said
    assert "done in" not in said


def test_training_again_logs_nothing_twice(again: tuple[str, int, int]):
    _, before, after = again
    assert after == before > 0


@pytest.fixture(scope="module")
def tuned(trained: Trained, again: tuple[str, int, int]) -> subprocess.CompletedProcess[str]:
    """The output of the tuned model's evaluation."""
    command = ("escalometer", "evaluate", "tiny", NAME)
    return run(trained.root, *command, **trained.settings)


def test_the_tuned_model_is_evaluated_like_any_other(
    trained: Trained, tuned: subprocess.CompletedProcess[str]
):
    assert f"Escalation profile of {NAME}" in tuned.stdout
    profile = read_json(trained.root / "data" / "profiles" / NAME / "profile.json")
    assert profile["n_decisions"] > 0


def test_an_evaluation_trains_nothing(tuned: subprocess.CompletedProcess[str]):
    assert "train@" not in tuned.stderr


def test_the_report_has_the_tuned_model(trained: Trained, tuned: subprocess.CompletedProcess[str]):
    assert NAME in (trained.root / "data" / "report" / "index.html").read_text("utf-8")


def test_the_tuned_model_can_be_compared_with_its_base(
    trained: Trained, tuned: subprocess.CompletedProcess[str]
):
    done = command_line.run(trained.root, "compare", "tiny", NAME)
    assert done.returncode == 0, done.stderr
    assert "Differences B − A" in done.stdout


# --- stopping ----------------------------------------------------------------------------------


@pytest.fixture
def settings(trained: Trained) -> dict[str, str]:
    """The environment: each flow has a Prefect server of its own, which a kill leaves over."""
    return {"ESCALOMETER_CACHE": trained.settings["ESCALOMETER_CACHE"]}


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


def stopped(
    root: Path, checkpoint: int, how: signal.Signals, settings: dict[str, str]
) -> tuple[int, str]:
    """Stop the training once it has a checkpoint; return the exit code and what was said."""
    process = subprocess.Popen(
        LONG, cwd=root, env=environment(**settings), stderr=subprocess.PIPE, text=True
    )
    while last_checkpoint(root) < checkpoint and process.poll() is None:
        time.sleep(0.05)
    assert process.poll() is None, "it ended before it could be stopped"
    process.send_signal(how)
    _, said = process.communicate(timeout=120)
    return process.returncode, said


@pytest.mark.long
@pytest.mark.timeout(1100)  # two trainings and their probes, each stage a process
def test_two_seeds_give_two_adapters_and_their_spread(trained: Trained, settings: dict[str, str]):
    root = trained.root
    few = ("--examples", "16", "--probes", "small", "--name", "twice")
    done = run(root, "escalometer", "train", "tiny", *few, "--seeds", "2", **settings)
    assert "twice: escalation accuracy over 2 training seeds" in done.stdout
    records = [
        read_json(root / "models" / "adapters" / name / "training.json")
        for name in ("twice", "twice-seed2")
    ]
    assert records[1]["seed"] == records[0]["seed"] + 1
    assert records[0]["examples_sha256"] != records[1]["examples_sha256"]


@pytest.mark.long  # tests/integration/test_train.py kills a training stage in every run
def test_a_training_goes_on_after_kill_9_and_after_an_interrupt(
    trained: Trained, settings: dict[str, str]
):
    root = trained.root
    code, _ = stopped(root, 10, signal.SIGKILL, settings)
    assert code == -signal.SIGKILL
    time.sleep(3)
    reached = last_step(root)
    time.sleep(3)
    assert last_step(root) == reached >= 10  # nothing of it is left running
    code, said = stopped(root, reached - reached % 10 + 10, signal.SIGINT, settings)
    assert code == 130, said
    assert "run the same command to resume" in said
    run(root, *LONG, **settings)

    mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    (version,) = client.search_model_versions(f"name = '{KILLED}'")
    logged = client.get_run(version.run_id)
    experiment = client.get_experiment_by_name("escalometer").experiment_id
    assert len(client.search_runs([experiment], f"run_name = '{KILLED}'")) == 1
    assert logged.info.status == "FINISHED"
    steps = [m.step for m in client.get_metric_history(logged.info.run_id, "loss")]
    told = read_json(root / "models" / "adapters" / KILLED / "training.json")
    assert steps == list(range(1, told["n_steps"] + 1))
