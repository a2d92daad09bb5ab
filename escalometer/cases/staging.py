"""Staged tables: a domain's raw files brought into one table, one case a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from escalometer import warehouse
from escalometer.cases import raw_files
from escalometer.cases.domains import Domain
from escalometer.cases.provenance import how_to_get
from escalometer.config import Params
from escalometer.errors import DataError
from escalometer.resources import resource

#: Staged columns that neither a text nor a predicate may use, in any domain.
HIDDEN = ("label", "split_key", "source_row", "expected_label")


def stage_cases(
    connection: warehouse.Connection,
    domain: Domain,
    edition: str,
    values: Mapping[str, Any] | None = None,
) -> pa.Table:
    """Return the domain's cases, one a row.

    Parameters
    ----------
    connection : warehouse.Connection
        Holds the edition's raw tables, from `warehouse.load_raw`.
    domain : Domain
        Its `stage`, or the statements `sql/staging/<domain>__<edition>.sql`, where there is one,
        and `sql/staging/<domain>.sql`, which reads what that gives as `<domain>_source`.
    edition : str
        Name of the edition that is loaded.
    values : mapping, optional
        Values to bind by name.
    """
    if domain.stage is not None:
        staged: pa.Table = domain.stage(connection)
        return staged
    source = resource("sql", "staging", f"{domain.name}__{edition}.sql")
    if source.is_file():
        # A view: most of it is read once, and a copy of many millions of rows would be large.
        warehouse.add_view(connection, f"{domain.name}_source", source)
    return warehouse.run_file(connection, resource("sql", "staging", f"{domain.name}.sql"), values)


def stage_table(plugin: Domain, params: Params, folder: Path) -> pa.Table:
    """Return the domain's cases, from the raw files in `folder`.

    Raises
    ------
    DataError
        If the files are absent or do not load, there is no case, a case is duplicate, or a label is
        none of the domain's.
    """
    present_edition = raw_files.present(plugin, folder)
    if present_edition is None:
        raise DataError(f"{folder} holds no files of {plugin.title}; {how_to_get(plugin)}")
    with warehouse.connect() as connection:
        for raw_table in present_edition.edition.raw_tables:
            warehouse.load_raw(connection, raw_table, present_edition.files[raw_table.name])
        values = {"is_balanced": params.sample.order == "balanced"}
        cases = stage_cases(connection, plugin, present_edition.edition.name, values)
    if not cases.num_rows:
        raise DataError(f"{folder}: the {present_edition.edition.name} edition yields no case")
    n_ids = cases.column("case_id").combine_chunks().unique()
    if len(n_ids) < cases.num_rows:
        case_id, n = Counter(cases.column("case_id").to_pylist()).most_common(1)[0]
        raise DataError(f"{folder}: case {case_id} occurs {n} times; it must occur once")
    allowed = range(len(plugin.task.meanings))
    if not set(cases.column("label").combine_chunks().unique().to_pylist()) <= set(allowed):
        case_id, label = next(
            pair
            for pair in zip(
                cases.column("case_id").to_pylist(), cases.column("label").to_pylist(), strict=True
            )
            if pair[1] not in allowed
        )
        raise DataError(
            f"{folder}, case {case_id}: the label must be "
            f"{'0 or 1' if len(allowed) == 2 else f'from 0 to {allowed[-1]}'} "
            f"(found {label}); `escalometer stage validate --cell raw` shows the row"
        )
    return cases


def visible(plugin: Domain, cases: pa.Table) -> pa.Table:
    """Return the cases without the columns that no prompt and no predicate may use."""
    hidden = {*HIDDEN, *plugin.private_columns}
    return cases.select([name for name in cases.column_names if name not in hidden])
