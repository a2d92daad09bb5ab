"""A card from what a person has at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from escalometer.config import load_card
from escalometer.errors import UsageError
from escalometer.operations.model_cards import add_card, card_named


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path


def added(given: str, root: Path):
    return load_card(add_card(given, root).stem, root / "models")


def test_an_address_with_a_model(root):
    card = added("http://127.0.0.1:8080/v1/#Qwen/Qwen3-8B", root)
    assert card.id == "qwen-qwen3-8b"
    assert (card.provider, card.endpoint.base_url) == ("openai", "http://127.0.0.1:8080/v1")
    assert card.endpoint.model == "Qwen/Qwen3-8B"
    assert card.price is None  # unknown: nobody may be charged unawares


def test_a_pinned_id_on_the_hub(root):
    commit = "0123456789abcdef0123456789abcdef01234567"
    card = added(f"HuggingFaceTB/SmolLM2-135M@{commit}", root)
    assert (card.provider, card.source.revision) == ("local", commit)
    assert card.price.is_free


def test_a_folder(root, tiny_weights):
    assert added(str(tiny_weights), root).source.path == tiny_weights


def test_a_model_of_inspect_ai_gets_its_card_once(root):
    name = card_named("inspect/anthropic/claude-x", root)
    assert name == "inspect-anthropic-claude-x"
    assert load_card(name, root / "models").endpoint.model == "anthropic/claude-x"
    assert card_named("inspect/anthropic/claude-x", root) == name
    assert len(list((root / "models").glob("*.yaml"))) == 1


@pytest.mark.parametrize("given", ["owner/name", "owner/name@main", "http://h/v1", "", "/nowhere"])
def test_anything_else_is_told_what_it_may_be(root, given):
    with pytest.raises(UsageError, match="accepted are inspect/"):
        add_card(given, root)


def test_no_card_is_written_over(root):
    add_card("http://h/v1#m", root)
    with pytest.raises(UsageError, match="exists already"):
        add_card("http://h/v1#m", root)
    assert add_card("http://h/v1#m", root, "another").stem == "another"
