"""Dialogues counted by how they ended, and a few of them to show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from escalometer import warehouse
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


def counted(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the number ``n`` of dialogues of each kind and status in files of decisions."""
    return warehouse.count_rows_of(files, COUNTED_BY)


def sampled(files: Sequence[Path], schema: pa.Schema) -> list[dict[str, Any]]:
    """Return dialogues that show each intervention and each way to end, always the same ones.

    The first of every (intervention, status), by scenario, rarest status first, so that a refusal
    or a failure is never crowded out by what goes well.

    Parameters
    ----------
    files : sequence of Path
        Files of decisions: samples are in their order, then by model and domain.
    schema : pyarrow.Schema
        Their columns.
    """
    return warehouse.sample_rows(files, schema.names, N_SAMPLES)
