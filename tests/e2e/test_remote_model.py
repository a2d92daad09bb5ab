"""A model behind a server, through the whole pipeline: budgets, interventions, no key kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from escalometer.dialogue import interventions
from tests.e2e.test_pipeline import ENVIRONMENT, n_stored, run
from tests.integration._server import in_process
from tests.integration.test_remote_runs import KEY, card

pytestmark = pytest.mark.slow

THINKING = {"on": {"reasoning_effort": "medium"}, "off": {"reasoning_effort": "minimal"}}


@pytest.mark.timeout(560)
def test_every_intervention_within_a_budget_and_no_key_is_written(project: Path, monkeypatch):
    monkeypatch.setitem(ENVIRONMENT, "THE_KEY", KEY)
    with in_process(key=KEY) as server:
        content = card(server.url, key_env="THE_KEY", has_logprobs=True).model_dump(
            mode="json", exclude_none=True
        )
        content["thinking"] = THINKING
        (project / "models" / "remote.yaml").write_text(yaml.safe_dump(content), "utf-8")
        command = ["escalometer", "evaluate", "remote", "--domains", "hmda_mortgages"]
        command += ["--interventions", ",".join(interventions.names()), "--samples", "2"]

        # Nothing is asked by a dry run, which says what a run would cost.
        dry = run(project, *command, "--dry-run")
        assert "requests, about $" in dry.stderr
        assert server.state()["n_asked"] == 0

        stopped = run(project, *command, "--max-requests", "30", code=6)
        assert "budget reached: 30 of 30 requests" in stopped.stderr
        assert server.state()["n_asked"] == 30 == n_stored(project)

        done = run(project, *command, "--max-requests", "5000", "--max-cost", "1")
        assert server.state()["n_asked"] == n_stored(project)
        assert "Escalation profile of remote" in done.stdout

        profile = json.loads(run(project, "escalometer", "profile", "remote", "--json").stdout)
        assert profile["statuses"]["ok"] == profile["n_decisions"] > 0
        scored = {row["intervention"] for row in profile["interventions"]}
        assert scored == set(interventions.names())

        # Asking again what ended well asks nothing; what was kept is explained.
        again = run(project, *command, "--retry", "refused,error")
        assert " 0 model calls," in again.stderr
        explained = run(project, "escalometer", "store", "explain", "remote", "hmda_mortgages")
        assert "0 are known to be missing" in explained.stdout
        params = yaml.safe_load((project / "params.yaml").read_text("utf-8"))
        params["query"]["max_tokens"] += 1
        (project / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
        explained = run(project, "escalometer", "store", "explain", "remote", "hmda_mortgages")
        assert "max_tokens: 7 is asked, 6 is kept" in explained.stdout

        canary = run(project, "escalometer", "store", "canary", "remote", "--n", "5", "--json")
        assert json.loads(canary.stdout)["n_same_text"] == 5
        assert json.loads(canary.stdout)["resolved_models"] == ["fake-1-2026-01-01"]
        said = dry.stderr + stopped.stderr + done.stderr + done.stdout + again.stderr
        assert KEY not in said

    found = [p for p in project.rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()]
    assert found == []
