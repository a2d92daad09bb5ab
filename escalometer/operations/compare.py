"""Two models, from decisions to what the second changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from escalometer.analysis.comparison import align_efforts, compare, resolved_models
from escalometer.analysis.paired_dialogues import pair
from escalometer.config import Params
from escalometer.errors import UsageError
from escalometer.operations.decisions import decisions_of, design_of
from escalometer.stages import PIPELINE
from escalometer.stages.analyze import COLUMNS, measure_decisions

ADAPTIVE = (
    "Scenarios of {} were drawn adaptively. Thresholds compared are those of the plain line, which "
    "leans towards low ones then: `escalometer profile` has the adaptive design's own."
)


def run(
    first: str,
    second: str,
    params: Params,
    root: Path = Path(),
    source: str = PIPELINE,
    out: Path | None = None,
) -> dict[str, Any]:
    """Return the document of ``escalometer compare --json``.

    Parameters
    ----------
    first, second : str
        Differences are the second's numbers minus the first's.
    params : Params
        Uses `seed`, `domains` and `analyze`.
    root : Path
        The project.
    source : str
        Where decisions are from.
    out : Path, optional
        File for all dialogues in which the models disagree: .csv or .parquet.

    Raises
    ------
    UsageError
        If a name does not exist, or `out` cannot be written.
    DataError
        If decisions are absent or lack a column.
    """
    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise UsageError(f"--out {out}: its name must end in .csv or .parquet")
    decisions, _ = decisions_of((first, second), source, params, root)
    document, disagreements = build_comparison(decisions, first, second, source, params)
    adaptive = [model for model in (first, second) if design_of(model, source, root)]
    if adaptive:
        document["notes"].append(ADAPTIVE.format(" and ".join(adaptive)))
    if out is not None:
        _write(disagreements, out)
    return document


def build_comparison(
    decisions: pa.Table,
    first: str,
    second: str,
    source: str,
    params: Params,
    effort: str | None = None,
) -> tuple[dict[str, Any], pa.Table]:
    """Return the comparison of two models, and every dialogue in which they disagree.

    Parameters
    ----------
    decisions : Table
        With at least the columns of `analyze.COLUMNS`; rows of other models are left aside.
    first, second : str
        Differences are the second's numbers minus the first's.
    source : str
        Where the decisions are from.
    params : Params
        Uses `seed` and `analyze`.
    effort : str, optional
        Reasoning effort of the second that a first without that one is compared with.
    """
    rows = decisions.select(list(COLUMNS)).filter(pc.field("model").isin([first, second]))
    rows, notes = align_efforts(rows, moved=first, kept=second, wanted=effort)
    measured = measure_decisions(rows, params)
    pairs = pair(rows, first, second)
    made = compare(measured, pairs, first, second, params.analyze.cost_ratios)
    resolved = resolved_models(rows, (first, second))
    notes += [
        f"{model} was answered by several models under one name: {', '.join(names)}."
        for model, names in resolved.items()
        if len(names) > 1
    ]
    made["notes"] = [*notes, *made["notes"]]
    named = {"models": made.pop("models"), "source": source, "resolved_models": resolved}
    return {**named, **made}, pairs.disagreements


def _write(table: pa.Table, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            pa_csv.write_csv(table, path)
        else:
            pq.write_table(table, path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
