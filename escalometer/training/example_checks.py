"""Recomputed columns that a suite checks examples against: arithmetic and splits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from escalometer import validation
from escalometer.cases.task import DECISION_MARKER
from escalometer.config import AdapterParams
from escalometer.dialogue.parsing import parse_marker
from escalometer.layout import scenarios_file
from escalometer.schema import EXAMPLES, SCENARIOS, read_table
from escalometer.training.chains import mistake, optimal_escalate
from escalometer.training.held_out import UNTRAINED_PERCENTS, UNTRAINED_RATIOS


def checkable(path: Path, adapter: AdapterParams, root: Path) -> pa.Table:
    """Return the examples at `path` with recomputed columns beside the stated ones.

    Adds `found_split` (of the scenario, as the scenarios' table has it), `n_messages`,
    `mistake` (the first wrong step of a chain), `decided` (by the target), `optimal` (by the rule;
    a tie implements), `rejected_decided`, `is_held_out` (ratio, percentage or domain).

    Raises
    ------
    DataError
        If the examples, or the scenarios of a domain, are absent.
    """
    table = read_table(path, EXAMPLES)
    rows = table.to_pylist()
    splits: dict[tuple[str, str], str] = {}
    for domain in sorted({row["domain"] for row in rows if row["domain"]}):
        file = scenarios_file(domain, root)
        for row in read_table(file, SCENARIOS).to_pylist():
            splits[domain, row["scenario_id"]] = row["split"]
    added: dict[str, list[Any]] = {
        "found_split": [splits.get((row["domain"], row["scenario_id"])) for row in rows],
        "n_messages": [len(row["messages"]) for row in rows],
        "mistake": [_mistake(row, adapter) for row in rows],
        "decided": [_decided(row, "target") for row in rows],
        "rejected_decided": [_decided(row, "rejected") for row in rows],
        "optimal": [_optimal(row) for row in rows],
        "is_held_out": [_is_held_out(row, adapter) for row in rows],
    }
    table = table.drop_columns(["messages"])
    for name, values in added.items():
        kind = pa.string() if name in ("found_split", "mistake") else pa.int64()
        table = table.append_column(name, pa.array(values, kind))
    return validation.number_rows(table)


def _mistake(row: Mapping[str, Any], adapter: AdapterParams) -> str | None:
    if row["kind"] == "predict" or adapter.targets == "label":
        return None
    return mistake(row["target"], row["percent"], row["cost_ratio"])


def _decided(row: Mapping[str, Any], column: str) -> int | None:
    if row["kind"] == "predict" or row[column] is None:
        return None
    return parse_marker(row[column], DECISION_MARKER)


def _optimal(row: Mapping[str, Any]) -> int | None:
    if row["kind"] == "predict":
        return None
    return optimal_escalate(row["percent"], row["cost_ratio"])


def _is_held_out(row: Mapping[str, Any], adapter: AdapterParams) -> int:
    is_drawn = adapter.signals == "any" or row["kind"].startswith("drill")
    return int(
        row["domain"] == adapter.holdout
        or row["cost_ratio"] in UNTRAINED_RATIOS
        or (is_drawn and row["percent"] in UNTRAINED_PERCENTS)
    )
