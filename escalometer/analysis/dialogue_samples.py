"""Dialogues counted by how they ended, and a few of them to show."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa

from escalometer.documents import VARIANT_KEY

#: Sample dialogues shown of one model in one domain.
N_SAMPLES = 6

#: The key of dialogues that are counted together.
COUNTED_BY = (
    "model",
    "domain",
    "condition",
    *VARIANT_KEY,
    "status",
)


def counted(decisions: pa.Table) -> list[dict[str, Any]]:
    """Return the number ``n`` of dialogues of each kind and status."""
    rows = decisions.select(list(COUNTED_BY)).to_pylist()
    counts = Counter(tuple(row.values()) for row in rows)
    return [{**dict(zip(COUNTED_BY, key, strict=True)), "n": n} for key, n in counts.items()]


def sampled(decisions: pa.Table) -> list[dict[str, Any]]:
    """Return dialogues that show each intervention and each way to end, always the same ones.

    The first of every (intervention, status), by scenario, rarest status first, so that a refusal
    or a failure is never crowded out by what goes well.
    """
    keys = decisions.select(["status", "intervention", "scenario_id", "condition"]).to_pylist()
    frequency = Counter(row["status"] for row in keys)
    first: dict[tuple[str, str], tuple[str, str, int]] = {}
    for i, row in enumerate(keys):
        kind = (row["status"], row["intervention"])
        place = (row["scenario_id"], row["condition"], i)
        first[kind] = min(first.get(kind, place), place)
    chosen = sorted(first, key=lambda kind: (frequency[kind[0]], kind))[:N_SAMPLES]
    sampled: list[dict[str, Any]] = decisions.take([first[k][2] for k in chosen]).to_pylist()
    return sampled
