"""Providers: ways to call a model, one file each, found by file name.

A new provider is one file here that defines ``connect(card, workspace) -> Provider``, and its file
name under `provider` in a model card. Connecting must be cheap: a run that finds every answer in
the completion store connects and never calls.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, Protocol, runtime_checkable

from escalometer.cases.task import BINARY
from escalometer.config import ModelCard, Workspace
from escalometer.errors import EscalometerError, MissingExtra, unknown_name
from escalometer.runtime import extras

Finish = Literal["stop", "length", "forced", "refused", "error"]
Readable = Literal["choice", "first"]


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
        `escalometer.dialogue.parsing.marker_pattern`, and `stop_pattern` for where an answer may
        end.
    reads_choice : bool
        Whether the probabilities of the choices right after the marker are wanted. A local model
        then writes nothing before the marker: one forward pass answers.
    reads_first_token : bool
        Whether the log-probabilities of the answer's first token are wanted, and no more of it.
    meanings : tuple of str
        What each of `choices` means, for models that take options apart from the messages; empty
        where the messages say it. The last paragraph of the last message is then the question.
    """

    messages: tuple[tuple[str, str], ...]
    marker: str
    max_tokens: int
    force_answer: bool = False
    is_thinking: bool = False
    replicate: int = 0
    choices: tuple[str, ...] = BINARY
    reads_choice: bool = False
    reads_first_token: bool = False
    meanings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Completion:
    """An answer, or the outcome in its place.

    Attributes
    ----------
    text : str
        The answer, without thinking that came apart from it.
    finish : str
        ``stop`` (ended by itself or at its marker), ``length`` (budget ran out), ``forced``
        (closed with the marker), ``refused`` or ``error``.
    n_prompt_tokens, n_completion_tokens : int
        As the model counts them; thinking is among the completion's.
    latency_s : float
        Time from request to answer, waiting and repeats included; of a batch, the batch's time
        divided by its rows.
    error : str or None
        What went wrong, where `finish` is ``error`` or ``refused``. Never holds a key.
    thinking : str
        Thinking that came in a separate field.
    probabilities : tuple of float or None
        Of each of the request's choices after the marker, in [0, 1], summing to 1; None where
        they were not requested or are not returned.
    n_cached_tokens : int
        Those of the prompt's tokens that the provider had in its cache.
    resolved_model : str or None
        What an alias stood for, as the provider says.
    is_passing : bool
        Whether an error may be gone next time (an outage): it is asked again, not kept.
    first_token : mapping of str to float or None
        Log-probabilities of the likeliest first tokens, where they were requested and returned.
    fingerprint : str or None
        The provider's name of the configuration that answered, where it sends one.
    """

    text: str
    finish: Finish
    n_prompt_tokens: int
    n_completion_tokens: int
    latency_s: float
    error: str | None = None
    thinking: str = ""
    probabilities: tuple[float, ...] | None = None
    n_cached_tokens: int = 0
    resolved_model: str | None = None
    is_passing: bool = False
    first_token: Mapping[str, float] | None = None
    fingerprint: str | None = None


class Provider(Protocol):
    """The interface of all providers: see `BatchProvider`, `RemoteProvider`.

    Attributes
    ----------
    identity : mapping of str to str
        What makes answers of this model its own (provider, base URL, model, revision, precision);
        part of every completion's key.
    can_force : bool
        Whether `Request.force_answer` can be done.
    readable : {"choice", "first"} or None
        The probabilities that a request for one token returns: those of the choices
        (`Request.reads_choice`), or of the answer's first token (`Request.reads_first_token`).
    """

    identity: Mapping[str, str]
    can_force: bool
    readable: Readable | None

    def parameters(self, request: Request) -> Mapping[str, Any]:
        """Return the further parameters that determine the answer, as part of its key.

        It depends on the request's fields, but not on its messages.
        """
        ...


class BatchProvider(Provider, Protocol):
    """A model on this machine: many requests at once make each of them cheaper.

    Attributes
    ----------
    batch_size : int
        How many requests are worth handing over at once.
    """

    batch_size: int

    def complete(self, requests: Sequence[Request]) -> Iterator[tuple[int, Completion]]:
        """Yield (index into `requests`, completion) as answers arrive, in any order."""
        ...


class Limiter(Protocol):
    """A limit on the number of requests under way."""

    async def acquire(self, n_tokens: int = 0) -> None:
        """Wait until one more request of about `n_tokens` may start."""
        ...

    def release(self) -> None:
        """Release the place of a request that has ended."""
        ...


class BatchProgress(Protocol):
    """The progress of a batch: `state` is ``running``, ``done`` or ``failed``."""

    @property
    def state(self) -> str: ...  # noqa: D102 - said above
    @property
    def status(self) -> str: ...  # noqa: D102
    @property
    def n_completed(self) -> int: ...  # noqa: D102
    @property
    def error(self) -> str | None: ...  # noqa: D102


class BatchApi(Protocol):
    """A server's own batches: files of requests, answered within a day at a lower price."""

    def split(self, requests: Mapping[str, Request]) -> Iterator[tuple[list[str], bytes]]:
        """Yield the ids and the content of each file that `requests` need."""
        ...

    def labelled(self, ids: Sequence[str], n_before: int = 0) -> str:
        """Return a label for a batch of these, of which `n_before` have ended already."""
        ...

    async def submit(self, content: bytes, label: str) -> str:
        """Return the id of the batch for a file; a label makes one batch at most."""
        ...

    async def poll(self, batch: str) -> BatchProgress:
        """Return the progress of a batch."""
        ...

    def collect(
        self, batch: str, requests: Mapping[str, Request]
    ) -> AsyncIterator[tuple[str, Completion]]:
        """Yield id and completion of every request of a batch that is done."""
        ...


@runtime_checkable
class RemoteProvider(Provider, Protocol):
    """A model behind a server: many requests are under way at once, each with its own answer.

    Attributes
    ----------
    limiter : Limiter
        Held by the engine around each `answer`; the provider tells it what the server can bear.
    batches : BatchApi or None
        The server's batches, where it has them.
    """

    limiter: Limiter
    batches: BatchApi | None

    def session(self) -> AbstractAsyncContextManager[None]:
        """Hold connections open for a run."""
        ...

    async def answer(self, request: Request) -> Completion:
        """Return the answer, after as many attempts as it takes; raises only `ProviderError`.

        What a request can fail of is an outcome (`Completion.finish`); the error is for what would
        fail every other request too: a key that is refused, a model that does not exist.
        """
        ...


def is_typed(provider: Provider) -> bool:
    """Return true if the provider takes typed questions: its `is_typed` is true.

    Its model reads no conversation, so each turn is a question of its own, with the choices in
    `Request.meanings`. Its answers have probabilities, and `text` is made of markers.
    """
    return getattr(provider, "is_typed", False) is True


def computes_here(provider: Provider) -> bool:
    """Return true if the model computes on the machine that asks it: one process at a time does.

    A provider that starts a server of its own says so by `computes_here`.
    """
    if getattr(provider, "computes_here", False) is True:
        return True
    return not isinstance(provider, RemoteProvider)


@dataclass(frozen=True)
class ListedModel:
    """A model as its provider lists it.

    Attributes
    ----------
    name : str
        The name on the server, as it came: it may hold anything.
    released : date, optional
        The day that the list states as that of its creation.
    retires : date, optional
        The day from which the provider no longer serves it.
    """

    name: str
    released: date | None = None
    retires: date | None = None


def names() -> list[str]:
    """Return the providers that exist, in alphabetical order."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def connect(card: ModelCard, workspace: Workspace) -> BatchProvider | RemoteProvider:
    """Return the provider of `card`, not yet called.

    Parameters
    ----------
    card : ModelCard
        The model.
    workspace : Workspace
        Where weights and adapters are, and the keys that cards name.

    Raises
    ------
    UsageError
        If the card names a provider that does not exist, or lacks what its provider needs: an
        endpoint, a key in the environment, a package.
    ProviderError
        If the model cannot be reached.
    """
    provider: BatchProvider | RemoteProvider = _module(card.provider).connect(card, workspace)
    return provider


def check(cards: Sequence[ModelCard], workspace: Workspace) -> dict[str, EscalometerError]:
    """Return why models cannot be asked, by name, before anything is; those that can are left out.

    A provider's file may define ``check(cards, workspace)`` with this result. It takes all of the
    provider's cards, so that it makes one request for each endpoint at most, within five seconds.

    Raises
    ------
    UsageError
        If a card names a provider that does not exist.
    """
    by_provider: dict[str, list[ModelCard]] = {}
    for card in cards:
        by_provider.setdefault(card.provider, []).append(card)
    found: dict[str, EscalometerError] = {}
    for name, group in by_provider.items():
        try:
            module = _module(name)
            if name in extras.PACKAGES and not hasattr(module, "check"):
                extras.need(name, f"the provider {name}")  # an extra has the name of its provider
        except MissingExtra as error:
            found |= dict.fromkeys((card.id for card in group), error)
            continue
        if hasattr(module, "check"):
            found |= module.check(group, workspace)
    return found


def listed(
    cards: Sequence[ModelCard], workspace: Workspace
) -> dict[str, Sequence[ListedModel] | EscalometerError]:
    """Return the models that the endpoint of each card lists, by the card's id, or why it cannot.

    A provider's file may define ``listed(cards, workspace)`` with this result, by one request for
    each endpoint. Cards of other providers are left out.

    Raises
    ------
    UsageError
        If a card names a provider that does not exist.
    """
    found: dict[str, Sequence[ListedModel] | EscalometerError] = {}
    for name in sorted({card.provider for card in cards}):
        module = _module(name)
        if hasattr(module, "listed"):
            found |= module.listed([card for card in cards if card.provider == name], workspace)
    return found


def _module(provider: str) -> Any:
    if provider not in names():
        raise unknown_name("provider", provider, names())
    with extras.named(f"the provider {provider}"):
        return importlib.import_module(f"{__name__}.{provider}")
