"""Columns that a suite checks scenarios against: recomputed percentages and splits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from escalometer.cases.sampling import whole_percent


def _values(table: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(table.column(name).to_pylist() for name in names), strict=True)


def with_percentages(conditions: pa.Table, scenarios: pa.Table, cases: pa.Table) -> pa.Table:
    """Return the conditions with the percentage that each states, and the recomputed one."""
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


def with_splits(scenarios: pa.Table, cases: pa.Table) -> pa.Table:
    """Return the scenarios with the number of splits that their text, and their key, are in."""
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
