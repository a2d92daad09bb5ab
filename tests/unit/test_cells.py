"""Cells in shards: what is in one, how many at once, and who may ask them."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from escalometer.cases.task import Task
from escalometer.config import Workspace, default_params
from escalometer.dialogue import shards
from escalometer.dialogue.elicitation.rows import Dialogue
from escalometer.dialogue.elicitation.store import open_store
from escalometer.dialogue.protocol import Protocol
from escalometer.errors import ProviderError, UsageError
from escalometer.operations.cells import OpenCell, job
from escalometer.operations.workers import ShardStopped
from tests.integration._remote import KEY, card

pytest.importorskip("aiohttp")

TASK = Task("whether it rains", "the forecaster", ("no rain", "rain"))


def dialogues(n: int, domain: str = "weather") -> dict[str, list[Dialogue]]:
    """Two dialogues for each of `n` first turns."""
    return {
        f"{domain}-{i}": [
            Dialogue(domain, "c", f"s{i}", TASK, f"Case {i}", "60%", 0.6, 1, Protocol(), replicate)
            for replicate in (0, 1)
        ]
        for i in range(n)
    }


def cells(*sizes: int, is_remote: bool = True, **endpoint: object) -> list[OpenCell]:
    return [
        OpenCell(
            card("http://127.0.0.1:1/v1", **endpoint).model_copy(update={"id": f"m{i}"}),
            "weather",
            is_remote,
            dialogues(n),
        )
        for i, n in enumerate(sizes)
    ]


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    store = tmp_path / "completions.sqlite"
    open_store(store).close()
    return Workspace(tmp_path, tmp_path / "cache", store, {"THE_KEY": KEY}, run="r1")


def test_a_cell_is_divided_so_that_first_turns_stay_together(place: Workspace):
    made = job(cells(800), default_params(), place, 4, None)
    assert len(made.shards) == 16  # four for each worker
    assert all(len(shard.dialogues) % 2 == 0 for shard in made.shards)
    found = Counter((d.scenario_id, d.replicate) for s in made.shards for d in s.dialogues)
    assert len(found) == 1600 and set(found.values()) == {1}
    assert made.n_answers == 3200
    assert made.shards[1].name == "m0 on weather 2/16"


def test_on_one_machine_a_cell_is_one_shard_up_to_two_thousand_dialogues(place: Workspace):
    assert len(job(cells(1000), default_params(), place, 8, 2).shards) == 1
    assert len(job(cells(1001), default_params(), place, 8, 2).shards) == 2


def test_shards_of_models_take_turns(place: Workspace):
    made = job(cells(200, 100), default_params(), place, 2, None)
    assert [shard.card.id for shard in made.shards[:4]] == ["m0", "m1", "m0", "m1"]


@pytest.mark.parametrize(
    ("n", "endpoint", "n_cores", "at_once"),
    [
        (1000, {"max_in_flight": 64}, 2, 1),  # one fills what the server bears
        (20, {"max_in_flight": 128}, 2, 1),  # there is only one shard
        (3000, {"max_in_flight": 64}, 2, 2),  # work for two cores
        (3000, {"max_in_flight": 8}, 2, 1),
        (3000, {"max_in_flight": 64}, None, 4),
        (3000, {"max_in_flight": 16}, None, 2),
    ],
)
def test_shards_of_a_model_at_once(place: Workspace, n, endpoint, n_cores, at_once):
    made = job(cells(n, **endpoint), default_params(), place, 4, n_cores)
    assert made.n_at_once == {"m0": at_once}
    limit = endpoint["max_in_flight"] // at_once
    assert {shard.card.endpoint.max_in_flight for shard in made.shards} == {limit}


def test_small_cells_of_one_model_fill_what_its_server_bears(place: Workspace):
    small = [
        replace(cell, card=cell.card.model_copy(update={"id": "m"}), domain=f"d{i}")
        for i, cell in enumerate(cells(10, 10, 10, max_in_flight=40, requests_per_minute=90))
    ]
    made = job(small, default_params(), place, 8, 2)
    assert made.n_at_once == {"m": 2}
    limits = made.shards[0].card.endpoint
    assert (limits.max_in_flight, limits.requests_per_minute) == (20, 45)


def test_a_shard_is_json_and_comes_back(place: Workspace):
    (shard,) = job(cells(2), default_params(), place, 1, 2).shards
    assert "\n" not in shard.to_json()
    assert shards.shard_of(shard.to_json()) == shard
    with pytest.raises(UsageError, match="install the version of the process that sent it"):
        shards.shard_of('{"name": "old"}')


def test_a_worker_that_would_ask_other_requests_refuses(place: Workspace):
    (shard,) = job(cells(2), default_params(), place, 1, 2).shards
    with pytest.raises(UsageError, match=r"are not those of .* which started the run"):
        shards.ask(replace(shard, card=card("http://127.0.0.1:1/v1", key_env="THE_KEY")), place)


def test_a_worker_with_another_store_refuses(place: Workspace, tmp_path: Path):
    (shard,) = job(cells(2), default_params(), place, 1, 2).shards
    secrets = {"ESCALOMETER_STORE": "postgresql://me:hidden@host/other"}
    with pytest.raises(UsageError, match="set it to the same store") as raised:
        shards.ask(shard, replace(place, secrets=secrets))
    assert "hidden" not in str(raised.value)
    gone = replace(shard, store=str(tmp_path / "nowhere.sqlite"))
    with pytest.raises(UsageError, match="does not see the completion store"):
        shards.ask(gone, place)
    assert not (tmp_path / "nowhere.sqlite").exists()


def test_the_reason_of_a_shard_that_stopped_crosses_processes():
    error = pickle.loads(pickle.dumps(ShardStopped("m on d: no key", 3, True)))  # noqa: S301
    assert (str(error), error.exit_code, error.is_passing) == ("m on d: no key", 3, True)


def test_workers_have_the_same_versions():
    cells_of_flows = pytest.importorskip("flows._cells")
    cells_of_flows._check_versions({"tcp://a": shards.versions()})
    with pytest.raises(ProviderError, match="has no worker"):
        cells_of_flows._check_versions({})
    with pytest.raises(ProviderError, match=r"the worker tcp://b has escalometer 0\.0\.1, and"):
        cells_of_flows._check_versions({"tcp://b": {**shards.versions(), "escalometer": "0.0.1"}})
