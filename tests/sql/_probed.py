"""Rows of `schema.PROBED` for tests: they state only what matters, the rest is defaulted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from escalometer.schema import PROBED
from escalometer.training.chains import optimal_escalate

DEFAULTS: dict[str, Any] = {
    "probe": "held_out_domain",
    "model_role": "tuned",
    "model": "m",
    "domain": "movielens",
    "condition": "a",
    "scenario_id": "s",
    "is_plain": True,
    "has_signal": True,
    "percent": 80,
    "domain_percent": 80,
    "cost_ratio": 4.0,
    "framing": "ratio",
    "label": 1,
    "prediction": 1,
    "escalate": 0,
    "mistake": None,
    "status": "ok",
    "detail": None,
    "prompt": "p",
    "prediction_text": "t",
    "decision_prompt": "d",
    "decision_text": "t",
    "n_prompt_tokens": 0,
    "n_completion_tokens": 0,
    "cost_usd": 0.0,
    "latency_s": 0.0,
}


def probed(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Return rows of `schema.PROBED`; ``times`` repeats one, what follows is filled in."""
    full = []
    for row in rows:
        stated = {name: value for name, value in row.items() if name != "times"}
        unknown = set(stated) - set(DEFAULTS)
        assert not unknown, f"no such column: {unknown}"
        one = {**DEFAULTS, **stated}
        one["optimal_escalate"] = optimal_escalate(one["percent"], one["cost_ratio"])
        one["domain_optimal_escalate"] = optimal_escalate(one["domain_percent"], one["cost_ratio"])
        one["is_right"] = one["escalate"] == one["optimal_escalate"]
        full += [one] * row.get("times", 1)
    return pa.Table.from_pylist(full, schema=PROBED)
