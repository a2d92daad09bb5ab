"""Decisions of a table, checked once and used by several functions."""

from __future__ import annotations

import contextlib
import shutil
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self, TypeAlias

import pyarrow as pa

from escalometer.errors import UsageError
from escalometer.operations import decision_tables
from escalometer.operations.decision_tables import DecisionTable, Reading
from escalometer.recorded.arrow_tables import ArrowTable, write_parquet
from escalometer.runtime.object_storage import Location, location
from escalometer.schema import RECORDED, read_table


class Decisions:
    """Decisions that were read and checked once; `read` returns them.

    They are in a temporary folder, which is removed by `close`, at the end of a ``with`` block, or
    with the object.

    Attributes
    ----------
    name : str
        What documents call the table: `source`.
    n_rows : int
        Dialogues.
    models, domains, interventions, statuses : dict of str to int
        The number of dialogues of each.
    warnings : tuple of str
        What was completed, or could not be checked.
    """

    def __init__(self, table: DecisionTable, folder: Path) -> None:
        known = table.known
        self.name = table.name
        self.n_rows: int = known["n_rows"]
        self.models: dict[str, int] = dict(known["models"])
        self.domains: dict[str, int] = dict(known["domains"])
        self.interventions: dict[str, int] = dict(known["interventions"])
        self.statuses: dict[str, int] = dict(known["statuses"])
        self.warnings: tuple[str, ...] = tuple(known["warnings"])
        self._table = table
        self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Decisions({self.name!r}, n_rows={self.n_rows}, models={list(self.models)})"

    def close(self) -> None:
        """Remove the temporary folder; the decisions cannot be used any more."""
        self._remove()

    def to_arrow(self) -> pa.Table:
        """Return all rows in the columns of an import, with their types, in the table's order."""
        return read_table(self.checked().decisions, RECORDED)

    def checked(self) -> DecisionTable:
        """Return what the operations take.

        Raises
        ------
        UsageError
            If the decisions are closed.
        """
        if not self._remove.alive:
            raise UsageError(f"the decisions {self.name} are closed: read the table again")
        return self._table


Table: TypeAlias = Decisions | ArrowTable | Path | str


def read(
    table: Table,
    *,
    mapping: Mapping[str, str] | None = None,
    format: str | None = None,  # noqa: A002 (the name that the command line has)
    name: str | None = None,
) -> Decisions:
    """Return decisions once all of them are known to be valid; later calls need not check again.

    Parameters
    ----------
    table : path, ArrowTable or Decisions
        Decisions, one row per dialogue; a text may be an address on object storage,
        ``s3://BUCKET/KEY``.
    mapping : mapping of str to str, optional
        Columns of the table by the names that they get: ``{"label": "outcome"}``.
    format : {"parquet", "csv", "jsonl"}, optional
        The format of a file, where its ending does not tell it.
    name : str, optional
        What documents call the table; the file's name, or ``table``, by default.

    Raises
    ------
    UsageError
        If there is no such file, or the mapping does not fit it.
    DataError
        If rows are invalid; the message lists the broken rules, each with its first rows.
    """
    if isinstance(table, Decisions):
        if mapping or format or name:
            raise UsageError(f"the decisions {table.name} are read already: map the table itself")
        return table
    folder = decision_tables.temporary_folder()
    try:
        checked = folder / "decisions"
        checked.mkdir()
        file: Location
        if isinstance(table, str | Path):
            file = location(table)
        else:
            file, name = folder / "table.parquet", name or "table"
            write_parquet(table, folder / "table.parquet", name)
        found = decision_tables.load(file, checked, Reading(mapping or {}, format), name)
        return Decisions(found, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@contextlib.contextmanager
def opened(table: Table, mapping: Mapping[str, str] | None) -> Iterator[DecisionTable]:
    """Yield the checked decisions of a table; those that are read here are removed at the end."""
    decisions = read(table, mapping=mapping)
    try:
        yield decisions.checked()
    finally:
        if decisions is not table:
            decisions.close()


def models(table: Table, *, mapping: Mapping[str, str] | None = None) -> dict[str, int]:
    """Return the models of a table with their numbers of dialogues, in alphabetical order.

    Parameters
    ----------
    table, mapping
        As for `read`, as are the errors.
    """
    with opened(table, mapping) as found:
        return dict(found.known["models"])
