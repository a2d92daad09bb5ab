"""The design stage: fixed, or adaptive until the threshold is precise; with a server."""

from __future__ import annotations

import json
from collections import Counter

import pyarrow.parquet as pq
import pytest
import yaml

from escalometer.analysis.designs import is_unfinished
from escalometer.config import Params, Workspace
from escalometer.dialogue.elicitation.store import open_store
from escalometer.errors import UsageError
from escalometer.stages import analyze, design, ingest, query, sample
from tests.integration._remote import card
from tests.integration._server import running

DOMAIN = "hmda_mortgages"


def params(**changes) -> Params:
    content = {
        "seed": 1,
        "models": ["remote"],
        "domains": [DOMAIN],
        "sample": {"n_per_condition": 3, **changes.pop("sample", {})},
        "analyze": {"n_bootstrap": 100},
        **changes,
    }
    return Params.model_validate(content)


@pytest.fixture
def place(tmp_path) -> Workspace:
    ingest.run(DOMAIN, tmp_path)
    sample.run(DOMAIN, params(), tmp_path)
    (tmp_path / "models").mkdir()
    return Workspace(tmp_path, tmp_path, tmp_path / "completions.sqlite", run="r")


def write_card(place: Workspace, url: str) -> None:
    content = card(url).model_dump(mode="json", exclude_none=True)
    (place.root / "models" / "remote.yaml").write_text(yaml.safe_dump(content), "utf-8")


def designed(place: Workspace):
    folder = place.root / "data" / "designs" / "remote"
    return (
        pq.read_table(folder / f"{DOMAIN}.parquet").to_pylist(),
        json.loads((folder / "design.json").read_text("utf-8")),
    )


def test_the_fixed_design_sends_no_requests_and_is_the_drawn_sample(place):
    design.run("remote", params(), place)
    rows, about = designed(place)
    assert about == {"model": "remote", "kind": "fixed"}
    assert set(Counter(row["condition"] for row in rows).values()) == {3}
    assert not (place.root / "completions.sqlite").exists()


def test_an_adaptive_design_contains_its_dialogues_and_queries_use_the_store(place):
    wanted = params(sample={"precision": 0.05}, ask={"max_requests": 1500})
    with running() as server:
        write_card(place, server.url)
        design.run("remote", wanted, place)
        rows, about = designed(place)
        # The server's answers do not depend on the case, so no threshold is identified.
        assert about["kind"] == "adaptive"
        assert about["stopped_by"] in ("no more scenarios", "budget")
        assert about["status"] == "unidentified"
        assert about["estimate"] is None
        assert about["n_dialogues"] == len(rows) > 12 * 10
        assert min(Counter(row["condition"] for row in rows).values()) >= 10
        n_asked = server.n_asked
        query.run("remote", wanted, place)
        assert server.n_asked == n_asked
        assert set(server.asked.values()) == {1}
    (place.root / "data" / "validation").mkdir(parents=True, exist_ok=True)
    analyze.run("remote", wanted, place.root)
    profile = json.loads(
        (place.root / "data" / "profiles" / "remote" / "profile.json").read_text("utf-8")
    )
    assert profile["design"]["n_dialogues"] == profile["n_decisions"]
    assert profile["implicit_threshold"]["adaptive"]["status"] == "unidentified"
    assert any("drawn adaptively" in note for note in profile["notes"])


def test_a_design_stopped_by_the_budget_resumes_with_a_larger_one(place):
    with running() as server:
        write_card(place, server.url)
        small = params(sample={"precision": 0.05}, ask={"max_requests": 100})
        design.run("remote", small, place)
        rows, about = designed(place)
        assert about["stopped_by"] == "budget"
        assert is_unfinished("remote", place.root)
        assert 0 < len(rows) < 100
        store = open_store(place.store)
        assert len(store) == 100 == server.n_asked
        store.close()
        larger = Workspace(place.root, place.cache, place.store, run="another")
        design.run("remote", params(sample={"precision": 0.05}, ask={"max_requests": 300}), larger)
        assert len(designed(place)[0]) > len(rows)
        assert set(server.asked.values()) == {1}


def test_more_than_two_outcomes_are_refused(place):
    path = place.root / "data" / "scenarios" / DOMAIN / "domain.json"
    about = json.loads(path.read_text("utf-8"))
    about["task"]["meanings"].append("withdrawn")
    path.write_text(json.dumps(about), "utf-8")
    with pytest.raises(UsageError, match="two outcomes"):
        design.run("remote", params(sample={"precision": 0.05}), place)
