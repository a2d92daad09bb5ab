"""The local provider gives what plain greedy decoding gives, batched, continued and forked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from escalometer.cases.task import DECISION_MARKER, PREDICTION_MARKER
from escalometer.config import ModelCard
from escalometer.dialogue.parsing import parse_marker
from escalometer.dialogue.providers import Request, connect
from escalometer.dialogue.providers.local import loading
from escalometer.errors import ProviderError
from tests.conftest import tiny_card, workspace

PROMPTS = [
    "Rain?",
    "A much longer question about the weather of tomorrow.",
    "x",
    "Snow or not? " * 9,
]


@pytest.fixture
def card(tiny_weights: Path) -> ModelCard:
    return ModelCard.model_validate(tiny_card(tiny_weights))


@pytest.fixture
def plain(tiny_weights: Path):
    """Plain greedy decoding by transformers' own `generate`, one conversation at a time."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_weights)
    model = AutoModelForCausalLM.from_pretrained(tiny_weights, dtype=torch.float32).eval()

    def decode(request: Request) -> str:
        messages = [{"role": role, "content": content} for role, content in request.messages]
        ids = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        out = model.generate(**ids, do_sample=False, max_new_tokens=request.max_tokens)
        return tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)

    return decode


def ask(prompt: str, **changes) -> Request:
    fields = {"marker": PREDICTION_MARKER, "max_tokens": 12, **changes}
    return Request(messages=(("user", prompt),), **fields)


def spied(provider) -> list[tuple[int, int]]:
    """The model's reads from now on: (rows, tokens of each) by call."""
    read = []
    logits = provider._decoder._logits

    def reading(input_ids, **how):
        read.append(tuple(input_ids.shape))
        return logits(input_ids=input_ids, **how)

    provider._decoder._logits = reading
    return read


def scripted(provider, script: str) -> None:
    """Let the model write `script`: a random one writes no marker."""
    provider._load()
    letters = iter(script)

    def saying(input_ids, **how):
        logits = torch.zeros(1, 258)
        logits[0, provider._tokenizer.encode(next(letters))[0]] = 1
        return logits

    provider._decoder._logits = saying


def test_a_batch_answers_as_each_conversation_alone(card, plain, tmp_path):
    requests = [ask(prompt) for prompt in PROMPTS]
    answers = dict(connect(card, workspace(tmp_path)).complete(requests))
    assert [answers[i].text for i in range(4)] == [plain(request) for request in requests]
    assert {answer.finish for answer in answers.values()} <= {"length", "stop"}
    assert all(answer.n_completion_tokens <= 12 for answer in answers.values())


def test_second_turns_continue_and_fork_without_changing_an_answer(card, plain, tmp_path):
    provider = connect(card, workspace(tmp_path))
    first = [ask(prompt) for prompt in PROMPTS]
    answers = dict(provider.complete(first))
    second = [
        Request(
            messages=(*request.messages, ("assistant", answers[i].text), ("user", f"Cost {cost}?")),
            marker=DECISION_MARKER,
            max_tokens=10,
        )
        for i, request in enumerate(first)
        for cost in (4, 20)
    ]
    read = spied(provider)
    continued = dict(provider.complete(second))
    assert max(n_tokens for _, n_tokens in read) < min(
        a.n_prompt_tokens for a in continued.values()
    )
    assert all(answer.n_cached_tokens > 0 for answer in continued.values())
    assert [continued[i].text for i in range(8)] == [plain(request) for request in second]


def test_twenty_four_second_turns_read_their_common_beginning_once(card, plain, tmp_path):
    # Nothing is kept: turn 1 was answered by an earlier process.
    told = "A long story. " * 12
    second = [
        Request(
            messages=(
                ("user", told),
                ("assistant", "So it is."),
                ("user", f"{cost}? " + "Go. " * n),
            ),
            marker=DECISION_MARKER,
            max_tokens=8,
        )
        for cost in (2, 4, 8, 10, 20, 50)
        for n in (1, 3, 5, 9)
    ]
    provider = connect(card, workspace(tmp_path))
    provider._load()
    read = spied(provider)
    answers = dict(provider.complete(second))
    n_once = sum(n_rows * n_tokens for n_rows, n_tokens in read if n_tokens > 1)
    assert n_once < sum(answer.n_prompt_tokens for answer in answers.values()) / 3
    assert [answers[i].text for i in range(24)] == [plain(request) for request in second]


def test_rows_that_have_ended_leave_the_batch(card, tmp_path):
    provider = connect(card, workspace(tmp_path))
    provider._load()
    read = spied(provider)
    budgets = dict(zip(PROMPTS, (9, 2, 5, 7), strict=True))
    answers = dict(provider.complete([ask(p, max_tokens=n) for p, n in budgets.items()]))
    n_live = [n_rows for n_rows, n_tokens in read if n_tokens == 1]
    lengths = [answer.n_completion_tokens for answer in answers.values()]
    # Each answer's first token comes of reading its prompt.
    assert n_live == [sum(n > step for n in lengths) for step in range(1, max(lengths))]


def test_batches_larger_than_the_batch_size_are_split(card, tmp_path):
    provider = connect(card, workspace(tmp_path))
    together = dict(provider.complete([ask(f"question {i}") for i in range(5)]))
    provider = connect(card, workspace(tmp_path))
    provider.batch_size = 2
    apart = dict(provider.complete([ask(f"question {i}") for i in range(5)]))
    assert [together[i].text for i in range(5)] == [apart[i].text for i in range(5)]


def test_an_answer_without_its_marker_is_closed_only_where_asked(card, tmp_path):
    open_, closed = (
        dict(
            connect(card, workspace(tmp_path)).complete(
                [ask(p, force_answer=force) for p in PROMPTS]
            )
        )
        for force in (False, True)
    )
    for i in range(len(PROMPTS)):
        assert parse_marker(open_[i].text, PREDICTION_MARKER) is None
        assert closed[i].finish == "forced"
        assert closed[i].text.startswith(open_[i].text + "\n" + PREDICTION_MARKER)
        assert parse_marker(closed[i].text, PREDICTION_MARKER) in (0, 1)


@pytest.mark.parametrize("choices", [("A", "B", "C"), tuple("ZYXWVUTSRQPONMLKJIHGFEDCBA")])
def test_an_answer_is_closed_with_the_likeliest_of_all_choices(card, tmp_path, choices):
    requests = [ask(p, force_answer=True, choices=choices) for p in PROMPTS]
    provider = connect(card, workspace(tmp_path))
    answers = dict(provider.complete(requests))
    model = AutoModelForCausalLM.from_pretrained(card.source.path, dtype=torch.float32).eval()
    offered = [provider._tokenizer.encode(choice)[0] for choice in choices]
    for i, request in enumerate(requests):
        prompt = torch.tensor([provider._encode(request)])
        ids = model.generate(prompt, do_sample=False, max_new_tokens=request.max_tokens)[0].tolist()
        ids = ids[:-1] if ids[-1] in provider._stop_ids else ids
        ids += provider._tokenizer.encode("\nPREDICTION: ")
        with torch.inference_mode():
            logits = model(torch.tensor([ids])).logits[0, -1]
        likeliest = choices[int(logits[offered].argmax())]
        assert answers[i].finish == "forced"
        assert answers[i].text.endswith(f"\nPREDICTION: {likeliest}")
        assert parse_marker(answers[i].text, PREDICTION_MARKER, choices=choices) is not None


def test_choices_that_begin_with_the_same_token_part_at_a_later_one(card, tmp_path):
    provider = connect(card, workspace(tmp_path))
    provider._load()
    spelt = {"A": "qx", "B": "zz", "C": "qy"}
    encode = provider._tokenizer.encode

    def encode_apart(text, **how):
        return encode(text[:-1] + spelt.get(text[-1], text[-1]), **how)

    provider._tokenizer.encode = encode_apart
    first, second = (encode(letter)[0] for letter in "qy")

    def scripted(input_ids, **how):
        logits = torch.zeros(1, 258)
        logits[0, first if int(input_ids[0, -1]) != first else second] = 1
        return logits

    provider._decoder._logits = scripted
    request = ask("x", max_tokens=1, force_answer=True, choices=("A", "B", "C"))
    ((_, answer),) = provider.complete([request])
    assert answer.text == "q\nPREDICTION: C"


@pytest.mark.parametrize(
    ("script", "choices", "text", "n_tokens"),
    [
        ("so PREDICTION: 1 and then it rambles on", ("0", "1"), "so PREDICTION: 1", 16),
        ("so PREDICTION: B. And then it rambles", ("A", "B", "C"), "so PREDICTION: B", 18),
        ("PREDICTION: Billing. PREDICTION: B", ("A", "B", "C"), "PREDICTION: Billing. PREDI", 26),
        ("<think>PREDICTION: A</think>PREDICTION: B  ", ("A", "B", "C"), "PREDICTION: B", 43),
    ],
)
def test_generation_stops_at_the_marker_and_its_choice(
    card, tmp_path, script, choices, text, n_tokens
):
    # A random model writes no marker, so the logits are ours here; what ends the answer is not.
    provider = connect(card, workspace(tmp_path))
    scripted(provider, script)
    budget = 26 if "Billing" in script else 60
    ((_, answer),) = provider.complete([ask("Rain?", max_tokens=budget, choices=choices)])
    assert answer.text == text
    assert answer.thinking == ("PREDICTION: A" if "<think>" in script else "")
    assert answer.finish == ("stop" if n_tokens < budget else "length")
    assert answer.n_completion_tokens == n_tokens


def test_a_prompt_past_the_context_is_an_error_of_its_own_row(card, tmp_path):
    small = card.model_copy(update={"context": 60})
    answers = dict(connect(small, workspace(tmp_path)).complete([ask("Rain?" * 40), ask("x")]))
    assert answers[0].finish == "error"
    assert "context" in answers[0].error
    assert answers[1].finish in ("length", "stop")


def test_thinking_is_switched_by_the_template_or_refused(card, tiny_weights, tmp_path):
    provider = connect(card, workspace(tmp_path))
    provider._load()
    on = provider._tokenizer.decode(provider._encode(ask("x", is_thinking=True)))
    off = provider._tokenizer.decode(provider._encode(ask("x", is_thinking=False)))
    assert on == off + "<think>"
    provider._tokenizer.chat_template = provider._tokenizer.chat_template.replace(
        "enable_thinking", "e"
    )
    with pytest.raises(ProviderError, match="no thinking switch"):
        provider._encode(ask("x", is_thinking=True))


def test_connecting_loads_nothing(card, tmp_path):
    provider = connect(card, workspace(tmp_path))
    assert provider._decoder is None
    assert provider.identity["revision"].startswith("sha256:")


def test_there_is_always_a_thread():
    assert loading.free_threads() >= 1
