"""The comparison of two models, from their decisions."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from escalometer.analysis.comparison import ADAPTIVE, build_comparison
from escalometer.config import Params
from escalometer.documents import Comparison
from escalometer.errors import UsageError
from escalometer.layout import PIPELINE
from escalometer.operations.decisions import decisions_of, design_of


def run(
    first: str,
    second: str,
    params: Params,
    root: Path = Path(),
    source: str = PIPELINE,
    out: Path | None = None,
) -> Comparison:
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
    check_out(out)
    decisions, _ = decisions_of((first, second), source, params, root)
    comparison, disagreements = build_comparison(decisions, first, second, source, params)
    adaptive = [model for model in (first, second) if design_of(model, source, root)]
    if adaptive:
        comparison = comparison.with_notes(ADAPTIVE.format(" and ".join(adaptive)))
    if out is not None:
        write_dialogues(disagreements, out)
    return comparison


def check_out(out: Path | None) -> None:
    """Refuse a file for dialogues that is neither CSV nor Parquet.

    Raises
    ------
    UsageError
        By its ending.
    """
    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise UsageError(f"--out {out}: its name must end in .csv or .parquet")


def write_dialogues(table: pa.Table, path: Path) -> None:
    """Write the dialogues in which models differ as CSV or Parquet.

    Raises
    ------
    UsageError
        If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            pa_csv.write_csv(table, path)
        else:
            pq.write_table(table, path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
