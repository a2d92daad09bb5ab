"""Sizes of batches and of blocks of prompts: measured ones on a CPU, from free memory on a GPU."""

from __future__ import annotations

from typing import Any

#: Rows of a batch on a CPU: more rows make a decoding step no cheaper by the row.
CPU_ROWS = 64
#: Tokens of a block on a CPU: what layers hand on stays in its cache.
CPU_BLOCK_TOKENS = 1024
#: Rows of a batch on a GPU, at least and at most: beyond, the checks on the host take longer than
#: the steps.
GPU_ROWS = (64, 1024)
#: Tokens of a block on a GPU, at least and at most: a few thousand make products compute-bound.
GPU_BLOCK_TOKENS = (1024, 16_384)
#: Share of the free memory for one batch: what layers hand on needs some, too.
SHARE = 0.4
#: The same for first turns on a GPU, of which a batch is kept while its second turns are written.
GPU_FIRST_SHARE = 0.25
#: Share of the free memory for what layers hand on while a block is read.
_BLOCK_SHARE = 0.1
#: Tokens of a row, prompt and answer, before any request was seen.
TYPICAL_TOKENS = 1024


def gpu_rows(free_bytes: int, bytes_per_token: int, n_tokens: int) -> int:
    """Return the rows of a batch of first turns that leaves room for their second turns.

    Parameters
    ----------
    free_bytes : int
        Memory that is free when the weights are loaded and no batch is.
    bytes_per_token : int
        Size of the keys and values of one token.
    n_tokens : int
        Tokens of the longest row.
    """
    least, most = GPU_ROWS
    fitting = int(GPU_FIRST_SHARE * free_bytes // max(1, bytes_per_token * n_tokens))
    return max(1, min(most, max(least, fitting)))


def gpu_block_tokens(free_bytes: int, config: Any, element_size: int) -> int:
    """Return the tokens of a block of prompts that are read at once.

    Parameters
    ----------
    free_bytes : int
        Memory that is free when the weights are loaded.
    config : PretrainedConfig
        Has the widths of the layers.
    element_size : int
        Bytes of a number.
    """
    hidden = int(getattr(config, "hidden_size", 4096))
    inner = getattr(config, "intermediate_size", None)
    inner = inner if isinstance(inner, int) else 4 * hidden
    # A layer hands on its input, queries, keys, values and output, and three parts of its MLP.
    by_token = element_size * (8 * hidden + 3 * inner)
    least, most = GPU_BLOCK_TOKENS
    return max(least, min(most, int(_BLOCK_SHARE * free_bytes // by_token)))
