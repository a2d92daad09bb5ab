"""Attention within trees of tokens, without computing what their mask would hide.

A trunk is read once; each branch attends to the trunk and itself. A dense matrix would be mostly
masked, by the square of the branches. Here the trunk attends to itself, and the branches, as the
rows of a batch, to the trunk's keys and their own. Trees that share a sequence are computed one
after the other: none attends to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import pad, scaled_dot_product_attention

NAME = "tree"


@dataclass(frozen=True)
class Layout:
    """The places of a sequence's trunk and branches.

    Attributes
    ----------
    n_trunk : int
        Tokens of the trunk: the first of the sequence.
    slots : torch.Tensor
        (branches, longest) int64: the place of each branch's tokens after the trunk, and one past
        the last place where a branch is shorter.
    mask : torch.Tensor
        (1, 1, longest, n_trunk + longest) bool: the tokens that a branch's tokens attend to.
    order : torch.Tensor
        (tokens after the trunk,) int64: the place of each in `slots`, flattened.
    n_tokens : int
        Tokens of trunk and branches.
    """

    n_trunk: int
    slots: torch.Tensor
    mask: torch.Tensor
    order: torch.Tensor
    n_tokens: int

    @classmethod
    def of(cls, n_trunk: int, lengths: list[int]) -> Layout:
        """Return the layout of a trunk of `n_trunk` tokens and branches of `lengths`."""
        longest, after = max(lengths), sum(lengths)
        slots = torch.full((len(lengths), longest), after)
        begin = 0
        for row, n in enumerate(lengths):
            slots[row, :n] = torch.arange(begin, begin + n)
            begin += n
        branch_mask = torch.ones(longest, longest, dtype=torch.bool).tril()
        mask = pad(branch_mask, (n_trunk, 0), value=True)[None, None]
        order = (slots < after).flatten().nonzero()[:, 0]
        return cls(n_trunk, slots, mask, order, n_trunk + after)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Layout:
        """Return the layout on a device, so that no layer has to copy it."""
        slots, mask, order = (
            x.to(device, non_blocking=non_blocking) for x in (self.slots, self.mask, self.order)
        )
        return Layout(self.n_trunk, slots, mask, order, self.n_tokens)


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _mask: torch.Tensor | None,
    *,
    trees: Sequence[Layout],
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Return the attention under the trees' mask; the interface is transformers'.

    Parameters
    ----------
    module : torch.nn.Module
        The attention layer; has the number of query heads that share a key.
    query, key, value : torch.Tensor
        (1, heads, tokens, width), one tree after the other.
    trees : sequence of Layout
        The places of trunks and branches, which stand for the mask.
    """
    groups = getattr(module, "num_key_value_groups", 1)
    lengths = [tree.n_tokens for tree in trees]
    parts = [
        _attend_tree(q, k, v, tree, groups, scaling, dropout)
        for q, k, v, tree in zip(
            query.split_with_sizes(lengths, 2),
            key.split_with_sizes(lengths, 2),
            value.split_with_sizes(lengths, 2),
            trees,
            strict=True,
        )
    ]
    attended = parts[0] if len(parts) == 1 else torch.cat(parts, 2)
    return attended.transpose(1, 2).contiguous(), None


def _attend_tree(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    tree: Layout,
    groups: int,
    scaling: float | None,
    dropout: float,
) -> torch.Tensor:
    """Return the attention within one tree, (1, heads, tokens, width)."""
    tree = tree.to(query.device)  # a layout that is there already is not copied
    n, slots = tree.n_trunk, tree.slots
    trunk_key, trunk_value = (_repeat(x[:, :, :n], groups) for x in (key, value))
    trunk = scaled_dot_product_attention(
        query[:, :, :n], trunk_key, trunk_value, dropout_p=dropout, is_causal=True, scale=scaling
    )
    rows = slots.shape[0]
    branch_query = _rows(query[:, :, n:], slots)
    keys, values = (
        torch.cat([seen.expand(rows, -1, -1, -1), _repeat(_rows(x[:, :, n:], slots), groups)], 2)
        for seen, x in ((trunk_key, key), (trunk_value, value))
    )
    branches = scaled_dot_product_attention(
        branch_query, keys, values, attn_mask=tree.mask, dropout_p=dropout, scale=scaling
    )
    # Back into one sequence: (branches, heads, longest, width) to (1, heads, tokens, width).
    flat = branches.transpose(1, 2).flatten(0, 1)[tree.order].transpose(0, 1)[None]
    return torch.cat([trunk, flat], 2)


def _rows(x: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
    """Return (1, heads, tokens, width) as (branches, heads, longest, width), zeros as padding."""
    return pad(x[0], (0, 0, 0, 1))[:, slots].transpose(0, 1)


def _repeat(x: torch.Tensor, groups: int) -> torch.Tensor:
    return x if groups == 1 else x.repeat_interleave(groups, dim=1)


def register() -> None:
    """Register this attention with transformers, by name, and that it needs no mask."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, lambda *_, **__: None)
