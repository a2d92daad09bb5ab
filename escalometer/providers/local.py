"""Models on this machine, through transformers and torch: batched greedy decoding.

Rows of a batch share one key-value cache in which any slot can be masked. Padding, finished rows
and text that a later turn no longer continues are all just masked slots, so turn 2 picks up where
turn 1 ended, and several second turns fork from one first turn, without reading it again. What
comes out is what plain greedy decoding of each conversation gives.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from escalometer.config import ModelCard, Workspace
from escalometer.errors import ProviderError
from escalometer.parsing import marker_pattern, stop_pattern, strip_thinking
from escalometer.providers import Completion, Request, _weights

_BATCH_SIZE = 32  # a decoding step costs nearly the same for 16 rows as for 40
_ROWS_HINT = 1024  # rows of the products that weights are laid out for: those of prompts
_PRECISION = "float32"  # half precision is no faster on most CPUs and changes answers


def connect(card: ModelCard, workspace: Workspace) -> LocalProvider:
    """Return the provider; weights are fetched and loaded at the first request."""
    return LocalProvider(card, workspace)


def free_threads() -> int:
    """Return how many cores are idle right now, at least 1.

    More threads than idle cores are far slower than fewer: they wait for each other spinning.
    """
    import psutil

    n_cores = len(psutil.Process().cpu_affinity() or [0])
    busy = psutil.cpu_percent(interval=0.5) / 100
    return int(max(1, round(n_cores * (1 - busy))))


@dataclass
class _Batch:
    """Rows in flight: `tokens[i]` are the tokens of row i whose keys and values are in `cache`.

    `mask` has one column a cache slot, 1 where the slot holds a token of the row.
    """

    cache: Any
    mask: Any
    tokens: list[list[int]]


class LocalProvider:
    """A causal language model in a local folder of safetensors; see `Provider`."""

    can_force = True

    def __init__(self, card: ModelCard, workspace: Workspace) -> None:
        self._card = card
        self._workspace = workspace
        self._kept: list[_Batch] = []
        self._model: Any = None
        self._tokenizer: Any = None
        self.batch_size = _BATCH_SIZE
        self.identity = {
            "provider": "local",
            "model": card.id,
            "revision": _weights.revision(card),
            "precision": _PRECISION,
        }

    def parameters(self, request: Request) -> Mapping[str, Any]:  # noqa: ARG002 - the contract's
        """Return nothing: greedy decoding has no parameters."""
        return {}

    def complete(self, requests: Sequence[Request]) -> Iterator[tuple[int, Completion]]:
        """Yield (index, completion) batch by batch."""
        self._load()
        prompts = [self._encode(request) for request in requests]
        kept: list[_Batch] = []
        for start in range(0, len(requests), self.batch_size):
            rows = range(start, min(start + self.batch_size, len(requests)))
            fits = [i for i in rows if self._fits(prompts[i], requests[i])]
            for i in rows:
                if i not in fits:
                    yield i, self._too_long(prompts[i], requests[i])
            if not fits:
                continue
            began = time.monotonic()
            batch, answers = self._answer([requests[i] for i in fits], [prompts[i] for i in fits])
            each_s = (time.monotonic() - began) / len(fits)
            kept.append(batch)
            for i, (text, finish, n_tokens) in zip(fits, answers, strict=True):
                yield i, Completion(text, finish, len(prompts[i]), n_tokens, each_s)
        self._kept = kept

    def _load(self) -> None:
        if self._model is not None:
            return
        folder = _weights.folder(self._card, self._workspace.cache)
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        os.environ["HF_HUB_OFFLINE"] = "1"
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        torch.set_num_threads(free_threads())
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder)
            self._model = AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True
            ).eval()
            _lay_out(self._model)
        except (OSError, ValueError) as error:
            raise ProviderError(f"{self._card.id}: cannot load {folder}: {error}") from error
        stops = self._model.generation_config.eos_token_id
        self._stop_ids = set(stops if isinstance(stops, list) else [stops])

    def _encode(self, request: Request) -> list[int]:
        messages = [{"role": role, "content": content} for role, content in request.messages]
        template = self._tokenizer.chat_template or ""
        switch = {"enable_thinking": request.is_thinking} if "enable_thinking" in template else {}
        if request.is_thinking and not switch:
            raise ProviderError(f"{self._card.id}: its chat template has no thinking switch")
        encoded = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=True, **switch
        )
        return list(encoded["input_ids"])

    def _fits(self, prompt: list[int], request: Request) -> bool:
        return len(prompt) + request.max_tokens <= self._card.context

    def _too_long(self, prompt: list[int], request: Request) -> Completion:
        why = (
            f"{len(prompt)} prompt tokens and a budget of {request.max_tokens} exceed the context "
            f"of {self._card.context}"
        )
        return Completion("", "error", len(prompt), 0, 0.0, why)

    def _answer(
        self, requests: list[Request], prompts: list[list[int]]
    ) -> tuple[_Batch, list[tuple[str, Any, int]]]:
        batch, unread = self._start(prompts)
        answers: list[list[int]] = [[] for _ in prompts]
        finishes: list[str | None] = [None] * len(prompts)
        stops = [stop_pattern(request.marker, request.choices) for request in requests]
        cut: dict[int, str] = {}
        while True:
            chosen = self._read(batch, unread).argmax(-1).tolist()
            for i, token in enumerate(chosen):
                if finishes[i] is not None:
                    unread[i] = []
                    continue
                unread[i] = [token]
                if token in self._stop_ids:
                    unread[i] = []
                    finishes[i] = "stop"
                    continue
                answers[i].append(token)
                # A token is a byte at least: this tail holds marker, choice and what settles it.
                tail = answers[i][-(len(requests[i].marker) + 12) :]
                if stops[i].search(self._decode(tail)):
                    whole = self._decode(answers[i])
                    text = strip_thinking(whole)
                    found = stops[i].search(text)
                    if found:
                        finishes[i] = "stop"
                        cut[i] = whole[: len(whole) - (len(text) - found.end())]
                if finishes[i] is None and len(answers[i]) >= requests[i].max_tokens:
                    finishes[i] = "length"
            if all(finishes):
                break
        texts = [cut.get(i, self._decode(answer)) for i, answer in enumerate(answers)]
        closed = self._close(batch, requests, texts, unread)
        made = []
        for i, text in enumerate(texts):
            finish = "forced" if i in closed else finishes[i]
            made.append((closed.get(i, text), finish, len(answers[i])))
        return batch, made

    def _close(
        self,
        batch: _Batch,
        requests: list[Request],
        texts: list[str],
        unread: list[list[int]],
    ) -> dict[int, str]:
        """Return, by row, the answers without a choice, closed with the marker and the model's."""
        closed: dict[int, str] = {}
        plain = {"add_special_tokens": False}
        # By row: what may close it, as text and as those of its tokens that are not yet read.
        left: dict[int, list[tuple[str, list[int]]]] = {}
        for i, request in enumerate(requests):
            pattern = marker_pattern(request.marker, request.choices)
            if not request.force_answer or pattern.search(strip_thinking(texts[i])):
                continue
            in_thought = strip_thinking(texts[i] + "<end>") == strip_thinking(texts[i])
            closing = ("\n</think>\n" if in_thought else "\n") + request.marker + " "
            left[i] = [
                (closing + choice, self._tokenizer.encode(closing + choice, **plain))
                for choice in request.choices
            ]
        unread = [new if i in left else [] for i, new in enumerate(unread)]
        while left:
            # What all endings of a row share is read, up to the token at which they part: into
            # single ones where each choice is a token of its own, else the likeliest go on.
            for i, endings in left.items():
                shared = min(_common(endings[0][1], tokens) for _, tokens in endings[1:])
                unread[i] = unread[i] + endings[0][1][:shared]
                left[i] = [(ending, tokens[shared:]) for ending, tokens in endings]
            logits = self._read(batch, unread)
            unread = [[] for _ in requests]
            for i, endings in list(left.items()):
                scores = logits[i].tolist()
                likely = max((tokens[0] for _, tokens in endings), key=scores.__getitem__)
                left[i] = [pair for pair in endings if pair[1][0] == likely]
                if len(left[i]) == 1:
                    closed[i] = texts[i] + left.pop(i)[0][0]
        return closed

    def _decode(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))

    def _start(self, prompts: list[list[int]]) -> tuple[_Batch, list[list[int]]]:
        """Return a batch and what each row still has to read: kept caches are continued."""
        import torch
        from transformers import DynamicCache

        n_best, best = 0, None
        for kept in self._kept:
            found = [
                max((_common(prompt, row), -i) for i, row in enumerate(kept.tokens))
                for prompt in prompts
            ]
            n_shared = sum(length for length, _ in found)
            if n_shared > n_best:
                n_best, best = n_shared, (kept, [-i for _, i in found], [n for n, _ in found])
        if best is None or n_best < sum(map(len, prompts)) / 2:
            empty = torch.zeros((len(prompts), 0), dtype=torch.long)
            return _Batch(DynamicCache(), empty, [[] for _ in prompts]), [*prompts]
        kept, rows, lengths = best
        # At least the last token is read again: its output is the next token's distribution.
        lengths = [min(n, len(p) - 1) for n, p in zip(lengths, prompts, strict=True)]
        cache = _fork(kept.cache, rows)
        mask = kept.mask[rows]
        mask = mask * (mask.cumsum(-1) <= torch.tensor(lengths)[:, None])
        tokens = [p[:n] for n, p in zip(lengths, prompts, strict=True)]
        return _Batch(cache, mask, tokens), [p[n:] for n, p in zip(lengths, prompts, strict=True)]

    def _read(self, batch: _Batch, unread: list[list[int]]) -> Any:
        """Read `unread` into the batch's cache and return each row's next-token logits."""
        import torch

        width = max(map(len, unread))
        pad = next(iter(self._stop_ids))
        block = torch.tensor([[pad] * (width - len(new)) + new for new in unread])
        used = torch.tensor([[0] * (width - len(new)) + [1] * len(new) for new in unread])
        batch.mask = torch.cat([batch.mask, used], dim=-1)
        positions = (batch.mask.cumsum(-1) - 1).clamp(min=0)[:, -width:]
        with torch.inference_mode():
            out = self._model(
                input_ids=block,
                attention_mask=batch.mask,
                position_ids=positions,
                past_key_values=batch.cache,
                use_cache=True,
                logits_to_keep=1,
            )
        for row, new in zip(batch.tokens, unread, strict=True):
            row.extend(new)
        return out.logits[:, -1]


def _lay_out(model: Any) -> None:
    """Lay the weights of linear layers out for this CPU, once rather than at every product.

    The same float32 products: a decoding step takes half of the time, a prompt four fifths.
    """
    import torch

    if not torch._C._has_mkldnn:
        return

    class LaidOut(torch.nn.Module):
        def __init__(self, linear: torch.nn.Linear) -> None:
            super().__init__()
            weight = linear.weight.detach()
            self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS_HINT)
            self.bias = linear.bias

        def forward(self, rows: torch.Tensor) -> Any:
            product = torch.ops.mkldnn._linear_pointwise
            return product(rows, self.weight, self.bias, "none", [], "")

    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is torch.nn.Linear:
                setattr(module, name, LaidOut(child))


def _common(left: list[int], right: list[int]) -> int:
    """Return how many leading tokens two sequences share."""
    return sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False))
    )


def _fork(cache: Any, rows: list[int]) -> Any:
    """Return a copy of the cache that holds `rows` of it, in that order, repeats included."""
    import copy

    import torch

    forked = copy.copy(cache)
    forked.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in forked.layers:
        layer.keys = layer.keys[torch.tensor(rows)]
        layer.values = layer.values[torch.tensor(rows)]
    return forked
