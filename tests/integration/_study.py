"""The study's recorded decisions, where they stand beside this checkout."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from escalometer.operations import import_decisions, recorded_sources
from tests.conftest import ROOT, SHARED

RECORDED = SHARED / "recorded" / "decisions.parquet"


@cache
def decisions() -> pa.Table:
    """The recorded decisions, taken in as anybody would: by `escalometer import`."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "expectations").symlink_to(ROOT / "expectations")
        import_decisions.run(RECORDED, "study", root, False, lambda _: None)
        return recorded_sources.load("study", root)
