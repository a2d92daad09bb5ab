"""Verdicts of `escalometer gate`, and errors in their place, wherever they are to be written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from escalometer.errors import UsageError

if TYPE_CHECKING:
    from escalometer.documents import Verdict


def print_verdict(verdict: Verdict, as_json: bool, as_markdown: bool) -> None:
    """Print a verdict as text, or as one document."""
    from escalometer.reporting.gate_markdown import gate_markdown
    from escalometer.reporting.gate_text import print_gate

    if as_json:
        click.echo(json.dumps(verdict.as_json(), allow_nan=False, indent=2))
    elif as_markdown:
        _echo(gate_markdown(verdict))
    else:
        print_gate(verdict, sys.stdout)


def write_junit(path: Path, verdict: Verdict) -> None:
    """Write a verdict as JUnit XML.

    Raises
    ------
    UsageError
        If the file cannot be written.
    """
    from escalometer.reporting.junit import junit_xml

    _write(path, junit_xml(verdict))


def report_error(model: str, error: Exception, junit: Path | None, as_markdown: bool) -> None:
    """Say that there is no verdict wherever the verdict would have been written."""
    from escalometer.reporting.gate_markdown import error_markdown
    from escalometer.reporting.junit import junit_error

    if as_markdown:
        _echo(error_markdown(model, error))
    if junit is not None:
        _write(junit, junit_error(model, error))


def _echo(text: str) -> None:
    """Print a document; characters that the stream's encoding lacks become question marks."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "replace").decode(encoding), nl=False)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
