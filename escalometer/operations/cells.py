"""Cells that are asked side by side: which there are, in which parts, and how many at a time."""

from __future__ import annotations

import math
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from escalometer import layout
from escalometer.config import AskParams, ModelCard, Params, Workspace, load_card
from escalometer.dialogue.asking import open_engine
from escalometer.dialogue.cell import plan
from escalometer.dialogue.elicitation.rows import Dialogue
from escalometer.dialogue.elicitation.store import CompletionStore
from escalometer.dialogue.providers import computes_here, connect
from escalometer.dialogue.shards import Shard, missing, parts, store_text, versions_text
from escalometer.errors import ProviderError
from escalometer.runtime.extras import need

#: Dialogues of a shard: fewer take less time than they cost, more would be lost with a worker.
N_LEAST, N_MOST = 50, 2000

#: Shards for each worker of a cluster, so that none waits long for the last one.
_PER_WORKER = 4

#: Cells that wait for a server need little of a core.
_PER_CORE = 4

_ANSWER_S = 8

#: Requests under way that each of several shards of a model has at least.
_LEAST_IN_FLIGHT = 8


@dataclass(frozen=True)
class Job:
    """Shards to ask, in the order in which they begin.

    Attributes
    ----------
    shards : sequence of Shard
        Those of different models take turns.
    n_answers : int
        Answers that are missing, at most.
    n_at_once : dict of str to int
        Shards of a model that may be asked at the same time.
    """

    shards: Sequence[Shard]
    n_answers: int
    n_at_once: dict[str, int]


def check_runner(how: AskParams) -> None:
    """Check that the runner of a run is installed, and that its cluster answers.

    Raises
    ------
    UsageError
        If the runner's extra is not installed.
    ProviderError
        If nothing listens at the address of the cluster.
    """
    if how.runner == "processes":
        return
    need(how.runner, f"the runner {how.runner}")
    host, colon, port = (how.cluster or "").rpartition("://")[2].rpartition(":")
    if not (colon and port.isdigit()):
        return  # it is started here, or found by Ray itself: `auto`
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()
    except OSError as error:
        raise no_cluster(how, error) from error


def no_cluster(how: AskParams, error: Exception) -> ProviderError:
    """Return the error of a cluster that does not answer."""
    kind = "Dask scheduler" if how.runner == "dask" else "Ray cluster"
    token = "" if how.runner == "dask" else ". Ray's token must be the same on all machines"
    return ProviderError(
        f"no {kind} answers at {how.cluster} ({type(error).__name__}): start it, or correct "
        f"ask.cluster in params.yaml, --cluster or ESCALOMETER_CLUSTER{token}"
    )


def n_processes(n_workers: int | None, n_cores: int) -> int:
    """Return the number of cells that this machine asks at once."""
    return n_workers or _PER_CORE * n_cores


@dataclass(frozen=True)
class OpenCell:
    """A cell that lacks answers: the dialogues, by the key of their first turn."""

    card: ModelCard
    domain: str
    is_remote: bool
    by_first: dict[str, list[Dialogue]]

    @property
    def n_dialogues(self) -> int:
        """The number of dialogues that lack an answer."""
        return sum(map(len, self.by_first.values()))


def open_cells(
    models: Sequence[str],
    params: Params,
    workspace: Workspace,
    store: CompletionStore,
    is_here: bool,
) -> list[OpenCell]:
    """Return the cells of models that lack answers.

    Parameters
    ----------
    models : sequence of str
        Cards.
    params : Params
        Of the run.
    workspace : Workspace
        The project, whose scenarios are drawn.
    store : CompletionStore
        What it has is not asked.
    is_here : bool
        Whether they are asked on this machine: models that compute on it are left out, as one at a
        time uses all of it.

    Raises
    ------
    UsageError
        If a name is unknown, or a model has no price and that was not allowed.
    DataError
        If the scenarios are absent.
    """
    cards = [load_card(model, layout.cards_folder(workspace.root)) for model in models]
    is_remote = {card.id: not computes_here(connect(card, workspace)) for card in cards}
    cells = []
    for domain in params.domains:
        dialogues = plan(domain, params, workspace.root)
        for card in cards:
            if is_remote[card.id] or not is_here:
                engine = open_engine(card, params, workspace, store)
                if by_first := missing(engine, dialogues):
                    cells.append(OpenCell(card, domain, is_remote[card.id], by_first))
    return cells


def job(
    cells: Sequence[OpenCell],
    params: Params,
    workspace: Workspace,
    n_workers: int,
    n_cores: int | None,
) -> Job:
    """Return cells in shards, and how many of them are asked at once.

    Parameters
    ----------
    cells : sequence of OpenCell
        From `open_cells`.
    params : Params
        Of the run.
    workspace : Workspace
        Of the run.
    n_workers : int
        Shards that are asked at once.
    n_cores : int or None
        Cores of this machine, if all workers run on it; None for a cluster.
    """
    n_dialogues = sum(cell.n_dialogues for cell in cells)
    size = N_MOST
    if n_cores is None:
        size = min(N_MOST, max(N_LEAST, math.ceil(n_dialogues / (_PER_WORKER * n_workers))))
    shards = []
    for cell in cells:
        divided = parts(cell.by_first, size)
        for i, (dialogues, requests) in enumerate(divided, start=1):
            part = f" {i}/{len(divided)}" if len(divided) > 1 else ""
            shards.append(
                Shard(
                    name=f"{cell.card.id} on {cell.domain}{part}",
                    card=cell.card,
                    params=params,
                    dialogues=dialogues,
                    requests=requests,
                    made_by=versions_text(),
                    root=str(workspace.root.resolve()),
                    store=store_text(workspace.store),
                    run=workspace.run,
                    limits=dict(workspace.limits),
                    retry=sorted(workspace.retry),
                    retry_before=workspace.retry_before,
                )
            )
    is_remote = {cell.card.id: cell.is_remote for cell in cells}
    at_once = _at_once(shards, is_remote, n_workers, n_cores)
    shards = [replace(shard, card=_share(shard.card, at_once[shard.card.id])) for shard in shards]
    return Job(_taking_turns(shards), 2 * n_dialogues, at_once)


def _at_once(
    shards: Sequence[Shard], is_remote: dict[str, bool], n_workers: int, n_cores: int | None
) -> dict[str, int]:
    """Return how many shards of each model are asked at the same time.

    One alone has all requests under way that the card allows, unless it has fewer dialogues. On a
    cluster they share the work of making requests, too. No model has more than its part of the
    workers: its shards divide the card's limits, and one that waits for a worker would leave its
    part of them unused.
    """
    n_shards = Counter(shard.card.id for shard in shards)
    n_workers = math.ceil(n_workers / max(1, len(n_shards)))
    found = {}
    for model, n in n_shards.items():
        limits = next(shard.card.endpoint for shard in shards if shard.card.id == model)
        if not is_remote[model] or limits is None:
            found[model] = min(n, n_workers)
            continue
        in_flight = limits.max_in_flight
        n_dialogues = sum(len(shard.dialogues) for shard in shards if shard.card.id == model)
        fill = max(1, n * in_flight // max(1, n_dialogues))
        busy = min(n_workers, n_cores or n_workers) if n_dialogues > N_MOST or not n_cores else 1
        bears = max(1, in_flight // _LEAST_IN_FLIGHT)
        found[model] = min(n, n_workers, bears, max(fill, busy))
    return found


def _share(card: ModelCard, n: int) -> ModelCard:
    """Return a card whose limits are the part of them for one of `n` shards at a time."""
    if card.endpoint is None or n == 1:
        return card
    limits = card.endpoint
    shares = {
        name: max(1, value // n)
        for name in ("max_in_flight", "requests_per_minute", "tokens_per_minute")
        if (value := getattr(limits, name)) is not None
    }
    return card.model_copy(update={"endpoint": limits.model_copy(update=shares)})


def _taking_turns(shards: Sequence[Shard]) -> list[Shard]:
    """Return the shards with those of each model spread evenly."""
    place: Counter[str] = Counter()
    order = []
    for i, shard in enumerate(shards):
        order.append((place[shard.card.id], i, shard))
        place[shard.card.id] += 1
    return [shard for _, _, shard in sorted(order, key=lambda one: one[:2])]
