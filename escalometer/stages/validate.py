"""Stages validate: raw tables, scenarios and decisions, each against its suite."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pyarrow as pa

from escalometer import domains, validation, warehouse
from escalometer.config import Params
from escalometer.errors import DataError
from escalometer.schema import CONDITIONS, DECISIONS, SCENARIOS, read_table
from escalometer.stages import write_json

What = Literal["raw", "scenarios", "decisions"]

#: A check that is ready to run: the table's rows, its name, its file, and what names a row.
Check = tuple[pa.Table, str, Path, tuple[str, ...]]


def run(what: What, params: Params, root: Path = Path()) -> None:
    """Validate all tables of one kind and write data/validation/<what>.json if all passed.

    Parameters
    ----------
    what : {"raw", "scenarios", "decisions"}
        Which tables.
    params : Params
        Uses `domains`, and for decisions `models`.
    root : Path, default the working folder
        The project.

    Raises
    ------
    UsageError
        If there is no such domain.
    DataError
        If a table does not load or breaks a rule. The message has the file, the rows and the rule
        of every failure in every table, and nothing is written.
    """
    path = root / "data" / "validation" / f"{what}.json"
    path.unlink(missing_ok=True)  # an earlier success must not outlive the rows that it was about
    results: list[validation.Result] = []
    problems: list[str] = []
    for check in _checks(what, params, root, problems):
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
    write_json({"validated": what, "tables": tables}, path)


def _checks(what: What, params: Params, root: Path, problems: list[str]) -> list[Check]:
    """Return what can be checked; what does not even load goes to `problems`."""
    data = root / "data"
    checks: list[Check] = []
    for domain in params.domains:
        plugin = domains.load(domain)
        try:
            if what == "raw":
                checks += _raw(plugin, data / "raw" / domain)
            elif what == "scenarios":
                folder = data / "scenarios" / domain
                for name, schema, identifier in (
                    ("conditions", CONDITIONS, "condition"),
                    ("scenarios", SCENARIOS, "scenario_id"),
                ):
                    path = folder / f"{name}.parquet"
                    table = validation.number_rows(read_table(path, schema))
                    checks.append((table, name, path, (identifier,)))
            else:
                for model in params.models:
                    path = data / "decisions" / model / f"{domain}.parquet"
                    table = validation.number_rows(read_table(path, DECISIONS))
                    checks.append((table, "decisions", path, ("scenario_id", "intervention")))
        except DataError as error:
            problems.append(str(error))
    return checks


def _raw(plugin: domains.Domain, folder: Path) -> list[Check]:
    connection = warehouse.connect()
    checks: list[Check] = []
    for raw_table in plugin.raw_tables:
        path = warehouse.raw_file(raw_table, folder)
        warehouse.read_raw(connection, raw_table, path)
        table = connection.table(raw_table.name).to_arrow_table()
        checks.append((table, raw_table.name, path, ()))
    return checks
