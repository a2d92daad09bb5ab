"""Decisions for tests: rows that state only what matters, the rest defaulted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from escalometer import schema, warehouse

TEXTS = (
    "prompt",
    "prediction_text",
    "decision_prompt",
    "decision_text",
    "prediction_thinking",
    "decision_thinking",
    "detail",
)
COLUMNS = pa.schema(
    # Recorded decisions may not say which scenario they are about.
    [field.with_nullable(True) for field in schema.DECISIONS if field.name not in TEXTS]
)

DEFAULTS: dict[str, Any] = {
    "model": "m",
    "domain": "movielens",
    "edition": "e",
    "condition": "a",
    "scenario_id": "s",
    "intervention": "baseline",
    "replicate": 0,
    "signal_accuracy": 0.8,
    "has_signal": True,
    "is_thinking": False,
    "is_isolated": False,
    "reasoning_effort": None,
    "cost_ratio": None,
    "framing": None,
    "force_answer": False,
    "label": 1,
    "prediction": 1,
    "escalate": 0,
    "status": "ok",
    "stated_confidence": None,
    "prediction_probability": None,
    "escalate_probability": None,
    "resolved_model": None,
    "n_prompt_tokens": 0,
    "n_completion_tokens": 0,
    "cost_usd": 0.0,
    "latency_s": 0.0,
}
VALUES: dict[str, Any] = {
    "cost_ratios": [4.0],
    "curve_ratios": [1.0, 4.0, 20.0],
    "human_error_rate": 0.0,
    "side_domains": ["moral_machine"],
}


def decisions(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Return rows of decisions; ``times`` repeats one, what a row does not state is defaulted."""
    full = []
    for row in rows:
        stated = {name: value for name, value in row.items() if name != "times"}
        unknown = set(stated) - set(DEFAULTS)
        assert not unknown, f"no such column: {unknown}"
        full += [{**DEFAULTS, **stated}] * row.get("times", 1)
    return pa.Table.from_pylist(full, schema=COLUMNS)


def measure(
    table: pa.Table, values: Mapping[str, Any] | None = None, n_threads: int = 1
) -> dict[str, pa.Table]:
    """Return every metric's table on these decisions."""
    with warehouse.connect(n_threads) as connection:
        warehouse.add_table(connection, "decisions", table)
        return warehouse.run_metrics(connection, {**VALUES, **(values or {})})


def assert_same(
    found: Sequence[Mapping[str, Any]], expected: Sequence[Mapping[str, Any]], tolerance: float
) -> None:
    """Fail unless the rows are the same, floats to an absolute `tolerance`."""
    assert len(found) == len(expected), f"{len(found)} rows, not {len(expected)}: {found}"
    for i, (got, wanted) in enumerate(zip(found, expected, strict=True)):
        for name, value in wanted.items():
            if isinstance(value, float) and isinstance(got[name], float):
                same = math.isclose(got[name], value, rel_tol=tolerance, abs_tol=tolerance)
            else:
                same = got[name] == value and (got[name] is None) == (value is None)
            assert same, f"row {i}, {name}: {got[name]!r}, not {value!r}; the row is {got}"
