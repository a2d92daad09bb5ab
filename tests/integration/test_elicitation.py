"""Dialogues are held with a real (tiny) model; what was answered is never asked again."""

from __future__ import annotations

import itertools
import sqlite3
from dataclasses import replace

import pytest

from escalometer.cases.task import Task
from escalometer.config import ModelCard, Price
from escalometer.dialogue.elicitation.engine import Engine
from escalometer.dialogue.elicitation.keys import request_key
from escalometer.dialogue.elicitation.rows import Answering, Dialogue
from escalometer.dialogue.elicitation.store import open_store
from escalometer.dialogue.elicitation.store_texts import completion_of
from escalometer.dialogue.providers import Completion, Request, connect
from escalometer.errors import DataError
from tests.conftest import tiny_card, workspace
from tests.integration._weather import dialogues

TASK_OF_THREE = Task("what falls", "the farmer", ("nothing", "rain", "snow"))
PRICE = Price(input_usd_per_million=1.0, output_usd_per_million=2.0)
FORCED = Answering(4, force_answer=True, counts_marker="last", price=PRICE)


@pytest.fixture
def provider(tiny_weights, tmp_path):
    return connect(ModelCard.model_validate(tiny_card(tiny_weights)), workspace(tmp_path))


@pytest.fixture
def store(tmp_path):
    with_store = open_store(tmp_path / "completions.sqlite")
    yield with_store
    with_store.close()


def hold(engine: Engine, asked: list[Dialogue]) -> list[dict]:
    return engine.hold(engine.plan(asked), lambda n, free: None)


def test_every_dialogue_has_a_row_in_its_order_and_shared_turns_are_asked_once(provider, store):
    asked = dialogues()
    engine = Engine(provider, store, FORCED)
    rows = hold(engine, asked)
    assert [(r["scenario_id"], r["intervention"], r["cost_ratio"]) for r in rows] == [
        (d.scenario_id, d.protocol.intervention, d.protocol.cost_ratio) for d in asked
    ]
    assert {row["status"] for row in rows} == {"forced"}
    assert all(row["prediction"] in (0, 1) and row["escalate"] in (0, 1) for row in rows)
    # A scenario has 4 dialogues here, of which 3 share a first turn: 2 first turns, 4 second ones.
    assert engine.tally.n_called == 3 * (2 + 4)
    assert all(row["cost_usd"] > 0 for row in rows)
    shared = [row for row in rows if row["scenario_id"] == "s0" and row["has_signal"]]
    assert len({row["prediction_text"] for row in shared}) == 1
    assert len({row["decision_prompt"] for row in shared}) == 3


def test_more_than_two_choices_leave_letters_in_the_answer_and_places_in_the_row(provider, store):
    asked = [replace(d, task=TASK_OF_THREE, label=2) for d in dialogues(6)]
    rows = hold(Engine(provider, store, FORCED), asked)
    assert {row["status"] for row in rows} == {"forced"}
    assert {row["label"] for row in rows} == {2}
    assert len({row["prediction"] for row in rows}) > 1
    for row in rows:
        assert "one of 'PREDICTION: A' (nothing)," in row["prompt"]
        assert row["prediction_text"].endswith("PREDICTION: " + "ABC"[row["prediction"]])
        assert row["decision_text"].endswith(f"DECISION: {row['escalate']}")
    again = Engine(provider, store, FORCED)
    assert hold(again, asked) == rows
    assert again.tally.n_called == 0


def test_a_second_run_calls_nothing_and_gives_the_same(provider, store, tiny_weights, tmp_path):
    rows = hold(Engine(provider, store, FORCED), dialogues())
    again = connect(ModelCard.model_validate(tiny_card(tiny_weights)), workspace(tmp_path))
    engine = Engine(again, store, FORCED)
    assert hold(engine, dialogues()) == rows
    assert engine.tally.n_called == 0
    assert again._model is None


def test_an_interrupted_run_goes_on_where_it_was(provider, store):
    class Stopped(Exception):
        pass

    counter = itertools.count()

    def stop_at_second(n: int, free: bool) -> None:
        if next(counter) == 1:
            raise Stopped

    provider.batch_size = 2
    first = Engine(provider, store, FORCED)
    with pytest.raises(Stopped):
        first.hold(first.plan(dialogues()), stop_at_second)
    assert len(store) == first.tally.n_called > 0
    second = Engine(provider, store, FORCED)
    assert len(hold(second, dialogues())) == len(dialogues())
    assert first.tally.n_called + second.tally.n_called == 3 * (2 + 4)


def test_an_answer_without_marker_is_kept_with_its_status(provider, store):
    rows = hold(Engine(provider, store, replace(FORCED, force_answer=False)), dialogues(1))
    for row in rows:
        assert row["status"] in ("truncated", "unparsed")
        assert row["prediction"] is None
        assert row["escalate"] is None
        assert row["prediction_text"] is not None
        assert row["decision_prompt"] is None


class Scripted:
    """A provider that answers from a list: for outcomes that no model gives on demand."""

    batch_size = 4
    can_force = True
    identity = {"provider": "scripted", "model": "scripted"}

    def __init__(self, *completions: Completion) -> None:
        self._completions = completions

    def parameters(self, request):
        return {}

    def complete(self, requests):
        for i in range(len(requests)):
            yield i, self._completions[len(requests[i].messages) // 2]


@pytest.mark.parametrize(
    ("first", "second", "status", "prediction"),
    [
        (("ok PREDICTION: 1", "stop"), ("DECISION: 0", "stop"), "ok", 1),
        (("ok PREDICTION: 1", "forced"), ("DECISION: 0", "stop"), "forced", 1),
        (("ok PREDICTION: 1", "stop"), ("DECISION: 0", "forced"), "forced", 1),
        (("no idea", "stop"), ("DECISION: 0", "stop"), "unparsed", None),
        (("no ide", "length"), ("DECISION: 0", "stop"), "truncated", None),
        (("PREDICTION: 0", "stop"), ("hm", "stop"), "unparsed", 0),
        (("PREDICTION: 0", "stop"), ("hm", "length"), "truncated", 0),
        (("", "refused"), ("DECISION: 0", "stop"), "refused", None),
        (("PREDICTION: 0", "stop"), ("", "refused"), "refused", 0),
        (("PREDICTION: 0", "stop"), ("", "error"), "error", 0),
    ],
)
def test_each_outcome_has_its_status(store, first, second, status, prediction):
    scripted = Scripted(*(Completion(t, f, 1, 1, 0.1) for t, f in (first, second)))
    (row, *_) = hold(Engine(scripted, store, FORCED), dialogues(1)[:1])
    assert (row["status"], row["prediction"]) == (status, prediction)
    assert (row["escalate"] is None) == (status not in ("ok", "forced"))


WORKING = Scripted(
    Completion("PREDICTION: 1", "stop", 1, 1, 0.1), Completion("DECISION: 1", "stop", 1, 1, 0.1)
)


def test_an_error_that_may_pass_is_asked_again_next_time(store):
    failing = Scripted(Completion("", "error", 0, 0, 0.1, "it was away", is_passing=True))
    engine = Engine(failing, store, FORCED)
    (row,) = hold(engine, dialogues(1)[:1])
    assert (row["status"], row["detail"]) == ("error", "turn 1: error: it was away")
    assert (len(store), engine.tally.n_passing) == (0, 1)
    (row,) = hold(Engine(WORKING, store, FORCED), dialogues(1)[:1])
    assert (row["status"], row["detail"]) == ("ok", None)


@pytest.mark.parametrize(
    ("completion", "outcome"),
    [
        (Completion("", "error", 0, 0, 0.1, "too long"), "error"),
        (Completion("", "refused", 9, 0, 0.1, "content filter"), "refused"),
        (Completion(" ", "stop", 9, 0, 0.1), "empty"),
        (Completion("I would rather", "length", 9, 4, 0.1), "truncated"),
        (Completion("No idea.", "stop", 9, 4, 0.1), "unparsed"),
    ],
)
def test_what_ended_badly_is_kept_until_it_is_asked_for_again(store, completion, outcome):
    asked = dialogues(1)[:1]
    (row,) = hold(Engine(Scripted(completion), store, FORCED), asked)
    assert row["detail"].startswith(f"turn 1: {outcome}")
    assert row["status"] == ("unparsed" if outcome == "empty" else outcome)
    kept = Engine(WORKING, store, FORCED)
    assert hold(kept, asked) == [row]
    assert kept.tally.n_called == 0
    other = Engine(WORKING, store, FORCED, retry=frozenset({"forced"}))
    assert hold(other, asked) == [row]
    again = Engine(WORKING, store, FORCED, retry=frozenset({outcome}))
    (new,) = hold(again, asked)
    assert (new["status"], again.tally.n_called) == ("ok", 2)
    # What was paid for is still there.
    with sqlite3.connect(store.path) as other:
        (old,) = other.execute("select completion from superseded").fetchall()
    assert completion_of(old[0]) == completion


def test_everything_that_determines_an_answer_is_in_its_key():
    request = Request(messages=(("user", "Rain?"),), marker="PREDICTION:", max_tokens=5)
    identity = {"provider": "p", "model": "m", "revision": "1"}
    keys = {
        request_key(identity, request),
        request_key({**identity, "revision": "2"}, request),
        request_key(identity, replace(request, messages=(("user", "Rain!"),))),
        request_key(identity, replace(request, messages=(("assistant", "Rain?"),))),
        request_key(identity, replace(request, marker="DECISION:")),
        request_key(identity, replace(request, max_tokens=6)),
        request_key(identity, replace(request, force_answer=True)),
        request_key(identity, replace(request, is_thinking=True)),
        request_key(identity, replace(request, replicate=1)),
        request_key(identity, replace(request, choices=("A", "B", "C"))),
    }
    assert len(keys) == 10


def test_the_key_of_two_choices_is_the_one_from_before_there_were_more():
    request = Request(messages=(("user", "Rain?"),), marker="PREDICTION:", max_tokens=5)
    stored = "1cb13804ef1e78f55450112f2a989d46d6de68baa108fc08fa0ee1035b241660"
    assert request_key({"provider": "p"}, request) == stored


def test_the_first_answer_of_a_key_stays(store):
    request = Request(messages=(("user", "Rain?"),), marker="PREDICTION:", max_tokens=5)
    for text in ("first", "second"):
        store.put({"model": "m"}, request, Completion(text, "stop", 1, 1, 0.1))
    key = request_key({"model": "m"}, request)
    assert store.get([key])[key].text == "first"


def test_an_answer_is_readable_by_others_as_soon_as_it_is_put(store, tmp_path):
    request = Request(messages=(("user", "Rain?"),), marker="PREDICTION:", max_tokens=5)
    store.put({"model": "m"}, request, Completion("yes", "stop", 1, 1, 0.1))
    with sqlite3.connect(tmp_path / "completions.sqlite") as other:
        assert other.execute("select count(*) from completions").fetchone() == (1,)


def test_a_file_that_is_no_store_is_named(tmp_path):
    path = tmp_path / "notes.sqlite"
    path.write_text("these are notes, and rather long ones at that " * 50)
    with pytest.raises(DataError, match="not a completion store"):
        open_store(path)
