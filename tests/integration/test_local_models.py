"""The local provider: other architectures, adapters, little memory, thinking, choice readout."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from escalometer.cases.task import DECISION_MARKER, PREDICTION_MARKER
from escalometer.config import ModelCard
from escalometer.dialogue.providers import Request, connect
from escalometer.errors import ProviderError
from escalometer.layout import adapter_files
from escalometer.runtime.files import digest_of_files
from tests.conftest import tiny_card, workspace

PROMPTS = ["Rain?", "A much longer question about the weather.", "x", "Snow or not? " * 5]
SIZES = {
    "vocab_size": 258,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 4096,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
    "initializer_range": 0.6,
}


def ask(prompt: str, **changes) -> Request:
    fields = {"marker": PREDICTION_MARKER, "max_tokens": 8, **changes}
    return Request(messages=(("user", prompt),), **fields)


def answered(first: Request, text: str, told: str, **changes) -> Request:
    messages = (*first.messages, ("assistant", text), ("user", told))
    fields = {"marker": DECISION_MARKER, "max_tokens": 8, **changes}
    return Request(messages=messages, **fields)


class Plain:
    """The same model by transformers alone."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def ids(self, request: Request) -> torch.Tensor:
        messages = [{"role": role, "content": content} for role, content in request.messages]
        return self.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )["input_ids"]

    def text(self, request: Request) -> str:
        ids = self.ids(request)
        out = self.model.generate(ids, do_sample=False, max_new_tokens=request.max_tokens)
        return self.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)

    def shares(self, request: Request) -> list[float]:
        closing = self.tokenizer(request.marker + " ", return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            logits = self.model(torch.cat([self.ids(request), closing], dim=1)).logits[0, -1]
        offered = [self.tokenizer(choice)["input_ids"][0] for choice in request.choices]
        return logits[offered].double().softmax(-1).tolist()


def of_kind(kind: str, tiny_weights: Path, folder: Path) -> Path:
    """A tiny random model of an architecture, with the tiny tokenizer."""
    from transformers import AutoConfig

    shutil.copytree(tiny_weights, folder)
    torch.manual_seed(3)
    more = {
        "mistral": {"num_hidden_layers": 2, "sliding_window": 16},
        "gemma3_text": {
            "num_hidden_layers": 3,
            "sliding_window": 16,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
        },
        "qwen3_next": {
            "num_hidden_layers": 2,
            "layer_types": ["linear_attention", "full_attention"],
            "linear_num_value_heads": 4,
            "linear_num_key_heads": 2,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "num_experts": 0,
            "mlp_only_layers": [0, 1],
        },
    }[kind]
    config = AutoConfig.for_model(kind, **SIZES | more)
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["mistral", "gemma3_text", "qwen3_next"])
def test_windows_and_recurrent_layers_change_no_answer(kind, tiny_weights, tmp_path):
    folder = of_kind(kind, tiny_weights, tmp_path / kind)
    provider = connect(ModelCard.model_validate(tiny_card(folder)), workspace(tmp_path))
    plain = Plain(folder)
    first = [ask(prompt) for prompt in PROMPTS]
    answers = dict(provider.complete(first))
    assert [answers[i].text for i in range(4)] == [plain.text(request) for request in first]
    second = [
        answered(request, answers[i].text, told)
        for i, request in enumerate(first)
        for told in ("Cost 4?", "Being wrong costs 20 times as much.")
    ]
    decided = dict(provider.complete(second))
    assert [decided[i].text for i in range(8)] == [plain.text(request) for request in second]


@pytest.mark.parametrize("choices", [("0", "1"), ("A", "B", "C")])
def test_a_choice_is_read_off_one_pass_in_both_turns(tiny_weights, tmp_path, choices):
    provider = connect(ModelCard.model_validate(tiny_card(tiny_weights)), workspace(tmp_path))
    plain = Plain(tiny_weights)
    first = [ask(prompt, reads_choice=True, choices=choices) for prompt in PROMPTS]
    provider._load()
    passes, logits = [], provider._decoder._logits
    provider._decoder._logits = lambda **how: (passes.append(how["input_ids"]), logits(**how))[1]
    answers = dict(provider.complete(first))
    assert len(passes) == 1
    second = [
        answered(request, answers[i].text, told, reads_choice=True)
        for i, request in enumerate(first)
        for told in ("Cost 4?", "Cost 20?")
    ]
    passes.clear()
    decided = dict(provider.complete(second))
    assert max(block.shape[1] for block in passes) < min(
        answer.n_prompt_tokens for answer in decided.values()
    )
    for requests, got in ((first, answers), (second, decided)):
        for i, request in enumerate(requests):
            shares = plain.shares(request)
            assert got[i].probabilities == pytest.approx(shares, abs=1e-5)
            likeliest = request.choices[shares.index(max(shares))]
            assert got[i].text == f"{request.marker} {likeliest}"
            assert got[i].finish == "stop"


def test_memory_that_cannot_be_had_makes_batches_smaller(tiny_weights, tmp_path):
    card = ModelCard.model_validate(tiny_card(tiny_weights))
    requests = [ask(prompt) for prompt in PROMPTS]
    expected = dict(connect(card, workspace(tmp_path)).complete(requests))
    provider = connect(card, workspace(tmp_path))
    provider._load()
    logits = provider._decoder._logits

    def scarce(input_ids, **how):
        if input_ids.shape[0] * input_ids.shape[1] > 110:  # the longest prompt alone is too much
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return logits(input_ids=input_ids, **how)

    provider._decoder._logits = scarce
    requests.append(ask("Too long. " * 30))
    answers = dict(provider.complete(requests))
    assert [answers[i].text for i in range(4)] == [expected[i].text for i in range(4)]
    assert answers[4].finish == "error"
    assert "memory" in answers[4].error


def test_another_error_of_the_model_is_not_taken_for_little_memory(tiny_weights, tmp_path):
    provider = connect(ModelCard.model_validate(tiny_card(tiny_weights)), workspace(tmp_path))
    provider._load()

    def broken(**how):
        raise RuntimeError("shapes do not match")

    provider._decoder._logits = broken
    with pytest.raises(RuntimeError, match="shapes"):
        list(provider.complete([ask("x")]))


def thinking_card(weights: Path, **thinking) -> ModelCard:
    return ModelCard.model_validate({**tiny_card(weights), "thinking": thinking})


def test_thinking_has_a_budget_of_its_own_and_is_kept_apart(tiny_weights, tmp_path):
    card = thinking_card(tiny_weights, on={"enable_thinking": True}, off={}, max_tokens=10)
    provider = connect(card, workspace(tmp_path))
    thought, plain = (
        dict(provider.complete([ask(PROMPTS[1], is_thinking=thinks)]))[0]
        for thinks in (True, False)
    )
    assert thought.n_completion_tokens == 18
    assert plain.n_completion_tokens == 8
    assert thought.text == ""  # the template opens the tag, and this model never closes it
    assert thought.thinking
    assert plain.thinking == ""
    assert provider.parameters(ask("Rain?", is_thinking=True)) == {
        "template": {"enable_thinking": True},
        "max_thinking_tokens": 10,
    }
    assert provider.parameters(ask("Rain?")) == {}


def test_a_model_that_cannot_think_says_so(tiny_weights, tmp_path):
    provider = connect(thinking_card(tiny_weights, on=None), workspace(tmp_path))
    with pytest.raises(ProviderError, match="cannot think"):
        list(provider.complete([ask("x", is_thinking=True)]))


@pytest.fixture
def adapted(tiny_weights, tiny_adapter) -> tuple[ModelCard, Path]:
    """A card with a trained adapter (random weights), and the adapter's folder."""
    card = ModelCard.model_validate({**tiny_card(tiny_weights), "adapter": "careful"})
    return card, tiny_adapter


def test_an_adapter_is_merged_and_part_of_the_identity(adapted, tiny_weights, tmp_path):
    from peft import PeftModel

    card, folder = adapted
    provider = connect(card, workspace(tmp_path))
    plain = Plain(tiny_weights)
    bare = [plain.text(ask(prompt)) for prompt in PROMPTS]
    plain.model = PeftModel.from_pretrained(plain.model, folder).eval()
    answers = dict(provider.complete([ask(prompt) for prompt in PROMPTS]))
    expected = []
    for prompt in PROMPTS:
        ids = plain.ids(ask(prompt))
        out = plain.model.generate(input_ids=ids, do_sample=False, max_new_tokens=8)
        expected.append(plain.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))
    assert [answers[i].text for i in range(4)] == expected != bare
    assert provider.identity["adapter"].startswith("careful@sha256:")
    other = provider.identity["adapter"]
    about = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    (folder / "adapter_config.json").write_text(json.dumps({**about, "lora_alpha": 16}), "utf-8")
    assert connect(card, workspace(tmp_path)).identity["adapter"] != other


def spoil_weights(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:100])


def pickle_weights(folder: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


def lose_a_tensor(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "adapter_model.safetensors")
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, folder / "adapter_model.safetensors")


def change(**keys):
    def changed(folder: Path) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | keys), "utf-8")

    return changed


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_weights, "broken adapter_model.safetensors"),
        (pickle_weights, "pickled adapter_model.bin is not read"),
        (lose_a_tensor, "made for another model .*tensors do not fit"),
        (change(r=8), "made for another model .*tensors do not fit"),
        (change(target_modules=["qkv_fused"]), "made for another model"),
        (change(peft_type="IA3"), "adapter_config.json|only LORA"),
        (change(base_model_name_or_path="someone/other"), "trained on someone/other"),
        (lambda folder: shutil.rmtree(folder), "lacks adapter_config.json and"),
        (lambda folder: (folder / "adapter_config.json").write_text("{"), "broken adapter_config"),
    ],
)
def test_an_adapter_that_cannot_be_used_is_refused(adapted, tmp_path, spoil, said):
    card, folder = adapted
    card = card.model_copy(update={"hub_id": "someone/tiny"})
    spoil(folder)
    with pytest.raises(ProviderError, match=said):
        list(connect(card, workspace(tmp_path)).complete([ask("x")]))


def train_on_others(folder: Path) -> None:
    record = {"model": "other", "revision": "sha256:0123"}
    (folder / "training.json").write_text(json.dumps(record), "utf-8")


def flip_a_bit(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            flip_a_bit,
            r"is not the one that models/tiny\.yaml names.*git checkout.*dvc checkout.*seal --cell",
        ),
        (spoil_weights, "is not the one"),
        (change(lora_alpha=16), "is not the one"),
        (change(base_model_name_or_path="someone/other"), "trained on someone/other"),
        (train_on_others, r"was trained on other \(sha256:0123\), but the card's weights are"),
        (pickle_weights, "pickled adapter_model.bin is not read"),
        (lambda folder: (folder / "adapter_config.json").write_text("[]"), "it is not a mapping"),
        (lambda folder: (folder / "training.json").write_text("{"), "a broken training.json"),
    ],
)
def test_of_a_sealed_card_no_other_byte_is_loaded(adapted, tmp_path, spoil, said):
    card, folder = adapted
    sealed = {"hub_id": "someone/tiny", "adapter_sha256": digest_of_files(adapter_files(folder))}
    card = card.model_copy(update=sealed)
    assert connect(card, workspace(tmp_path)).identity["adapter"].startswith("careful@sha256:")
    spoil(folder)
    with pytest.raises(ProviderError, match=said):
        connect(card, workspace(tmp_path))
