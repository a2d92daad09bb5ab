"""The contract of a completion store, on SQLite and on PostgreSQL."""

from __future__ import annotations

import multiprocessing
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from escalometer.config import DatabaseAddress, store_place
from escalometer.dialogue.elicitation.keys import request_key
from escalometer.dialogue.elicitation.store import CompletionStore, Entry, open_store
from escalometer.dialogue.elicitation.transfer import copy, read_parquet, write_parquet
from escalometer.dialogue.elicitation.writer import Writer
from escalometer.dialogue.providers import Completion, Request
from escalometer.errors import UsageError

IDENTITY = {"provider": "openai", "model": "m", "base_url": "http://h/v1"}
ASKED = Request((("user", "Cloud number 7. Rain?"),), "PREDICTION:", 16)
SPAWN = multiprocessing.get_context("spawn")
Place = Path | DatabaseAddress


def entry(i: int, text: str = "", **changes) -> Entry:
    asked = replace(ASKED, messages=(("user", f"Cloud number {i}. Rain?"),))
    answer = Completion(text or f"answer {i}", "stop", 1, 1, 0.1)
    given = {"run": "r", "cost_usd": 0.5, **changes}
    return Entry(request_key(IDENTITY, asked), IDENTITY, asked, {}, answer, **given)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def place(request, tmp_path) -> Place:
    """The place of a store that does not exist yet."""
    if request.param == "sqlite":
        return tmp_path / "completions.sqlite"
    server = request.getfixturevalue("postgresql")
    schema = f"s{uuid.uuid4().hex}"
    server.execute(f"create schema {schema}")
    return store_place(server.address(schema=schema))


@pytest.fixture
def store(place):
    made = open_store(place)
    yield made
    made.close()


def test_all_that_was_taken_is_there_when_it_closes(store):
    writer = Writer(store)
    for i in range(500):
        writer.keep(entry(i))
    writer.close()
    assert len(store) == 500
    assert store.get([entry(7).key]) == {entry(7).key: entry(7).completion}
    assert store.spent("r") == (500, 250.0)
    assert store.spent("another") == (0, 0.0)
    assert store.keys(IDENTITY) == {entry(i).key[:16] for i in range(500)}
    assert [key for key, *_ in store.sample(IDENTITY, 3)] == sorted(
        entry(i).key for i in range(500)
    )[:3]
    assert len(list(store.requests("PREDICTION:"))) == 500
    assert list(store.requests("DECISION:")) == []


def test_many_keys_are_found_at_once(store):
    store.put_all([entry(i) for i in range(12_000)])
    wanted = [entry(i).key for i in range(6_000, 18_000)]
    assert len(store.get(wanted)) == 6_000
    assert len(store.stored_since("2000", wanted)) == 6_000
    assert store.stored_since("2999", wanted) == set()


def test_the_first_answer_of_a_key_stays_and_the_conflict_is_reported(store, capsys):
    assert store.put_all([entry(1), entry(2)]) == []
    assert store.put_all([entry(1), entry(2, "another"), entry(3)]) == [entry(2).key]
    assert store.get([entry(2).key])[entry(2).key].text == "answer 2"
    writer = Writer(store)
    writer.keep(entry(2, "a third"))
    writer.close()
    assert "1 answers were discarded" in capsys.readouterr().err


def test_an_answer_that_replaces_another_leaves_it_in_the_budget(store):
    store.put_all([entry(1)])
    store.put_all([entry(1, "better", replaces=True)])
    assert store.get([entry(1).key])[entry(1).key].text == "better"
    assert store.spent("r") == (2, 1.0)
    store.put_all([entry(1, "better", replaces=True)])  # the confirmation was lost, say
    assert store.spent("r") == (2, 1.0)


@pytest.mark.parametrize("text", ["a\0b", "half \ud83d of a pair", "\\u0000", "😀\u2028\x1f"])
def test_foreign_text_comes_back_unchanged(store, text):
    store.put_all([entry(1, text)])
    assert store.get([entry(1).key])[entry(1).key].text == text
    store.note_batch(text, IDENTITY, "r", ["k"])
    assert store.open_batches(IDENTITY) == [(text, ["k"])]
    store.close_batch(text)
    assert store.open_batches(IDENTITY) == []


def test_batches_are_open_until_they_are_closed(store):
    for name in ("b", "a"):
        store.note_batch(name, IDENTITY, "r", ["k", "l"])
    assert store.n_batches(["k", "l"]) == 2
    store.close_batch("b")
    assert store.open_batches(IDENTITY) == [("a", ["k", "l"])]
    assert store.open_batches({"model": "another"}) == []


def test_a_store_can_be_read_while_another_process_writes(store, place):
    writers = [SPAWN.Process(target=write_many, args=(place, part)) for part in range(3)]
    for process in writers:
        process.start()
    seen = [0]
    while any(process.is_alive() for process in writers):
        seen.append(len(store))
        time.sleep(0.01)
    assert [process.exitcode for process in writers] == [0, 0, 0]
    assert seen == sorted(seen)
    # 100 keys are written by all three: one answer of each stays.
    assert len(store) == 100 + 3 * 100


def write_many(place: Place, part: int) -> None:
    store = open_store(place)
    for i in range(100):
        store.put_all([entry(i, f"of {part}"), entry(1000 * (part + 1) + i)])
    store.close()


def test_processes_that_start_at_once_make_one_store(place):
    barrier = SPAWN.Barrier(4)
    starting = [SPAWN.Process(target=open_together, args=(place, barrier, i)) for i in range(4)]
    for process in starting:
        process.start()
    for process in starting:
        process.join()
    assert [process.exitcode for process in starting] == [0] * 4
    store = open_store(place)
    assert len(store) == 4
    store.close()


def open_together(place: Place, barrier: object, i: int) -> None:
    barrier.wait()
    store = open_store(place)
    store.put_all([entry(i)])
    store.close()


def test_only_one_process_asks_a_model(store, place, capsys):
    other = open_store(place)
    order: list[str] = []

    def ask() -> None:
        with other.asking("m", "b"):
            order.append("second")

    with store.asking("b", "m"):
        waiting = threading.Thread(target=ask)
        waiting.start()
        with store.asking("another"):
            time.sleep(0.8)
        order.append("first")
    waiting.join()
    other.close()
    assert order == ["first", "second"]
    said = capsys.readouterr().err
    assert said.startswith("waiting for another run that asks b (process ")
    assert said.count("waiting") == 1


def rows_of(store: CompletionStore) -> dict[str, list]:
    return {
        kind: [tuple(row) for page in store.pages(kind) for row in page]
        for kind in ("completion", "superseded", "batch")
    }


@pytest.fixture
def filled(store) -> CompletionStore:
    """A store with more than a page of answers, superseded ones and batches."""
    store.put_all([entry(i) for i in range(2_500)])
    store.put_all([entry(i, "again, \0", replaces=True) for i in range(30)])
    store.note_batch("b", IDENTITY, "r", ["k"])
    store.note_batch("a", IDENTITY, "r", ["l"])
    store.close_batch("b")
    return store


def test_an_export_and_an_import_give_the_same_store(filled, tmp_path):
    path = tmp_path / "answers.parquet"
    assert write_parquet(filled, path) == {"completion": 2_500, "superseded": 30, "batch": 2}
    other = open_store(tmp_path / "other.sqlite")
    done = read_parquet(path, other)
    assert (done.n_read, done.n_added, done.n_superseded, done.n_batches) == (2_500, 2_500, 30, 2)
    assert rows_of(other) == rows_of(filled)
    done = read_parquet(path, filled)
    assert (done.n_added, done.n_replaced, done.n_superseded, done.n_batches) == (0, 0, 0, 0)
    assert done.conflicts == []
    other.close()


def test_stores_are_joined_and_conflicts_reported(store, tmp_path):
    other = open_store(tmp_path / "other.sqlite")
    store.put_all([entry(1), entry(2), entry(3), entry(4)])
    store.put_all([entry(4, "newer here", replaces=True)])
    store.note_batch("shared", IDENTITY, "r", ["k"])
    other.put_all([entry(2, "another"), entry(3), entry(4), entry(5)])
    other.put_all([entry(3, "newer there", replaces=True)])
    other.note_batch("shared", IDENTITY, "r", ["k"])
    other.close_batch("shared")
    before = rows_of(other)
    done = copy(other, store)
    assert (done.n_read, done.n_added, done.n_replaced, done.n_superseded) == (4, 1, 1, 0 + 1)
    (conflict,) = done.conflicts
    assert (conflict.key, conflict.model) == (entry(2).key, "m")
    assert (conflict.stored, conflict.other) == ("answer 2", "another")
    texts = {i: store.get([entry(i).key])[entry(i).key].text for i in range(1, 6)}
    assert list(texts.values()) == ["answer 1", "answer 2", "newer there", "newer here", "answer 5"]
    assert store.open_batches(IDENTITY) == []
    joined = rows_of(store)
    done = copy(other, store)
    assert (done.n_added, done.n_replaced, done.n_superseded, done.n_batches) == (0, 0, 0, 0)
    assert done.conflicts == [conflict]
    assert rows_of(store) == joined
    assert rows_of(other) == before
    other.close()


LIMITS = {"max_requests": 10, "max_cost_usd": 1.0}


def test_reservations_and_stored_answers_stay_within_the_limits(store):
    assert store.reserve("r", "a", 6, 0.6, **LIMITS)
    assert not store.reserve("r", "b", 5, 0.1, **LIMITS)
    assert not store.reserve("r", "b", 1, 0.41, **LIMITS)
    assert store.reserve("r", "b", 4, 0.4, **LIMITS)
    assert not store.reserve("r", "a", 7, 0.6, **LIMITS)  # the former reservation stays
    assert not store.reserve("r", "c", 1, 0.0, **LIMITS)
    assert store.reserve("r", "a", 5, 0.6, **LIMITS)  # less than before
    assert store.reserve("r", "c", 1, 0.0, **LIMITS)
    store.release("r", "b")
    store.put_all([entry(1, run="r", cost_usd=0.4)])
    assert store.reserve("r", "c", 4, 0.0, **LIMITS)
    assert not store.reserve("r", "c", 5, 0.0, **LIMITS)
    assert store.reserve("another run", "c", 10, 1.0, **LIMITS)
    store.release_all("r")
    assert store.reserve("r", "c", 9, 0.6, **LIMITS)
    assert store.reserve("r", "d", 99, 99.0, max_requests=None, max_cost_usd=None)


def test_less_than_before_is_reserved_even_beyond_the_limits(store):
    assert store.reserve("r", "a", 6, 0.6, **LIMITS)
    store.put_all([entry(1, run="r", cost_usd=5.0)])
    assert store.reserve("r", "a", 5, 0.5, **LIMITS)
    assert store.reserve("r", "b", 0, 0.0, **LIMITS)
    assert not store.reserve("r", "a", 5, 0.55, **LIMITS)


def test_processes_that_reserve_at_once_stay_within_the_limits(store, place):
    made = SPAWN.Queue()
    reserving = [SPAWN.Process(target=reserve_many, args=(place, i, made)) for i in range(4)]
    for process in reserving:
        process.start()
    n_stored = sum(made.get(timeout=60) for _ in reserving)
    for process in reserving:
        process.join()
    assert n_stored == len(store) == 50
    assert store.spent("r") == (50, 25.0)


def reserve_many(place: Place, part: int, made: object) -> None:
    """Store answers as long as there is room for one more."""
    store = open_store(place)
    n = 0
    while store.reserve("r", str(part), 1, 0.5, max_requests=60, max_cost_usd=25.0):
        store.put_all([entry(1000 * part + n)])
        store.release("r", str(part))
        n += 1
    made.put(n)
    store.close()


def test_a_store_of_a_newer_version_is_refused(place, request):
    store: CompletionStore = open_store(place)
    store.put_all([entry(1)])
    store.close()
    if isinstance(place, Path):
        import sqlite3

        db = sqlite3.connect(place)
        db.execute("pragma user_version = 2")
        db.close()
        before = place.read_bytes()
    else:
        import psycopg

        with psycopg.connect(place.secret) as db:
            db.execute("update escalometer_store set version = 2")
    with pytest.raises(UsageError, match="newer version of escalometer"):
        open_store(place)
    if isinstance(place, Path):
        assert place.read_bytes() == before
