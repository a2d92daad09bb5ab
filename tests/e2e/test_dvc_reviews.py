"""Reviews with DVC: two settings compared, an experiment applied, results shared."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.runs import STORE, Evaluated, n_stored, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(560)]

#: What DVC shows of a model: more columns than these fit on no screen.
MOST_METRICS = 14


def commit(root: Path, message: str) -> None:
    """Commit a project as a person does after an evaluation: the lock, not the outputs."""
    for command in (
        ("config", "user.name", "t"),
        ("config", "user.email", "t@example.org"),
        ("add", "-A"),
        ("commit", "-qm", message),
    ):
        run(root, "git", *command)


@dataclass(frozen=True)
class Experiments:
    """A committed evaluation with two experiments, `larger` and then `dearer`."""

    root: Path
    n_before: int
    n_after: int
    larger: subprocess.CompletedProcess[str]

    def read(self, *command: str) -> Any:
        """Return what a command of DVC prints as JSON."""
        return json.loads(run(self.root, "dvc", *command, "--json").stdout)


@pytest.fixture(scope="module")
def experiments(evaluated: Evaluated, tmp_path_factory: pytest.TempPathFactory) -> Experiments:
    root = shutil.copytree(evaluated.root, tmp_path_factory.mktemp("reviewed") / "project")
    commit(root, "An evaluation")
    n_before = n_stored(root)
    experiment = ("dvc", "exp", "run", "--name")
    larger = run(root, *experiment, "larger", "-S", "sample.n_per_condition=2")
    n_after = n_stored(root)
    run(root, *experiment, "dearer", "-S", "analyze.cost_ratios=[8]")
    return Experiments(root, n_before, n_after, larger)


def test_an_experiment_asks_only_what_is_new(experiments: Experiments):
    said = experiments.larger.stderr
    found = re.findall(r"(\d+) model calls, (\d+) answers from the store", said)
    n_called, n_known = (sum(map(int, counts)) for counts in zip(*found, strict=True))
    assert n_called == experiments.n_after - experiments.n_before > 0
    assert n_known >= experiments.n_before > 0


def test_another_cost_ratio_of_the_analysis_asks_nothing(experiments: Experiments):
    assert n_stored(experiments.root) == experiments.n_after


@pytest.mark.parametrize("revisions", [("HEAD",), ("HEAD", "larger"), ("larger", "dearer")])
def test_metrics_of_two_revisions_are_compared(experiments: Experiments, revisions):
    (differences,) = experiments.read("metrics", "diff", *revisions).values()
    assert "tiny.n_decisions" in differences or revisions[0] == "larger"
    assert 0 < len(differences) <= 2 * MOST_METRICS
    assert all({"old", "new"} <= set(value) for value in differences.values())
    shown = run(experiments.root, "dvc", "metrics", "diff", *revisions)
    assert "failed to load" not in shown.stderr
    assert max(map(len, shown.stdout.splitlines())) <= 120


def test_a_table_of_experiments_has_a_row_each_and_few_metrics(experiments: Experiments):
    workspace, head = experiments.read("exp", "show")
    rows = [workspace, head, *(one["revs"][0] for one in head["experiments"])]
    assert len(rows) == 4
    for row in rows:
        assert row["data"] is not None and row["error"] is None
        (metrics,) = row["data"]["metrics"].values()
        assert "error" not in metrics
        assert list(metrics["data"]) == ["tiny"]
        assert {"n_decisions", "predictive_accuracy"} <= set(metrics["data"]["tiny"])
    shown = run(experiments.root, "dvc", "exp", "show", "--only-changed", "--drop", ".*/", "--md")
    header, _, *lines = shown.stdout.strip().splitlines()
    assert len(lines) == 4 and "sample.n_per_condition" in header
    assert header.count("|") <= MOST_METRICS + 10
    assert not any(" ! " in line for line in lines)


@pytest.mark.parametrize("revisions", [("HEAD",), ("HEAD", "larger"), ("larger", "dearer")])
def test_plots_of_two_revisions_are_on_a_page_that_needs_no_network(
    experiments: Experiments, revisions
):
    said = run(experiments.root, "dvc", "plots", "diff", *revisions).stdout
    page = Path(said.strip().splitlines()[-1].removeprefix("file://")).read_text("utf-8")
    assert "https://cdn" not in page
    specs = [json.loads(spec) for spec in re.findall(r"var spec = (.*);\n", page)]
    by_title = {spec["title"]["text"]: spec for spec in specs if spec}
    wanted = {
        "tiny: escalation curve": ("Predictive accuracy of a condition", "Escalation rate"),
        "tiny: cost of a decision": ("Cost ratio R", "Cost per decision, in escalations"),
    }
    assert set(wanted) <= set(by_title)  # the tiny model has no confidence to be reliable
    for title, labels in wanted.items():
        revs = {row["rev"] for row in by_title[title]["data"]["values"]}
        assert revs == {*revisions, *(["workspace"] if len(revisions) == 1 else [])}
        assert all(json.dumps(text) in json.dumps(by_title[title]) for text in labels)


def test_after_an_applied_experiment_an_evaluation_has_nothing_to_do(
    experiments: Experiments, tmp_path: Path
):
    root = shutil.copytree(experiments.root, tmp_path / "project")
    run(root, "git", "checkout", "--", ".")
    run(root, "dvc", "exp", "apply", "larger")
    params = (root / "params.yaml").read_bytes()
    again = run(root, "escalometer", "evaluate", "tiny", "--samples", "2")
    assert "stages are current: nothing to run" in again.stderr
    assert (root / "params.yaml").read_bytes() == params
    assert n_stored(root) == experiments.n_after


# --- Remotes -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Remote:
    """A place for DVC's cache, and what a machine needs to reach it."""

    url: str
    options: dict[str, str]
    environment: dict[str, str]


@pytest.fixture(params=["folder", "S3"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Remote]:
    """A folder, and a server on loopback that speaks S3."""
    if request.param == "folder":
        yield Remote(str(tmp_path / "remote"), {}, {})
        return
    pytest.importorskip("dvc_s3", reason="dvc-s3 is not installed: no remote on S3")
    moto = pytest.importorskip("moto.server", reason="moto is not installed: no server on loopback")
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed: no bucket can be made")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
        region = "us-east-1"
        boto3.client(
            "s3",
            endpoint_url=url,
            region_name=region,
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        ).create_bucket(Bucket="shared")
        yield Remote(
            "s3://shared/escalometer",
            {"endpointurl": url, "region": region},
            {**keys, "AWS_DEFAULT_REGION": region, "AWS_EC2_METADATA_DISABLED": "true"},
        )
    finally:
        server.stop()


def test_results_are_shared_through_a_remote(evaluated: Evaluated, remote: Remote, tmp_path: Path):
    root = shutil.copytree(evaluated.root, tmp_path / "project")
    run(root, "dvc", "remote", "add", "--default", "shared", remote.url)
    for option, value in remote.options.items():
        run(root, "dvc", "remote", "modify", "shared", option, value)
    commit(root, "An evaluation")
    run(root, "dvc", "push", **remote.environment)
    elsewhere = tmp_path / "elsewhere"
    run(tmp_path, "git", "clone", "-q", str(root), str(elsewhere))
    run(elsewhere, "dvc", "pull", **remote.environment)
    again = run(elsewhere, "escalometer", "evaluate", "tiny")
    assert "stages are current: nothing to run" in again.stderr
    assert "Escalation profile of tiny" in again.stdout
    assert not (elsewhere / STORE).exists()
    profile = Path("data") / "profiles" / "tiny" / "profile.json"
    assert (elsewhere / profile).read_bytes() == (root / profile).read_bytes()
    assert (elsewhere / "data" / "report" / "index.html").is_file()
