"""Stage query: a model's dialogues on every domain, from scenarios to decisions."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

from escalometer import layout
from escalometer.config import Params, Workspace, load_card
from escalometer.dialogue.asking import asking_store, open_engine, run_dialogues
from escalometer.dialogue.cell import plan
from escalometer.dialogue.deployer_prompts import NAME, deployer_prompt
from escalometer.dialogue.elicitation.engine import Engine
from escalometer.errors import ProviderError
from escalometer.runtime.files import read_json, write_json
from escalometer.runtime.interruption import Interruption
from escalometer.schema import DECISIONS, write_table

#: Statuses of dialogues whose prediction and action can be read.
READABLE = ("ok", "forced")


def run(model: str, params: Params, workspace: Workspace) -> None:
    """Ask `model` the dialogues of each domain and write data/decisions/<model>/<domain>.parquet.

    Parameters
    ----------
    model : str
        A card.
    params : Params
        Uses `domains`, `sample`, `query` and `ask`.
    workspace : Workspace
        Where the project, the cache and the completion store are.

    Raises
    ------
    UsageError
        If a name is unknown, the model has no price and that was not allowed, or the store cannot
        be written.
    DataError
        If the scenarios are absent or none was drawn.
    ProviderError
        If the model cannot be reached, fetched or loaded, or nothing in its answers is readable.
    BudgetError
        If the budget is used up; what was answered is kept.
    """
    card = load_card(model, layout.cards_folder(workspace.root))
    if NAME in params.query.interventions:
        prompt = deployer_prompt(params, workspace.root)
        record = {"file": prompt.file, "digest": prompt.digest, "text": prompt.text}
        write_json(record, layout.asked_prompt_file(model, workspace.root))
    else:
        layout.asked_prompt_file(model, workspace.root).unlink(missing_ok=True)
    interruption = Interruption()
    counts: Counter[str] = Counter()
    example = ""
    with asking_store(workspace, model) as store:
        # Its model is loaded once, for all domains.
        engine = open_engine(card, params, workspace, store)
        for domain in params.domains:
            rows = _ask(engine, model, domain, params, workspace, interruption)
            counts.update(row["status"] for row in rows)
            example = example or next((r["detail"] for r in rows if r["detail"]), "")
    if not any(counts[status] for status in READABLE):
        raise ProviderError(_unreadable(model, counts, example))


def _ask(
    engine: Engine,
    model: str,
    domain: str,
    params: Params,
    workspace: Workspace,
    interruption: Interruption,
) -> list[dict[str, Any]]:
    """Ask the dialogues of a domain, write their table, and return its rows."""
    root, tally = workspace.root, engine.tally
    n_before = (tally.n_called, tally.n_stored, tally.n_passing)
    planned = engine.plan(plan(domain, params, root, model))
    rows = run_dialogues(engine, planned, f"querying {model} on {domain}", interruption)
    edition = read_json(layout.domain_file(domain, root))["edition"]
    for row in rows:
        row |= {"model": model, "edition": edition}
    path = layout.decisions_file(model, domain, root)
    write_table(rows, DECISIONS, path)
    n_now = (tally.n_called, tally.n_stored, tally.n_passing)
    n_called, n_stored, n_passing = (now - was for now, was in zip(n_now, n_before, strict=True))
    print(
        f"{path.relative_to(root)}: {len(rows)} dialogues, {n_called} model calls, {n_stored} "
        "answers from the store",
        file=sys.stderr,
    )
    for line in shortfalls(rows, n_passing):
        print(f"warning: {line}", file=sys.stderr)
    return rows


def _unreadable(model: str, counts: Counter[str], example: str) -> str:
    """Return the message for a model none of whose dialogues can be read."""
    total = sum(counts.values())
    statuses = ", ".join(f"{n:,} {status}" for status, n in counts.most_common())
    return (
        f"no dialogue of {model} could be read: of {total:,} there are {statuses}, e.g. {example}. "
        "Correct the cause, then request them again: `escalometer evaluate "
        f"{model} --retry {','.join(sorted(counts))}`"
    )


def shortfalls(rows: list[dict[str, Any]], n_passing: int) -> list[str]:
    """Return remarks on the dialogues that did not end as asked, for a reader."""
    lines = []
    counts = Counter(row["status"] for row in rows if row["status"] not in READABLE)
    n_empty = sum("empty" in (row["detail"] or "") for row in rows)
    for status, n in counts.most_common():
        example = next(row["detail"] for row in rows if row["status"] == status)
        empty = f", {n_empty} of them empty" if status == "unparsed" and n_empty else ""
        lines.append(
            f"{n} of {len(rows)} dialogues have the status {status}{empty}, e.g. {example}"
        )
    if counts:
        names = ",".join(sorted(counts))
        lines.append(
            f"they are stored; `escalometer evaluate … --retry {names}` requests them again"
        )
    if n_passing:
        lines.append(f"{n_passing} requests failed for a transient reason")
    return lines
