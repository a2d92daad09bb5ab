"""A model behind a server, through the whole pipeline: budgets, interventions, no key kept.

One project, in which commands follow each other as a person's do: a dry run, a run that its budget
stops, one that ends, one that asks again. Each is a fixture, which needs the one before.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from escalometer.dialogue import interventions
from tests import command_line
from tests.e2e.runs import n_stored, run
from tests.integration._remote import KEY, card
from tests.integration._server import Remote, in_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(560)]

THINKING = {"on": {"reasoning_effort": "medium"}, "off": {"reasoning_effort": "minimal"}}


@dataclass(frozen=True)
class Ran:
    """The output of a command, and the requests made and answers stored after it."""

    done: subprocess.CompletedProcess[str]
    n_asked: int
    n_kept: int


@dataclass(frozen=True)
class Place:
    """The project and the server that its model is behind."""

    root: Path
    server: Remote
    prefect_url: str

    def evaluate(self, *options: str, code: int = 0) -> Ran:
        """Evaluate the model with every intervention."""
        command = ["escalometer", "evaluate", "remote", "--domains", "hmda_mortgages"]
        command += ["--interventions", ",".join(interventions.names()), "--samples", "2"]
        secrets = {"PREFECT_API_URL": self.prefect_url, "THE_KEY": KEY}
        done = run(self.root, *command, *options, code=code, **secrets)
        return Ran(done, self.server.state()["n_asked"], n_stored(self.root))

    def store(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of `escalometer store`."""
        done = command_line.run(self.root, "store", *arguments, THE_KEY=KEY)
        assert done.returncode == 0, done.stderr
        return done


@pytest.fixture(scope="module")
def place(
    clone: Path, tmp_path_factory: pytest.TempPathFactory, prefect_url: str
) -> Iterator[Place]:
    root = shutil.copytree(clone, tmp_path_factory.mktemp("remote") / "project")
    with in_process(key=KEY) as server:
        content = card(server.url, key_env="THE_KEY", has_logprobs=True).model_dump(
            mode="json", exclude_none=True
        )
        content["thinking"] = THINKING
        (root / "models" / "remote.yaml").write_text(yaml.safe_dump(content), "utf-8")
        (root / "prompts").mkdir(exist_ok=True)
        (root / "prompts" / "deployer.txt").write_text("You act for a bank.", "utf-8")
        params = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
        params["query"]["deployer_prompt"] = "prompts/deployer.txt"
        (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), "utf-8")
        yield Place(root, server, prefect_url)


@pytest.fixture(scope="module")
def dry(place: Place) -> Ran:
    return place.evaluate("--dry-run")


@pytest.fixture(scope="module")
def stopped_in_dvc(place: Place, dry: Ran) -> Ran:
    limit = {"ESCALOMETER_MAX_REQUESTS": "10", "THE_KEY": KEY}
    done = run(place.root, "dvc", "repro", "query@remote", code=255, **limit)
    return Ran(done, place.server.state()["n_asked"], n_stored(place.root))


@pytest.fixture(scope="module")
def stopped(place: Place, stopped_in_dvc: Ran) -> Ran:
    return place.evaluate("--max-requests", "30", code=6)


@pytest.fixture(scope="module")
def ended(place: Place, stopped: Ran) -> Ran:
    return place.evaluate("--max-requests", "5000", "--max-cost", "1")


@pytest.fixture(scope="module")
def again(place: Place, ended: Ran) -> Ran:
    return place.evaluate("--max-requests", "5000", "--max-cost", "1", "--retry", "refused,error")


def test_a_dry_run_says_what_a_run_would_cost_and_asks_nothing(dry: Ran):
    assert "requests, about $" in dry.done.stderr
    assert dry.n_asked == 0


def test_a_budget_stops_the_run_at_its_last_request(stopped: Ran, stopped_in_dvc: Ran):
    assert "budget reached: 30 of 30 requests" in stopped.done.stderr
    assert stopped.n_asked == stopped_in_dvc.n_asked + 30


def test_the_environment_limits_a_run_of_dvc(stopped_in_dvc: Ran):
    assert "budget reached: 10 of 10 requests" in stopped_in_dvc.done.stderr
    assert stopped_in_dvc.n_asked == 10


def test_limits_of_one_run_are_not_written_to_the_file(place: Place, ended: Ran):
    asking = yaml.safe_load((place.root / "params.yaml").read_text("utf-8"))["ask"]
    assert asking["max_requests"] is asking["max_cost_usd"] is None
    assert "; budget $1" in ended.done.stderr  # the forecast knows it


def test_what_a_stopped_run_was_answered_is_kept(stopped: Ran):
    assert stopped.n_kept == stopped.n_asked


def test_the_run_that_ends_prints_the_profile(ended: Ran):
    assert "Escalation profile of remote" in ended.done.stdout


def test_no_request_is_made_twice(ended: Ran):
    assert ended.n_asked == ended.n_kept > 30


def test_every_intervention_is_scored(place: Place, ended: Ran):
    done = command_line.run(place.root, "profile", "remote", "--json")
    profile = json.loads(done.stdout)
    assert profile["statuses"]["ok"] == profile["n_decisions"] > 0
    scored = {row["intervention"] for row in profile["interventions"]}
    assert scored == set(interventions.names())


def test_asking_again_asks_nothing_that_ended_well(again: Ran, ended: Ran):
    assert " 0 model calls," in again.done.stderr
    assert again.n_asked == ended.n_asked


def test_what_is_kept_is_explained(place: Place, ended: Ran):
    explained = place.store("explain", "remote", "hmda_mortgages")
    assert "0 are known to be missing" in explained.stdout


def test_a_parameter_that_differs_is_named(place: Place, again: Ran):
    path = place.root / "params.yaml"
    before = path.read_text("utf-8")
    params = yaml.safe_load(before)
    params["query"]["max_tokens"] += 1
    path.write_text(yaml.safe_dump(params), "utf-8")
    try:
        explained = place.store("explain", "remote", "hmda_mortgages")
    finally:
        path.write_text(before, "utf-8")
    assert "max_tokens: 7 is requested, 6 is stored" in explained.stdout


@pytest.fixture(scope="module")
def canary(place: Place, again: Ran) -> subprocess.CompletedProcess[str]:
    return place.store("canary", "remote", "--n", "5", "--json")


def test_a_canary_measures_a_baseline(canary: subprocess.CompletedProcess[str]):
    found = json.loads(canary.stdout)
    assert (found["status"], found["mode"]) == ("baseline", "probabilities")
    assert (found["n_prompts"], found["n_answered"]) == (5, 5)
    assert found["n_requests"] == 5 * found["n_baseline"]
    assert found["resolved_models"] == ["fake-1-2026-01-01"]


def test_no_command_says_the_key(dry: Ran, stopped: Ran, ended: Ran, again: Ran, canary):
    for done in (dry.done, stopped.done, ended.done, again.done, canary):
        assert KEY not in done.stdout + done.stderr


def test_no_file_holds_the_key(place: Place, again: Ran, canary):
    found = [p for p in place.root.rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()]
    assert found == []
