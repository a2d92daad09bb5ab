"""One run of the whole pipeline with real parts: DVC, Prefect, MLflow, a (tiny) model."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow
import pytest

from tests import command_line
from tests.conftest import read_json
from tests.e2e.runs import Evaluated, n_stored, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(560)]

DOMAINS = ("movielens", "hmda_mortgages")


def test_evaluate_prints_the_profile_and_where_the_report_is(evaluated: Evaluated):
    assert "Escalation profile of tiny" in evaluated.done.stdout
    report = evaluated.root / "data" / "report" / "index.html"
    assert str(report) in evaluated.done.stdout
    assert report.exists()


@pytest.mark.parametrize("domain", DOMAINS)
def test_evaluate_says_what_it_asks(evaluated: Evaluated, domain: str):
    assert f"querying tiny on {domain}: " in evaluated.done.stderr


def test_prefects_history_has_a_finished_task_run_for_every_stage(evaluated: Evaluated):
    from escalometer.pipeline import stage_addresses

    stages = [address.rpartition(":")[2] for address in stage_addresses(evaluated.root)]
    with sqlite3.connect(evaluated.root / ".escalometer" / "prefect" / "prefect.db") as history:
        runs = history.execute("select name, state_type from task_run").fetchall()
    assert sorted(runs) == sorted((address, "COMPLETED") for address in stages)


def test_profile_as_json_is_the_document_of_the_pipeline(evaluated: Evaluated):
    done = command_line.run(evaluated.root, "profile", "tiny", "--json")
    assert done.returncode == 0, done.stderr
    profile = json.loads(done.stdout)
    assert profile == read_json(evaluated.root / "data" / "profiles" / "tiny" / "profile.json")
    assert profile["n_decisions"] == sum(profile["statuses"].values()) > 0


def test_nothing_is_left_to_do_for_dvc(evaluated: Evaluated):
    again = run(evaluated.root, "dvc", "repro")
    assert "Running stage" not in again.stdout
    assert "up to date" in again.stdout


def test_nothing_is_left_to_do_for_a_second_evaluation(evaluated: Evaluated):
    again = run(evaluated.root, "escalometer", "evaluate", "tiny")
    assert "stages are current: nothing to run" in again.stderr
    assert "starting Prefect" not in again.stderr
    assert again.stdout == evaluated.done.stdout


def test_stages_ran_in_the_warm_process_and_their_time_is_shown(evaluated: Evaluated):
    _, _, said = evaluated.done.stderr.partition("\nTimings\n")
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines() if "@" in line}
    assert {"ingest@movielens", "query@tiny", "analyze@tiny", "track@tiny"} <= set(rows)
    for wall_s, stage_s, run_s, peak_mib in rows.values():
        assert float(wall_s) > 0
        assert 0 < float(stage_s) < 600
        assert 0 <= float(run_s) < 60
        assert 50 < float(peak_mib.replace(",", "")) < 20_000
    assert "s of processor time, imports and start-up included" in said


def test_dvc_shows_the_metrics(evaluated: Evaluated):
    assert "predictive_accuracy" in run(evaluated.root, "dvc", "metrics", "show").stdout


def test_dvc_draws_the_curve_without_a_network(evaluated: Evaluated):
    plots = run(evaluated.root, "dvc", "plots", "show").stdout
    page = Path(plots.strip().splitlines()[-1].removeprefix("file://")).read_text("utf-8")
    assert "https://cdn" not in page
    assert "escalation_rate" in page


@pytest.fixture
def without_outputs(evaluated: Evaluated, tmp_path: Path) -> Path:
    """A copy of the project whose outputs are gone, from DVC's cache as well."""
    root = shutil.copytree(evaluated.root, tmp_path / "project")
    for folder in ("data", ".dvc/cache", ".dvc/tmp"):
        shutil.rmtree(root / folder)
    return root


def check_answered_from_the_store(root: Path, evaluated: Evaluated, domain: str, said: str):
    assert " 0 model calls," in said
    assert n_stored(root) == n_stored(evaluated.root)
    path = Path("data") / "decisions" / "tiny" / f"{domain}.parquet"
    assert (root / path).read_bytes() == (evaluated.root / path).read_bytes()


def test_without_any_output_the_store_answers(without_outputs: Path, evaluated: Evaluated):
    said = ""
    for name, keys in (
        *(("ingest", domain) for domain in DOMAINS),
        *(("sample", domain) for domain in DOMAINS),
        ("design", "tiny"),
        ("query", "tiny"),
    ):
        done = command_line.run(without_outputs, "stage", name, "--cell", keys)
        assert done.returncode == 0, done.stderr
        said += done.stderr
    check_answered_from_the_store(without_outputs, evaluated, "movielens", said)


@pytest.mark.long
def test_dvc_brings_decisions_back_from_the_store(without_outputs: Path, evaluated: Evaluated):
    done = run(without_outputs, "dvc", "repro", "query@tiny")
    check_answered_from_the_store(without_outputs, evaluated, "movielens", done.stderr)


# --- MLflow ------------------------------------------------------------------------------------


class Logged:
    """The run in MLflow: one run for the model, with one inside for each domain."""

    def __init__(self, root: Path) -> None:
        mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
        self.client = mlflow.MlflowClient()
        found = self.client.search_experiments()
        (self.experiment,) = [e for e in found if e.name == "escalometer"]
        runs = self.client.search_runs([self.experiment.experiment_id])
        (self.parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        self.children = [
            run
            for run in runs
            if run.data.tags.get("mlflow.parentRunId") == self.parent.info.run_id
        ]

    @property
    def runs(self) -> Sequence[Any]:
        return (self.parent, *self.children)


@pytest.fixture(scope="module")
def logged(evaluated: Evaluated) -> Logged:
    return Logged(evaluated.root)


def test_mlflow_has_a_run_for_the_model_with_one_inside_for_each_domain(logged: Logged):
    assert logged.parent.info.run_name == "tiny"
    assert {child.data.params["domain"] for child in logged.children} == set(DOMAINS)
    assert {run.info.status for run in logged.runs} == {"FINISHED"}


def test_mlflow_has_the_commit_the_parameters_and_the_metrics(logged: Logged, evaluated: Evaluated):
    head = run(evaluated.root, "git", "rev-parse", "HEAD").stdout.strip()
    assert logged.parent.data.tags["git_commit"] == head
    assert logged.parent.data.params["query.force_answer"] == "True"
    assert "predictive_accuracy" in logged.parent.data.metrics


def test_mlflow_has_the_digest_of_every_table_that_a_run_is_about(logged: Logged):
    for one in logged.runs:
        assert one.inputs.dataset_inputs
        assert all(given.dataset.digest for given in one.inputs.dataset_inputs)


def test_mlflow_keeps_the_profile_its_tables_and_the_report(logged: Logged):
    kept = logged.client.list_artifacts(logged.parent.info.run_id)
    wanted = {"profile.json", "tables", "escalation_curve.svg", "index.html"}
    assert wanted <= {artifact.path for artifact in kept}


def test_mlflow_has_the_release_as_a_version_with_its_logged_model(logged: Logged):
    (version,) = logged.client.search_model_versions("name = 'decision-maker'")
    assert (version.tags["model"], version.run_id) == ("tiny", logged.parent.info.run_id)
    (model,) = logged.client.search_logged_models([logged.experiment.experiment_id])
    assert version.source == f"models:/{model.model_id}"
    assert {one.dataset_name for one in model.metrics} >= {f"{name}-decisions" for name in DOMAINS}


def test_mlflow_has_dialogues_as_traces(logged: Logged):
    traces = logged.client.search_traces(locations=[logged.experiment.experiment_id])
    assert len(traces) == len(logged.children)
    assert {span.name for span in traces[0].data.spans} >= {"predict", "decide"}
