"""The whole pipeline, with real parts: DVC, Prefect, MLflow, Great Expectations, a (tiny) model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.conftest import read_json

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
ENVIRONMENT.pop("MLFLOW_TRACKING_URI", None)
ENVIRONMENT.pop("PREFECT_API_URL", None)
STORE = Path(".escalometer") / "completions.sqlite"


def run(root: Path, *command: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, cwd=root, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def n_stored(root: Path) -> int:
    if not (root / STORE).exists():
        return 0
    with sqlite3.connect(root / STORE, timeout=30) as store:
        found = store.execute("select count(*) from sqlite_master where name = 'completions'")
        if found.fetchone() == (0,):
            return 0
        (count,) = store.execute("select count(*) from completions").fetchone()
    return count


@pytest.mark.timeout(560)
def test_evaluate_from_a_clean_clone_and_again(project: Path):
    first = run(project, "escalometer", "evaluate", "tiny")
    assert "Escalation profile of tiny" in first.stdout
    assert str(project / "data" / "report" / "index.html") in first.stdout
    for domain in ("movielens", "hmda_mortgages"):
        assert f"querying tiny on {domain}: " in first.stderr

    # Prefect's history holds a finished task run for every stage.
    from escalometer.pipeline import stage_addresses

    stages = [address.rpartition(":")[2] for address in stage_addresses(project)]
    with sqlite3.connect(project / ".escalometer" / "prefect" / "prefect.db") as history:
        runs = history.execute("select name, state_type from task_run").fetchall()
    assert sorted(runs) == sorted((address, "COMPLETED") for address in stages)

    # MLflow has one run for the model with one inside for each domain, and dialogues as traces.
    _check_mlflow(project)

    # The same in one JSON document, and nothing else on standard output.
    profile = json.loads(run(project, "escalometer", "profile", "tiny", "--json").stdout)
    assert profile == read_json(project / "data" / "profiles" / "tiny" / "profile.json")
    assert profile["n_decisions"] == sum(profile["statuses"].values()) > 0

    # Nothing is left to do, neither for DVC nor for the flow.
    again = run(project, "dvc", "repro")
    assert "Running stage" not in again.stdout
    assert "up to date" in again.stdout
    assert "predictive_accuracy" in run(project, "dvc", "metrics", "show").stdout
    plots = run(project, "dvc", "plots", "show").stdout
    page = Path(plots.strip().splitlines()[-1].removeprefix("file://")).read_text("utf-8")
    assert "https://cdn" not in page
    assert "escalation_rate" in page

    # All outputs gone, the cache of DVC as well: the store answers, and no model is called.
    made = (project / "data" / "decisions" / "tiny" / "movielens.parquet").read_bytes()
    answered = n_stored(project)
    for folder in ("data", ".dvc/cache", ".dvc/tmp"):
        shutil.rmtree(project / folder)
    second = run(project, "dvc", "repro", "query@tiny-movielens")
    assert " 0 model calls," in second.stderr
    assert n_stored(project) == answered
    assert (project / "data" / "decisions" / "tiny" / "movielens.parquet").read_bytes() == made


def _check_mlflow(project: Path) -> None:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{project / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    (experiment,) = [e for e in client.search_experiments() if e.name == "escalometer"]
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    children = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert parent.info.run_name == "tiny"
    assert {child.data.params["domain"] for child in children} == {"movielens", "hmda_mortgages"}
    head = run(project, "git", "rev-parse", "HEAD").stdout.strip()
    assert parent.data.tags["git_commit"] == head
    assert parent.data.params["query.force_answer"] == "True"
    assert "predictive_accuracy" in parent.data.metrics
    for one in (parent, *children):
        assert one.info.status == "FINISHED"
        assert one.inputs.dataset_inputs
        assert all(given.dataset.digest for given in one.inputs.dataset_inputs)
    kept = {artifact.path for artifact in client.list_artifacts(parent.info.run_id)}
    assert {"profile.json", "tables", "escalation_curve.svg", "index.html"} <= kept
    traces = client.search_traces(locations=[experiment.experiment_id])
    assert len(traces) == len(children)
    assert {span.name for span in traces[0].data.spans} >= {"predict", "decide"}


def test_an_interrupt_keeps_what_was_answered(project: Path):
    run(project, "escalometer", "stage", "ingest", "--cell", "hmda_mortgages")
    _enlarge(project, n_per_condition=30)
    run(project, "escalometer", "stage", "sample", "--cell", "hmda_mortgages")
    query = ["escalometer", "stage", "query", "--cell", "tiny,hmda_mortgages"]
    process = subprocess.Popen(
        query, cwd=project, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    while n_stored(project) == 0 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "kept" in said
    assert n_stored(project) > 0


def test_bad_raw_data_stops_the_pipeline_before_any_model_call(project: Path):
    run(project, "escalometer", "stage", "ingest", "--cell", "hmda_mortgages")
    path = project / "data" / "raw" / "hmda_mortgages" / "hmda_mortgages_applications.csv"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    lines[6] = lines[6].replace("no,", "maybe,", 1)
    path.write_text("".join(lines), "utf-8")
    done = run(project, "escalometer", "evaluate", "tiny", "--domains", "hmda_mortgages", code=4)
    assert "hmda_mortgages_applications.csv" in done.stderr
    assert "maybe" in done.stderr
    assert "row 7" in done.stderr
    assert "Traceback" not in done.stderr
    assert path.read_text("utf-8") == "".join(lines)
    assert n_stored(project) == 0


def test_a_killed_run_leaves_nothing_running_and_goes_on_where_it_was(project: Path):
    _enlarge(project, n_per_condition=12)
    address = "query@tiny-hmda_mortgages"
    run(project, "dvc", "repro", "validate_scenarios")
    process = subprocess.Popen(
        ["dvc", "repro", address], cwd=project, env=ENVIRONMENT, stderr=subprocess.DEVNULL
    )
    while n_stored(project) == 0 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(2)
    kept = n_stored(project)
    time.sleep(3)
    assert n_stored(project) == kept > 0  # the stage ended with it
    rerun = run(project, "dvc", "repro", address)
    assert f" {n_stored(project) - kept} model calls," in rerun.stderr
    assert " 0 model calls," not in rerun.stderr


def _enlarge(project: Path, n_per_condition: int) -> None:
    """Leave one domain, with so many scenarios that there is time to stop in between."""
    path = project / "params.yaml"
    params = yaml.safe_load(path.read_text("utf-8"))
    params["domains"] = ["hmda_mortgages"]
    params["sample"]["n_per_condition"] = n_per_condition
    params["query"]["max_tokens"] = 40
    path.write_text(yaml.safe_dump(params, sort_keys=False), "utf-8")
