"""Batches of conversations over one key-value cache.

Rows of a batch end at the same slot of the cache and have nothing but padding before their first
one, so that a row's tokens are adjacent, as a model with a sliding window requires. Room is
allocated once; a step writes into it rather than copying the cache. An ended row is swapped with
the last live one, and steps continue with the rows before it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from escalometer.dialogue.providers.local import sizes
from escalometer.dialogue.providers.local.device_steps import DeviceSteps, copy_slots

#: Steps between two checks of what rows have written, on CUDA: the host waits for each check.
_CHECK_EVERY = 8
#: Slots set aside for what is written, at first: most answers are shorter than their budget.
_SPARE_SLOTS = 128


class _Room(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer in room set aside; reads and writes go through a window.

    Attributes
    ----------
    keys, values : tensor of shape (rows, heads, slots, size)
        Zeros where nothing was written: masked slots must hold numbers, or they would spread.
    """

    def __init__(self, rows: int, slots: int, like: tuple[torch.Tensor, torch.Tensor]) -> None:
        super().__init__()
        self.keys, self.values = (
            torch.zeros((rows, x.shape[1], slots, x.shape[3]), dtype=x.dtype, device=x.device)
            for x in like
        )
        self.is_initialized = True
        self.look(slice(0, rows), 0, 0)

    def look(self, rows: slice, first: int, end: int) -> None:
        """Move the window: the next reads are of `rows`, and end before slot `end`."""
        self._rows, self._first, self._end = rows, first, end
        self._slot: torch.Tensor | None = None

    def write_at(self, slot: torch.Tensor, n_rows: int) -> None:
        """Write the next updates at `slot`, on the device; reads are of all slots."""
        self.look(slice(0, n_rows), 0, self.keys.shape[2])
        self.expect(1)
        self._slot = slot

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if self._slot is not None:
            keys, values = self.keys[self._rows], self.values[self._rows]
            return (
                keys.index_copy_(2, self._slot, key_states),
                values.index_copy_(2, self._slot, value_states),
            )
        new = slice(self._end - key_states.shape[2], self._end)
        self.keys[self._rows, :, new] = key_states
        self.values[self._rows, :, new] = value_states
        seen = slice(self._first, self._end)
        return self.keys[self._rows, :, seen], self.values[self._rows, :, seen]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:  # noqa: ARG002 - transformers'
        return self._end - self._first, 0

    def get_seq_length(self) -> int:
        return self._end - self._first - self._n_new

    def expect(self, n_new: int) -> None:
        """Set the number of slots in the window that the next update writes."""
        self._n_new = n_new

    def widen(self, slots: int) -> None:
        """Extend the room to `slots` slots."""
        missing = slots - self.keys.shape[2]
        self.keys, self.values = (
            torch.cat([x, x.new_zeros((*x.shape[:2], missing, x.shape[3]))], dim=2)
            for x in (self.keys, self.values)
        )

    def swap(self, row: int, other: int) -> None:
        """Exchange two rows."""
        for x in (self.keys, self.values):
            x[[row, other]] = x[[other, row]]


@dataclass(eq=False)
class Batch:
    """Rows in flight.

    Attributes
    ----------
    cache : Cache
        Keys and values, by layer.
    tokens : list of list of int
        By row, the tokens whose keys and values are in the cache.
    first : list of int
        By row, its first slot.
    end : int
        The slot after the last one in use.
    n_live : int
        Rows that go on; those behind them have ended.
    """

    cache: Any
    tokens: list[list[int]]
    first: list[int]
    end: int
    n_live: int


@dataclass(frozen=True)
class CachedRow:
    """An ended row, in the batch that holds its keys and values."""

    batch: Batch
    row: int

    @property
    def tokens(self) -> list[int]:
        """The tokens in the cache."""
        return self.batch.tokens[self.row]


def n_shared(left: Sequence[int], right: Sequence[int]) -> int:
    """Return the number of leading tokens that two sequences share."""
    return sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False))
    )


@dataclass(frozen=True)
class _Stepping:
    """Steps on the device, and the rows whose steps they are."""

    batch: Batch
    n_rows: int
    steps: DeviceSteps


#: Of steps on the device: by row, the tokens that were read; the next tokens.
_Written = tuple[list[list[int]], torch.Tensor]


class Decoder:
    """A causal model, read and continued in batches; `start`, then `step` and `leave`.

    Parameters
    ----------
    model : PreTrainedModel
        On its device, in evaluation mode.
    pad : int
        Any token: it fills masked slots.
    block_tokens : int
        Prompts are read in blocks of about so many tokens.
    check_every : int, optional
        Steps between two checks of what rows have written, for models whose steps can stay on the
        device; by default 8 on CUDA. With 1 the host chooses every token.

    Attributes
    ----------
    check_every : int
        As above, 1 for models whose steps cannot stay on the device: those whose layers are not all
        of full attention, or that do not use PyTorch's attention.
    can_continue : bool
        Whether reading can resume at any token: keys and values alone are the state. A model with
        recurrent layers reads each conversation from its beginning.
    bytes_per_token : int
        Size of one token of one row in the cache.
    """

    def __init__(
        self,
        model: Any,
        pad: int,
        block_tokens: int = sizes.CPU_BLOCK_TOKENS,
        check_every: int | None = None,
    ) -> None:
        self._model = model
        self._pad = pad
        self.device = model.device
        self.block_tokens = block_tokens
        is_cuda = self.device.type == "cuda"
        self._pool = torch.cuda.graph_pool_handle() if is_cuda else None
        self._stepping: _Stepping | None = None
        cache = DynamicCache(config=model.config)
        plain = (DynamicLayer, DynamicSlidingWindowLayer)
        self.can_continue = all(type(layer) in plain for layer in cache.layers)
        # One token shows what the layers cache, in any architecture.
        with torch.inference_mode():
            token = torch.tensor([[pad]], device=self.device)
            model(input_ids=token, past_key_values=cache, use_cache=True)
        layers = [(x.keys, x.values) for x in cache.layers if getattr(x, "keys", None) is not None]
        self._like = layers
        self.bytes_per_token = sum(x.numel() * x.element_size() for pair in layers for x in pair)
        self.can_continue = self.can_continue and len(layers) == len(cache.layers)
        can_stay = (
            self.can_continue
            and all(type(layer) is DynamicLayer for layer in cache.layers)
            and getattr(model.config, "_attn_implementation", None) == "sdpa"
        )
        if check_every is None:
            check_every = _CHECK_EVERY if is_cuda else 1
        self.check_every = check_every if can_stay else 1

    def start(
        self,
        prompts: Sequence[list[int]],
        cached: Sequence[CachedRow | None],
        n_more: int = 0,
        is_read_only: bool = False,
    ) -> tuple[Batch, torch.Tensor]:
        """Read prompts and return them as a batch, with each row's next-token logits.

        Parameters
        ----------
        prompts : sequence of list of int
            One a row, of at least one token.
        cached : sequence of CachedRow or None
            By row, the cached row to resume from: their common prefix is not read again.
        n_more : int
            How many tokens may be written after the prompts.
        is_read_only : bool
            Whether nothing is written after the prompts, and so all rows have ended.
        """
        end = max(map(len, prompts))
        first = [end - len(prompt) for prompt in prompts]
        batch = Batch(None, [list(prompt) for prompt in prompts], first, end, len(prompts))
        if not self.can_continue:
            batch.cache = DynamicCache(config=self._model.config)
            return batch, self._read(batch, slice(0, len(prompts)), 0, end)
        slots = end if is_read_only else end + min(n_more, _SPARE_SLOTS)
        batch.cache = Cache(layers=[_Room(len(prompts), slots, like) for like in self._like])
        # The last token is always read again: its output is the next token's distribution.
        n_known = [
            min(n_shared(prompt, cached_row.tokens), len(prompt) - 1) if cached_row else 0
            for prompt, cached_row in zip(prompts, cached, strict=True)
        ]
        logits: list[torch.Tensor] = []
        for rows in self._blocks([len(p) - n for p, n in zip(prompts, n_known, strict=True)]):
            span = range(rows.start, rows.stop)
            # All rows of a block read as many tokens, those with fewer unread some known ones
            # again: it costs what padding would, and leaves no gap.
            n_new = max(len(prompts[i]) - n_known[i] for i in span)
            if self.check_every > 1:
                self._copy_together(cached, batch, span, n_new)
            else:
                for i in span:
                    self._copy(cached[i], batch, i, len(prompts[i]) - n_new)
            logits.append(self._read(batch, rows, min(first[i] for i in span), n_new))
        if is_read_only:
            batch.n_live = 0
        return batch, torch.cat(logits)

    def step(self, batch: Batch, tokens: Sequence[int]) -> torch.Tensor:
        """Read one more token of each live row and return the next token's logits."""
        for row, token in enumerate(tokens):
            batch.tokens[row].append(token)
        batch.end += 1
        if self.can_continue:
            self._make_room(batch)
        rows = slice(0, batch.n_live)
        return self._read(batch, rows, min(batch.first[rows]), 1)

    def steps(self, batch: Batch, tokens: torch.Tensor, n_steps: int, n_left: int) -> _Written:
        """Read each live row's next token, `n_steps` times, without waiting in between.

        Parameters
        ----------
        batch : Batch
            Its rows' tokens are not changed: some of those read may follow an answer's end.
        tokens : tensor of shape (live rows,)
            The next tokens, on the device.
        n_steps : int
            How many.
        n_left : int
            How many more there may be, these included.

        Returns
        -------
        list of list of int, tensor of shape (live rows,)
            By row, the tokens that were read; the next tokens.
        """
        begin, batch.end = batch.end, batch.end + n_steps
        is_wider = self._make_room(batch)
        known = self._stepping
        if known and (known.batch, known.n_rows) == (batch, batch.n_live) and not is_wider:
            steps = known.steps
        else:
            self.end_steps()
            first = batch.first[: batch.n_live]
            steps = DeviceSteps(self._logits, batch.cache, first, begin, tokens)
            if self._pool is not None and not steps.capture(n_left, self._pool):
                self._pool = None
            self._stepping = _Stepping(batch, batch.n_live, steps)
        return steps.run(n_steps), steps.tokens[:, 0]

    def end_steps(self) -> None:
        """Release what `steps` keeps for the next steps of the same rows."""
        self._stepping = None

    def leave(self, batch: Batch, row: int) -> CachedRow | None:
        """End a row, replace it by the last live one, and return it where it can be continued."""
        last = batch.n_live - 1
        if self.can_continue:
            if row != last:
                for layer in batch.cache.layers:
                    layer.swap(row, last)
        else:
            places = torch.tensor([*range(row), last, *range(row + 1, last)][:last])
            batch.cache.reorder_cache(places.long().to(self.device))
        tokens, first = batch.tokens, batch.first
        tokens[row], tokens[last] = tokens[last], tokens[row]
        first[row], first[last] = first[last], first[row]
        batch.n_live = last
        return CachedRow(batch, last) if self.can_continue else None

    def _make_room(self, batch: Batch) -> bool:
        """Extend the cache to the slots in use, and some more; return true if it was extended."""
        is_short: bool = batch.end > batch.cache.layers[0].keys.shape[2]
        if is_short:
            for layer in batch.cache.layers:
                layer.widen(batch.end + max(_SPARE_SLOTS, batch.end // 4))
        return is_short

    def _blocks(self, n_unread: list[int]) -> list[slice]:
        """Return runs of rows that are read together."""
        blocks, begin = [], 0
        for i in range(len(n_unread)):
            if (i + 1 - begin) * max(n_unread[begin : i + 1]) > self.block_tokens and i > begin:
                blocks.append(slice(begin, i))
                begin = i
        return [*blocks, slice(begin, len(n_unread))]

    def _copy(self, cached: CachedRow | None, batch: Batch, row: int, n: int) -> None:
        if cached is None or n <= 0:
            return
        begin, old = batch.first[row], cached.batch.first[cached.row]
        for layer, source in zip(batch.cache.layers, cached.batch.cache.layers, strict=True):
            layer.keys[row, :, begin : begin + n] = source.keys[cached.row, :, old : old + n]
            layer.values[row, :, begin : begin + n] = source.values[cached.row, :, old : old + n]

    def _copy_together(
        self, cached: Sequence[CachedRow | None], batch: Batch, span: range, n_new: int
    ) -> None:
        """Copy the cached beginnings of rows, all of a layer at once: each copy has to be started.

        The last `n_new` tokens of each row are left out.
        """
        by_source: dict[Batch, list[int]] = defaultdict(list)
        for i in span:
            row = cached[i]
            if row is not None and len(batch.tokens[i]) > n_new:
                by_source[row.batch].append(i)
        for source, rows in by_source.items():
            old = [row.row for i in rows if (row := cached[i]) is not None]
            copy_slots(
                (source.cache, old, [source.first[row] for row in old]),
                (batch.cache, rows, [batch.first[i] for i in rows]),
                [len(batch.tokens[i]) - n_new for i in rows],
                self.device,
            )

    def _read(self, batch: Batch, rows: slice, begin: int, n_new: int) -> torch.Tensor:
        """Read the last `n_new` slots of `rows`, which have nothing before slot `begin`."""
        width = batch.end - begin
        if self.can_continue:
            for layer in batch.cache.layers:
                layer.look(rows, begin, batch.end)
                layer.expect(n_new)
        else:
            begin, width = 0, batch.end
        block = [[self._pad] * (n_new - len(row)) + row[-n_new:] for row in batch.tokens[rows]]
        slots = torch.arange(width, device=self.device)
        first = torch.tensor(batch.first[rows], device=self.device)[:, None] - begin
        with torch.inference_mode():
            return self._logits(
                input_ids=torch.tensor(block, device=self.device),
                attention_mask=(slots >= first).long(),
                position_ids=(slots[-n_new:] - first).clamp(min=0),
                past_key_values=batch.cache,
            )

    def _logits(self, **inputs: Any) -> torch.Tensor:
        """Call the model; return the logits after each row's last token, (rows, vocabulary)."""
        out = self._model(**inputs, use_cache=True, logits_to_keep=1)
        logits: torch.Tensor = out.logits[:, -1]
        return logits
