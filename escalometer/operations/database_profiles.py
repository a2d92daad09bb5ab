"""The profile of decisions in a database, from counts that the database makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from escalometer import validation, warehouse
from escalometer.analysis.decisions import measure_counts
from escalometer.analysis.profile import profile_of
from escalometer.config import Params
from escalometer.documents import Profile
from escalometer.errors import DataError, UsageError, unknown_name
from escalometer.recorded import completion
from escalometer.recorded.column_map import names_by_map, suggestion
from escalometer.recorded.reading import KINDS, REQUIRED
from escalometer.resources import resource
from escalometer.schema import RECORDED
from escalometer.validation import ROW
from escalometer.warehouse.databases import Database, DatabaseTable, opened

#: What a dialogue's outcome is counted by, and what a profile says of all dialogues.
COLUMNS = (
    *("model", "domain", "edition", "condition", "intervention", "signal_accuracy", "has_signal"),
    *("is_thinking", "is_isolated", "reasoning_effort", "cost_ratio", "framing", "force_answer"),
    *("label", "prediction", "escalate", "status", "resolved_model"),
)

#: sql/metrics/outcome_counts.sql, with the types that DuckDB gives it.
COUNTS = pa.schema(
    [
        *(
            RECORDED.field(name).with_nullable(True)
            for name in (
                *("model", "domain", "condition", "intervention", "reasoning_effort"),
                *("cost_ratio", "framing", "is_thinking", "is_isolated", "has_signal"),
                *("signal_accuracy", "status"),
            )
        ),
        pa.field("is_correct", pa.bool_()),
        pa.field("is_escalated", pa.bool_()),
        pa.field("n", pa.int64()),
    ]
)

NOTE = (
    "Computed from outcome counts of the database: intervals take dialogues as independent, also "
    "where several are about the same scenario; interventions are not compared on the same "
    "scenarios, and stated confidences are not analyzed. To include these, export the table to "
    "Parquet and name the file."
)


def profile(
    table: DatabaseTable,
    params: Params,
    suites: Path,
    model: str | None = None,
    domains: Sequence[str] | None = None,
    mapping: Mapping[str, str] | None = None,
) -> Profile:
    """Return the profile of a model whose decisions are in a database.

    Parameters
    ----------
    table : DatabaseTable
    params : Params
        Uses `seed` and `analyze`.
    suites : Path
        The folder of a project's suites; the built-in ones count where there are none.
    model : str, optional
        The model; the only one by default.
    domains : sequence of str, optional
        Only these.
    mapping : mapping of str to str, optional
        Columns of the table by the names of ours that they get.

    Raises
    ------
    UsageError
        If there is no such database, table, model or domain, or credentials are refused.
    DataError
        If the table lacks a column, or rows break a rule of recorded decisions.
    Outage
        If the database cannot be reached.
    """
    kinds, counts = read_counts(table, suites, mapping or {})
    models = sorted(set(kinds.column("model").to_pylist()))
    if model is None:
        if len(models) > 1:
            raise UsageError(
                f"{table} has {len(models)} models: {', '.join(models)}. Name one: --model"
            )
        [model] = models
    elif model not in models:
        raise unknown_name("model", model, models)
    where = {"model": [model]}
    present = set(warehouse.choose_rows(kinds, where).column("domain").to_pylist())
    for domain in domains or ():
        if domain not in present:
            raise unknown_name("domain", domain, present)
    if domains is not None:
        where["domain"] = list(domains)
    kinds, counts = (warehouse.choose_rows(rows, where) for rows in (kinds, counts))
    measured = measure_counts(counts, params, domains)
    return profile_of(measured, kinds, model, table.name, params, None).with_notes(NOTE)


def read_counts(
    table: DatabaseTable, suites: Path, mapping: Mapping[str, str]
) -> tuple[pa.Table, pa.Table]:
    """Return the different kinds of dialogues in a table, once they are valid, and their counts.

    Parameters
    ----------
    table, suites, mapping
        As for `profile`, as are the errors.

    Returns
    -------
    tuple of Table
        The kinds in the columns `COLUMNS`, and the counts in the columns `COUNTS`.
    """
    with opened(table) as database:
        columns = _columns(table, database, mapping)
        wanted = {name: KINDS[name] for name in COLUMNS}
        steps = [
            {name: sql for name, sql in step.items() if name in COLUMNS}
            for step in completion.absent(columns)
        ]
        decisions = database.projection(wanted, columns, steps)
        schema = pa.schema([(name, _wide(name)) for name in COLUMNS])
        kinds = database.distinct(decisions, schema)
        if not kinds.num_rows:
            raise DataError(f"{table} has no rows")
        _check(kinds, table, suites)
        counts = database.run_file(
            resource("sql", "metrics", "outcome_counts.sql"), decisions, COUNTS
        )
    return kinds, counts


def _columns(
    table: DatabaseTable, database: Database, mapping: Mapping[str, str]
) -> dict[str, str]:
    """Return the table's columns that are read by our names, which may differ in case."""
    there = list(database.kinds)
    names_by_map(str(table), there, mapping, KINDS)  # refuses what it does not fit
    folded = {column.casefold(): column for column in there}
    free = {name: folded[name] for name in COLUMNS if name in folded}
    columns = {name: mapping.get(name, free.get(name)) for name in COLUMNS}
    found = {name: column for name, column in columns.items() if column is not None}
    lacking = [name for name in REQUIRED if name not in found]
    if lacking:
        unused = [column for column in there if column not in found.values()]
        near = suggestion(lacking[0], unused)
        raise DataError(
            f"{table} lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}; it has "
            f"{', '.join(there)}. Map a column of another name: --map "
            f"{lacking[0]}={near or 'COLUMN'}"
        )
    return found


def _wide(name: str) -> pa.DataType:
    kind = RECORDED.field(name).type
    return pa.int64() if pa.types.is_integer(kind) else kind


def _check(kinds: pa.Table, table: DatabaseTable, suites: Path) -> None:
    """Refuse kinds of dialogues that break a rule of recorded decisions."""
    numbered = kinds.append_column(ROW, pa.array(range(1, kinds.num_rows + 1), pa.int64()))
    schema = completion.checked_schema()
    for field in schema:
        if field.name not in numbered.column_names:
            empty = pa.nulls(kinds.num_rows, field.type)
            if field.name == "replicate":
                empty = pa.array([0] * kinds.num_rows, field.type)
            numbered = numbered.append_column(field.name, empty)
    with warehouse.connect() as connection:
        warehouse.add_table(connection, "kinds", numbered.select(schema.names))
        found = validation.check_rows(
            connection, "kinds", schema, "recorded", Path(table.name), suites
        )
    if found.failures:
        listed = "\n".join(str(failure) for failure in found.failures)
        raise DataError(
            f"{table}: invalid decisions (rows: different kinds of dialogues, numbered in the "
            f"order of their values).\n{listed}"
        )
