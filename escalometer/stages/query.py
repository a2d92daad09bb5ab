"""Stage query: one model × one domain, from scenarios to decisions."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

from escalometer import layout
from escalometer.config import Params, Workspace, load_card
from escalometer.dialogue.asking import open_engine, run_dialogues, writing_store
from escalometer.dialogue.cell import plan
from escalometer.runtime.files import read_json
from escalometer.runtime.interruption import Interruption
from escalometer.schema import DECISIONS, write_table


def run(model: str, domain: str, params: Params, workspace: Workspace) -> None:
    """Ask `model` every dialogue of `domain` and write data/decisions/<model>/<domain>.parquet.

    Parameters
    ----------
    model, domain : str
        The cell.
    params : Params
        Uses `query` and `ask`.
    workspace : Workspace
        Where the project, the cache and the completion store are.

    Raises
    ------
    UsageError
        If a name is unknown, the model has no price and nobody allowed that, or the store cannot be
        written.
    DataError
        If the scenarios are absent or none was drawn.
    ProviderError
        If the model cannot be reached, fetched or loaded.
    BudgetError
        If the budget is used up; what was answered is kept.
    """
    root = workspace.root
    card = load_card(model, layout.cards_folder(root))
    dialogues = plan(domain, params, root, model)
    with writing_store(workspace) as store:
        engine = open_engine(card, params, workspace, store)
        planned = engine.plan(dialogues)
        rows = run_dialogues(engine, planned, f"querying {model} on {domain}", Interruption())
    edition = read_json(layout.domain_file(domain, root))["edition"]
    for row in rows:
        row |= {"model": model, "edition": edition}
    path = layout.decisions_file(model, domain, root)
    write_table(rows, DECISIONS, path)
    print(
        f"{path.relative_to(root)}: {len(rows)} dialogues, "
        f"{engine.tally.n_called} model calls, {engine.tally.n_stored} answers from the store",
        file=sys.stderr,
    )
    for line in shortfalls(rows, engine.tally.n_passing):
        print(f"warning: {line}", file=sys.stderr)


def shortfalls(rows: list[dict[str, Any]], n_passing: int) -> list[str]:
    """Return remarks on the dialogues that did not end as asked, for a reader."""
    lines = []
    counts = Counter(row["status"] for row in rows if row["status"] not in ("ok", "forced"))
    n_empty = sum("empty" in (row["detail"] or "") for row in rows)
    for status, n in counts.most_common():
        example = next(row["detail"] for row in rows if row["status"] == status)
        empty = f", {n_empty} of them empty" if status == "unparsed" and n_empty else ""
        lines.append(f"{n} of {len(rows)} dialogues are {status}{empty}, such as: {example}")
    if counts:
        names = ",".join(sorted(counts))
        lines.append(f"they are kept; `escalometer evaluate … --retry {names}` asks them again")
    if n_passing:
        lines.append(f"{n_passing} requests failed for a reason that may pass")
    return lines
