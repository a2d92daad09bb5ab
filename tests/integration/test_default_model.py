"""The default model itself: its converted weights speak, and we decode it greedily, no more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from escalometer import cli
from escalometer.cases.task import PREDICTION_MARKER
from escalometer.config import load_card
from escalometer.dialogue.parsing import parse_marker
from escalometer.dialogue.providers import Request, connect
from tests.conftest import ROOT, workspace

pytestmark = pytest.mark.slow

QUESTION = "What is the capital of France?"


@pytest.fixture(scope="module")
def cache() -> Path:
    card = load_card("smollm2-135m-instruct", ROOT / "models")
    folder = cli.workspace().cache
    if not (folder / "models" / f"{card.id}-{card.source.sha256[:12]}").exists():
        assert "CI" not in os.environ, "CI fetches the default model before the tests"
        pytest.skip("the default model's weights are not in the cache: `make model` fetches them")
    return folder


def test_it_answers_and_we_decode_as_plain_greedy_decoding_does(cache):
    card = load_card("smollm2-135m-instruct", ROOT / "models")
    prompts = (QUESTION, "Name a color of the rainbow, and say why you like it.")
    requests = [Request((("user", prompt),), PREDICTION_MARKER, 12) for prompt in prompts]
    answers = dict(connect(card, workspace(cache)).complete(requests))
    assert "Paris" in answers[0].text

    folder = cache / "models" / f"{card.id}-{card.source.sha256[:12]}"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for i, prompt in enumerate(prompts):
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        out = model.generate(**ids, do_sample=False, max_new_tokens=12)
        plain = tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
        assert answers[i].text == plain


def test_an_answer_that_lacks_its_marker_is_closed(cache):
    card = load_card("smollm2-135m-instruct", ROOT / "models")
    request = Request((("user", QUESTION),), PREDICTION_MARKER, 12, force_answer=True)
    ((_, answer),) = connect(card, workspace(cache)).complete([request])
    assert answer.finish == "forced"
    assert parse_marker(answer.text, PREDICTION_MARKER) in (0, 1)
