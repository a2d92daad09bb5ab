"""Providers: ways to call a model, one file each, found by file name.

A new provider is one file here that defines ``connect(card, cache) -> Provider`` and its file name
under `provider` in a model card. Connecting must be cheap: a run that finds every answer in the
completion store connects and never calls.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from escalometer.config import ModelCard
from escalometer.errors import unknown_name
from escalometer.parsing import BINARY

Finish = Literal["stop", "length", "forced", "refused", "error"]


@dataclass(frozen=True)
class Request:
    """One request to a model: everything that determines its answer, but for the model itself.

    Attributes
    ----------
    messages : tuple of (role, content)
        The conversation so far, roles ``"user"`` and ``"assistant"``.
    marker : str
        The answer ends as soon as this marker and one of `choices` are out.
    max_tokens : int
        Budget of the answer.
    force_answer : bool
        Whether an answer that ends without its marker is closed with it, so that the model fills
        in its choice.
    is_thinking : bool
        Whether the model thinks first, where it has the switch.
    replicate : int
        Repeats of the same request have their own answers.
    choices : tuple of str
        What may follow the marker: single characters, all digits or all capital letters. See
        `escalometer.parsing.marker_pattern`, and `stop_pattern` for where an answer may end.
    """

    messages: tuple[tuple[str, str], ...]
    marker: str
    max_tokens: int
    force_answer: bool = False
    is_thinking: bool = False
    replicate: int = 0
    choices: tuple[str, ...] = BINARY


@dataclass(frozen=True)
class Completion:
    """An answer, or what came instead of one.

    Attributes
    ----------
    text : str
        The answer, thinking included.
    finish : str
        ``stop`` (ended by itself or at its marker), ``length`` (budget ran out), ``forced``
        (closed with the marker), ``refused`` or ``error``.
    n_prompt_tokens, n_completion_tokens : int
        As the model counts them.
    latency_s : float
        Time from request to answer; of a batch, the batch's time divided by its rows.
    error : str or None
        What went wrong, where `finish` is ``error``.
    """

    text: str
    finish: Finish
    n_prompt_tokens: int
    n_completion_tokens: int
    latency_s: float
    error: str | None = None


class Provider(Protocol):
    """What the elicitation engine asks of a provider.

    Attributes
    ----------
    identity : mapping of str to str
        What makes answers of this model its own (provider, base URL, model, revision, precision);
        part of every completion's key.
    batch_size : int
        How many requests are worth handing over at once.
    """

    identity: Mapping[str, str]
    batch_size: int

    def complete(self, requests: Sequence[Request]) -> Iterator[tuple[int, Completion]]:
        """Yield (index into `requests`, completion) as answers arrive, in any order."""
        ...


def names() -> list[str]:
    """Return the providers that exist, in alphabetical order."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def connect(card: ModelCard, cache: Path) -> Provider:
    """Return the provider of `card`, not yet called.

    Parameters
    ----------
    card : ModelCard
        The model.
    cache : Path
        Folder for what is worth fetching once, such as weights.

    Raises
    ------
    UsageError
        If the card names a provider that does not exist.
    ProviderError
        If the model cannot be reached.
    """
    if card.provider not in names():
        raise unknown_name("provider", card.provider, names())
    module = importlib.import_module(f"{__name__}.{card.provider}")
    provider: Provider = module.connect(card, cache)
    return provider
