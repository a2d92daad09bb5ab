"""Greedy decoding steps without input from the host.

The state of a step (next tokens, positions, mask, slot) is in tensors that are changed in place,
and the cache is read at its whole width. So the host waits for the device once for several steps,
and a step can be captured as a CUDA graph, which starts all of its kernels at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from escalometer.dialogue.providers.local.loading import is_out_of_memory

#: Steps that make capturing a graph worth its time, which is that of about five steps.
_WORTH_CAPTURING = 32


#: A cache, and some of its rows with the first slot of each.
_Rows = tuple[Any, list[int], list[int]]


def copy_slots(source: _Rows, target: _Rows, n: list[int], device: torch.device) -> None:
    """Copy keys and values between rows, all of a layer by one copy, as each has to be started.

    Parameters
    ----------
    source, target : (Cache, rows, first slots)
        Of each pair of rows.
    n : list of int
        By pair, the number of slots.
    device : torch.device
        Of the caches.
    """
    counts = torch.tensor(n)
    ends = counts.cumsum(0)
    within = torch.arange(int(ends[-1])) - (ends - counts).repeat_interleave(counts)
    index = [
        part.to(device)
        for _, rows, first in (source, target)
        for part in (
            torch.tensor(rows).repeat_interleave(counts),
            torch.tensor(first).repeat_interleave(counts) + within,
        )
    ]
    from_row, from_slot, to_row, to_slot = index
    for old, new in zip(source[0].layers, target[0].layers, strict=True):
        new.keys[to_row, :, to_slot] = old.keys[from_row, :, from_slot]
        new.values[to_row, :, to_slot] = old.values[from_row, :, from_slot]


class DeviceSteps:
    """Steps of a batch's live rows, from their next tokens.

    Parameters
    ----------
    logits : callable
        The model: inputs to the next token's logits, (rows, vocabulary).
    cache : Cache
        Keys and values, by layer; the live rows are the first ones.
    first : list of int
        By row, its first slot.
    end : int
        The slot after the last one in use.
    tokens : tensor of shape (rows,)
        The next tokens, which are not yet in the cache.
    """

    def __init__(
        self,
        logits: Callable[..., torch.Tensor],
        cache: Any,
        first: list[int],
        end: int,
        tokens: torch.Tensor,
    ) -> None:
        device, n_rows = tokens.device, len(first)
        self._logits, self._cache = logits, cache
        n_slots = cache.layers[0].keys.shape[2]
        begin = torch.tensor(first, device=device)[:, None]
        slots = torch.arange(n_slots, device=device)
        self.tokens = tokens[:, None].clone()
        self._positions = end - begin
        self._slot = torch.tensor([end], device=device)
        self._mask = ((slots >= begin) & (slots < end))[:, None, None, :]
        for layer in cache.layers:
            layer.write_at(self._slot, n_rows)
        self._graph: torch.cuda.CUDAGraph | None = None

    def run(self, n_steps: int) -> list[list[int]]:
        """Read the next token of each row `n_steps` times; return, by row, the tokens read."""
        read = []
        for _ in range(n_steps):
            read.append(self.tokens.clone())
            if self._graph is None:
                self._advance()
            else:
                self._graph.replay()
        return torch.cat(read, dim=1).tolist()

    def capture(self, n_left: int, pool: Any) -> bool:
        """Capture a step as a CUDA graph if `n_left` steps are worth it; return false if it cannot.

        The graph is used only if its first result is that of the step itself.
        """
        if n_left < _WORTH_CAPTURING:
            return True
        state = (self.tokens, self._positions, self._slot, self._mask)
        before = [x.clone() for x in state]

        def restore() -> None:
            for x, old in zip(state, before, strict=True):
                x.copy_(old)

        try:
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):  # libraries allocate at their first use
                self._advance()
            torch.cuda.current_stream().wait_stream(side)
            expected = self.tokens.clone()
            restore()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool):
                self._advance()
            graph.replay()
            is_same = torch.equal(self.tokens, expected)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            restore()
            return False
        restore()
        self._graph = graph if is_same else None
        return is_same

    def _advance(self) -> None:
        self._mask.index_fill_(3, self._slot, True)
        with torch.inference_mode():
            logits = self._logits(
                input_ids=self.tokens,
                attention_mask=self._mask,
                position_ids=self._positions,
                past_key_values=self._cache,
            )
            self.tokens.copy_(logits.argmax(-1, keepdim=True))
            self._positions.add_(1)
            self._slot.add_(1)
