"""Every card that ships can be read, says where its price stands, and holds no key."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from escalometer.analysis.card_notes import TYPED, notes_of
from escalometer.config import ModelCard, Thinking, load_card, model_names
from escalometer.config._reading import _model_in
from escalometer.dialogue.providers import Request
from escalometer.dialogue.providers.decisions import questions
from tests.conftest import ROOT

FOLDER = ROOT / "models"
CARDS = {name: load_card(name, FOLDER) for name in model_names(FOLDER)}
REMOTE = {name: card for name, card in CARDS.items() if card.provider != "local"}
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
#: What keys of the services look like. The names of models and repositories do not.
KEY = re.compile(
    r"\b(?:sk|gsk|pk|hf|tgp|rk|xai|fw|nvapi)[-_][A-Za-z0-9_-]{16,}"
    r"|\bAIza[A-Za-z0-9_-]{20,}"
    r"|\bBearer\s+\S+"
)
STUDY = {
    "claude-opus-4-7",
    "claude-sonnet-4-6",
    "gemma-3-12b-it",
    "gemma-3-4b-it",
    "gpt-5-mini",
    "gpt-5-nano",
    "llama-3.3-70b-instruct",
    "llama-4-maverick",
    "mistral-small-24b-instruct",
    "mixtral-8x7b-instruct",
    "qwen3.5-397b-a17b",
    "qwen3.5-4b",
    "qwen3.5-9b",
}


def starting_with(role: str) -> set[str]:
    return {name for name in CARDS if (FOLDER / f"{name}.yaml").read_text("utf-8").startswith(role)}


def is_here(card: ModelCard) -> bool:
    return card.endpoint is None or urlsplit(card.endpoint.base_url).hostname in LOOPBACK


def test_the_thirteen_models_of_the_study_and_at_least_eight_current_ones_ship():
    said = {
        name
        for name in starting_with("# Study: ")
        if "one of its thirteen models" in (FOLDER / f"{name}.yaml").read_text("utf-8")
    }
    assert said == STUDY
    assert len(starting_with("# Current")) >= 8
    assert starting_with("# Template: ") == {
        *("local-llama-cpp", "local-ollama", "local-vllm"),
        *("local-sglang-decisions", "local-vllm-decisions"),
    }


@pytest.mark.parametrize("name", CARDS)
def test_a_card_says_what_a_run_needs(name):
    card = CARDS[name]
    assert card.id == name
    assert card.context > 0
    assert card.licence.strip()
    assert card.thinking is None or card.thinking.on is not None


@pytest.mark.parametrize("name", REMOTE)
def test_a_remote_model_is_asked_over_https_unless_it_is_on_this_machine(name):
    endpoint = REMOTE[name].endpoint
    assert endpoint is not None
    address = urlsplit(endpoint.base_url)
    assert not address.query
    if address.hostname in LOOPBACK:
        assert endpoint.key_env is None
    else:
        assert address.scheme == "https"
        assert endpoint.key_env is not None
        assert endpoint.key_env.endswith("_API_KEY")


@pytest.mark.parametrize("name", CARDS)
def test_a_price_says_who_asks_it_and_when(name):
    price = CARDS[name].price
    if price is None:
        assert not is_here(CARDS[name])  # nothing that runs here goes without its price of nothing
    elif price.is_free:
        assert is_here(CARDS[name])
    else:
        assert price.source is not None
        assert price.source.startswith("https://")
        assert price.as_of is not None
        cached = price.cached_input_usd_per_million
        assert cached is None or cached <= price.input_usd_per_million


@pytest.mark.parametrize("name", CARDS)
def test_no_card_holds_a_key(name):
    assert not KEY.search((FOLDER / f"{name}.yaml").read_text("utf-8"))


@pytest.mark.parametrize(
    "text", ["sk-proj-" + "a1B2" * 8, "tgp_v1_" + "a1B2" * 8, "AIza" + "a1B2" * 8, "Bearer abc"]
)
def test_a_key_would_be_seen(text):
    assert KEY.search(f"  authorization: {text}\n")


@pytest.mark.parametrize(
    "name",
    [
        n
        for n, card in REMOTE.items()
        if card.endpoint
        and card.endpoint.model.startswith("gpt")
        and card.provider != "decisions"  # takes neither: see below
    ],
)
def test_reasoning_models_of_openai_get_the_fields_that_they_take(name):
    endpoint = CARDS[name].endpoint
    assert endpoint is not None
    assert endpoint.tokens_field == "max_completion_tokens"
    assert endpoint.temperature is None
    assert not endpoint.has_logprobs


DECIDING = {name: card for name, card in CARDS.items() if card.provider == "decisions"}


@pytest.mark.parametrize("name", DECIDING)
def test_a_decision_model_is_sent_its_question_and_nothing_else(name):
    card, endpoint = DECIDING[name], DECIDING[name].endpoint
    assert endpoint is not None and endpoint.decision_form is not None
    assert card.thinking is None and not endpoint.has_batches and not endpoint.has_logprobs
    asked = Request(
        (("user", "Case.\n\nTASK: Predict it."),), "PREDICTION:", 16, meanings=("a", "b")
    )
    content = "input" if endpoint.decision_form == "openai" else "state"
    assert set(questions.body(endpoint, asked)) == {"model", content, "questions"}
    text = (FOLDER / f"{name}.yaml").read_text("utf-8")
    assert re.search(
        r"^# .*\b(docs|github|page)\b", text, re.MULTILINE
    )  # says where its form is from


def test_terms_that_forbid_publishing_are_on_the_card_and_in_the_notes():
    terms = CARDS["jev-1.13.0"].terms
    assert terms is not None and terms.forbids_publishing
    (typed, note) = notes_of(CARDS["jev-1.13.0"])
    assert typed == TYPED
    assert "Do not publish these results. Source: https://typesafe.ai/legal/mca" in note
    assert notes_of(CARDS["gpt-6-luna-decisions"]) == (TYPED,)
    assert notes_of(CARDS["gpt-6-luna"]) == ()
    allowed = terms.model_copy(update={"forbids_publishing": False})
    card = CARDS["gpt-6-luna"].model_copy(update={"terms": allowed})
    assert "Do not publish" not in notes_of(card)[0]


@pytest.mark.parametrize("name", [n for n, card in CARDS.items() if card.thinking])
def test_a_thinking_budget_fits_into_what_is_asked_for(name):
    thinking = CARDS[name].thinking
    assert thinking is not None
    assert thinking.on is not None
    budget = thinking.on.get("thinking", {}).get("budget_tokens", 1)
    assert budget <= thinking.max_tokens  # which comes on top of the answer's own tokens


def test_the_study_asked_gpt_5_mini_at_two_efforts():
    thinking = CARDS["gpt-5-mini"].thinking
    assert thinking is not None
    assert thinking.on == {"reasoning_effort": "medium"}
    assert thinking.off == {"reasoning_effort": "minimal"}


def test_on_and_off_may_stand_in_yaml_as_they_are():
    read = Thinking.model_validate({True: {"a": 1}, False: None})
    assert read == Thinking(on={"a": 1}, off=None)


def test_the_readme_beside_the_cards_is_no_card():
    assert (FOLDER / "README.md").exists()
    assert "README" not in CARDS


def test_the_readme_explains_every_key():
    text = (FOLDER / "README.md").read_text("utf-8")
    sections = [ModelCard]
    for section in sections:
        for key, info in section.model_fields.items():
            assert f"`{key}`" in text, f"{section.__name__}.{key} is not explained"
            inner = _model_in(info.annotation)
            if inner is not None and inner not in sections:
                sections.append(inner)
