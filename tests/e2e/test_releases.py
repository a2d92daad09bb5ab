"""A new release by itself: found, evaluated, compared, gated, recorded, told, and put in use."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from escalometer.operations import registry, releases
from tests import command_line
from tests.e2e.served import Served, answered, make, serving, wait
from tests.integration._remote import KEY
from tests.integration._server import running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

#: Parameters of the deployment `watch`.
TICK = {"allow_unpriced": True, "promote": True, "retry_delays_s": []}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served project whose model in use answers at random."""
    root = tmp_path_factory.mktemp("served") / "project"
    with running(key=KEY) as provider:
        provider.revise = answered
        provider.models = ["fake-1"]
        make(root, provider.url)
        done = command_line.process(root, "evaluate", "remote", THE_KEY=KEY)
        assert done.returncode == 0, done.stderr
        # What is in use before the first gate, a person says in MLflow.
        client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
        client.set_registered_model_alias("decision-maker", "in-use", "1")
        with serving(root, provider) as one:
            yield one


def test_a_second_serve_names_the_first(served: Served):
    done = command_line.process(served.root, "serve", **served.variables)
    assert done.returncode == 0
    assert "is served already" in done.stderr
    assert "http://127.0.0.1:" in done.stderr


def test_nothing_new_is_nothing_to_do(served: Served):
    n_asked = served.provider.n_asked
    assert served.run("watch/daily", **TICK)["state_type"] == "COMPLETED"
    assert served.provider.n_asked == n_asked
    assert served.hook.notices == []


@pytest.fixture(scope="module")
def better(served: Served) -> dict:
    """The tick after a better model has appeared."""
    before = (served.root / "params.yaml").read_bytes()
    served.provider.models = ["fake-1", "better-2"]
    run = served.run("watch/daily", **TICK)
    assert run["state_type"] == "COMPLETED", run["state"]
    assert (served.root / "params.yaml").read_bytes() == before
    return run


def test_a_new_release_is_judged_within_one_tick_and_put_in_use(served: Served, better: dict):
    assert releases.known(served.root)["better-2"].status == "pass"
    assert registry.in_use(served.root) == "better-2"


def test_people_are_told_in_words(served: Served, better: dict):
    wait(lambda: "pass" in served.hook.kinds())
    assert served.hook.kinds()[:2] == ["release", "pass"]
    told = served.hook.notices[1]
    assert told["text"].startswith("Gate passed: better-2: better-2 satisfies all ")
    assert "promoted: in-use" in told["body"]
    assert KEY not in str(served.hook.notices)


def test_prefect_shows_names_progress_and_the_verdict(served: Served, better: dict):
    names = {run["name"] for run in served.runs()}
    assert {"better-2", "remote, better-2 on support_tickets"} <= names
    tasks = {run["name"] for run in served.call("/task_runs/filter", {"limit": 200})}
    assert {"query@better-2", "gate better-2", "compare better-2 with remote"} <= tasks
    artifacts = served.call("/artifacts/filter", {"limit": 200})
    by_key = {one["key"]: one for one in artifacts}
    assert '"result": "pass"' in by_key["verdict-better-2"]["data"]
    assert "Escalation gate" in by_key["gate-better-2"]["data"]
    assert "report" in by_key
    headlines = [one["data"] for one in artifacts if one["key"] == "headlines"]
    assert any('"predictive_accuracy"' in data and '"R4.regret"' in data for data in headlines)
    logs = [log["message"] for log in served.call("/logs/filter", {"limit": 200})]
    assert any("query@better-2: done in" in line for line in logs)
    assert not any(KEY in line for line in logs)


def test_a_release_that_fails_is_not_put_in_use(served: Served, better: dict):
    served.provider.models = ["fake-1", "better-2", "worse-3"]
    done = served.run("watch/daily", **TICK)
    assert done["state_type"] == "COMPLETED"  # the verdict is a result, not an error
    assert releases.known(served.root)["worse-3"].status == "fail"
    assert registry.in_use(served.root) == "better-2"
    wait(lambda: "fail" in served.hook.kinds())
    assert "worse-3 must not go into use" in served.hook.notices[-1]["subject"]


def test_an_outage_is_no_verdict_and_the_next_tick_goes_on(served: Served, better: dict):
    served.provider.models = ["fake-1", "better-2", "worse-3", "better-4"]
    served.provider.faults = []
    n_before = len(served.hook.notices)
    served.provider.key = "another"  # the provider refuses the key from here on
    done = served.run("watch/daily", **TICK)
    assert done["state_type"] == "FAILED"
    assert "better-4" not in releases.known(served.root)
    served.provider.key = KEY
    assert served.run("watch/daily", **TICK)["state_type"] == "COMPLETED"
    assert releases.known(served.root)["better-4"].status == "pass"
    wait(lambda: len(served.hook.notices) >= n_before + 3)
    assert served.hook.kinds()[n_before] == "error"
    assert KEY not in str(served.hook.notices)


def test_a_budget_that_does_not_suffice_keeps_answers_and_promotes_nothing(
    served: Served, better: dict
):
    served.provider.models = ["fake-1", "better-2", "better-4", "better-5"]
    in_use, n_before = registry.in_use(served.root), served.provider.n_asked
    done = served.run("watch/daily", **TICK, max_requests=20)
    assert done["state_type"] == "FAILED"
    assert served.provider.n_asked == n_before + 20
    assert releases.known(served.root)["better-5"].status == "pending"
    assert registry.in_use(served.root) == in_use
    wait(lambda: "budget" in served.hook.kinds())
    n_asked = served.provider.n_asked
    assert served.run("watch/daily", **TICK)["state_type"] == "COMPLETED"
    n_rest = served.provider.n_asked - n_asked
    assert releases.known(served.root)["better-5"].status == "pass"
    assert served.run("watch/daily", **TICK)["state_type"] == "COMPLETED"
    assert served.provider.n_asked == n_asked + n_rest


def test_an_event_that_names_a_card_starts_its_evaluation(served: Served, better: dict):
    event = {
        "event": "escalometer-card.added",
        "id": "5f7b3a0e-6a3e-4a39-9f0c-0c9f6a0d5b11",
        "occurred": "2026-11-29T12:00:00Z",
        "resource": {"prefect.resource.id": "escalometer.model.better-2", "model": "better-2"},
    }
    served.call("/events", [event])
    wait(lambda: [run for run in served.runs() if run["deployment_id"] and _is(run, "better-2")])


def _is(run: dict, model: str) -> bool:
    return bool(run["parameters"].get("model") == model)


def test_drift_of_the_release_in_use_starts_a_new_evaluation(served: Served, better: dict):
    model = registry.in_use(served.root)
    assert model is not None
    looks = {"again": True, "retry_delays_s": [], "allow_unpriced": True}
    assert served.run("canary/daily", **looks)["state_type"] == "COMPLETED"  # the baseline
    assert served.run("canary/daily", **looks)["state_type"] == "COMPLETED"
    assert "drift" not in served.hook.kinds()

    def drifted(body: dict, made: dict) -> None:  # under the same name
        answered({**body, "model": body["model"].replace("better", "worse")}, made)

    served.provider.revise = drifted
    try:
        for _ in range(8):
            n_asked = served.provider.n_asked
            assert served.run("canary/daily", **looks)["state_type"] == "COMPLETED"
            if served.provider.n_asked > n_asked + 100:  # the panel has 12 prompts
                break
        wait(lambda: "drift" in served.hook.kinds())
        wait(lambda: served.hook.kinds()[-1] == "fail")
    finally:
        served.provider.revise = answered
    drift = next(notice for notice in served.hook.notices if notice["kind"] == "drift")
    assert f"{model} no longer answers as it did" in drift["subject"]
    assert registry.in_use(served.root) == model  # people decide what becomes of it
    state = served.root / ".escalometer" / "canary" / f"{model}.json"
    assert '"drift_since": null' in state.read_text("utf-8")  # a new baseline has begun


def test_a_server_that_is_restarted_in_the_middle_loses_no_run(served: Served, better: dict):
    served.provider.latency = 2.0
    try:
        asked = served.provider.n_asked
        run = served.begin("evaluate/on-request", models=["remote"], replicates=2)
        wait(lambda: served.provider.n_asked > asked)
        found = subprocess.run(["pgrep", "-f", "flows._api_server 4791"], capture_output=True)
        (pid, *_) = found.stdout.split()
        subprocess.run(["kill", "-9", pid], check=True)
        assert served.ended(run)["state_type"] == "COMPLETED"
    finally:
        served.provider.latency = 0.0
    assert any("Prefect's server ended" in line for line in served.said)


def test_a_killed_serve_goes_on_when_it_is_started_again(served: Served, better: dict):
    served.provider.latency = 3.0
    run = served.begin("evaluate/on-request", models=["remote"], replicates=3)
    asked = served.provider.n_asked
    wait(lambda: served.provider.n_asked > asked)
    # As a restart of the machine does it: serve, then the run's own process.
    state = served.root / ".escalometer"
    for lock in (state / "serve.lock", state / "prefect" / "runs" / f"{run}.lock"):
        os.kill(int(lock.read_text("utf-8")), signal.SIGKILL)
    served.stop(signal.SIGKILL)
    served.provider.latency = 0.0
    served.start()
    first = served.ended(run)
    assert first["state_type"] == "CRASHED"
    name = f"{first['name']} (resumed)"
    (again,) = wait(lambda: [one for one in served.runs() if one["name"] == name])
    assert served.ended(again["id"])["state_type"] == "COMPLETED"


def test_prefects_pages_are_on_loopback_alone(served: Served):
    listening = Path("/proc/net/tcp").read_text().splitlines()
    port = int(served.url.removesuffix("/api").rpartition(":")[2])
    ports = [line.split()[1] for line in listening if line.split()[1].endswith(f":{port:04X}")]
    assert ports and all(one.startswith("0100007F") for one in ports)
