"""Stages: one file, one `run(...)`, one CLI command and one DVC stage each.

A stage reads what earlier ones wrote, calls the core, and writes its outputs whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from escalometer.errors import DataError

#: The source that is our own decisions; every other one was imported.
PIPELINE = "pipeline"


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write `content` as JSON at `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(
        json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )
    partial.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON document that an earlier stage wrote at `path`.

    Raises
    ------
    DataError
        If it is absent or not JSON.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; run `dvc repro` to make it") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}; remove it and run `dvc repro`") from error
    return content
