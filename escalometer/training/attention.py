"""Attention within a tree of tokens, without computing what its mask would hide.

A trunk is read once; each branch attends to the trunk and itself. A dense matrix would be mostly
masked, by the square of the branches. Here the trunk attends to itself, and the branches, as the
rows of a batch, to the trunk's keys and their own.
"""

from __future__ import annotations

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
    """

    n_trunk: int
    slots: torch.Tensor
    mask: torch.Tensor

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
        return cls(n_trunk, slots, mask)


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _mask: torch.Tensor | None,
    *,
    tree: Layout,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Return the attention under the tree's mask; the interface is transformers'.

    Parameters
    ----------
    module : torch.nn.Module
        The attention layer; has the number of query heads that share a key.
    query, key, value : torch.Tensor
        (1, heads, tokens, width), one tree.
    tree : Layout
        The places of trunk and branches, which stand for the mask.
    """
    groups = getattr(module, "num_key_value_groups", 1)
    n, slots, mask = tree.n_trunk, tree.slots.to(query.device), tree.mask.to(query.device)
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
        branch_query, keys, values, attn_mask=mask, dropout_p=dropout, scale=scaling
    )
    # Back into one sequence: (branches, heads, longest, width) to (1, heads, tokens, width).
    is_token = slots < query.shape[2] - n
    flat = branches.transpose(1, 2)[is_token].transpose(0, 1)[None]
    return torch.cat([trunk, flat], 2).transpose(1, 2).contiguous(), None


def _rows(x: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
    """Return (1, heads, tokens, width) as (branches, heads, longest, width), zeros as padding."""
    return pad(x[0], (0, 0, 0, 1))[:, slots].transpose(0, 1)


def _repeat(x: torch.Tensor, groups: int) -> torch.Tensor:
    return x if groups == 1 else x.repeat_interleave(groups, dim=1)


def register() -> None:
    """Register this attention and its mask with transformers, by name."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
