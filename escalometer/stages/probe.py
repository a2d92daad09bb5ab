"""Stage probe: an adapter evaluated on unseen dialogues, beside its base model."""

from __future__ import annotations

import sys
from typing import Any

import pyarrow as pa

from escalometer import layout
from escalometer.config import Params, Workspace
from escalometer.dialogue.asking import asking_store
from escalometer.documents import Probes
from escalometer.documents.document import write_document
from escalometer.runtime.interruption import Interruption
from escalometer.schema import PROBED, ROLES, write_table
from escalometer.training.adapters import training_domains
from escalometer.training.probe_dialogues import (
    adapter_cards,
    answer_probes,
    dialogue_of,
    plan_probes,
    probed_row,
)
from escalometer.training.probe_results import build_probes, measure


def run(name: str, params: Params, workspace: Workspace) -> Probes:
    """Ask an adapter and its base the probes, write data/probes/<name> and return the document.

    Parameters
    ----------
    name : str
        A key of ``train.adapters``, and of the card of the tuned model.
    params : Params
        Uses `seed`, `domains`, `query.max_tokens`, `ask` and `train`. Answers are always closed
        where they end without a marker, whatever `query.force_answer` says.
    workspace : Workspace
        Where the project, the cache and the completion store are.

    Raises
    ------
    UsageError
        If a name is unknown, the tuned card names another adapter, or a model has no price.
    DataError
        If scenarios are absent, or a signal states no percentage.
    ProviderError
        If a model or the adapter cannot be loaded.
    BudgetError
        If the budget is used up; what was answered is kept.
    """
    adapter, cards = adapter_cards(name, params, workspace.root)
    asked, tasks = plan_probes(name, params, workspace.root)
    dialogues = [dialogue_of(one, tasks[one.domain]) for one in asked]
    rows: list[dict[str, Any]] = []
    with asking_store(workspace, *(card.id for card in cards)) as store:
        interruption = Interruption()
        for role, card in zip(ROLES, cards, strict=True):
            answered = answer_probes(card, dialogues, params, workspace, store, interruption)
            rows += [probed_row(role, card.id, *pair) for pair in zip(asked, answered, strict=True)]
    folder = layout.probes_folder(name, workspace.root)
    write_table(rows, PROBED, folder / "decisions.parquet")
    probed = pa.Table.from_pylist(rows, schema=PROBED)
    tables = measure(probed)
    for stem, table in tables.items():
        write_table(table, table.schema, folder / f"{stem.removeprefix('probe_')}.parquet")
    base, tuned = cards
    about = {
        "adapter": name,
        "base": base.id,
        "holdout": adapter.holdout,
        "domains": training_domains(adapter, params),
        "method": adapter.method,
        "targets": adapter.targets,
        "base_max_tokens": max(params.query.max_tokens, base.answer_tokens),
        "tuned_max_tokens": max(params.query.max_tokens, tuned.answer_tokens),
    }
    probes = build_probes(tables, about)
    write_document(probes, layout.probes_file(name, workspace.root))
    print(
        f"{folder.relative_to(workspace.root)}: {len(asked)} dialogues of each model",
        file=sys.stderr,
    )
    return probes
