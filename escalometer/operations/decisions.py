"""Decisions by model and source: the one place that knows where each source keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from escalometer import layout
from escalometer.analysis.decisions import COLUMNS, load_decisions
from escalometer.analysis.designs import load_design
from escalometer.config import Params, load_card
from escalometer.documents.profile import Design
from escalometer.errors import UsageError, unknown_name
from escalometer.layout import PIPELINE
from escalometer.operations import recorded_sources
from escalometer.runtime.files import digest


def decisions_of(
    models: Sequence[str], source: str, params: Params, root: Path = Path()
) -> tuple[pa.Table, dict[str, str]]:
    """Return the decisions of some models in one table, and the digests of the files read.

    Parameters
    ----------
    models : sequence of str
        All different.
    source : str
        Where decisions are from.
    params : Params
        Uses `domains`.
    root : Path
        The project.

    Raises
    ------
    UsageError
        If a model or the source does not exist, or a model is named twice.
    DataError
        If a file is absent or lacks a column.
    """
    if len(set(models)) < len(models):
        raise UsageError(f"{models[0]} cannot be compared with itself: name two models")
    if source != PIPELINE:
        return _recorded(models, source, root)
    parts, files = [], {}
    for model in models:
        load_card(model, layout.cards_folder(root))
        parts.append(load_decisions(model, params.domains, root).select(list(COLUMNS)))
        for domain in params.domains:
            path = layout.decisions_file(model, domain)
            files[path.as_posix()] = f"sha256:{digest(root / path)}"
    table = pa.concat_tables(parts)
    return table.filter(pc.field("model").isin(list(models))), files


def _recorded(models: Sequence[str], source: str, root: Path) -> tuple[pa.Table, dict[str, str]]:
    """Return the same of an imported source; its models need no card."""
    known = recorded_sources.models_of(source, root)
    for model in models:
        if model not in known:
            raise unknown_name("model", model, known)
    table = recorded_sources.load(source, root).select(list(COLUMNS))
    path = layout.source_decisions_file(source)
    rows = table.filter(pc.field("model").isin(list(models)))
    return rows, {path.as_posix(): f"sha256:{digest(root / path)}"}


def design_of(model: str, source: str, root: Path = Path()) -> Design | None:
    """Return the result of an adaptive design of `model`; None where there was none."""
    return load_design(model, root) if source == PIPELINE else None
