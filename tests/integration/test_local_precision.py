"""Precision of a local model: its keys, its answers, and what is imported to find it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from escalometer.config import ModelCard
from escalometer.dialogue.elicitation.keys import Keys
from escalometer.dialogue.providers import connect
from escalometer.dialogue.providers.local import loading, precision
from tests.conftest import tiny_card, workspace
from tests.integration.test_local_models import PROMPTS, Plain, ask

#: Imports the provider, connects a card and prints the precision, and whether torch was imported.
PROGRAM = """
import json, sys
from pathlib import Path
from escalometer.config import ModelCard, Workspace
from escalometer.dialogue.providers import connect
here = Path(sys.argv[2])
provider = connect(ModelCard.model_validate(json.loads(sys.argv[1])), Workspace(here, here, here))
print(provider.identity["precision"], "torch" in sys.modules)
"""


def card(weights: Path, **changes) -> ModelCard:
    return ModelCard.model_validate({**tiny_card(weights), **changes})


@pytest.mark.skipif(precision.has_driver(), reason="this machine has a GPU")
def test_without_a_gpu_the_precision_is_known_without_torch(tiny_weights, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(tiny_card(tiny_weights)), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["float32", "False"]


@pytest.mark.parametrize("file", ["nvidiactl", "nvidia0", "kfd"])
def test_the_driver_of_a_gpu_is_seen_by_its_files(monkeypatch, tmp_path, file):
    monkeypatch.setattr(precision, "_DEVICES", tmp_path)
    assert not precision.has_driver()
    (tmp_path / file).touch()
    assert precision.has_driver()


@pytest.mark.parametrize(
    ("has_cuda", "is_native", "expected"),
    [(True, True, "bfloat16"), (True, False, "float32"), (False, False, "float32")],
)
def test_auto_is_bfloat16_on_a_gpu_that_computes_in_it(
    monkeypatch, tmp_path, tiny_weights, has_cuda, is_native, expected
):
    monkeypatch.setattr(precision, "has_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: is_native)
    assert precision.resolved(card(tiny_weights)) == expected
    assert precision.resolved(card(tiny_weights, precision="float16")) == "float16"


@pytest.mark.skipif(precision.has_driver(), reason="this machine has a GPU")
def test_keys_on_the_cpu_are_those_of_float32_and_others_differ(tiny_weights, tmp_path):
    keys = {
        name: Keys(connect(card(tiny_weights, precision=name), workspace(tmp_path)))(ask("Rain?"))
        for name in ("auto", "float32", "bfloat16", "float16")
    }
    assert keys["auto"] == keys["float32"]
    assert len(set(keys.values())) == 3
    assert connect(card(tiny_weights), workspace(tmp_path)).identity == {
        "provider": "local",
        "model": "tiny",
        "revision": connect(card(tiny_weights), workspace(tmp_path)).identity["revision"],
        "precision": "float32",
    }


def test_bfloat16_answers_as_generate_in_bfloat16(tiny_weights, tmp_path):
    plain = Plain(tiny_weights)
    plain.model = AutoModelForCausalLM.from_pretrained(tiny_weights, dtype=torch.bfloat16).eval()
    provider = connect(card(tiny_weights, precision="bfloat16"), workspace(tmp_path))
    answers = dict(provider.complete([ask(prompt) for prompt in PROMPTS]))
    assert provider._model.dtype is torch.bfloat16
    assert [answers[i].text for i in range(len(PROMPTS))] == [plain.text(ask(p)) for p in PROMPTS]


@pytest.mark.usefixtures("tiny_adapter")
def test_an_adapter_is_merged_before_rounding_and_buffers_keep_their_type(tiny_weights, tmp_path):
    adapted = card(tiny_weights, adapter="careful")
    whole, _ = loading.load(adapted, workspace(tmp_path), "float32")
    rounded, _ = loading.load(adapted, workspace(tmp_path), "bfloat16")
    name = "model.layers.0.self_attn.o_proj.weight"
    assert rounded.dtype is torch.bfloat16
    plain = AutoModelForCausalLM.from_pretrained(tiny_weights, dtype=torch.bfloat16)
    assert {n: b.dtype for n, b in rounded.named_buffers()} == {
        n: b.dtype for n, b in plain.named_buffers()
    }
    assert rounded.get_parameter(name).shape == plain.get_parameter(name).shape
    assert not torch.equal(rounded.get_parameter(name), plain.get_parameter(name))
    assert whole.dtype is torch.float32
