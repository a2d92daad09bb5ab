"""The completion store: a run's forecast, missing requests, and answers of other stores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from escalometer import layout
from escalometer.config import DatabaseAddress, Params, Workspace, load_card
from escalometer.dialogue.asking import open_engine
from escalometer.dialogue.cell import plan
from escalometer.dialogue.elicitation.forecast import Forecast, forecast
from escalometer.dialogue.elicitation.keys import (
    common_length,
    differences,
    request_parts,
)
from escalometer.dialogue.elicitation.rows import Dialogue
from escalometer.dialogue.elicitation.store import open_store
from escalometer.dialogue.elicitation.transfer import (
    Transferred,
    copy,
    read_parquet,
    write_parquet,
)
from escalometer.errors import UsageError

#: Requests that represent a cell in a forecast and in an explanation.
N_SAMPLED, N_EXPLAINED = 200, 50


def predict_costs(
    models: Sequence[str], params: Params, workspace: Workspace
) -> dict[str, Forecast]:
    """Return the forecast cost of asking models the dialogues of all domains; nothing is asked.

    Parameters
    ----------
    models : sequence of str
        Cards.
    params : Params
        Uses `domains`, `sample`, `query` and `ask`.
    workspace : Workspace
        Where the project and the completion store are.

    Raises
    ------
    UsageError
        If a name is unknown, or a model has no price and that was not allowed.
    DataError
        If the scenarios are absent.
    """
    totals: dict[str, Forecast] = {}
    for domain in params.domains:
        dialogues = plan(domain, params, workspace.root)
        for model in models:
            found = _predict_cost(model, dialogues, params, workspace)
            totals[model] = totals[model] + found if model in totals else found
    return totals


def _predict_cost(
    model: str, dialogues: Sequence[Dialogue], params: Params, workspace: Workspace
) -> Forecast:
    card = load_card(model, layout.cards_folder(workspace.root))
    store = open_store(workspace.store)
    try:
        engine = open_engine(card, params, workspace, store)
        planned = engine.plan(dialogues)
        seen = store.sample(engine.identity, N_SAMPLED)
    finally:
        store.close()
    n_missing = engine.n_answers(planned) - len(planned.answers)
    # Where first turns are missing, the second ones are not known yet. They are longer only by the
    # answer and the question, so the sizes of first turns are used for both.
    prompts = list(planned.missing().values())
    step = max(1, len(prompts) // N_SAMPLED)
    sizes = [
        (sum(len(content) for _, content in parts["messages"]), answer) for _, parts, answer in seen
    ]
    return forecast(
        prompts[::step],
        n_missing if prompts else 0,
        sizes,
        card.price,
        card.thinking.max_tokens if card.thinking else 0,
        engine.is_batch,
    )


def merge(
    places: Sequence[Path | DatabaseAddress], workspace: Workspace
) -> list[tuple[str, Transferred]]:
    """Add the answers of other stores to the project's, and return what was new of each.

    Parameters
    ----------
    places : sequence of Path or DatabaseAddress
        Files or addresses of databases; their answers stay as they are.
    workspace : Workspace
        Where the project's store is.

    Raises
    ------
    UsageError
        If one of them has no store, before anything is added; or is the project's own.
    DataError
        If a file is not a completion store.
    StoreUnavailable
        If a server does not answer.
    """
    for place in places:
        if _resolved(place) == _resolved(workspace.store):
            raise UsageError(f"{place} is the project's own store: name the stores to be added")
        open_store(place, make=False).close()
    store = open_store(workspace.store)
    try:
        done = []
        for place in places:
            source = open_store(place, make=False)
            try:
                done.append((str(place), copy(source, store)))
            finally:
                source.close()
        return done
    finally:
        store.close()


def _resolved(place: Path | DatabaseAddress) -> Path | DatabaseAddress:
    return place.resolve() if isinstance(place, Path) else place


def export(path: Path, workspace: Workspace) -> dict[str, int]:
    """Write the project's store as Parquet; return its numbers of rows by kind.

    Raises
    ------
    UsageError
        If there is no store, or the file cannot be written.
    """
    store = open_store(workspace.store, make=False)
    try:
        return write_parquet(store, path)
    finally:
        store.close()


def import_answers(path: Path, workspace: Workspace) -> Transferred:
    """Add the answers of an exported file to the project's store; return what was new.

    Raises
    ------
    UsageError
        If the file is absent or from a newer version.
    DataError
        If it is not an export.
    """
    store = open_store(workspace.store)
    try:
        return read_parquet(path, store)
    finally:
        store.close()


def explain(model: str, domain: str, params: Params, workspace: Workspace) -> dict[str, Any]:
    """Return the number of a cell's stored requests, and the reasons why others are missing.

    Each missing request is compared with the most similar stored one. Second turns of missing first
    turns are not known.

    Returns
    -------
    dict
        ``n_requests``, ``n_stored``, ``n_missing``, ``n_explained`` and ``reasons``: how many
        requests differ from the nearest kept one in which parts, most frequent first.
    """
    card = load_card(model, layout.cards_folder(workspace.root))
    # Nothing is asked, so that no price is needed.
    workspace = replace(workspace, limits={**workspace.limits, "allow_unpriced": True})
    store = open_store(workspace.store)
    try:
        engine = open_engine(card, params, workspace, store)
        planned = engine.plan(plan(domain, params, workspace.root, model))
        missing = list(planned.missing().values())
        step = max(1, len(missing) // N_EXPLAINED)
        looked_at = missing[::step][:N_EXPLAINED]
        reasons: Counter[str] = Counter()
        for marker in sorted({request.marker for request in looked_at}):
            stored = [{"identity": i, **parts} for i, parts in store.requests(marker)]
            for request in looked_at:
                if request.marker == marker:
                    asked = {
                        "identity": dict(engine.identity),
                        **request_parts(request, engine.parameters(request)),
                    }
                    asked["messages"] = [list(message) for message in request.messages]
                    reasons[_reason_missing(asked, stored)] += 1
    finally:
        store.close()
    return {
        "model": model,
        "domain": domain,
        "store": str(workspace.store),
        "n_requests": engine.n_answers(planned),
        "n_stored": len(planned.answers),
        "n_missing": len(missing),
        "n_explained": len(looked_at),
        "reasons": [{"n": n, "why": why} for why, n in reasons.most_common()],
    }


def _reason_missing(asked: Mapping[str, Any], stored: list[dict[str, Any]]) -> str:
    if not stored:
        return "the store has no answers of this kind"

    def likeness(candidate: Mapping[str, Any]) -> tuple[bool, int, int]:
        same_messages = candidate["messages"] == asked["messages"]
        first = asked["messages"][0][1], candidate["messages"][0][1]
        n_same = sum(candidate.get(name) == value for name, value in asked.items())
        return same_messages, common_length(*first), n_same

    nearest = max(stored, key=likeness)
    reasons = differences(asked, nearest)
    if any(line.startswith("message") for line in reasons):
        shared = common_length(asked["messages"][0][1], nearest["messages"][0][1])
        if shared < len(asked["messages"][0][1]) // 4:
            return "the store has no scenario like this one"
    return "; ".join(reasons)
