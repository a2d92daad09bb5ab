"""An adapter is evaluated beside its base, with a real (tiny) model of random weights."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from escalometer.config import Params, Workspace, load_params
from escalometer.dialogue.elicitation.store import open_store
from escalometer.documents import Probes
from escalometer.documents.document import read_document
from escalometer.errors import BudgetError, DataError, ProviderError, UsageError
from escalometer.schema import CONDITIONS, PROBED, read_table, write_table
from escalometer.stages import probe as stage
from escalometer.training.probe_cells import PROBES
from tests.conftest import ROOT, random_adapter, tiny_card, workspace
from tests.integration._harbour import write_domain

N_EACH = 4


@pytest.fixture
def harbour(tiny_weights: Path, tmp_path: Path) -> tuple[Params, Workspace]:
    """A project with two domains, a base model, and an adapter of random weights."""
    root = tmp_path / "project"
    shutil.copytree(ROOT / "sql", root / "sql")
    for domain in ("north", "south"):
        write_domain(root, domain)
    random_adapter(tiny_weights, root / "models" / "adapters" / "careful")
    base = tiny_card(tiny_weights)
    more = {"id": "careful", "adapter": "careful", "counts_marker": "first", "answer_tokens": 9}
    for card in (base, {**base, **more}):
        (root / "models" / f"{card['id']}.yaml").write_text(yaml.safe_dump(card), "utf-8")
    params = {
        "seed": 5,
        "models": ["tiny"],
        "domains": ["north", "south"],
        "query": {"max_tokens": 4},
        "train": {
            "adapters": {"careful": {"model": "tiny", "holdout": "south"}},
            "probes": {**dict.fromkeys(PROBES, N_EACH), "n_scenarios": 2},
        },
    }
    (root / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    return load_params(root / "params.yaml"), workspace(root)


def test_both_models_hold_the_same_dialogues_and_a_second_run_asks_nothing(harbour):
    params, place = harbour
    probes = stage.run("careful", params, place)
    folder = place.root / "data" / "probes" / "careful"
    rows = read_table(folder / "decisions.parquet", PROBED).to_pylist()
    asked = {role: [r for r in rows if r["model_role"] == role] for role in ("base", "tuned")}
    same = ("probe", "domain", "condition", "prompt", "percent", "cost_ratio", "framing", "label")
    assert [[r[c] for c in same] for r in asked["base"]] == [
        [r[c] for c in same] for r in asked["tuned"]
    ]
    assert len(asked["base"]) == N_EACH * len(PROBES)
    assert {r["model"] for r in asked["base"]} == {"tiny"}
    assert {r["model"] for r in asked["tuned"]} == {"careful"}
    # Random weights write no marker, so all are closed; each model within its own budget.
    assert {row["status"] for row in rows} == {"forced"}
    assert all(row["is_right"] == (row["escalate"] == row["optimal_escalate"]) for row in rows)
    assert {row["mistake"] for row in rows} == {"no_chain"}
    assert [r["decision_text"] for r in asked["base"]] != [
        r["decision_text"] for r in asked["tuned"]
    ]
    trained = {row["domain"] for row in rows if row["probe"] == "trained_domains"}
    assert trained == {"north"}
    assert read_document(Probes, folder / "probes.json") == probes
    assert (probes.base_max_tokens, probes.tuned_max_tokens) == (4, 9)
    assert [probe.n for probe in probes.probes] == [N_EACH] * (len(PROBES) + 1)
    for stem in ("accuracy", "grid", "mistakes", "predictions"):
        assert pq.read_table(folder / f"{stem}.parquet").num_rows > 0

    # Every answer is kept: what is made of them comes back without one more.
    n_kept = n_answers(place)
    written = (folder / "decisions.parquet").read_bytes()
    shutil.rmtree(folder)
    assert stage.run("careful", params, place) == probes
    assert (folder / "decisions.parquet").read_bytes() == written
    assert n_answers(place) == n_kept


def n_answers(place: Workspace) -> int:
    store = open_store(place.store)
    try:
        return len(store)
    finally:
        store.close()


def test_what_was_answered_before_a_run_stopped_is_not_asked_again(harbour):
    params, place = harbour
    capped = params.model_copy(
        update={"ask": params.ask.model_copy(update={"max_requests": 70})}  # into the second model
    )
    with pytest.raises(BudgetError):
        stage.run("careful", capped, replace(place, run="first"))
    assert not (place.root / "data" / "probes").exists()
    stage.run("careful", params, replace(place, run="second"))
    store = open_store(place.store)
    try:
        n_asked = [store.spent(run)[0] for run in ("first", "second")]
        assert n_asked[0] == 70
        assert sum(n_asked) == len(store)
    finally:
        store.close()


def changed(params: Params, **adapter: object) -> Params:
    content = params.model_dump()
    content["train"]["adapters"]["careful"] |= adapter
    return Params.model_validate(content)


def test_what_is_missing_is_named(harbour):
    params, place = harbour
    with pytest.raises(UsageError, match=r"unknown adapter 'carefull'\. Did you mean 'careful'"):
        stage.run("carefull", params, place)
    with pytest.raises(DataError, match="west"):
        stage.run("careful", changed(params, holdout="west"), place)
    card = place.root / "models" / "careful.yaml"
    content = yaml.safe_load(card.read_text("utf-8"))
    card.write_text(yaml.safe_dump({**content, "adapter": None}), "utf-8")
    with pytest.raises(UsageError, match="escalometer train tiny --name careful"):
        stage.run("careful", params, place)
    card.write_text(yaml.safe_dump(content), "utf-8")
    shutil.rmtree(place.root / "models" / "adapters")
    with pytest.raises(ProviderError, match="lacks adapter_config"):
        stage.run("careful", params, place)


def test_signals_without_a_percentage_are_bad_data(harbour):
    params, place = harbour
    path = place.root / "data" / "scenarios" / "south" / "conditions.parquet"
    rows = read_table(path, CONDITIONS).to_pylist()
    write_table([{**row, "signal": "Most sailed."} for row in rows], CONDITIONS, path)
    with pytest.raises(DataError, match=r"south.*Most sailed"):
        stage.run("careful", params, place)
