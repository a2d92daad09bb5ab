"""Stage design: the scenarios and conditions that a model is asked about.

The fixed design, which is the default, was drawn with the scenarios. With `sample.precision` the
model's own answers determine the number of scenarios of each condition: see
`escalometer.stats.adaptive_design`.
"""

from __future__ import annotations

from typing import Any

from escalometer import layout
from escalometer.config import Params, Workspace
from escalometer.dialogue.adaptive_study import Study, ask_adaptively
from escalometer.dialogue.cell import Cell
from escalometer.runtime.files import write_json
from escalometer.schema import CHOSEN, write_table


def run(model: str, params: Params, workspace: Workspace) -> None:
    """Write data/designs/<model>/<domain>.parquet, and design.json with the precision reached.

    Parameters
    ----------
    model : str
        A card.
    params : Params
        Uses `domains`, `sample`, `query` and `ask`.
    workspace : Workspace
        Where the project and the completion store are.

    Raises
    ------
    UsageError
        If a precision is asked for and there is no main domain, or one with several outcomes.
    ProviderError
        If the model cannot be asked.
    """
    root = workspace.root
    cells = {domain: Cell(domain, params, root) for domain in params.domains}
    if params.sample.precision is None:
        chosen = {domain: cell.drawn() for domain, cell in cells.items()}
        summary: dict[str, Any] = {"kind": "fixed"}
    else:
        study = Study(cells, params)
        summary = {"kind": "adaptive", **ask_adaptively(study, model, params, workspace)}
        chosen = study.chosen()
        for domain, cell in cells.items():
            if not cell.is_main:  # stays out of the threshold: drawn as in a fixed design
                chosen[domain] = cell.drawn()
    for domain, rows in chosen.items():
        write_table(rows, CHOSEN, layout.design_table(model, domain, root))
    write_json({"model": model, **summary}, layout.design_file(model, root))
