"""Stage sample: one domain's raw rows to cases, conditions with signals, and scenarios."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from escalometer import domains, sampling, warehouse
from escalometer.config import Params
from escalometer.domains import Domain
from escalometer.errors import DataError
from escalometer.schema import CONDITIONS, SCENARIOS, write_table

#: Staged columns that neither a text nor a predicate may use, in any domain.
HIDDEN = ("label", "split_key", "source_row")


def run(domain: str, params: Params, root: Path = Path()) -> None:
    """Write data/scenarios/<domain>/{table,conditions,scenarios}.parquet.

    Conditions and splits are over all cases; the signal's percentage is computed on the signal
    split, scenarios to evaluate are drawn from the eval split, and the two never share a key.

    Parameters
    ----------
    domain : str
        Name of the domain.
    params : Params
        Uses `seed` and `sample`.
    root : Path, default the working folder
        The project.

    Raises
    ------
    UsageError
        If there is no such domain.
    DataError
        If the raw files do not load, a case has no label of 0 or 1, or no condition has cases
        enough.
    """
    plugin = domains.load(domain)
    cases, members = _stage(plugin, root)
    labels: dict[str, int] = dict(
        zip(*(_column(cases, n) for n in ("case_id", "label")), strict=True)
    )
    splits = _split(plugin, cases, params)
    conditions, kept = _conditions(plugin, members, labels, splits, params)
    drawn = _draw(plugin, kept, params)
    memberships: defaultdict[str, list[str]] = defaultdict(list)
    for name, case_ids in members.items():
        if name in kept:
            for case_id in case_ids:
                memberships[case_id].append(name)
    scenarios = [
        {
            "domain": domain,
            "scenario_id": sampling.scenario_id(domain, case["case_id"]),
            "split": splits[case["case_id"]],
            "label": labels[case["case_id"]],
            "conditions": memberships[case["case_id"]],
            "drawn_for": drawn[case["case_id"]],
            "text": plugin.render(case),
        }
        for case in _visible(plugin, cases).to_pylist()
    ]
    table = cases.append_column("scenario_id", pa.array([row["scenario_id"] for row in scenarios]))
    table = table.append_column("split", pa.array([row["split"] for row in scenarios]))
    folder = root / "data" / "scenarios" / domain
    write_table(table, table.schema, folder / "table.parquet")
    write_table(conditions, CONDITIONS, folder / "conditions.parquet")
    write_table(scenarios, SCENARIOS, folder / "scenarios.parquet")


def _column(table: pa.Table, name: str) -> list[Any]:
    values: list[Any] = table.column(name).to_pylist()
    return values


def _visible(plugin: Domain, cases: pa.Table) -> pa.Table:
    """Return the cases without what must reach no prompt and no predicate."""
    hidden = {*HIDDEN, *plugin.private_columns}
    return cases.select([name for name in cases.column_names if name not in hidden])


def _stage(plugin: Domain, root: Path) -> tuple[pa.Table, dict[str, set[str]]]:
    connection = warehouse.connect()
    folder = root / "data" / "raw" / plugin.name
    for raw_table in plugin.raw_tables:
        path = warehouse.raw_file(raw_table, folder)
        warehouse.read_raw(connection, raw_table, path)
    cases = warehouse.stage_cases(connection, plugin.name)
    if not cases.num_rows:
        raise DataError(f"{folder}: no case comes out of sql/staging/{plugin.name}.sql")
    counts = Counter(_column(cases, "case_id"))
    if len(counts) < cases.num_rows:
        case_id, n = counts.most_common(1)[0]
        raise DataError(f"{folder}: case {case_id} comes out {n} times; it may once")
    for case in cases.select(["case_id", "label"]).to_pylist():
        if case["label"] not in (0, 1):
            raise DataError(
                f"{folder}, case {case['case_id']}: the label must be 0 or 1 "
                f"(found {case['label']}); `escalometer stage validate --cell raw` shows the row"
            )
    predicates = {condition.name: condition.predicate for condition in plugin.conditions}
    return cases, warehouse.members(connection, _visible(plugin, cases), predicates)


def _split(plugin: Domain, cases: pa.Table, params: Params) -> dict[str, sampling.Split]:
    shares = params.sample.signal_share, params.sample.train_share
    keys = _column(cases, "split_key")
    split_of = {key: sampling.split_of(params.seed, plugin.name, key, *shares) for key in set(keys)}
    return {
        case_id: split_of[key] for case_id, key in zip(_column(cases, "case_id"), keys, strict=True)
    }


def _conditions(
    plugin: Domain,
    members: Mapping[str, set[str]],
    labels: Mapping[str, int],
    splits: Mapping[str, sampling.Split],
    params: Params,
) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    """Return the rows of the conditions table, and the cases to evaluate of each condition."""
    rows: list[dict[str, Any]] = []
    kept: dict[str, list[str]] = {}
    for condition in plugin.conditions:
        in_signal = [case for case in members[condition.name] if splits[case] == "signal"]
        in_eval = [case for case in members[condition.name] if splits[case] == "eval"]
        if len(in_signal) < params.sample.min_signal_cases or not in_eval:
            _warn(
                plugin,
                f"condition {condition.name} is left out: {len(in_signal)} cases to compute its "
                f"signal from (sample.min_signal_cases is {params.sample.min_signal_cases}) and "
                f"{len(in_eval)} to evaluate",
            )
            continue
        n_positive = sum(labels[case] for case in in_signal)
        percent = sampling.whole_percent(n_positive, len(in_signal))
        kept[condition.name] = in_eval
        rows.append(
            {
                "domain": plugin.name,
                "condition": condition.name,
                "phrase": condition.phrase,
                "predicate": condition.predicate,
                "n_signal": len(in_signal),
                "n_positive": n_positive,
                "n_eval": len(in_eval),
                "signal_accuracy": percent / 100,
                "signal": plugin.signal_template.format(phrase=condition.phrase, percent=percent),
            }
        )
    if not rows:
        raise DataError(
            f"data/raw/{plugin.name}: no condition has {params.sample.min_signal_cases} cases to "
            "compute its signal from; supply more rows, or lower sample.min_signal_cases in "
            "params.yaml"
        )
    shares = {str(row["condition"]): float(row["signal_accuracy"]) for row in rows}
    chosen = sampling.spread(shares, params.sample.n_conditions)
    rows = [row for row in rows if row["condition"] in chosen]
    return rows, {name: kept[name] for name in kept if name in chosen}


def _draw(
    plugin: Domain, kept: Mapping[str, list[str]], params: Params
) -> defaultdict[str, list[str]]:
    """Return the conditions that each drawn case was drawn for."""
    wanted = params.sample.n_per_condition
    drawn: defaultdict[str, list[str]] = defaultdict(list)
    for condition, case_ids in kept.items():
        random = sampling.generator(params.seed, plugin.name, condition)
        for case_id in sampling.draw(case_ids, wanted, random):
            drawn[case_id].append(condition)
    short = [f"{name} ({len(ids)})" for name, ids in kept.items() if len(ids) < wanted]
    if short:
        _warn(
            plugin,
            f"fewer than {wanted} cases to evaluate, so all are taken: {', '.join(short)}",
        )
    return drawn


def _warn(plugin: Domain, message: str) -> None:
    print(f"warning: {plugin.name}: {message}", file=sys.stderr)
