"""The local provider on a GPU, next to transformers' `generate` and its continuous batching.

    .venv/bin/python benchmarks/gpu.py                 # 4 billion parameters, random weights, a GPU
    .venv/bin/python benchmarks/gpu.py --small         # tiny shapes: it runs on a CPU, in a minute

All ask the same prompts, answers have their full length, and each part may fail separately. The
bandwidth reached is the weights and the cache that decoding steps read, by the time of those steps;
it is stated as a share of what copying a gigabyte reaches. Random weights have near ties, at which
rounding decides: answers that differ are compared at their first different token.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, Qwen3Config

from escalometer.config import ModelCard, Workspace, load_card
from escalometer.dialogue.providers import Request, connect
from escalometer.dialogue.providers.local.decoding import Decoder
from escalometer.dialogue.weights import sources

TOKENIZER_OF = "smollm2-135m-instruct"
CASE = (
    "Consider the case below with a customer of months order value dollars and rating of the movie "
    "genre drama released in year with lead time deposit type market segment special requests"
)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
#: Logits that differ by less, relative to the larger, count as tied: four steps of bfloat16.
NEAR_TIE = 4 * 2.0**-8

#: One dialogue: its first message, and its second ones.
Dialogue = tuple[str, list[str]]


def synchronized_s() -> float:
    """Return the time, after the device has done what was started."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def make_weights(folder: Path, tokenizer: Any, is_small: bool, dtype: torch.dtype) -> Path:
    """Write a model with random weights, and its tokenizer; return their folder."""
    common = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 8192,
        "tie_word_embeddings": False,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    if is_small:
        config = LlamaConfig(
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=6,
            num_key_value_heads=3,
            initializer_range=0.3,
            **common,
        )
    else:
        config = Qwen3Config(
            hidden_size=2560,
            intermediate_size=9728,
            num_hidden_layers=36,
            num_attention_heads=32,
            num_key_value_heads=8,
            head_dim=128,
            **common,
        )
    torch.manual_seed(0)
    with torch.device(DEVICE):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.save_pretrained(folder, max_shard_size="3GB")
    tokenizer.save_pretrained(folder)
    del model
    if DEVICE == "cuda":
        torch.cuda.empty_cache()
    return folder


def dialogues_of(n: int, n_second: int) -> list[Dialogue]:
    """Return dialogues of the length of the pipeline's."""
    drawn = random.Random(3)  # noqa: S311 - no secret
    made = []
    for i in range(n):
        case = " ".join(drawn.choices(CASE.split(), k=150))
        first = f"{case}. Case {i}. End with 'PREDICTION: 0' or 'PREDICTION: 1'."
        second = [
            f"A wrong action costs {ratio} times an escalation. {'Implement or escalate. ' * 5}"
            "End with 'DECISION: 0' or 'DECISION: 1'."
            for ratio in range(2, 2 + n_second)
        ]
        made.append((first, second))
    return made


class Ours:
    """The local provider, with the time and the bytes of its decoding steps."""

    def __init__(self, folder: Path, precision: str, check_every: int | None) -> None:
        card = ModelCard.model_validate(
            {
                "id": "random",
                "title": "Random weights",
                "provider": "local",
                "licence": "none",
                "source": {"kind": "folder", "path": str(folder)},
                "precision": precision,
                "context": 8192,
            }
        )
        self.provider: Any = connect(card, Workspace(folder, folder, folder / "none"))
        self.provider._load()
        self.provider._stop_ids = set()  # every answer has its full length
        self.decoder: Decoder = self.provider._decoder
        if check_every is not None:
            self.decoder.check_every = check_every
        self.n_weight_bytes = sum(x.nbytes for x in self.provider._model.parameters())
        self.n_bytes, self.step_s, self.n_steps = 0.0, 0.0, 0
        steps = self.decoder.steps
        self._by_token = self.decoder.bytes_per_token

        def counted(batch: Any, tokens: Any, n_steps: int, n_left: int) -> Any:
            began = synchronized_s()
            made = steps(batch, tokens, n_steps, n_left)
            self.step_s += synchronized_s() - began
            n_slots = batch.cache.layers[0].keys.shape[2]
            read = self.n_weight_bytes + batch.n_live * n_slots * self._by_token
            self.n_bytes += n_steps * read
            self.n_steps += n_steps
            return made

        self.decoder.steps = counted  # type: ignore[method-assign]

    def hold(self, dialogues: list[Dialogue], n_tokens: int) -> tuple[float, int, list[Any]]:
        """Return seconds, tokens written, and requests with answers; in chunks, as the engine."""
        began = synchronized_s()
        made: list[Any] = []
        size = self.provider.batch_size
        for start in range(0, len(dialogues), size):
            chunk = dialogues[start : start + size]
            first = [Request((("user", told),), "PREDICTION:", n_tokens) for told, _ in chunk]
            answers = dict(self.provider.complete(first))
            second = [
                Request(
                    (*first[i].messages, ("assistant", answers[i].text), ("user", told)),
                    "DECISION:",
                    n_tokens,
                )
                for i, (_, later) in enumerate(chunk)
                for told in later
            ]
            decided = dict(self.provider.complete(second))
            made += [(request, answers[i]) for i, request in enumerate(first)]
            made += [(request, decided[i]) for i, request in enumerate(second)]
        spent = synchronized_s() - began
        return spent, sum(answer.n_completion_tokens for _, answer in made), made


def copy_rate() -> float:
    """Return bytes per second that copying reaches: each is read and written."""
    n = 2**30 if DEVICE == "cuda" else 2**26
    source = torch.empty(n, dtype=torch.uint8, device=DEVICE)
    target = torch.empty_like(source)
    best = 0.0
    for _ in range(8):
        began = synchronized_s()
        target.copy_(source)
        best = max(best, 2 * n / (synchronized_s() - began))
    return best


def plain_model(folder: Path, precision: str) -> Any:
    """Return the model as transformers loads it."""
    dtype = getattr(torch, precision)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(DEVICE).eval()


def same_as_generate(model: Any, provider: Any, some: list[Any]) -> dict[str, Any]:
    """Return how many answers are those of `generate`, one conversation at a time."""
    n_same = n_tied = 0
    for request, answer in some:
        prompt = provider._encode(request)
        out = model.generate(
            torch.tensor([prompt], device=DEVICE),
            max_new_tokens=request.max_tokens,
            min_new_tokens=request.max_tokens,
            do_sample=False,
            eos_token_id=None,
        )[0].tolist()
        theirs = provider._decode(out[len(prompt) :])
        if theirs == answer.text:
            n_same += 1
            continue
        ours = provider._tokenizer.encode(answer.text, add_special_tokens=False)
        at = next(
            (i for i, (a, b) in enumerate(zip(out[len(prompt) :], ours, strict=False)) if a != b),
            0,
        )
        with torch.inference_mode():
            ids = torch.tensor([out[: len(prompt) + at]], device=DEVICE)
            first, second = model(ids).logits[0, -1].float().topk(2).values.tolist()
        n_tied += first - second < NEAR_TIE * max(abs(first), abs(second))
    return {"compared": len(some), "same": n_same, "differ at a near tie": n_tied}


def main() -> None:
    """Measure and print; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny shapes, a few dialogues")
    parser.add_argument("--dialogues", type=int, default=128)
    parser.add_argument("--second-turns", type=int, default=12)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--precision", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--compared", type=int, default=16, help="answers compared with generate")
    parser.add_argument("--tokenizer", type=Path, help="default: that of the default model")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/escalometer").expanduser())
    options = parser.parse_args()
    if options.small:
        options.dialogues, options.second_turns, options.max_tokens = 4, 2, 24
    found: dict[str, Any] = {}

    def part(name: str, measure: Callable[[], Any]) -> Any:
        if DEVICE == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            found[name] = measure()
        except (RuntimeError, ValueError, ImportError, TypeError, AttributeError) as error:
            found[name] = f"failed: {type(error).__name__}: {str(error)[:300]}"
        print(f"{name}: {found[name]}", flush=True)
        return found[name]

    device = torch.cuda.get_device_name() if DEVICE == "cuda" else "CPU"
    about = f"{device}, torch {torch.__version__}, {options.precision}"
    part("machine", lambda: about)
    dialogues = dialogues_of(options.dialogues, options.second_turns)
    n_answers = len(dialogues) * (1 + options.second_turns)
    rate = copy_rate()

    def rates(spent: float, n: int, n_tokens: int) -> dict[str, Any]:
        made = {
            "seconds": round(spent, 2),
            "answers per second": round(n / spent, 1),
            "tokens per second": round(n_tokens / spent),
        }
        if DEVICE == "cuda":
            made["peak GiB"] = round(torch.cuda.max_memory_allocated() / 2**30, 1)
        return made

    with tempfile.TemporaryDirectory() as home:
        tokenizer_folder = options.tokenizer or sources.folder(
            load_card(TOKENIZER_OF), options.cache
        )
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
        dtype = getattr(torch, options.precision)
        folder = make_weights(Path(home) / "weights", tokenizer, options.small, dtype)
        held: list[Any] = []

        def ours(check_every: int | None) -> Any:
            one = Ours(folder, options.precision, check_every)
            one.hold(dialogues[:2], 8)  # warm-up
            one.n_bytes = one.step_s = one.n_steps = 0
            spent, n_tokens, made = one.hold(dialogues, options.max_tokens)
            result = rates(spent, n_answers, n_tokens)
            result["batch"], result["block"] = one.provider.batch_size, one.decoder.block_tokens
            if one.n_steps:
                reached = one.n_bytes / one.step_s
                result["steps"] = one.n_steps
                result["share of bandwidth in steps"] = round(reached / rate, 3)
                result["share of time in steps"] = round(one.step_s / spent, 3)
                result["graphs"] = one.decoder._pool is not None
            held[:] = [one, made]
            return result

        part("copy, GB per second", lambda: round(rate / 1e9, 1))
        part("ours, chosen on the host", lambda: ours(1))
        # On a CPU the steps of a GPU are run on request only.
        part("ours, steps on the device", lambda: ours(8 if DEVICE == "cpu" else None))
        if len(held) != 2:
            sys.exit("the local provider failed: nothing to compare")
        provider, made = held[0].provider, held[1]
        held.clear()
        second = [(request, answer) for request, answer in made if len(request.messages) > 1]
        provider._model = provider._decoder = None
        model = plain_model(folder, options.precision)
        every = max(1, len(made) // options.compared)
        some = made[::every][: options.compared]
        part("tokens of generate", lambda: same_as_generate(model, provider, some))
        prompts = [provider._encode(request) for request, _ in second]

        def generate() -> Any:
            tokenizer.padding_side, tokenizer.pad_token = "left", tokenizer.eos_token
            batch = tokenizer.pad({"input_ids": prompts[:64]}, return_tensors="pt").to(DEVICE)
            began = synchronized_s()
            model.generate(
                **batch,
                max_new_tokens=options.max_tokens,
                min_new_tokens=options.max_tokens,
                do_sample=False,
                eos_token_id=None,
                pad_token_id=tokenizer.eos_token_id,
            )
            n = len(prompts[:64])
            return rates(synchronized_s() - began, n, n * options.max_tokens)

        def continuous() -> Any:
            from transformers import GenerationConfig

            how = GenerationConfig(
                max_new_tokens=options.max_tokens,
                do_sample=False,
                eos_token_id=-1,
                pad_token_id=tokenizer.eos_token_id,
            )
            began = synchronized_s()
            answers = model.generate_batch(prompts, generation_config=how)
            n = len(answers)
            return rates(synchronized_s() - began, n, n * options.max_tokens)

        part("generate, batches of 64", generate)
        part("continuous batching", continuous)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
