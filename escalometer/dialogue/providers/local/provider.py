"""Models on this machine, through transformers and torch: batched greedy decoding.

The answers are those of plain greedy decoding of each conversation, with less work: turn 2 reuses
the keys and values of turn 1, several second turns fork from one first turn, ended rows leave their
batch, and a choice is read from the logits of a single pass.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from escalometer.config import ModelCard, Thinking, Workspace
from escalometer.dialogue.providers import Completion, Readable, Request
from escalometer.dialogue.providers.local import loading, precision, sizes
from escalometer.dialogue.providers.local.jobs import Job, n_unread
from escalometer.dialogue.providers.local.writing import Answer
from escalometer.dialogue.weights import adapters, sources
from escalometer.errors import ProviderError

if TYPE_CHECKING:
    from escalometer.dialogue.providers.local.decoding import Batch, CachedRow

_WORTH_SHARING = 64  # tokens that reading a common beginning once must save
_RECURRENT_TOKENS = 8192  # of a batch of a model that reads prompts in one piece

Messages = tuple[tuple[str, str], ...]


def connect(card: ModelCard, workspace: Workspace) -> LocalProvider:
    """Return the provider; weights are fetched and loaded at the first request."""
    return LocalProvider(card, workspace)


class LocalProvider:
    """A causal language model in a local folder of safetensors; see `Provider`."""

    can_force = True
    readable: Readable | None = "choice"

    def __init__(self, card: ModelCard, workspace: Workspace) -> None:
        self._card = card
        self._workspace = workspace
        self._model: Any = None
        self._decoder: Any = None
        self._tokenizer: Any = None
        #: Rows that a later turn may continue, by their messages: those of the latest first turns.
        self._cached: dict[Messages, list[CachedRow]] = {}
        self._continues_first_turns = False
        self._batch_size: int | None = None
        self._n_longest = sizes.TYPICAL_TOKENS
        self._free_bytes = 0
        self.identity = {
            "provider": "local",
            "model": card.id,
            "revision": sources.revision(card),
            "precision": precision.resolved(card),
        }
        if card.adapter:
            revision = self.identity["revision"]
            self.identity["adapter"] = adapters.digest(card, workspace.root, revision)

    @property
    def batch_size(self) -> int:
        """The number of requests in one batch; on a GPU, as many as its memory holds."""
        if self._batch_size is not None:
            return self._batch_size
        if not precision.has_driver():
            return sizes.CPU_ROWS
        self._load()
        if not self._is_gpu:
            return sizes.CPU_ROWS
        return sizes.gpu_rows(self._free_bytes, self._decoder.bytes_per_token, self._n_longest)

    @batch_size.setter
    def batch_size(self, n_rows: int) -> None:
        self._batch_size = n_rows

    @property
    def _is_gpu(self) -> bool:
        return bool(self._decoder.device.type == "cuda")

    def parameters(self, request: Request) -> Mapping[str, Any]:
        """Return the switch and the budget of thinking; greedy decoding has no more parameters."""
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
        self._n_longest = max([self._n_longest, *(job.length for job in jobs)])
        began = time.monotonic()
        self._continues_first_turns = any(job.request.messages[:-2] in self._cached for job in jobs)
        if not self._continues_first_turns:
            self._cached = {}
        self._assign_cached_rows(jobs)
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
        model, self._tokenizer = loading.load(
            self._card, self._workspace, self.identity["precision"]
        )
        from escalometer.dialogue.providers.local.decoding import Decoder

        stops = model.generation_config.eos_token_id
        if stops is None:
            stops = self._tokenizer.eos_token_id
        self._stop_ids = set(stops if isinstance(stops, list) else [stops])
        self._decoder = Decoder(model, next(iter(self._stop_ids)))
        self._model = model
        if self._is_gpu:
            self._free_bytes = loading.free_bytes(self._decoder.device)
            self._decoder.block_tokens = sizes.gpu_block_tokens(
                self._free_bytes, model.config.get_text_config(), model.dtype.itemsize
            )

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

    def _job(self, index: int, request: Request) -> Job:
        prompt = self._encode(request)
        opened = self._tokenizer.decode(prompt[-8:]).rstrip().endswith("<think>")
        budget = request.max_tokens
        if self._thinks(request):
            # Thinking takes the rest of the context; an answer's budget is always reserved.
            extra = self._card.context - len(prompt) - budget
            budget += max(0, min(self._thinking.max_tokens, extra))
        answer = Answer(request, budget, opened, self._decode)
        endings = self._endings(answer.closings()) if request.reads_choice else []
        return Job(index, answer, prompt, endings)

    def _room(self, job: Job) -> int:
        """Return the number of unused context tokens; negative where it is too small."""
        return self._card.context - job.length

    def _too_long(self, job: Job) -> Completion:
        why = (
            f"{len(job.prompt)} prompt tokens and a budget of {job.length - len(job.prompt)} "
            f"exceed the context of {self._card.context}"
        )
        return Completion("", "error", len(job.prompt), 0, 0.0, why)

    def _assign_cached_rows(self, jobs: list[Job]) -> None:
        """Assign the cached rows that jobs continue; read common prefixes once."""
        from escalometer.dialogue.providers.local.decoding import CachedRow, n_shared

        together: dict[Messages, list[Job]] = defaultdict(list)
        for job in jobs:
            before = job.request.messages[:-1]
            if before and (cached_rows := self._cached.get(before[:-1])):
                job.cached = max(
                    cached_rows, key=lambda cached: n_shared(cached.tokens, job.prompt)
                )
            # First turns are one group, too: templates begin with the same words for all.
            together[before].append(job)
        if not self._decoder.can_continue:
            return
        shared: list[Job] = []
        members: list[list[Job]] = []
        for group in together.values():
            first = group[0]
            n = min(n_shared(first.prompt, job.prompt) for job in group)
            # At least one token of each prompt is not shared.
            n = min(n, *(len(job.prompt) - 1 for job in group))
            n_known = n_shared(first.cached.tokens, first.prompt) if first.cached else 0
            if (len(group) - 1) * (n - n_known) >= _WORTH_SHARING:
                shared.append(Job(len(members), first.answer, first.prompt[:n], [], first.cached))
                members.append(group)
        for batch in self._batches(shared):
            if not self._can_keep(sum(len(job.prompt) for job in batch)):
                return
            prefix_batch = self._read_prefixes(batch)
            if prefix_batch is None:
                return
            for row, job in enumerate(batch):
                for member in members[job.index]:
                    member.cached = CachedRow(prefix_batch, row)

    def _read_prefixes(self, jobs: list[Job]) -> Batch | None:
        """Return a batch that has read the jobs' prompts; None where its memory cannot be had."""
        try:
            batch: Batch = self._decoder.start(
                [job.prompt for job in jobs], [job.cached for job in jobs], is_read_only=True
            )[0]
        except (RuntimeError, MemoryError) as error:
            if not loading.is_out_of_memory(error):
                raise
        else:
            return batch
        self._release()
        return None

    def _batches(self, jobs: Sequence[Job]) -> Iterator[list[Job]]:
        """Yield jobs of similar length together, the longest first, as many as memory bears."""
        # Rows with as many tokens to read are adjacent, so that they are read in the same block.
        waiting = sorted(jobs, key=lambda job: (job.length, job.index), reverse=True)
        while waiting:
            share = sizes.SHARE
            if self._is_gpu and not self._continues_first_turns:
                share = sizes.GPU_FIRST_SHARE
            allowed = share * loading.free_bytes(self._decoder.device)
            n = int(allowed // max(1, waiting[0].length * self._decoder.bytes_per_token))
            if not self._decoder.can_continue:
                at_once = max(_RECURRENT_TOKENS, self._decoder.block_tokens)
                n = min(n, at_once // waiting[0].length)
            n = max(1, min(n, self.batch_size))
            yield sorted(waiting[:n], key=n_unread)
            waiting = waiting[n:]

    def _can_keep(self, n_tokens: int) -> bool:
        allowed = sizes.SHARE * loading.free_bytes(self._decoder.device)
        return bool(n_tokens * self._decoder.bytes_per_token < allowed)

    def _complete(self, jobs: list[Job], before_s: float) -> Iterator[tuple[int, Completion]]:
        """Yield the batch's completions, from smaller batches where its memory cannot be had."""
        began = time.monotonic()
        known = [job.cached for job in jobs]
        try:
            results = self._choose(jobs) if jobs[0].request.reads_choice else self._write(jobs)
        except (RuntimeError, MemoryError) as error:
            if not loading.is_out_of_memory(error):
                raise
            results = None  # outside the handler, which keeps the batch's memory alive
            for job, cached in zip(jobs, known, strict=True):  # rows of the batch would, too
                job.cached = cached
        if results is not None:
            each_s = before_s + (time.monotonic() - began) / len(jobs)
            for job, (finish, probabilities, n_tokens, n_cached) in zip(jobs, results, strict=True):
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
        del known
        self._release()
        if len(jobs) == 1 and jobs[0].cached is None:
            why = f"not enough memory for a prompt of {len(jobs[0].prompt)} tokens"
            yield jobs[0].index, Completion("", "error", len(jobs[0].prompt), 0, 0.0, why)
            return
        half = (len(jobs) + 1) // 2
        self.batch_size = half
        if len(jobs) == 1:
            self._cached, jobs[0].cached = {}, None
        for job in jobs:
            job.answer.restart()
        for some in (jobs[:half], jobs[half:]):
            if some:
                yield from self._complete(some, before_s)

    def _release(self) -> None:
        """Release memory that torch has reserved; read prompts in smaller blocks from now on."""
        import torch

        self._decoder.end_steps()
        if self._is_gpu:
            torch.cuda.empty_cache()
            least = sizes.GPU_BLOCK_TOKENS[0]
            self._decoder.block_tokens = max(least, self._decoder.block_tokens // 2)

    def _choose(self, jobs: list[Job]) -> list[_Result]:
        """Answer each job by its marker and likeliest choice; nothing is generated."""
        from escalometer.dialogue.providers.local.choices import UnansweredRow, choice_probabilities

        n_cached = [len(job.prompt) - n_unread(job) for job in jobs]
        rows = [UnansweredRow(job.prompt, job.endings, job.cached) for job in jobs]
        probabilities, cached = choice_probabilities(self._decoder, rows)
        self._keep(jobs, cached)
        results: list[_Result] = []
        for job, row, n in zip(jobs, probabilities, n_cached, strict=True):
            choice = row.index(max(row))
            job.answer.close(job.answer.closings()[choice])
            results.append(("stop", tuple(row), len(job.endings[choice]), n))
        return results

    def _write(self, jobs: list[Job]) -> list[_Result]:
        """Write each job's answer by greedy decoding."""
        from escalometer.dialogue.providers.local.decoded_answers import write

        n_cached = [len(job.prompt) - n_unread(job) for job in jobs]
        longest = max(job.answer.budget for job in jobs)
        batch, logits = self._decoder.start(
            [job.prompt for job in jobs], [job.cached for job in jobs], longest
        )
        for job in jobs:
            job.cached = None
        write(self._decoder, batch, logits, jobs, self._stop_ids)
        self._keep(jobs, [job.cached for job in jobs if job.cached is not None])
        self._close([job for job in jobs if job.answer.wants_closing()])
        return [
            (job.answer.finish or "stop", None, len(job.answer.tokens), n)
            for job, n in zip(jobs, n_cached, strict=True)
        ]

    def _close(self, jobs: list[Job]) -> None:
        """Close answers that state no choice, each with the marker and the model's choice."""
        from escalometer.dialogue.providers.local.choices import UnansweredRow, choice_probabilities

        if not jobs:
            return
        closings = [job.answer.closings() for job in jobs]
        rows = [
            UnansweredRow(job.prompt + job.answer.tokens, self._endings(texts), job.cached)
            for job, texts in zip(jobs, closings, strict=True)
        ]
        for job, texts, row in zip(
            jobs,
            closings,
            choice_probabilities(self._decoder, rows, is_greedy=True)[0],
            strict=True,
        ):
            job.answer.close(texts[row.index(max(row))])

    def _keep(self, jobs: Sequence[Job], cached: Sequence[CachedRow]) -> None:
        """Keep first turns' rows, which second turns may continue, while memory allows it."""
        if (
            self._continues_first_turns
            or not cached
            or any(role == "assistant" for job in jobs for role, _ in job.request.messages)
        ):
            return
        batch: Batch = cached[0].batch
        if self._can_keep(batch.end * len(batch.tokens)):
            for job, row in zip(jobs, cached, strict=True):
                self._cached.setdefault(job.request.messages, []).append(row)


#: Of one answer: finish, probabilities, tokens written, tokens of the prompt not read again.
_Result = tuple[Any, tuple[float, ...] | None, int, int]
