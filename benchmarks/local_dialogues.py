"""How fast two-turn dialogues are with a local model, beside two others doing the same.

The others are a plain loop of transformers' `generate`, which reads the whole conversation at each
turn, one dialogue at a time, and inspect_ai's `hf` provider in a separate Python.

    .venv/bin/python benchmarks/local_dialogues.py --peer-python /path/to/venv/bin/python
    .venv/bin/python benchmarks/local_dialogues.py --quick

All three ask the same prompts (movielens's embedded scenarios, the project's own wording), on as
many threads. The others do fewer dialogues, and their time is multiplied: the plain loop's grows
with their number exactly, the peer's where its batches are full.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MODEL = "smollm2-135m-instruct"
MARKERS = ("PREDICTION:", "DECISION:")
RATIOS = (2.0, 4.0, 8.0, 10.0, 20.0, 50.0)

#: What time is: processor seconds where others use the machine, too (`--processor-time`).
clock = time.perf_counter

#: One dialogue: its first message, and its second ones.
Dialogue = tuple[str, list[str]]


def dialogues_of(n: int, n_second: int) -> list[Dialogue]:
    """Return the messages of `n` dialogues of movielens with `n_second` second turns each."""
    from escalometer.config import Params
    from escalometer.dialogue.cell import plan
    from escalometer.dialogue.protocol import FRAMINGS, Protocol, first_turn, second_turn
    from escalometer.stages import ingest, sample

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        params = Params.model_validate(
            {
                "seed": 7,
                "models": [MODEL],
                "domains": ["movielens"],
                "sample": {"n_per_condition": -(-n // 10)},
            }
        )
        ingest.run("movielens", root)
        sample.run("movielens", params, root)
        planned = plan("movielens", params, root)[:n]
    variants = [Protocol()] if n_second == 1 else []
    variants += [
        Protocol(cost_ratio=ratio, framing=framing) for framing in FRAMINGS for ratio in RATIOS
    ]
    made = []
    for one in planned:
        first = first_turn(one.protocol, one.task, one.scenario, one.signal)
        made.append((first, [second_turn(variant, one.task) for variant in variants[:n_second]]))
    return made


def matrix_rate() -> float:
    """Return this moment's float32 matrix-multiply rate, in 1e9 operations a second."""
    import torch

    left, right = torch.randn(1024, 1024), torch.randn(1024, 1024)
    spent = []
    for _ in range(15):
        began = clock()
        left @ right
        spent.append(clock() - began)
    return 2 * 1024**3 / statistics.median(spent) / 1e9


class Ours:
    """The local provider, with a count of what its model reads."""

    def __init__(self, max_tokens: int, is_full_length: bool = False) -> None:
        from escalometer.config import Workspace, load_card
        from escalometer.dialogue.providers.local import provider

        cache = Path(os.environ.get("ESCALOMETER_CACHE", "~/.cache/escalometer")).expanduser()
        self.provider = provider.connect(load_card(MODEL), Workspace(Path(), cache, cache / "none"))
        self.provider._load()
        self._max_tokens = max_tokens
        decoder = self.provider._decoder
        config = decoder._model.config
        layer = config.hidden_size * (2 * config.hidden_size + 3 * config.intermediate_size)
        heads = config.num_key_value_heads * (config.hidden_size // config.num_attention_heads)
        layer += 2 * config.hidden_size * heads
        self._by_token = 2 * layer * config.num_hidden_layers
        self._by_logits = 2 * config.hidden_size * config.vocab_size
        self.n_operations = 0.0
        logits = decoder._logits

        def counting(**inputs: Any) -> Any:
            rows, tokens = inputs["input_ids"].shape
            self.n_operations += rows * (tokens * self._by_token + self._by_logits)
            made = logits(**inputs)
            if is_full_length:
                made[:, list(self.provider._stop_ids)] = -float("inf")
            return made

        decoder._logits = counting

    def hold(self, dialogues: Sequence[Dialogue]) -> tuple[float, list[list[str]]]:
        """Return seconds and, by dialogue, the answers: the first turn's, then the second ones'."""
        from escalometer.dialogue.providers import Request

        began = clock()
        texts: list[list[str]] = []
        size = self.provider.batch_size
        for start in range(0, len(dialogues), size):  # in chunks, as the engine does
            chunk = dialogues[start : start + size]
            first = [Request((("user", d[0]),), MARKERS[0], self._max_tokens) for d in chunk]
            answers = dict(self.provider.complete(first))
            second = [
                Request(
                    (*first[i].messages, ("assistant", answers[i].text), ("user", message)),
                    MARKERS[1],
                    self._max_tokens,
                )
                for i, d in enumerate(chunk)
                for message in d[1]
            ]
            decided = dict(self.provider.complete(second))
            at = 0
            for i, d in enumerate(chunk):
                made = [decided[at + k].text for k in range(len(d[1]))]
                texts.append([answers[i].text, *made])
                at += len(d[1])
        return clock() - began, texts


def suppress_ends(model: Any) -> None:
    """Let `generate` write answers of their full budget."""
    ends = model.generation_config.eos_token_id
    model.generation_config.suppress_tokens = ends if isinstance(ends, list) else [ends]


class Plain:
    """A loop of `generate`."""

    def __init__(self, folder: Path, max_tokens: int, is_full_length: bool = False) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._max_tokens = max_tokens
        if is_full_length:
            suppress_ends(self._model)

    def hold(self, dialogues: Sequence[Dialogue]) -> tuple[float, list[list[str]]]:
        """Return seconds and answers, as `Ours.hold`."""
        began = clock()
        texts = []
        for first, second in dialogues:
            messages = [{"role": "user", "content": first}]
            answer = self._answer(messages)
            messages.append({"role": "assistant", "content": answer})
            made = [self._answer([*messages, {"role": "user", "content": m}]) for m in second]
            texts.append([answer, *made])
        return clock() - began, texts

    def _answer(self, messages: list[dict[str, str]]) -> str:
        ids = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        out = self._model.generate(**ids, do_sample=False, max_new_tokens=self._max_tokens)
        new = out[0, ids["input_ids"].shape[1] :]
        return str(self._tokenizer.decode(new, skip_special_tokens=True))


def use_clock(name: str) -> None:
    """Measure by this function of `time` from now on."""
    global clock
    clock = getattr(time, name)


def be_peer(job: Path) -> None:
    """Do in this process, with inspect_ai, what the job's file says; print seconds and answers."""
    import asyncio

    import torch
    from inspect_ai.model import (
        ChatMessageAssistant,
        ChatMessageUser,
        GenerateConfig,
        get_model,
    )

    about = json.loads(job.read_text("utf-8"))
    use_clock(about["clock"])
    torch.set_num_threads(about["n_threads"])
    # Greedy, with its own batches of 32; a temperature would only be warned about.
    model = get_model(
        "hf/local",
        model_path=about["folder"],
        do_sample=False,
        config=GenerateConfig(max_tokens=about["max_tokens"], max_connections=32),
    )

    if about["is_full_length"]:
        suppress_ends(model.api.model)

    async def answer(messages: list[Any]) -> str:
        return (await model.generate(messages)).completion

    async def hold() -> list[list[str]]:
        asked = [[ChatMessageUser(content=first)] for first, _ in about["dialogues"]]
        first = await asyncio.gather(*(answer(messages) for messages in asked))
        second = await asyncio.gather(
            *(
                answer(
                    [*messages, ChatMessageAssistant(content=text), ChatMessageUser(content=told)]
                )
                for messages, text, (_, seconds) in zip(
                    asked, first, about["dialogues"], strict=True
                )
                for told in seconds
            )
        )
        at, texts = 0, []
        for text, (_, seconds) in zip(first, about["dialogues"], strict=True):
            texts.append([text, *second[at : at + len(seconds)]])
            at += len(seconds)
        return texts

    began = clock()
    texts = asyncio.run(hold())
    print(json.dumps({"seconds": clock() - began, "texts": texts}))


def hold_by_peer(
    python: str, folder: Path, dialogues: Sequence[Dialogue], **about: Any
) -> tuple[float, list[list[str]]]:
    """Return seconds and answers of inspect_ai, in the Python that has it."""
    with tempfile.TemporaryDirectory() as home:
        job = Path(home) / "job.json"
        about |= {
            "folder": str(folder.resolve()),
            "dialogues": dialogues,
            "clock": clock.__name__,
        }
        job.write_text(json.dumps(about), "utf-8")
        done = subprocess.run(  # noqa: S603
            [python, __file__, "--be-peer", str(job)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "INSPECT_LOG_DIR": home},
        )
    said = json.loads(done.stdout.splitlines()[-1])
    return said["seconds"], said["texts"]


def alike(ours: list[list[str]], others: list[list[str]]) -> str:
    """Return how many answers agree, up to where ours stop at their marker."""
    pairs = [
        pair
        for left, right in zip(ours, others, strict=False)
        for pair in zip(left, right, strict=False)
    ]
    same = sum(right.strip().startswith(left.strip()) for left, right in pairs)
    return f"{same} of {len(pairs)} answers the same"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dialogues", type=int, default=64)
    parser.add_argument("--second-turns", type=int, nargs="+", default=[1, 24])
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--plain-turns", type=int, default=12, help="second turns of the loop")
    parser.add_argument("--peer-python", help="a Python with inspect_ai and transformers")
    parser.add_argument("--peer-turns", type=int, default=96, help="second turns of the peer")
    parser.add_argument("--threads", type=int, help="default: as many as cores are idle")
    parser.add_argument("--quick", action="store_true", help="8 dialogues, fewer by the others")
    parser.add_argument("--full-length", action="store_true", help="answers use their budget up")
    parser.add_argument("--processor-time", action="store_true", help="not wall time")
    parser.add_argument("--be-peer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.be_peer:
        be_peer(options.be_peer)
        return
    if options.processor_time:
        use_clock("process_time")
    if options.quick:
        options.dialogues, options.plain_turns, options.peer_turns = 8, 3, 24
    import torch

    ours = Ours(options.max_tokens, options.full_length)
    if options.threads:
        torch.set_num_threads(options.threads)
    n_threads = torch.get_num_threads()
    folder = Path(ours.provider._tokenizer.name_or_path)
    plain = Plain(folder, options.max_tokens, options.full_length)
    print(
        f"{n_threads} threads, load average {os.getloadavg()[0]:.1f}, {options.max_tokens} tokens"
    )
    for n_second in options.second_turns:
        dialogues = dialogues_of(options.dialogues, n_second)
        n = len(dialogues)
        before, ours.n_operations = matrix_rate(), 0.0
        spent, texts = ours.hold(dialogues)
        rate = (before + matrix_rate()) / 2
        share = ours.n_operations / spent / 1e9 / rate
        print(f"\n{n} dialogues with {n_second} second turns each")
        print(f"  ours           {spent / n:7.2f} s a dialogue, {share:.0%} of {rate:.0f} GFLOP/s")
        # A part of one dialogue's second turns stands for all: they are as long.
        some = [(d[0], d[1][: options.plain_turns]) for d in dialogues]
        some = some[:: max(1, n // -(-options.plain_turns // n_second))]
        some = some[: -(-options.plain_turns // n_second)]
        loop_s, loop_texts = plain.hold([(first, []) for first, _ in some])
        whole_s, whole_texts = plain.hold(some)
        del loop_texts
        n_turns = sum(len(second) for _, second in some)
        each_s = loop_s / len(some) + (whole_s - loop_s) / n_turns * n_second
        picked = [texts[dialogues.index(d)] for d in dialogues if d[0] in {f for f, _ in some}]
        print(
            f"  plain loop     {each_s:7.2f} s a dialogue, {each_s / (spent / n):.1f} x ours, "
            f"from {len(some)} first and {n_turns} second turns; {alike(picked, whole_texts)}"
        )
        if options.peer_python:
            few = dialogues[: max(1, min(n, options.peer_turns // n_second))]
            peer_s, peer_texts = hold_by_peer(
                options.peer_python,
                folder,
                few,
                max_tokens=options.max_tokens,
                n_threads=n_threads,
                is_full_length=options.full_length,
            )
            each_s = peer_s / len(few)
            print(
                f"  inspect_ai hf  {each_s:7.2f} s a dialogue, {each_s / (spent / n):.1f} x ours, "
                f"from {len(few)} dialogues; {alike(texts, peer_texts)}"
            )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
