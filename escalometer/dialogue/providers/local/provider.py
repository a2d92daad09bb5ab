"""Models on this machine, through transformers and torch: batched greedy decoding.

What comes out is what plain greedy decoding of each conversation gives, with less work: turn 2
picks up the keys and values that turn 1 left, several second turns fork from one first turn, rows
that have ended leave their batch, and a choice is read off the logits of a single pass.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from escalometer.config import ModelCard, Thinking, Workspace
from escalometer.dialogue.providers import Completion, Request
from escalometer.dialogue.providers.local import adapters, loading, weights
from escalometer.dialogue.providers.local.writing import Answer
from escalometer.errors import ProviderError

if TYPE_CHECKING:
    from escalometer.dialogue.providers.local.decoding import Batch, Kept

_BATCH_SIZE = 64  # more rows make a decoding step no cheaper by the row
_PRECISION = "float32"  # half precision is no faster on most CPUs and changes answers
_SHARE = 0.4  # of the free memory that one batch may take: what layers hand on needs some, too
_WORTH_SHARING = 64  # tokens that reading a common beginning once must save
_RECURRENT_TOKENS = 8192  # of a batch of a model that reads prompts in one piece

Messages = tuple[tuple[str, str], ...]


def connect(card: ModelCard, workspace: Workspace) -> LocalProvider:
    """Return the provider; weights are fetched and loaded at the first request."""
    return LocalProvider(card, workspace)


@dataclass
class _Job:
    """One request on its way: `endings` are the tokens of what may close it, by choice."""

    index: int
    answer: Answer
    prompt: list[int]
    endings: list[list[int]]
    kept: Kept | None = None

    @property
    def request(self) -> Request:
        return self.answer.request

    @property
    def length(self) -> int:
        """What the cache must hold in the end."""
        more = 0 if self.request.reads_choice else self.answer.budget
        return len(self.prompt) + more + max(map(len, self.endings), default=0)


class LocalProvider:
    """A causal language model in a local folder of safetensors; see `Provider`."""

    can_force = True

    def __init__(self, card: ModelCard, workspace: Workspace) -> None:
        self._card = card
        self._workspace = workspace
        self._model: Any = None
        self._decoder: Any = None
        self._tokenizer: Any = None
        #: Rows that a later turn may continue, by their messages: those of the latest first turns.
        self._kept: dict[Messages, list[Kept]] = {}
        self._is_going_on = False
        self.batch_size = _BATCH_SIZE
        self.identity = {
            "provider": "local",
            "model": card.id,
            "revision": weights.revision(card),
            "precision": _PRECISION,
        }
        if card.adapter:
            revision = self.identity["revision"]
            self.identity["adapter"] = adapters.digest(card, workspace.root, revision)

    def parameters(self, request: Request) -> Mapping[str, Any]:
        """Return how thinking is switched, where the card says so: greedy decoding has no more."""
        how: dict[str, Any] = {}
        if self._card.thinking and (arguments := self._arguments(request, self._card.thinking)):
            how["template"] = arguments
        if self._thinks(request):
            how["max_thinking_tokens"] = self._thinking.max_tokens
        return how

    def complete(self, requests: Sequence[Request]) -> Iterator[tuple[int, Completion]]:
        """Yield (index, completion) batch by batch."""
        self._load()
        jobs = [self._job(i, request) for i, request in enumerate(requests)]
        for job in jobs:
            if self._room(job) < 0:
                yield job.index, self._too_long(job)
        jobs = [job for job in jobs if self._room(job) >= 0]
        began = time.monotonic()
        self._is_going_on = any(job.request.messages[:-2] in self._kept for job in jobs)
        if not self._is_going_on:
            self._kept = {}
        self._find_kept(jobs)
        before_s = (time.monotonic() - began) / max(1, len(jobs))
        for reads_choice in (True, False):
            some = [job for job in jobs if job.request.reads_choice is reads_choice]
            for batch in self._batches(some):
                yield from self._complete(batch, before_s)

    @property
    def _thinking(self) -> Thinking:
        return self._card.thinking or Thinking()

    def _thinks(self, request: Request) -> bool:
        always = self._card.thinking is not None and self._card.thinking.off is None
        return (request.is_thinking or always) and not request.reads_choice

    def _arguments(self, request: Request, thinking: Thinking) -> Mapping[str, Any]:
        if request.is_thinking and thinking.on is None:
            raise ProviderError(f"{self._card.id}: its card has no `thinking.on`: it cannot think")
        return (thinking.on if request.is_thinking else thinking.off) or {}

    def _load(self) -> None:
        if self._model is not None:
            return
        model, self._tokenizer = loading.load(self._card, self._workspace)
        from escalometer.dialogue.providers.local.decoding import Decoder

        stops = model.generation_config.eos_token_id
        if stops is None:
            stops = self._tokenizer.eos_token_id
        self._stop_ids = set(stops if isinstance(stops, list) else [stops])
        self._decoder = Decoder(model, next(iter(self._stop_ids)))
        self._model = model

    def _encode(self, request: Request) -> list[int]:
        messages = [{"role": role, "content": content} for role, content in request.messages]
        template = self._tokenizer.chat_template or ""
        if self._card.thinking:
            switch = self._arguments(request, self._card.thinking)
        elif "enable_thinking" in template:
            switch = {"enable_thinking": request.is_thinking}
        elif request.is_thinking:
            raise ProviderError(f"{self._card.id}: its chat template has no thinking switch")
        else:
            switch = {}
        encoded = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=True, **switch
        )
        return list(encoded["input_ids"])

    def _decode(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))

    def _endings(self, texts: Iterable[str]) -> list[list[int]]:
        return [list(self._tokenizer.encode(text, add_special_tokens=False)) for text in texts]

    def _job(self, index: int, request: Request) -> _Job:
        prompt = self._encode(request)
        opened = self._tokenizer.decode(prompt[-8:]).rstrip().endswith("<think>")
        budget = request.max_tokens
        if self._thinks(request):
            # Thinking takes what the context leaves; an answer's own budget must always be there.
            extra = self._card.context - len(prompt) - budget
            budget += max(0, min(self._thinking.max_tokens, extra))
        answer = Answer(request, budget, opened, self._decode)
        endings = self._endings(answer.closings()) if request.reads_choice else []
        return _Job(index, answer, prompt, endings)

    def _room(self, job: _Job) -> int:
        """Return how many tokens of the context would be left; negative where it is too small."""
        return self._card.context - job.length

    def _too_long(self, job: _Job) -> Completion:
        why = (
            f"{len(job.prompt)} prompt tokens and a budget of {job.length - len(job.prompt)} "
            f"exceed the context of {self._card.context}"
        )
        return Completion("", "error", len(job.prompt), 0, 0.0, why)

    def _find_kept(self, jobs: list[_Job]) -> None:
        """Say of each job what it goes on from; what several begin with is read once, here."""
        from escalometer.dialogue.providers.local.decoding import Kept, common

        together: dict[Messages, list[_Job]] = defaultdict(list)
        for job in jobs:
            before = job.request.messages[:-1]
            if before and (known := self._kept.get(before[:-1])):
                job.kept = max(known, key=lambda kept: common(kept.tokens, job.prompt))
            # First turns stand together, too: templates begin with the same words for all.
            together[before].append(job)
        if not self._decoder.can_continue:
            return
        shared: list[_Job] = []
        members: list[list[_Job]] = []
        for group in together.values():
            first = group[0]
            n = min(common(first.prompt, job.prompt) for job in group)
            # One token of each prompt at least is its own to read.
            n = min(n, *(len(job.prompt) - 1 for job in group))
            n_known = common(first.kept.tokens, first.prompt) if first.kept else 0
            if (len(group) - 1) * (n - n_known) >= _WORTH_SHARING:
                shared.append(_Job(len(members), first.answer, first.prompt[:n], [], first.kept))
                members.append(group)
        for batch in self._batches(shared):
            if not self._can_keep(sum(len(job.prompt) for job in batch)):
                return
            read, _ = self._decoder.start(
                [job.prompt for job in batch], [job.kept for job in batch], is_read_only=True
            )
            for row, job in enumerate(batch):
                for member in members[job.index]:
                    member.kept = Kept(read, row)

    def _batches(self, jobs: Sequence[_Job]) -> Iterator[list[_Job]]:
        """Yield jobs of similar length together, the longest first, as many as memory bears."""
        # Rows that read as many tokens stand together: they are read in the same block.
        left = sorted(jobs, key=lambda job: (job.length, job.index), reverse=True)
        while left:
            allowed = _SHARE * loading.free_bytes(self._decoder.device)
            n = int(allowed // max(1, left[0].length * self._decoder.bytes_per_token))
            if not self._decoder.can_continue:
                n = min(n, _RECURRENT_TOKENS // left[0].length)
            n = max(1, min(n, self.batch_size))
            yield sorted(left[:n], key=_n_unread)
            left = left[n:]

    def _can_keep(self, n_tokens: int) -> bool:
        allowed = _SHARE * loading.free_bytes(self._decoder.device)
        return bool(n_tokens * self._decoder.bytes_per_token < allowed)

    def _complete(self, jobs: list[_Job], before_s: float) -> Iterator[tuple[int, Completion]]:
        """Yield the batch's completions, from smaller batches where its memory cannot be had."""
        began = time.monotonic()
        try:
            made = self._choose(jobs) if jobs[0].request.reads_choice else self._write(jobs)
        except (RuntimeError, MemoryError) as error:
            if not loading.is_out_of_memory(error):
                raise
            made = None  # left outside the handler, which holds on to the batch's memory
        if made is not None:
            each_s = before_s + (time.monotonic() - began) / len(jobs)
            for job, (finish, probabilities, n_tokens, n_cached) in zip(jobs, made, strict=True):
                text, thinking = job.answer.parts()
                yield (
                    job.index,
                    Completion(
                        text,
                        finish,
                        len(job.prompt),
                        n_tokens,
                        each_s,
                        thinking=thinking,
                        probabilities=probabilities,
                        n_cached_tokens=n_cached,
                    ),
                )
            return
        self._release()
        if len(jobs) == 1 and jobs[0].kept is None:
            why = f"memory does not suffice for a prompt of {len(jobs[0].prompt)} tokens"
            yield jobs[0].index, Completion("", "error", len(jobs[0].prompt), 0, 0.0, why)
            return
        half = (len(jobs) + 1) // 2
        self.batch_size = half
        if len(jobs) == 1:
            self._kept, jobs[0].kept = {}, None
        for job in jobs:
            job.answer.restart()
        for some in (jobs[:half], jobs[half:]):
            if some:
                yield from self._complete(some, before_s)

    def _release(self) -> None:
        """Give memory back that torch holds on to."""
        import torch

        if self._decoder.device.type == "cuda":
            torch.cuda.empty_cache()

    def _choose(self, jobs: list[_Job]) -> list[_Made]:
        """Let each job's answer be its marker and likeliest choice; nothing is generated."""
        from escalometer.dialogue.providers.local.choices import Open, weigh

        n_cached = [len(job.prompt) - _n_unread(job) for job in jobs]
        rows = [Open(job.prompt, job.endings, job.kept) for job in jobs]
        probabilities, kept = weigh(self._decoder, rows)
        self._keep(jobs, kept)
        made: list[_Made] = []
        for job, row, n in zip(jobs, probabilities, n_cached, strict=True):
            choice = row.index(max(row))
            job.answer.close(job.answer.closings()[choice])
            made.append(("stop", tuple(row), len(job.endings[choice]), n))
        return made

    def _write(self, jobs: list[_Job]) -> list[_Made]:
        """Let the model write each job's answer, greedily."""
        n_cached = [len(job.prompt) - _n_unread(job) for job in jobs]
        longest = max(job.answer.budget for job in jobs)
        batch, logits = self._decoder.start(
            [job.prompt for job in jobs], [job.kept for job in jobs], longest
        )
        for job in jobs:
            job.kept = None
        live = list(jobs)
        while live:
            chosen = logits.argmax(-1).tolist()
            # From the last to the first: the row that takes a leaving one's place was looked at.
            for row in reversed(range(len(live))):
                if live[row].answer.add(chosen[row], chosen[row] in self._stop_ids):
                    live[row].kept = self._decoder.leave(batch, row)
                    live[row], chosen[row] = live[-1], chosen[-1]
                    live.pop()
                    chosen.pop()
            if live:
                logits = self._decoder.step(batch, chosen)
        self._keep(jobs, [job.kept for job in jobs if job.kept is not None])
        self._close([job for job in jobs if job.answer.wants_closing()])
        return [
            (job.answer.finish or "stop", None, len(job.answer.tokens), n)
            for job, n in zip(jobs, n_cached, strict=True)
        ]

    def _close(self, jobs: list[_Job]) -> None:
        """Close answers that state no choice, each with the marker and the model's choice."""
        from escalometer.dialogue.providers.local.choices import Open, weigh

        if not jobs:
            return
        closings = [job.answer.closings() for job in jobs]
        rows = [
            Open(job.prompt + job.answer.tokens, self._endings(texts), job.kept)
            for job, texts in zip(jobs, closings, strict=True)
        ]
        for job, texts, row in zip(
            jobs, closings, weigh(self._decoder, rows, is_greedy=True)[0], strict=True
        ):
            job.answer.close(texts[row.index(max(row))])

    def _keep(self, jobs: Sequence[_Job], kept: Sequence[Kept]) -> None:
        """Hold on to first turns' rows, which second turns may continue, while memory bears it."""
        if self._is_going_on or not kept or any(len(job.request.messages) > 1 for job in jobs):
            return
        batch: Batch = kept[0].batch
        if self._can_keep(batch.end * len(batch.tokens)):
            for job, row in zip(jobs, kept, strict=True):
                self._kept.setdefault(job.request.messages, []).append(row)


#: Of one answer: finish, probabilities, tokens written, tokens of the prompt not read again.
_Made = tuple[Any, tuple[float, ...] | None, int, int]


def _n_unread(job: _Job) -> int:
    """Return how many of the prompt's tokens are still to be read."""
    from escalometer.dialogue.providers.local.decoding import common

    return len(job.prompt) - (common(job.kept.tokens, job.prompt) if job.kept else 0)
