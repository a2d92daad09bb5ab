"""Adaptive designs of the pipeline as they ended."""

from __future__ import annotations

from pathlib import Path

from escalometer import layout
from escalometer.documents.document import read_document
from escalometer.documents.profile import Design
from escalometer.runtime.files import read_json


def load_design(model: str, root: Path = Path()) -> Design | None:
    """Return the result of an adaptive design of `model`; None where the design is fixed.

    Raises
    ------
    DataError
        If the stored design is not readable.
    """
    path = layout.design_file(model, root)
    if not path.exists() or read_json(path)["kind"] == "fixed":
        return None
    return read_document(Design, path)


def is_unfinished(model: str, root: Path = Path()) -> bool:
    """Return whether the budget ended the design of `model` before its precision was reached."""
    design = load_design(model, root)
    return design is not None and design.stopped_by == "budget"
