"""Steps that stay on the device: the answers of plain greedy decoding, checked every few steps."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM

from escalometer.config import ModelCard
from escalometer.dialogue.providers import connect
from escalometer.dialogue.providers.local import sizes
from escalometer.dialogue.providers.local.device_steps import DeviceSteps
from escalometer.dialogue.providers.local.provider import LocalProvider
from tests.conftest import tiny_card, workspace
from tests.integration.test_local_models import PROMPTS, Plain, answered, ask, of_kind


@pytest.fixture(params=[2, 3, 8])
def checking_every(request: pytest.FixtureRequest) -> int:
    return request.param


def stepping(weights, folder, check_every: int, **changes) -> LocalProvider:
    """A provider whose steps stay on the device, as they do on CUDA."""
    card = ModelCard.model_validate({**tiny_card(weights), **changes})
    provider = connect(card, workspace(folder))
    provider._load()
    provider._decoder.check_every = check_every
    return provider


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_both_turns_are_those_of_generate(tiny_weights, tmp_path, checking_every, precision):
    provider = stepping(tiny_weights, tmp_path, checking_every, precision=precision)
    plain = Plain(tiny_weights)
    plain.model = AutoModelForCausalLM.from_pretrained(
        tiny_weights, dtype=getattr(torch, precision)
    ).eval()
    first = [ask(prompt, max_tokens=20) for prompt in PROMPTS]
    answers = dict(provider.complete(first))
    assert [answers[i].text for i in range(4)] == [plain.text(request) for request in first]
    second = [
        answered(request, answers[i].text, told)
        for i, request in enumerate(first)
        for told in ("Cost 4?", "Being wrong costs 20 times as much.")
    ]
    decided = dict(provider.complete(second))
    assert all(answer.n_cached_tokens > 0 for answer in decided.values())
    assert [decided[i].text for i in range(8)] == [plain.text(request) for request in second]


def test_rows_of_different_lengths_leave_and_the_cache_grows(
    tiny_weights, tmp_path, checking_every
):
    budgets = [1, 3, 5, 9, 30, 200]
    requests = [ask(f"question {n}", max_tokens=n) for n in budgets]
    expected = dict(stepping(tiny_weights, tmp_path, 1).complete(requests))
    answers = dict(stepping(tiny_weights, tmp_path, checking_every).complete(requests))
    for i in range(len(budgets)):
        assert answers[i].text == expected[i].text
        assert answers[i].finish == expected[i].finish
        assert answers[i].n_completion_tokens == expected[i].n_completion_tokens


def scripted(provider: LocalProvider, script: str) -> None:
    """Let the model write `script`: a random one writes no marker."""
    letters = iter(script)

    def saying(input_ids, **how):
        logits = torch.zeros(1, 258)
        logits[0, provider._tokenizer.encode(next(letters, "~"))[0]] = 1
        return logits

    provider._decoder._logits = saying


@pytest.mark.parametrize(
    ("script", "choices", "text", "n_tokens"),
    [
        ("so PREDICTION: 1 and then it rambles on", ("0", "1"), "so PREDICTION: 1", 16),
        ("so PREDICTION: B. And then it rambles", ("A", "B", "C"), "so PREDICTION: B", 18),
        ("PREDICTION: Billing. PREDICTION: B", ("A", "B", "C"), "PREDICTION: Billing. PREDI", 26),
        ("<think>PREDICTION: A</think>PREDICTION: B  ", ("A", "B", "C"), "PREDICTION: B", 43),
    ],
)
def test_an_answer_ends_at_its_marker_as_if_every_token_were_checked(
    tiny_weights, tmp_path, checking_every, script, choices, text, n_tokens
):
    provider = stepping(tiny_weights, tmp_path, checking_every)
    scripted(provider, script)
    budget = 26 if "Billing" in script else 60
    ((_, answer),) = provider.complete([ask("Rain?", max_tokens=budget, choices=choices)])
    assert (answer.text, answer.n_completion_tokens) == (text, n_tokens)


def test_little_memory_in_a_step_makes_batches_smaller(tiny_weights, tmp_path, checking_every):
    requests = [ask(prompt) for prompt in PROMPTS]
    expected = dict(stepping(tiny_weights, tmp_path, 1).complete(requests))
    provider = stepping(tiny_weights, tmp_path, checking_every)
    logits = provider._decoder._logits

    def scarce(input_ids, **how):
        if input_ids.shape[1] == 1 and input_ids.shape[0] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return logits(input_ids=input_ids, **how)

    provider._decoder._logits = scarce
    answers = dict(provider.complete(requests))
    assert [answers[i].text for i in range(4)] == [expected[i].text for i in range(4)]
    assert provider.batch_size == 2


def test_little_memory_for_a_shared_beginning_leaves_it_unshared(tiny_weights, tmp_path):
    told = "A long story. " * 12
    requests = [ask(f"{told}{i}") for i in range(6)]
    expected = dict(stepping(tiny_weights, tmp_path, 1).complete(requests))
    provider = stepping(tiny_weights, tmp_path, 8)
    logits = provider._decoder._logits
    n_failed = 0

    def scarce(input_ids, **how):
        nonlocal n_failed
        if not n_failed:
            n_failed += 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return logits(input_ids=input_ids, **how)

    provider._decoder._logits = scarce
    answers = dict(provider.complete(requests))
    assert n_failed == 1
    assert [answers[i].text for i in range(6)] == [expected[i].text for i in range(6)]


@pytest.mark.parametrize("kind", ["mistral", "qwen3_next"])
def test_windows_and_recurrent_layers_are_stepped_from_the_host(kind, tiny_weights, tmp_path):
    from escalometer.dialogue.providers.local.decoding import Decoder

    folder = of_kind(kind, tiny_weights, tmp_path / kind)
    for weights, expected in ((folder, 1), (tiny_weights, 8)):
        model = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32).eval()
        assert Decoder(model, 1, check_every=8).check_every == expected
        assert Decoder(model, 1).check_every == 1  # no GPU


def test_a_step_changes_its_state_in_place(tiny_weights, tmp_path):
    """What a graph replays must be at the same addresses."""
    provider = stepping(tiny_weights, tmp_path, 2)
    batch, logits = provider._decoder.start([[5, 6, 7], [8, 9]], [None, None], 8)
    steps = DeviceSteps(
        provider._decoder._logits, batch.cache, batch.first, batch.end, logits.argmax(-1)
    )
    state = (steps.tokens, steps._positions, steps._slot, steps._mask)
    state += tuple(layer.keys for layer in batch.cache.layers)
    places = [x.data_ptr() for x in state]
    read = steps.run(3)
    assert [len(row) for row in read] == [3, 3]
    assert [x.data_ptr() for x in (steps.tokens, steps._positions, steps._slot, steps._mask)] + [
        layer.keys.data_ptr() for layer in batch.cache.layers
    ] == places
    assert steps.capture(31, None)  # too few steps to be worth a graph


def test_sizes_follow_free_memory():
    gib = 2**30
    # Qwen3 4B in bfloat16: 147,456 bytes a token.
    assert sizes.gpu_rows(72 * gib, 147_456, 550) == 238
    assert sizes.gpu_rows(130 * gib, 147_456, 400) == 591
    assert sizes.gpu_rows(2 * gib, 147_456, 550) == 64  # batches are split by what is free
    assert sizes.gpu_rows(500 * gib, 20_000, 400) == 1024

    class Config:
        hidden_size = 2560
        intermediate_size = 9728

    assert sizes.gpu_block_tokens(72 * gib, Config, 2) == 16_384
    assert 1024 < sizes.gpu_block_tokens(10 * gib, Config, 2) < 16_384
    assert sizes.gpu_block_tokens(0, Config, 2) == 1024


def test_the_batch_of_a_gpu_is_found_from_its_memory(tiny_weights, tmp_path, monkeypatch):
    from escalometer.dialogue.providers.local import precision

    provider = stepping(tiny_weights, tmp_path, 8)
    assert provider.batch_size == sizes.CPU_ROWS
    monkeypatch.setattr(precision, "has_driver", lambda: True)
    assert provider.batch_size == sizes.CPU_ROWS  # a driver, but torch has no GPU
    monkeypatch.setattr(LocalProvider, "_is_gpu", True)
    provider._free_bytes = 400 * provider._decoder.bytes_per_token * sizes.TYPICAL_TOKENS
    assert provider.batch_size == 100
    provider._n_longest = 2 * sizes.TYPICAL_TOKENS
    assert provider.batch_size == 64
    provider.batch_size = 7
    assert provider.batch_size == 7


def test_forked_rows_are_copied_together_and_read_only_what_is_new(tiny_weights, tmp_path):
    told = "A long story. " * 12
    expected, copied = (stepping(tiny_weights, tmp_path, every) for every in (1, 8))
    reads: dict[int, list[int]] = {}
    answers = []
    for provider in (expected, copied):
        read, logits = reads.setdefault(id(provider), []), provider._decoder._logits
        provider._decoder._logits = lambda input_ids, read=read, logits=logits, **how: (
            read.append(input_ids.numel() if input_ids.shape[1] > 1 else 0),
            logits(input_ids=input_ids, **how),
        )[1]
        first = dict(provider.complete([ask(f"{told}{i}") for i in range(3)]))
        second = [
            answered(ask(f"{told}{i}"), first[i].text, f"Cost {cost}? " + "Go. " * cost)
            for i in range(3)
            for cost in range(5)
        ]
        answers.append([a.text for _, a in sorted(dict(provider.complete(second)).items())])
    assert answers[0] == answers[1]
    assert sum(reads[id(expected)]) == sum(reads[id(copied)])
