"""Shards: dialogues of one model on one domain that a worker asks, on this machine or another.

A shard is JSON and holds all that its dialogues need: the worker has no project, only this package
in the same version, the keys that the card names, and the completion store.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from escalometer.config import DatabaseAddress, ModelCard, Params, Workspace, store_place
from escalometer.dialogue.asking import open_engine
from escalometer.dialogue.elicitation.engine import Engine, Plan
from escalometer.dialogue.elicitation.rows import Dialogue
from escalometer.dialogue.elicitation.store import open_store
from escalometer.errors import UsageError
from escalometer.runtime.interruption import Interruption


@dataclass(frozen=True)
class Shard:
    """Dialogues for one worker.

    Attributes
    ----------
    name : str
        For people, and for the budget: ``"gpt-5-mini on movielens 2/4"``.
    card : ModelCard
        The model; its limits are the part of them that this shard may use.
    params : Params
        Of the run.
    dialogues : list of Dialogue
        All that share a first turn are in one shard.
    requests : str
        Digest of the keys of their first turns.
    made_by : str
        Versions of the process that made the shard, for a message.
    root, store : str
        The project, and the completion store without its password.
    run : str
        Whose budget pays.
    limits : dict
        Limits of the run, by key of `ask`.
    retry : list of str
        Outcomes whose stored answers are replaced.
    retry_before : str or None
        Time from which on they are not.
    """

    name: str
    card: ModelCard
    params: Params
    dialogues: list[Dialogue]
    requests: str
    made_by: str
    root: str
    store: str
    run: str
    limits: dict[str, Any] = field(default_factory=dict)
    retry: list[str] = field(default_factory=list)
    retry_before: str | None = None

    def to_json(self) -> str:
        """Return the shard as JSON."""
        return _ADAPTER.dump_json(self).decode()


_ADAPTER = TypeAdapter(Shard)


def shard_of(text: str) -> Shard:
    """Return the shard of `Shard.to_json`.

    Raises
    ------
    UsageError
        If it is none, or one of another version.
    """
    try:
        return _ADAPTER.validate_json(text)
    except ValueError as error:
        raise UsageError(
            f"a shard of dialogues cannot be read by {versions_text()}: install the version of the "
            f"process that sent it ({str(error).splitlines()[0]})"
        ) from error


def versions() -> dict[str, str]:
    """Return what has to be the same on all machines of a run, by name."""
    found = {"python": ".".join(map(str, sys.version_info[:2]))}
    for name in ("escalometer", "prefect"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def versions_text() -> str:
    """Return the versions of this process for a message."""
    return ", ".join(f"{name} {number}" for name, number in versions().items())


def store_text(place: Path | DatabaseAddress) -> str:
    """Return the place of a store as shards have it: no password, and a file's whole path."""
    return str(place.resolve() if isinstance(place, Path) else place)


def _store(shard: Shard, workspace: Workspace) -> Path | DatabaseAddress:
    """Return the place of the store, which has to be that of the process that started the run."""
    given = workspace.secrets.get("ESCALOMETER_STORE")
    place = store_place(given or shard.store)
    if store_text(place) != shard.store:
        raise UsageError(
            f"{shard.name}: ESCALOMETER_STORE is {store_text(place)} on this worker and "
            f"{shard.store} where the run was started: set it to the same store"
        )
    if isinstance(place, Path) and not place.exists():
        raise UsageError(
            f"{shard.name}: this worker does not see the completion store {place}. Workers on "
            "other machines need a store that they share: ESCALOMETER_STORE=postgresql://…"
        )
    return place


def missing(engine: Engine, dialogues: Sequence[Dialogue]) -> dict[str, list[Dialogue]]:
    """Return the dialogues that lack answers, by the key of their first turn.

    Parameters
    ----------
    engine : Engine
        Of the model.
    dialogues : sequence of Dialogue
        On one domain.
    """
    plan = engine.plan(dialogues)
    return {
        key: [dialogues[i] for i in indices]
        for key, indices in plan.of_first.items()
        if not _is_answered(plan, indices)
    }


def parts(
    by_first: Mapping[str, Sequence[Dialogue]], n_most: int
) -> list[tuple[list[Dialogue], str]]:
    """Return dialogues in parts, each with the digest of its requests.

    Parameters
    ----------
    by_first : mapping of str to sequence of Dialogue
        From `missing`.
    n_most : int
        Dialogues in one part, but for those that share a first turn, which stay together.
    """
    keys: list[list[str]] = []
    n_in_last = 0
    for key, dialogues in by_first.items():
        if not keys or n_in_last + len(dialogues) > n_most:
            keys.append([])
            n_in_last = 0
        keys[-1].append(key)
        n_in_last += len(dialogues)
    return [([one for key in part for one in by_first[key]], digest(part)) for part in keys]


def _is_answered(plan: Plan, indices: Sequence[int]) -> bool:
    """Return whether the dialogues of a first turn need no answer any more."""
    if plan.first[indices[0]] not in plan.answers:
        return False
    return all(i not in plan.second or plan.second[i] in plan.answers for i in indices)


def digest(keys: Sequence[str]) -> str:
    """Return the digest of requests by their keys, in any order."""
    return hashlib.sha256("\n".join(sorted(set(keys))).encode()).hexdigest()


def ask(shard: Shard, workspace: Workspace) -> dict[str, int]:
    """Ask a shard's dialogues, as far as the store lacks answers; return the counts of `Tally`.

    Parameters
    ----------
    shard : Shard
        What is asked.
    workspace : Workspace
        Of the worker: its cache and its keys. Its completion store is that of the shard, or has to
        be it.

    Raises
    ------
    UsageError
        If this worker would make other requests than the process that made the shard, so that its
        answers would not be found; or a key is missing.
    ProviderError
        If the model cannot be asked.
    BudgetError
        If the budget of the run, over all of its workers, leaves no room.
    """
    place = replace(
        workspace,
        root=Path(shard.root),
        store=_store(shard, workspace),
        run=shard.run,
        limits=shard.limits,
        retry=frozenset(shard.retry),
        retry_before=shard.retry_before,
    )
    interruption = Interruption()
    store = open_store(place.store)
    try:
        engine = open_engine(shard.card, shard.params, place, store, holder=shard.name)
        planned = engine.plan(shard.dialogues)
        if digest(planned.first) != shard.requests:
            raise UsageError(
                f"{shard.name}: the requests of {versions_text()} on this worker are not those of "
                f"{shard.made_by}, which started the run: its answers would not be found. Install "
                "the same version on all workers"
            )
        engine.hold(planned, lambda _n, _free: interruption.check())
        return asdict(engine.tally)
    finally:
        store.release(shard.run, shard.name)
        store.close()
