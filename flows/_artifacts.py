"""Artifacts of runs in Prefect's pages: progress, headline numbers, verdicts, links."""

from __future__ import annotations

import contextlib
import contextvars
import os
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from escalometer import layout
from escalometer.documents import Verdict
from escalometer.errors import DataError
from escalometer.reporting.gate_markdown import gate_markdown
from escalometer.runtime.files import read_json
from escalometer.runtime.stage_report import StageProgress, read_progress

#: Address of MLflow's pages, where `escalometer serve` has started them.
MLFLOW_PAGES = "ESCALOMETER_MLFLOW_PAGES"

_LOOK_S = 2.0


def key(*names: str) -> str:
    """Return the key of an artifact, which has small letters, digits and dashes alone."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(names).lower()).strip("-")


@contextlib.contextmanager
def shown_progress(address: str, folder: Path) -> Iterator[None]:
    """Keep the progress that a stage reports as an artifact of this task run, for the block."""
    has_ended = threading.Event()
    context = contextvars.copy_context()
    thread = threading.Thread(
        target=context.run, args=(_follow, address, folder, has_ended), daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        thread.join(10)


def _follow(address: str, folder: Path, has_ended: threading.Event) -> None:
    artifact: UUID | None = None
    shown: StageProgress | None = None
    is_last = False
    while not is_last:
        is_last = has_ended.wait(_LOOK_S)
        found = read_progress(folder)
        # A stage that takes a moment has none.
        if found is None or found == shown or (is_last and artifact is None):
            continue
        shown, percent = found, round(100 * found.share, 1)
        if artifact is None:
            artifact = create_progress_artifact(percent, key(address), found.text)  # type: ignore[assignment]
        else:
            update_progress_artifact(artifact, percent, found.text)


def show_profiles(models: Sequence[str], root: Path) -> None:
    """Keep the headline numbers of models as a table, and links to the report and MLflow."""
    rows = []
    for model in models:
        with contextlib.suppress(DataError):
            numbers = read_json(layout.headline_file(model, root))
            rows.append({"model": model, **_flat(numbers[model])})
    if rows:
        create_table_artifact(rows, key("headlines"), "Headline numbers")
    show_links(models, root)


def show_verdict(verdict: Verdict) -> None:
    """Keep a verdict as a table of its rules, and as the document that a person reads."""
    rows = [
        {
            "rule": rule.rule,
            "result": rule.verdict,
            "number": rule.observed.estimate if rule.observed else None,
            "low": rule.observed.low if rule.observed else None,
            "high": rule.observed.high if rule.observed else None,
            "limit": rule.limit,
        }
        for rule in verdict.rules
    ]
    about = f"{verdict.model}: {verdict.verdict}"
    if verdict.against:
        about += f", compared with {verdict.against}"
    create_table_artifact(rows, key("verdict", verdict.model), about)
    create_markdown_artifact(gate_markdown(verdict), key("gate", verdict.model), about)


def show_links(models: Sequence[str], root: Path) -> None:
    """Keep links to the report and to each model's run in MLflow."""
    report = layout.report_file(root).resolve()
    if report.exists():
        create_link_artifact(report.as_uri(), "Report", key("report"), f"Report: {report}")
    for model in models:
        if link := run_link(model, root):
            create_link_artifact(link, f"{model} in MLflow", key("mlflow", model), model)


def run_link(model: str, root: Path) -> str | None:
    """Return the address of a model's run in MLflow's pages; None if nothing serves them."""
    try:
        record = read_json(layout.tracking_file(model, root))
    except DataError:
        return None
    uri = str(record["uri"])
    pages = uri if uri.startswith("http") else os.environ.get(MLFLOW_PAGES)
    return f"{pages.rstrip('/')}/#/runs/{record['run_id']}" if pages else None


def _flat(numbers: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested numbers by names joined with dots, rounded for a table."""
    flat: dict[str, Any] = {}
    for name, value in numbers.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = round(value, 4) if isinstance(value, float) else value
    return flat
