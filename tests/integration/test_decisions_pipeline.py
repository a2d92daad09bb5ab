"""A decision model through every stage: profile, report with its terms, and a policy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from escalometer.policy import load
from tests.command_line import run
from tests.integration._decisions_server import decisions_server
from tests.integration.test_decisions_provider import card

STAGES = (
    ("ingest", "hmda_mortgages"),
    ("validate", "raw"),
    ("sample", "hmda_mortgages"),
    ("validate", "scenarios"),
    ("design", "decider"),
    ("query", "decider"),
    ("validate", "decisions"),
    ("analyze", "decider"),
    ("report", None),
)
TERMS = {
    "forbids_publishing": True,
    "text": "Benchmarks must not be published.",
    "source": "https://example.org/terms",
    "as_of": "2026-10-06",
}
FORMS = {"openai": "choice", "system_one": "predicate"}


@pytest.fixture(scope="module", params=FORMS)
def evaluated(
    request: pytest.FixtureRequest, clone: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A project whose only model is behind a decisions endpoint, after all stages."""
    root = shutil.copytree(clone, tmp_path_factory.mktemp("decisions") / "project")
    path = root / "params.yaml"
    params = yaml.safe_load(path.read_text("utf-8"))
    params |= {"models": ["decider"], "domains": ["hmda_mortgages"]}
    params["sample"]["n_per_condition"] = 30
    params["gate"]["intervention"] = "baseline"
    path.write_text(yaml.safe_dump(params, sort_keys=False), "utf-8")
    with decisions_server() as server:
        made = card(server.url, request.param, second_question=FORMS[request.param])
        content = made.model_dump(mode="json", exclude_none=True) | {"terms": TERMS}
        (root / "models" / "decider.yaml").write_text(yaml.safe_dump(content), "utf-8")
        for stage, cell in STAGES:
            done = run(root, "stage", stage, *(["--cell", cell] if cell else []))
            assert done.returncode == 0, f"{stage}: {done.stderr}"
        yield root


def test_the_profile_has_calibration_and_external_thresholds(evaluated):
    done = run(evaluated, "profile", "decider", "--json")
    assert done.returncode == 0, done.stderr
    profile = json.loads(done.stdout)
    assert profile["statuses"]["ok"] == profile["n_decisions"] > 300
    assert {row["score"] for row in profile["calibration"]} == {
        "stated_confidence",  # the endpoint's separate confidence
        "choice_probability",
    }
    assert {row["score"] for row in profile["external_threshold"]} == {
        "stated_confidence",
        "choice_probability",
    }
    assert profile["curve"] and profile["predictive_accuracy"]["estimate"] is not None
    assert profile["self_estimated_accuracy"] is not None
    typed, terms = profile["notes"][-2:]
    assert typed.startswith("Decision model:")
    assert "Do not publish these results." in terms and TERMS["source"] in terms


def test_the_terms_are_printed_and_on_the_page(evaluated):
    for options in ((), ("--full",)):
        done = run(evaluated, "profile", "decider", *options)
        said = " ".join(done.stdout.split())
        assert "Benchmarks must not be published. Do not publish these results." in said
    page = (evaluated / "data" / "report" / "index.html").read_text("utf-8")
    assert "Benchmarks must not be published. Do not publish these results." in page


def test_a_policy_is_exported(evaluated):
    done = run(
        evaluated, "policy", "export", "decider", "--cost-ratio", "4", "--out", "policy.json"
    )
    assert done.returncode == 0, done.stderr
    policy = load(evaluated / "policy.json")
    assert policy.content["model"] == "decider"
    assert policy.content["resolved_models"] == ["fake-decider-2026-10-06"]
    assert policy.decide("nowhere", 0.9, "implement").action == "escalate"


def test_the_canary_compares_its_probabilities(evaluated):
    done = run(evaluated, "store", "canary", "decider", "--json", "--n", "5")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["status"], found["mode"], found["n_answered"]) == ("baseline", "probabilities", 5)
