"""`escalometer gate`: the verdict on a release, as text and as exit code."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import click

from escalometer.commands import Place
from escalometer.commands._options import CallersPath
from escalometer.errors import EscalometerError, UsageError
from escalometer.layout import PIPELINE
from escalometer.runtime.extras import named

if TYPE_CHECKING:
    from escalometer.documents import Verdict

#: Exit code of an unexpected error. Python's own would be 1, which means that the release failed.
INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h


@click.command(
    epilog="Exit codes: 0 pass · 1 fail · 2 inconclusive · 3 wrong usage or configuration · 4 "
    "bad data · 5 model unavailable · 70 internal error. Only 1 means that the release "
    "failed."
)
@click.argument("model")
@click.option(
    "--against", metavar="MODEL", help="Release in use to compare with; gate.against by default."
)
@click.option(
    "--cost-ratio",
    type=click.FloatRange(min=1, max=1_000_000, min_open=True),
    metavar="R",
    help="Cost of a wrong action in escalations; gate.cost_ratio by default.",
)
@click.option(
    "--source",
    default=PIPELINE,
    show_default=True,
    help="Source of the decisions: `pipeline`, or the name of an import.",
)
@click.option(
    "--junit",
    type=CallersPath(dir_okay=False),
    metavar="FILE",
    help="Write the verdict as JUnit XML, one test case per rule.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def gate(
    workspace: Place,
    model: str,
    against: str | None,
    cost_ratio: float | None,
    source: str,
    junit: Path | None,
    as_json: bool,
) -> int:
    """Check MODEL against the limits in params.yaml: pass, fail or inconclusive, with reasons.

    The rules are those of `gate` in params.yaml: maximum regret, maximum distance of the implicit
    threshold from the optimal one, minimum share of readable answers and, with --against, no
    regression from the release in use above its tolerance. A rule passes if its whole 95%
    interval is within the limit, fails if all of it is outside, and is inconclusive otherwise or
    with too few dialogues. A missing number fails.
    """
    try:
        with named("`escalometer gate`"):  # a missing package is no internal error
            verdict = _verdict(workspace, model, against, cost_ratio, source)
        if junit is not None:
            _write_verdict(junit, verdict)
        _print(verdict, as_json)
        return _code(verdict)
    except EscalometerError as error:
        if junit is not None:
            _write_error(junit, model, error)
        raise
    except Exception as error:  # noqa: BLE001 - the outermost guard: an error is not a verdict
        traceback.print_exc()
        if junit is not None:
            _write_error(junit, model, error)
        return INTERNAL_ERROR


def _verdict(
    workspace: Place, model: str, against: str | None, cost_ratio: float | None, source: str
) -> Verdict:
    from escalometer.config import load_params
    from escalometer.operations import gate as operation

    return operation.run(model, load_params(), workspace().root, against, cost_ratio, source)


def _code(verdict: Verdict) -> int:
    from escalometer.operations.gate import EXIT_CODES

    return EXIT_CODES[verdict.verdict]


def _print(verdict: Verdict, as_json: bool) -> None:
    from escalometer.reporting.gate_text import print_gate

    if as_json:
        click.echo(json.dumps(verdict.as_json(), allow_nan=False, indent=2))
    else:
        print_gate(verdict, sys.stdout)


def _write_verdict(path: Path, verdict: Verdict) -> None:
    from escalometer.reporting.junit import junit_xml

    _write(path, junit_xml(verdict))


def _write_error(path: Path, model: str, error: Exception) -> None:
    from escalometer.reporting.junit import junit_error

    _write(path, junit_error(model, error))


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
