"""Examples with a common prefix as one tree-shaped sequence, and a collator for it.

Trunk and branches follow one another. Positions in each branch continue from the trunk's end, and a
mask hides branches from each other: the loss and its gradients are those of the separate examples,
for a fraction of the tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch

from escalometer.cases.task import PREDICTION_MARKER
from escalometer.training.attention import Layout

IGNORED = -100  # a label without a loss


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
        """Number of tokens to read."""
        return len(self.tokens)

    @property
    def n_separate(self) -> int:
        """Number of tokens to read without sharing: here the same."""
        return len(self.tokens)

    @property
    def n_learned(self) -> int:
        """Number of tokens to learn."""
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
    # The template's text after the end of a turn is not a target.
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


def _tokens(tokenizer: Any, messages: Sequence[Mapping[str, str]], **options: Any) -> list[int]:
    template = tokenizer.chat_template or ""
    if "enable_thinking" in template:
        options["enable_thinking"] = False
    encoding = tokenizer.apply_chat_template(
        [dict(m) for m in messages], return_dict=True, **options
    )
    return list(encoding["input_ids"])


def _common(sequences: Sequence[Sequence[int]]) -> int:
    """Return the number of leading tokens that all sequences share."""
    n = min(map(len, sequences))
    first = sequences[0]
    return next((i for i in range(n) if any(s[i] != first[i] for s in sequences)), n)


@dataclass(frozen=True)
class Tree:
    """Examples with a common prefix.

    Attributes
    ----------
    trunk : Encoded
        The common prefix. Its labels are those of an example that ends within it, if there is one.
    branches : tuple of Encoded
        The rest of each of the others, at least one token.
    """

    trunk: Encoded
    branches: tuple[Encoded, ...]

    @property
    def n_tokens(self) -> int:
        """Number of tokens to read: the trunk's count once."""
        return len(self.trunk.tokens) + sum(len(branch.tokens) for branch in self.branches)

    @property
    def n_separate(self) -> int:
        """Number of tokens to read if each example were separate."""
        learned = [i for i, label in enumerate(self.trunk.labels) if label != IGNORED]
        n_inner = learned[-1] + 1 if learned else 0
        return self.n_tokens + len(self.trunk.tokens) * (len(self.branches) - 1) + n_inner

    @property
    def n_learned(self) -> int:
        """Number of tokens to learn."""
        return sum(part.n_learned for part in (self.trunk, *self.branches))

    def row(self) -> dict[str, Any]:
        """Return the tree as a row of a data set, for `TreeCollator`."""
        parts = (self.trunk, *self.branches)
        return {
            "input_ids": [token for part in parts for token in part.tokens],
            "labels": [label for part in parts for label in part.labels],
            "n_trunk": len(self.trunk.tokens),
            "n_branches": [len(branch.tokens) for branch in self.branches],
        }


def tree_of(examples: Sequence[Encoded]) -> Tree:
    """Return the tree of some examples.

    Raises
    ------
    ValueError
        If no branch is left: there are fewer than two examples, or none is longer than the others.
    """
    # An example that is a prefix of the others, as a first answer is of second turns, is in the
    # trunk.
    longest = max(examples, key=lambda example: len(example.tokens))
    inner = [e for e in examples if longest.tokens[: len(e.tokens)] == e.tokens and e != longest]
    others = [e for e in examples if e not in inner]
    n = _common([e.tokens for e in others])
    # A branch holds its targets, and the token before, which predicts the first target.
    begins = [next((i for i, x in enumerate(e.labels) if x != IGNORED), 1) for e in others]
    n = min(n, *(begin - 1 for begin in begins)) if len(others) > 1 else begins[0] - 1
    inner = [e for e in inner if len(e.tokens) <= n]
    if len(inner) + len(others) < len(examples) or len(inner) > 1:
        raise ValueError("these examples form no tree: one ends within the branches of others")
    if n == 0 or (len(others) == 1 and not inner):
        raise ValueError("a tree needs at least two examples with a common beginning")
    labels = [IGNORED] * n
    if inner:
        labels[: len(inner[0].labels)] = inner[0].labels
    trunk = Encoded(others[0].tokens[:n], labels)
    return Tree(trunk, tuple(Encoded(e.tokens[n:], e.labels[n:]) for e in others))


def tree_sequences(
    rows: Iterable[Mapping[str, Any]], tokenizer: Any, max_length: int
) -> tuple[list[Tree], int]:
    """Return the trees of a table of examples, and the number of examples that are too long.

    Parameters
    ----------
    rows : iterable of mapping
        Of `schema.EXAMPLES`, those of a tree one after the other.
    tokenizer : PreTrainedTokenizerBase
        The model's.
    max_length : int
        Examples with more tokens are left out, and an example that is left alone in its tree.
    """
    grown, n_out = [], 0
    for _, group in groupby(rows, key=lambda row: row["tree"]):
        encoded = [encode(row, tokenizer) for row in group]
        fitting = [example for example in encoded if example.n_tokens <= max_length]
        if len(fitting) < 2:
            fitting = []
        n_out += len(encoded) - len(fitting)
        if fitting:
            grown.append(tree_of(fitting))
    return grown, n_out


class TreeCollator:
    """A collator that turns trees into a batch for a trainer of transformers or TRL.

    The batch is one sequence, one tree after the other: tokens, labels, positions, which begin anew
    in each tree, and the mask as (1, 1, tokens, tokens) bool, which hides trees from each other.
    `trees` has the same information for `attention.attend`, which skips what the mask hides.

    Parameters
    ----------
    has_mask : bool
        Whether the batch contains the mask: `attention.attend` does not read it, and it grows with
        the square of the tokens.
    """

    def __init__(self, has_mask: bool = True) -> None:
        self._has_mask = has_mask

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the batch of some trees, as rows of a data set."""
        positions: list[torch.Tensor] = []
        masks: list[torch.Tensor] = []
        for row in rows:
            n, lengths = row["n_trunk"], row["n_branches"]
            positions += [torch.arange(n), *(torch.arange(n, n + length) for length in lengths)]
            if self._has_mask:
                sizes = torch.tensor([n, *lengths])
                part = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
                masks.append(((part[:, None] == part[None]) | (part[None] == 0)).tril())
        # The last token of a tree must not predict the first one of the next tree.
        labels = [x for row in rows for x in (IGNORED, *row["labels"][1:])]
        batch = {
            "input_ids": torch.tensor([[token for row in rows for token in row["input_ids"]]]),
            "labels": torch.tensor([labels]),
            "position_ids": torch.cat(positions)[None],
            "trees": [Layout.of(row["n_trunk"], row["n_branches"]) for row in rows],
        }
        if self._has_mask:
            batch["attention_mask"] = torch.block_diag(*masks)[None, None]  # type: ignore[no-untyped-call]
        return batch
