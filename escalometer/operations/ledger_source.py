"""The source `ledger`: its cases as a table of decisions, for profile and gate."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from escalometer import layout
from escalometer.analysis.ledger_sample import equal_sample
from escalometer.operations import ledger as ledgers
from escalometer.operations.decision_tables import DecisionTable, Reading, load, temporary_folder


@contextlib.contextmanager
def opened(root: Path, reading: Reading) -> Iterator[DecisionTable]:
    """Yield a sample of the project's ledger while the block runs: `ledger_sample.equal_sample`.

    Parameters
    ----------
    root : Path
        The project.
    reading : Reading

    Raises
    ------
    UsageError
        If there is no ledger.
    DataError
        If no case can be used, or rows break a rule of recorded decisions.
    """
    ledger = ledgers.existing(layout.ledger_file(root))
    sample = equal_sample(list(ledger.decisions()), list(ledger.outcomes()), ledger.draw)
    folder = temporary_folder()
    try:
        given = folder / "ledger.parquet"
        rows = pa.Table.from_pylist(sample.rows)
        # A column without any value has no type.
        empty = [field.name for field in rows.schema if pa.types.is_null(field.type)]
        pq.write_table(rows.drop_columns(empty), given)
        checked = folder / "table"
        checked.mkdir()
        table = load(given, checked, reading, layout.LEDGER)
        warnings = [*sample.notes, *table.known["warnings"]]
        yield replace(table, known={**table.known, "warnings": warnings})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
