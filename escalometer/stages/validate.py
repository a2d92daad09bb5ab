"""Stages validate: raw tables, scenarios, decisions and examples, each against its suite."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from escalometer import validation, warehouse
from escalometer.cases import domains, raw_files
from escalometer.cases.sampling import whole_percent
from escalometer.config import Params
from escalometer.errors import DataError
from escalometer.schema import CONDITIONS, DECISIONS, SCENARIOS, read_table
from escalometer.stages import write_json
from escalometer.stages.ingest import how_to_get
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


def run(what: str, params: Params, root: Path = Path()) -> None:
    """Validate all tables of one kind and write data/validation/<what>.json if all passed.

    Parameters
    ----------
    what : {"raw", "scenarios", "decisions"} or "targets:<adapter>"
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
    path = root / "data" / "validation" / f"{what.replace(':', '-')}.json"
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


def _checks(what: str, params: Params, root: Path, problems: list[str]) -> list[Check]:
    """Return what can be checked; what does not even load goes to `problems`."""
    data = root / "data"
    kind, _, name = what.partition(":")
    if kind == "targets":
        path = data / "targets" / name / "examples.parquet"
        adapter = adapter_named(name, params)
        return [
            Check(example_checks.checkable(path, adapter, root), "targets", path, ("scenario_id",))
        ]
    checks: list[Check] = []
    for domain in params.domains:
        plugin = domains.load(domain, root)
        try:
            if what == "raw":
                checks += _raw(plugin, data / "raw" / domain)
            elif what == "scenarios":
                checks += _scenarios(plugin, data / "scenarios" / domain)
            else:
                for model in params.models:
                    path = data / "decisions" / model / f"{domain}.parquet"
                    table = validation.number_rows(read_table(path, DECISIONS))
                    checks.append(Check(table, "decisions", path, ("scenario_id", "intervention")))
        except DataError as error:
            problems.append(str(error))
    return checks


def _raw(plugin: domains.Domain, folder: Path) -> list[Check]:
    found = raw_files.present(plugin, folder)
    if found is None:
        raise DataError(f"{folder} holds no files of {plugin.title}; {how_to_get(plugin)}")
    checks: list[Check] = []
    with warehouse.connect() as connection:
        for raw_table in found.edition.raw_tables:
            raw = found.files[raw_table.name]
            warehouse.load_raw(connection, raw_table, raw)
            table = warehouse.spread_rows(connection, raw_table.name, MOST_ROWS)
            suite = plugin.suites.get(raw_table.name)
            checks.append(Check(table, raw_table.name, raw.path, (), suite))
    return checks


def _scenarios(plugin: domains.Domain, folder: Path) -> list[Check]:
    path = folder / "table.parquet"
    try:
        cases = pq.read_table(path)
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise DataError(f"{path} is not readable: {error}; run `dvc repro` to make it") from error
    suite = plugin.suites.get(plugin.name)
    checks = [Check(validation.flat(cases), plugin.name, path, ("case_id",), suite)]
    conditions = read_table(folder / "conditions.parquet", CONDITIONS)
    scenarios = read_table(folder / "scenarios.parquet", SCENARIOS)
    for table, name, identifier in (
        (_with_percentages(conditions, scenarios, cases), "conditions", "condition"),
        (_with_splits(scenarios, cases), "scenarios", "scenario_id"),
    ):
        path = folder / f"{name}.parquet"
        checks.append(Check(validation.number_rows(table), name, path, (identifier,)))
    return checks


def _values(table: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(table.column(name).to_pylist() for name in names), strict=True)


def _with_percentages(conditions: pa.Table, scenarios: pa.Table, cases: pa.Table) -> pa.Table:
    """Return the conditions with the percentage that each states, and the one of its rows."""
    under: dict[str, list[str]] = dict(_values(scenarios, "scenario_id", "conditions"))
    signal_label = dict(_values(conditions, "condition", "signal_label"))
    names = ["scenario_id", "split", "label"]
    if "expected_label" in cases.column_names:
        names.append("expected_label")
    n_rows: Counter[str] = Counter()
    n_agreeing: Counter[str] = Counter()
    for scenario_id, split, label, *expected in _values(cases, *names):
        if split == "signal":
            for name in under.get(scenario_id, ()):
                n_rows[name] += 1
                n_agreeing[name] += label == (expected[0] if expected else signal_label[name])
    computed = [
        whole_percent(n_agreeing[name], n_rows[name]) if n_rows[name] else None
        for (name,) in _values(conditions, "condition")
    ]
    stated = [
        round(100 * accuracy) if f"{round(100 * accuracy)}%" in signal else None
        for accuracy, signal in _values(conditions, "signal_accuracy", "signal")
    ]
    table = conditions.append_column("computed_percent", pa.array(computed, pa.int64()))
    return table.append_column("stated_percent", pa.array(stated, pa.int64()))


def _with_splits(scenarios: pa.Table, cases: pa.Table) -> pa.Table:
    """Return the scenarios with the number of splits that their text, and their key, stand in."""
    key = "split_key" if "split_key" in cases.column_names else "text"
    of_key: defaultdict[str, set[str]] = defaultdict(set)
    for value, split in _values(cases, key, "split"):
        of_key[value].add(split)
    most: Counter[str] = Counter()
    for scenario_id, value in _values(cases, "scenario_id", key):
        most[scenario_id] = max(most[scenario_id], len(of_key[value]))
    of_text: defaultdict[str, set[str]] = defaultdict(set)
    for text, split in _values(scenarios, "text", "split"):
        of_text[text].add(split)
    n_texts = [len(of_text[text]) for (text,) in _values(scenarios, "text")]
    n_keys = [most[name] for (name,) in _values(scenarios, "scenario_id")]
    table = scenarios.append_column("splits_of_text", pa.array(n_texts, pa.int64()))
    return table.append_column("splits_of_key", pa.array(n_keys, pa.int64()))
