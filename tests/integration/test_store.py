"""The store's writing thread, and what the store says of a request that it does not have."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from escalometer.dialogue.elicitation.keys import (
    Keys,
    differences,
    request_key,
    request_of,
    request_parts,
)
from escalometer.dialogue.elicitation.store import Entry, open_store
from escalometer.dialogue.elicitation.transfer import read_parquet, write_parquet
from escalometer.dialogue.elicitation.writer import Writer
from escalometer.dialogue.providers import Completion, Request
from escalometer.errors import DataError, UsageError

IDENTITY = {"provider": "openai", "model": "m", "base_url": "http://h/v1"}
ASKED = Request((("user", "Cloud number 7. Rain?"),), "PREDICTION:", 16)


def entry(i: int, **changes) -> Entry:
    asked = replace(ASKED, messages=(("user", f"Cloud number {i}. Rain?"),))
    answer = Completion(f"answer {i}", "stop", 1, 1, 0.1)
    key = request_key(IDENTITY, asked)
    return Entry(key, IDENTITY, asked, {}, answer, run="r", cost_usd=0.5, **changes)


@pytest.fixture
def store(tmp_path):
    made = open_store(tmp_path / "completions.sqlite")
    yield made
    made.close()


def test_all_that_was_taken_is_there_when_it_closes(store):
    writer = Writer(store)
    for i in range(500):
        writer.keep(entry(i))
    writer.close()
    assert len(store) == 500
    assert store.get([entry(7).key])[entry(7).key].text == "answer 7"
    assert store.spent("r") == (500, 250.0)
    assert store.spent("another") == (0, 0.0)


def test_a_store_that_cannot_be_written_for_long_ends_in_words(store, capsys):
    store._db.execute("pragma query_only = on")
    writer = Writer(store, patience_s=0.2)
    writer.keep(entry(1))
    with pytest.raises(UsageError, match="cannot be written"):
        writer.flush()
    assert writer.is_stuck
    assert "waiting for disk space" in capsys.readouterr().err
    with pytest.raises(UsageError):
        writer.close()


def test_room_that_comes_back_in_time_loses_nothing(store):
    store._db.execute("pragma query_only = on")
    writer = Writer(store, patience_s=20)
    writer.keep(entry(1))
    while not writer.is_stuck:
        pass
    store._db.execute("pragma query_only = off")
    writer.flush()
    assert not writer.is_stuck
    writer.close()
    assert len(store) == 1


def test_a_store_from_before_there_were_runs_is_taken_up(tmp_path):
    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as old:
        old.execute(
            "create table completions (key text primary key, created_at text not null, "
            "identity text not null, request text not null, completion text not null)"
        )
        said = {"text": "yes", "finish": "stop", "n_prompt_tokens": 1, "n_completion_tokens": 1}
        said |= {"latency_s": 0.1, "error": None}
        old.execute(
            "insert into completions values (?, 'then', ?, ?, ?)",
            (
                request_key(IDENTITY, ASKED),
                json.dumps(IDENTITY),
                json.dumps(request_parts(ASKED, {})),
                json.dumps(said),
            ),
        )
    store = open_store(path)
    (found,) = store.get([request_key(IDENTITY, ASKED)]).values()
    assert found == Completion("yes", "stop", 1, 1, 0.1)
    store.put_all([entry(1)])
    assert len(store) == 2
    store.close()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="ESCALOMETER_STORE"):
        open_store(tmp_path / "file" / "completions.sqlite")


def test_what_is_kept_of_a_request_gives_it_back():
    full = Request(
        (("user", "a"), ("assistant", "b"), ("user", "c")), "DECISION:", 5, True, True, 3,
        ("A", "B"), True,
    )  # fmt: skip
    for request in (ASKED, full):
        parts = json.loads(json.dumps(request_parts(request, {"temperature": 0.0})))
        assert request_of(parts) == request


class Sending:
    """As much of a provider as a key needs."""

    def __init__(self, parameters: dict) -> None:
        self.identity = {**IDENTITY, "note": 'has "messages": null in it'}
        self._parameters = parameters

    def parameters(self, _: Request) -> dict:
        return self._parameters


@given(
    st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text()), max_size=3),
    st.dictionaries(st.text(), st.none() | st.floats(allow_nan=False) | st.text(), max_size=3),
    st.integers(1, 3),
    st.booleans(),
)
def test_keys_are_made_fast_and_the_same(messages, parameters, replicate, reads_choice):
    provider = Sending(parameters)
    make = Keys(provider)
    for i in range(replicate):
        asked = replace(
            ASKED,
            messages=tuple(messages),
            replicate=i,
            reads_choice=reads_choice,
            max_tokens=i + 1,
        )
        try:
            expected = request_key(provider.identity, asked, parameters)
        except UnicodeEncodeError:  # lone surrogates, which no prompt has
            return
        assert make(asked) == expected


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"max_tokens": 32}, "max_tokens: 16 is requested, 32 is stored"),
        ({"replicate": 1}, "replicate: 0 is requested, 1 is stored"),
        ({"is_thinking": True}, "is_thinking: false is requested, true is stored"),
        ({"reads_choice": True}, "reads_choice: nothing is requested, true is stored"),
        (
            {"messages": (("user", "Cloud number 8. Rain?"),)},
            'message 1 (user), from character 14: "Cloud number 7. Rain?" is requested, '
            '"Cloud number 8. Rain?" is stored',
        ),
        ({"messages": (*ASKED.messages, ("assistant", "x"))}, "1 are requested, 2 are stored"),
    ],
)
def test_which_part_of_the_key_differs(changed, said):
    def parts(request: Request) -> dict:
        return json.loads(json.dumps(request_parts(request, {"temperature": 0.0})))

    (found,) = differences(parts(ASKED), parts(replace(ASKED, **changed)))
    assert said in found


def test_parts_inside_of_parts_are_named():
    asked = {"identity": IDENTITY, "parameters": {"temperature": 0.0}}
    kept = {"identity": {**IDENTITY, "base_url": "http://g/v1"}, "parameters": {"temperature": 1.0}}
    assert differences(asked, kept) == [
        'identity.base_url: "http://h/v1" is requested, "http://g/v1" is stored',
        "parameters.temperature: 0.0 is requested, 1.0 is stored",
    ]


def test_a_file_that_is_no_export_is_refused(store, tmp_path):
    store.put_all([entry(1), entry(2)])
    path, changed = tmp_path / "answers.parquet", tmp_path / "changed.parquet"
    write_parquet(store, path)
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({}), changed)
    with pytest.raises(DataError, match="not the export of a completion store"):
        read_parquet(changed, store)
    pq.write_table(table.replace_schema_metadata({"escalometer_store": "2"}), changed)
    with pytest.raises(UsageError, match="newer version"):
        read_parquet(changed, store)
    at = table.column_names.index("completion")
    torn = table.set_column(at, "completion", pa.array(["{", "{}"]))
    pq.write_table(torn, changed)
    with pytest.raises(DataError, match=r"changed\.parquet, after row 0.*damaged"):
        read_parquet(changed, store)
    changed.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_parquet(changed, store)
    assert len(store) == 2


def test_an_export_that_fails_leaves_the_file_as_it_was(store, tmp_path, monkeypatch):
    path = tmp_path / "answers.parquet"
    store.put_all([entry(1)])
    write_parquet(store, path)
    before = path.read_bytes()

    def pages(_kind: str):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(store, "pages", pages)
    with pytest.raises(KeyboardInterrupt):
        write_parquet(store, path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.glob("*.partial")] == []


def test_the_costs_of_a_run_are_read_from_an_index(store):
    from escalometer.dialogue.elicitation.store import _SPENT

    steps = [row[3] for row in store._db.execute(f"explain query plan {_SPENT}", ("r", "r"))]
    assert sum("COVERING INDEX" in step for step in steps) == 2
