"""Decision models: both wire forms, malformed answers, and dialogues, against a real server."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from escalometer.cases.task import Task
from escalometer.config import ModelCard, Price
from escalometer.dialogue import interventions
from escalometer.dialogue.elicitation.engine import Engine
from escalometer.dialogue.elicitation.keys import request_key, request_of, request_parts
from escalometer.dialogue.elicitation.rows import Answering, Dialogue
from escalometer.dialogue.elicitation.store import open_store
from escalometer.dialogue.providers import (
    RemoteProvider,
    Request,
    check,
    connect,
    is_typed,
    listed,
)
from escalometer.dialogue.providers.decisions.provider import DecisionsProvider
from escalometer.errors import ProviderError, UsageError
from tests.conftest import tiny_card, workspace
from tests.integration._asking import HASTY, KEY, ask, place
from tests.integration._decisions_server import (
    MODEL,
    RESOLVED,
    DecisionsServer,
    decisions_server,
    digested,
    readout,
)
from tests.integration._weather import dialogues

FORMS = ("openai", "system_one")
PRICE = Price(input_usd_per_million=1.0, output_usd_per_million=0.0)
ASKED = Request(
    (("user", "A cloud.\n\nClouds mean rain in 80%.\n\nTASK: Predict whether it rains."),),
    "PREDICTION:",
    16,
    reads_choice=True,
    meanings=("dry", "rain"),
)


def card(url: str, form: str | None, **endpoint: Any) -> ModelCard:
    return ModelCard.model_validate(
        {
            "id": "decider",
            "title": "Decider",
            "provider": "decisions",
            "licence": "none",
            "context": 8192,
            "endpoint": {"base_url": url, "model": MODEL, "decision_form": form, **endpoint},
            "price": PRICE.model_dump(mode="json"),
        }
    )


def provider(server: DecisionsServer, form: str, **endpoint: Any) -> DecisionsProvider:
    return DecisionsProvider(card(server.url, form, **endpoint), place(THE_KEY=KEY), HASTY)


@pytest.fixture
def server() -> Iterator[DecisionsServer]:
    with decisions_server() as one:
        yield one


@contextlib.contextmanager
def engine(server: DecisionsServer, folder: Path, form: str, **endpoint: Any) -> Iterator[Engine]:
    store = open_store(folder / "completions.sqlite")
    answering = Answering(16, force_answer=True, counts_marker="last", price=PRICE)
    yield Engine(provider(server, form, **endpoint), store, answering, run="r")
    store.close()


def hold(one: Engine, asked: list[Dialogue]) -> list[dict[str, Any]]:
    return one.hold(one.plan(asked), lambda *_: None)


def test_the_wire_of_openai(server):
    made = connect(card(server.url, "openai"), place())
    assert isinstance(made, RemoteProvider) and is_typed(made)
    (found,) = ask(made, [ASKED])
    ((path, body),) = server.bodies
    assert path == "/v1/decisions"
    assert body == {
        "model": MODEL,
        "input": "A cloud.\n\nClouds mean rain in 80%.",
        "questions": [
            {
                "type": "choice",
                "name": "prediction",
                "instructions": "TASK: Predict whether it rains.",
                "choices": [
                    {"value": "0", "description": "dry"},
                    {"value": "1", "description": "rain"},
                ],
            }
        ],
    }
    expected = digested(body["input"], body["questions"][0]["instructions"], ["0", "1"])
    assert found.probabilities == pytest.approx(expected)
    assert sum(found.probabilities) == pytest.approx(1, abs=1e-12)
    assert (found.finish, found.error, found.resolved_model) == ("stop", None, RESOLVED)
    assert (found.n_prompt_tokens, found.n_cached_tokens, found.n_completion_tokens) == (
        300,
        100,
        0,
    )
    choice = expected.index(max(expected))
    assert found.text.endswith(f"%\nPREDICTION: {choice}")
    assert found.text.startswith("CONFIDENCE: ")


def test_the_wire_of_system_one(server):
    (found,) = ask(provider(server, "system_one"), [ASKED])
    ((path, body),) = server.bodies
    assert path == "/v1/systemone"
    assert body == {
        "model": MODEL,
        "state": "A cloud.\n\nClouds mean rain in 80%.",
        "questions": {
            "prediction": {
                "type": "choice",
                "instructions": "TASK: Predict whether it rains.",
                "criteria": {"0": "dry", "1": "rain"},
            }
        },
    }
    assert found.n_prompt_tokens == 300 and found.finish == "stop"


@pytest.mark.parametrize("form", FORMS)
def test_turn_two_is_a_predicate_where_the_card_says_so(form, server, tmp_path):
    with engine(server, tmp_path, form, second_question="predicate") as one:
        rows = hold(one, dialogues(3, ("baseline", "swapped_actions")))
    kinds = {}
    for _, body in server.bodies:
        asked = body["questions"]
        question = asked[0] if form == "openai" else next(iter(asked.values()))
        kinds.setdefault(question["type"], []).append(question["instructions"])
    assert set(kinds) == {"choice", "predicate" if form == "openai" else "noul"}
    said = " ".join(kinds["predicate" if form == "openai" else "noul"])
    assert "True means: escalate to the farmer. False means: implement the prediction." in said
    assert "True means: implement the prediction. False means: escalate to the farmer." in said
    for row in rows:
        assert row["status"] == "ok"
        assert (row["escalate_probability"] > 0.5) == (row["escalate"] == 1)
        assert row["decision_text"] in ("DECISION: 0", "DECISION: 1")


@pytest.mark.parametrize("form", FORMS)
def test_a_dialogue_is_two_questions_without_a_conversation(form, server, tmp_path):
    with engine(server, tmp_path, form) as one:
        rows = hold(one, dialogues())
        n_asked = len(server.bodies)
        assert n_asked == one.tally.n_called == 3 * (2 + 4)
        again = hold(one, dialogues())
    assert again == rows and len(server.bodies) == n_asked  # the store had every answer
    for row in rows:
        assert row["status"] == "ok" and row["detail"] is None
        assert "Answer with" not in row["prompt"] and "exactly" not in row["decision_prompt"]
        assert row["prompt"].endswith("TASK: Predict whether it rains.")
        assert "Somebody predicted whether it rains." in row["decision_prompt"]
        assert ("Cost ratio" in row["decision_prompt"]) == (row["cost_ratio"] is not None)
        assert 0.5 <= row["prediction_probability"] <= 1
        # The separate confidence is that of the answer, not the probability of the choice.
        assert row["stated_confidence"] == pytest.approx(
            2 * row["prediction_probability"] - 1, abs=1e-6
        )
        assert row["resolved_model"] == RESOLVED
        assert row["cost_usd"] == pytest.approx(600 / 1e6) and not row["is_isolated"]
    assert {row["has_signal"] for row in rows} == {True, False}


def test_swapped_actions_swap_the_meanings(server, tmp_path):
    with engine(server, tmp_path, "openai") as one:
        (row,) = hold(one, dialogues(1, ("swapped_actions",)))
    _, body = server.bodies[-1]
    assert [c["description"] for c in body["questions"][0]["choices"]] == [
        "escalate to the farmer",
        "implement the prediction",
    ]
    stated = next(iter(row["decision_text"].split()[-1:]))
    assert row["escalate"] == 1 - int(stated)
    assert (row["escalate_probability"] >= 0.5) == (row["escalate"] == 1)


@pytest.mark.parametrize("form", FORMS)
def test_more_than_two_outcomes_are_letters(form, server, tmp_path):
    task = Task("what falls", "the farmer", ("nothing", "rain", "snow"))
    protocol = interventions.variants("baseline", interventions.Costs((4.0,), ("ratio",)))[0]
    asked = [
        Dialogue("weather", "c", f"s{i}", task, f"Cloud {i}.", "80%.", 0.8, 0, protocol)
        for i in range(6)
    ]
    with engine(server, tmp_path, form, second_question="predicate") as one:
        rows = hold(one, asked)
    assert {row["status"] for row in rows} == {"ok"}
    assert all(row["prediction"] in (0, 1, 2) for row in rows)
    assert all(row["prediction_probability"] >= 1 / 3 for row in rows)


def _set(answer: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return the answer with these probabilities, in its own form."""
    if isinstance(answer["probabilities"], list):
        made: Any = [{"value": k, "probability": v} for k, v in values.items()]
    else:
        made = values
    return {**answer, "probabilities": made, "choice": "1"}


MALFORMED = {
    "leaves an option out": ({"1": 1.0}, "leaves out the option '0'"),
    "offers another": ({"0": 0.1, "1": 0.8, "2": 0.1}, "was not offered"),
    "sums to less": ({"0": 0.2, "1": 0.7}, "sum to 0.9, not to 1"),
    "sums to more": ({"0": 0.4, "1": 0.602}, "sum to 1.002, not to 1"),
    "is negative": ({"0": -0.1, "1": 1.0}, "option '0': -0.1 is not in [0, 1]"),
    "is above one": ({"0": 0.0, "1": 1.1}, "option '1': 1.1 is not in [0, 1]"),
    "is NaN": ({"0": math.nan, "1": 0.5}, "nan is not in [0, 1]"),
    "is a text": ({"0": "0.5", "1": 0.5}, "'0.5' is not a number"),
    "is null": ({"0": None, "1": 0.5}, "None is not a number"),
    "is a boolean": ({"0": False, "1": True}, "is not a number"),
    "has another choice": ({"0": 0.9, "1": 0.1}, "'1' is not the most probable option"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_answer_is_an_error_with_its_reason(form, name, server, tmp_path):
    values, said = MALFORMED[name]
    server.spoil = lambda answer, _: _set(answer, values)
    with engine(server, tmp_path, form) as one:
        (row,) = hold(one, dialogues(1, ("baseline",)))
    assert row["status"] == "error" and row["prediction"] is None
    assert row["detail"].startswith("turn 1: error: malformed answer: ") and said in row["detail"]
    assert row["prediction_probability"] is None and row["stated_confidence"] is None
    assert len(server.bodies) == 1  # it is an answer: not asked for again
    assert row["cost_usd"] > 0


def test_a_sum_within_rounding_is_divided_by_itself(server):
    server.spoil = lambda answer, _: _set(answer, {"0": 0.3335, "1": 0.6670})
    (found,) = ask(provider(server, "openai"), [ASKED])
    assert found.finish == "stop"
    assert found.probabilities == pytest.approx((0.3335 / 1.0005, 0.6670 / 1.0005))
    assert math.fsum(found.probabilities) == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("choice", ["0", "1"])
def test_of_two_equal_options_the_stated_choice_counts(choice, server):
    server.spoil = lambda answer, _: {**_set(answer, {"0": 0.5, "1": 0.5}), "choice": choice}
    (found,) = ask(provider(server, "system_one"), [ASKED])
    assert found.text.endswith(f"PREDICTION: {choice}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a, _: {**a, "type": "score"}, "an answer of type 'score'"),
        (lambda a, _: {**a, "confidence": 1.5}, "confidence: 1.5 is not in [0, 1]"),
        (lambda a, _: {**a, "probabilities": None}, "its probabilities are not"),
        (lambda a, _: "yes", "the answer is not an object"),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_an_answer_of_another_shape_is_an_error(form, change, said, server):
    server.spoil = change
    (found,) = ask(provider(server, form), [ASKED])
    assert found.finish == "error" and said in (found.error or "") and not found.is_passing


def test_an_answer_without_confidence_has_its_probabilities_alone(server):
    server.spoil = lambda answer, _: {k: v for k, v in answer.items() if k != "confidence"}
    (found,) = ask(provider(server, "openai"), [ASKED])
    assert found.finish == "stop" and found.text in ("PREDICTION: 0", "PREDICTION: 1")


def test_an_option_that_is_listed_twice_is_an_error(server):
    twice = [{"value": "1", "probability": 0.5}, {"value": "1", "probability": 0.5}]
    server.spoil = lambda answer, _: {**answer, "probabilities": [*twice, *twice]}
    (found,) = ask(provider(server, "openai"), [ASKED])
    assert found.finish == "error" and "leaves out the option '0'" in (found.error or "")


def test_a_refusal_concerns_one_dialogue(server, tmp_path):
    def refuse(answer: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        is_asked = "Cloud number 1." in body["input"]
        return {"type": "refusal", "name": answer["name"]} if is_asked else answer

    server.spoil = refuse
    with engine(server, tmp_path, "openai") as one:
        rows = hold(one, dialogues(3, ("baseline",)))
    assert [row["status"] for row in rows] == ["ok", "refused", "ok"]
    assert rows[1]["detail"] == "turn 1: refused: the endpoint declined the question"


def test_a_refusal_of_turn_two_keeps_the_prediction(server, tmp_path):
    def refuse(answer: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        is_second = body["questions"][0]["name"] == "decision"
        return {"type": "refusal", "name": "decision"} if is_second else answer

    server.spoil = refuse
    with engine(server, tmp_path, "openai") as one:
        (row,) = hold(one, dialogues(1, ("baseline",)))
    assert row["status"] == "refused" and row["prediction"] in (0, 1) and row["escalate"] is None


def test_system_one_has_no_refusals(server):
    server.spoil = lambda *_: {"type": "refusal"}
    (found,) = ask(provider(server, "system_one"), [ASKED])
    assert found.finish == "error"  # none is documented


@pytest.mark.parametrize("status", [429, 500, 529])
def test_a_passing_failure_is_tried_again(status, server):
    server.failures = [(status, {"message": "Too many requests"})] * 2
    (found,) = ask(provider(server, "system_one"), [ASKED])
    assert found.finish == "stop" and len(server.bodies) == 3


def test_a_reply_without_answers_is_tried_again(server):
    server.failures = [(200, {"model": MODEL})]
    (found,) = ask(provider(server, "openai"), [ASKED])
    assert found.finish == "stop" and len(server.bodies) == 2


def test_a_request_that_the_endpoint_does_not_accept_is_an_error(server):
    server.failures = [(422, {"detail": [{"msg": "criteria: field required"}]})]
    (found,) = ask(provider(server, "system_one"), [ASKED])
    assert found.finish == "error" and "criteria: field required" in (found.error or "")


def test_a_wrong_key_ends_the_run_and_is_not_said():
    with decisions_server(key="another") as server:
        with pytest.raises(ProviderError, match="401") as raised:
            ask(provider(server, "openai", key_env="THE_KEY"), [ASKED])
        assert KEY not in str(raised.value)


def test_the_list_of_models_is_read_in_typesafes_form(server):
    here = place()
    assert check([card(server.url, "system_one")], here) == {}
    wrong = card(server.url, "system_one", model="fake-decide")
    assert "does not list the model" in str(check([wrong], here)["decider"])
    (found,) = listed([card(server.url, "system_one")], here)["decider"]
    assert (found.name, str(found.released)) == (MODEL, "2026-10-06")


def test_what_the_card_must_say(server):
    with pytest.raises(UsageError, match="decision_form"):
        connect(card(server.url, None), place())
    with pytest.raises(UsageError, match="has no batches"):
        connect(card(server.url, "openai", has_batches=True), place())
    thinking = Request(ASKED.messages, "PREDICTION:", 16, is_thinking=True)
    with pytest.raises(UsageError, match="does not support thinking"):
        provider(server, "openai").parameters(thinking)


def test_keys_contain_everything_that_determines_an_answer(server):
    def key(asked: Request = ASKED, form: str = "openai", **endpoint: Any) -> str:
        made = provider(server, form, **endpoint)
        return request_key(made.identity, asked, made.parameters(asked))

    second = Request(ASKED.messages, "DECISION:", 16, meanings=("a", "b"))
    keys = [
        key(),
        key(form="system_one"),
        key(model="other"),
        key(body={"safety_identifier": "x"}),
        key(Request(ASKED.messages, "PREDICTION:", 16, reads_choice=True)),
        key(Request(ASKED.messages, "PREDICTION:", 16, reads_choice=True, meanings=("a", "b"))),
        key(second),
        key(second, second_question="predicate"),
    ]
    assert len(set(keys)) == len(keys)
    assert key(second_question="predicate") == key()  # turn 1 is a choice in any case
    assert request_of(request_parts(ASKED, {})) == ASKED


@pytest.mark.parametrize("form", FORMS)
def test_a_local_model_answers_in_the_same_form(form, tiny_weights, tmp_path):
    """The readout of a local model behind the wire gives what the model gives without it."""
    local = connect(ModelCard.model_validate(tiny_card(tiny_weights)), workspace(tmp_path))
    probabilities = readout(local)
    with decisions_server(probabilities) as server, engine(server, tmp_path, form) as one:
        rows = hold(one, dialogues(2, ("baseline",)))
    assert {row["status"] for row in rows} == {"ok"}
    for row in rows:
        content, _, question = row["prompt"].rpartition("\n\n")
        direct = probabilities(content, question, ("0", "1"))
        assert row["prediction_probability"] == pytest.approx(max(direct), abs=1e-9)
        assert row["prediction"] == direct.index(max(direct))


def test_a_system_prompt_is_refused_before_anything_is_asked(server, tmp_path):
    asked = [
        replace(one, protocol=replace(one.protocol, system="Be careful.")) for one in dialogues(1)
    ]
    with engine(server, tmp_path, "openai") as one, pytest.raises(UsageError, match="no system"):
        hold(one, asked)
    assert not server.bodies
