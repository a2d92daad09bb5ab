"""Examples that share a beginning as one tree-shaped sequence, and a collator for it.

Trunk and branches stand one after the other. Positions in each branch go on from the trunk's end,
and a mask keeps branches from seeing each other: the loss and its gradients are those of the
examples taken separately, for a fraction of the tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch

from escalometer.cases.task import PREDICTION_MARKER
from escalometer.training.attention import Layout

IGNORED = -100  # a label that counts for nothing


@dataclass(frozen=True)
class Encoded:
    """One example as tokens.

    Attributes
    ----------
    tokens, labels : list of int
        Of equal length; a label is its token where the token is to be learned, else `IGNORED`.
    """

    tokens: list[int]
    labels: list[int]

    @property
    def n_tokens(self) -> int:
        """Tokens that are read."""
        return len(self.tokens)

    @property
    def n_separate(self) -> int:
        """Tokens that would be read if the example stood by itself, as it does."""
        return len(self.tokens)

    @property
    def n_learned(self) -> int:
        """Tokens that are to be learned."""
        return sum(label != IGNORED for label in self.labels)

    def row(self) -> dict[str, Any]:
        """Return the example as a row of a data set."""
        return {"input_ids": self.tokens, "labels": self.labels}


def encode(row: Mapping[str, Any], tokenizer: Any) -> Encoded:
    """Return an example as tokens: its conversation in the model's template, then its target.

    Of a drill of both turns, the marker of its first answer is learned too: not the choice, which
    nothing determines.

    Parameters
    ----------
    row : mapping
        `kind`, `messages` and `target`, as in `schema.EXAMPLES`.
    tokenizer : PreTrainedTokenizerBase
        The model's.
    """
    asked = _tokens(tokenizer, row["messages"], add_generation_prompt=True)
    ended = [*row["messages"], {"role": "assistant", "content": row["target"]}]
    whole = _tokens(tokenizer, ended, add_generation_prompt=False)
    n = _common([asked, whole])
    # What a template puts after the end of a turn is not the model's to write.
    end = len(whole)
    if tokenizer.eos_token_id in whole[n:]:
        end = n + whole[n:].index(tokenizer.eos_token_id) + 1
    tokens = whole[:end]
    labels = [IGNORED] * n + tokens[n:]
    if row["kind"] == "drill_both":
        asked = _tokens(tokenizer, row["messages"][:1], add_generation_prompt=True)
        marked = [row["messages"][0], {"role": "assistant", "content": PREDICTION_MARKER}]
        marker = _tokens(tokenizer, marked, add_generation_prompt=False)
        first = slice(_common([asked, tokens]), _common([marker, tokens]))
        labels[first] = tokens[first]
    return Encoded(tokens, labels)


def _tokens(tokenizer: Any, messages: Sequence[Mapping[str, str]], **how: Any) -> list[int]:
    template = tokenizer.chat_template or ""
    if "enable_thinking" in template:
        how["enable_thinking"] = False
    made = tokenizer.apply_chat_template([dict(m) for m in messages], return_dict=True, **how)
    return list(made["input_ids"])


def _common(sequences: Sequence[Sequence[int]]) -> int:
    """Return how many tokens all of the sequences begin with."""
    n = min(map(len, sequences))
    first = sequences[0]
    return next((i for i in range(n) if any(s[i] != first[i] for s in sequences)), n)


@dataclass(frozen=True)
class Tree:
    """Examples that share their beginning.

    Attributes
    ----------
    trunk : Encoded
        What they share. Its labels are those of an example that ends within it, if there is one.
    branches : tuple of Encoded
        What each of the others goes on with, at least one token.
    """

    trunk: Encoded
    branches: tuple[Encoded, ...]

    @property
    def n_tokens(self) -> int:
        """Tokens that are read: the trunk's once."""
        return len(self.trunk.tokens) + sum(len(branch.tokens) for branch in self.branches)

    @property
    def n_separate(self) -> int:
        """Tokens that would be read if each example stood by itself."""
        learned = [i for i, label in enumerate(self.trunk.labels) if label != IGNORED]
        n_inner = learned[-1] + 1 if learned else 0
        return self.n_tokens + len(self.trunk.tokens) * (len(self.branches) - 1) + n_inner

    @property
    def n_learned(self) -> int:
        """Tokens that are to be learned."""
        return sum(part.n_learned for part in (self.trunk, *self.branches))

    def row(self) -> dict[str, Any]:
        """Return the tree as a row of a data set: what `TreeCollator` takes."""
        parts = (self.trunk, *self.branches)
        return {
            "input_ids": [token for part in parts for token in part.tokens],
            "labels": [label for part in parts for label in part.labels],
            "n_trunk": len(self.trunk.tokens),
            "n_branches": [len(branch.tokens) for branch in self.branches],
        }


def grow(examples: Sequence[Encoded]) -> Tree:
    """Return the tree of some examples.

    Raises
    ------
    ValueError
        If no branch is left: there are fewer than two examples, or none goes on.
    """
    # One that ends where the others go on, as a first answer before second turns, is in the trunk.
    longest = max(examples, key=lambda example: len(example.tokens))
    inner = [e for e in examples if longest.tokens[: len(e.tokens)] == e.tokens and e != longest]
    others = [e for e in examples if e not in inner]
    n = _common([e.tokens for e in others])
    # A branch holds what it is to learn, and the token before, which predicts its first.
    begins = [next((i for i, x in enumerate(e.labels) if x != IGNORED), 1) for e in others]
    n = min(n, *(begin - 1 for begin in begins)) if len(others) > 1 else begins[0] - 1
    inner = [e for e in inner if len(e.tokens) <= n]
    if len(inner) + len(others) < len(examples) or len(inner) > 1:
        raise ValueError("these examples make no tree: one ends within the branches of others")
    if n == 0 or (len(others) == 1 and not inner):
        raise ValueError("a tree needs two examples or more that begin alike")
    labels = [IGNORED] * n
    if inner:
        labels[: len(inner[0].labels)] = inner[0].labels
    trunk = Encoded(others[0].tokens[:n], labels)
    return Tree(trunk, tuple(Encoded(e.tokens[n:], e.labels[n:]) for e in others))


def trees(
    rows: Iterable[Mapping[str, Any]], tokenizer: Any, max_length: int
) -> tuple[list[Tree], int]:
    """Return the trees of a table of examples, and how many examples were too long for them.

    Parameters
    ----------
    rows : iterable of mapping
        Of `schema.EXAMPLES`, those of a tree one after the other.
    tokenizer : PreTrainedTokenizerBase
        The model's.
    max_length : int
        Examples with more tokens are left out, and what is left alone in its tree.
    """
    found, n_out = [], 0
    for _, group in groupby(rows, key=lambda row: row["tree"]):
        encoded = [encode(row, tokenizer) for row in group]
        kept = [example for example in encoded if example.n_tokens <= max_length]
        if len(kept) < 2:
            kept = []
        n_out += len(encoded) - len(kept)
        if kept:
            found.append(grow(kept))
    return found, n_out


class TreeCollator:
    """Turns one tree into a batch for any trainer of transformers or TRL.

    The batch holds one sequence: tokens, labels, positions, and the mask as (1, 1, tokens, tokens)
    bool. `tree` says the same to `attention.attend`, which skips what the mask hides.
    """

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the batch of a single row.

        Raises
        ------
        ValueError
            If there is more than one: a tree is a batch already.
        """
        if len(rows) != 1:
            raise ValueError("one tree is a batch: set per_device_train_batch_size to 1")
        (row,) = rows
        n, lengths = row["n_trunk"], row["n_branches"]
        positions = [torch.arange(n), *(torch.arange(n, n + length) for length in lengths)]
        part = torch.repeat_interleave(torch.arange(len(lengths) + 1), torch.tensor([n, *lengths]))
        sees = (part[:, None] == part[None]) | (part[None] == 0)
        return {
            "input_ids": torch.tensor([row["input_ids"]]),
            "labels": torch.tensor([row["labels"]]),
            "position_ids": torch.cat(positions)[None],
            "attention_mask": sees.tril()[None, None],
            "tree": Layout.of(n, lengths),
        }
