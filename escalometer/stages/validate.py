"""Stages validate: raw tables, scenarios, decisions and examples, each against its suite."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from escalometer import layout, validation, warehouse
from escalometer.cases import catalog, raw_files
from escalometer.cases.domains import Domain
from escalometer.cases.provenance import how_to_get
from escalometer.cases.scenario_checks import with_percentages, with_splits
from escalometer.config import Params
from escalometer.errors import DataError
from escalometer.runtime.files import write_json
from escalometer.schema import CONDITIONS, DECISIONS, SCENARIOS, read_table
from escalometer.training import example_checks
from escalometer.training.adapters import adapter_named

#: Larger raw tables are checked on so many rows, spread evenly over the file.
MOST_ROWS = 1_000_000


class Check(NamedTuple):
    """A check that is ready to run."""

    table: pa.Table
    name: str
    file: Path
    identifiers: tuple[str, ...]  # columns that name a row
    suite: Mapping[str, Any] | None = None  # where the domain brings its own


def run(table_kind: str, params: Params, root: Path = Path()) -> None:
    """Validate all tables of one kind; write data/validation/<table_kind>.json if all passed.

    Parameters
    ----------
    table_kind : {"raw", "scenarios", "decisions"} or "targets:<adapter>"
        Which tables; those of an adapter go to targets-<adapter>.json.
    params : Params
        Uses `domains`, for decisions `models`, and for targets `train`.
    root : Path, default the working folder
        The project.

    Raises
    ------
    UsageError
        If there is no such domain or adapter.
    DataError
        If a table does not load or breaks a rule. The message has the file, the rows and the rule
        of every failure in every table, and nothing is written.
    """
    path = layout.validation_file(table_kind, root)
    path.unlink(missing_ok=True)  # an earlier success does not hold for changed rows
    results: list[validation.Result] = []
    problems: list[str] = []
    for check in _checks(table_kind, params, root, problems):
        result = validation.check(*check)
        results.append(result)
        problems += [str(failure) for failure in result.failures]
    if problems:
        raise DataError("\n".join(problems))
    tables = [
        {
            "table": result.table,
            "file": Path(result.file).relative_to(root).as_posix(),
            "n_rows": result.n_rows,
            "n_expectations": result.n_expectations,
            "success": result.passed,
        }
        for result in results
    ]
    write_json({"validated": table_kind, "tables": tables}, path)


def _checks(table_kind: str, params: Params, root: Path, problems: list[str]) -> list[Check]:
    """Return the checks of all tables that load; errors of the others go to `problems`."""
    kind, _, name = table_kind.partition(":")
    if kind == "targets":
        path = layout.examples_file(name, root)
        adapter = adapter_named(name, params)
        return [
            Check(example_checks.checkable(path, adapter, root), "targets", path, ("scenario_id",))
        ]
    checks: list[Check] = []
    for domain in params.domains:
        plugin = catalog.load(domain, root)
        try:
            if table_kind == "raw":
                checks += _raw(plugin, layout.raw_folder(domain, root))
            elif table_kind == "scenarios":
                checks += _scenarios(plugin, root)
            else:
                for model in params.models:
                    path = layout.decisions_file(model, domain, root)
                    table = validation.number_rows(read_table(path, DECISIONS))
                    checks.append(Check(table, "decisions", path, ("scenario_id", "intervention")))
        except DataError as error:
            problems.append(str(error))
    return checks


def _raw(plugin: Domain, folder: Path) -> list[Check]:
    edition = raw_files.present(plugin, folder)
    if edition is None:
        raise DataError(f"{folder} holds no files of {plugin.title}; {how_to_get(plugin)}")
    checks: list[Check] = []
    with warehouse.connect() as connection:
        for raw_table in edition.edition.raw_tables:
            raw = edition.files[raw_table.name]
            warehouse.load_raw(connection, raw_table, raw)
            table = warehouse.spread_rows(connection, raw_table.name, MOST_ROWS)
            suite = plugin.suites.get(raw_table.name)
            checks.append(Check(table, raw_table.name, raw.path, (), suite))
    return checks


def _scenarios(plugin: Domain, root: Path) -> list[Check]:
    path = layout.cases_file(plugin.name, root)
    try:
        cases = pq.read_table(path)
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise DataError(f"{path} is not readable: {error}; run `dvc repro` to make it") from error
    suite = plugin.suites.get(plugin.name)
    checks = [Check(validation.flat(cases), plugin.name, path, ("case_id",), suite)]
    conditions = read_table(layout.conditions_file(plugin.name, root), CONDITIONS)
    scenarios = read_table(layout.scenarios_file(plugin.name, root), SCENARIOS)
    for table, name, identifier in (
        (with_percentages(conditions, scenarios, cases), "conditions", "condition"),
        (with_splits(scenarios, cases), "scenarios", "scenario_id"),
    ):
        path = layout.scenarios_folder(plugin.name, root) / f"{name}.parquet"
        checks.append(Check(validation.number_rows(table), name, path, (identifier,)))
    return checks
