"""`escalometer gate`: the verdict on a release, as text and as exit code."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from escalometer.commands import Place
from escalometer.commands._options import CallersPath, files_or_models, reading_options
from escalometer.commands._tables import opened_tables, project_settings, refuse_options
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
@click.argument("model", metavar="MODEL|FILE", callback=files_or_models)
@click.option("--model", "chosen", metavar="MODEL", help="Model of FILE, if it has several.")
@click.option(
    "--against",
    callback=files_or_models,
    metavar="MODEL|FILE",
    help="Release in use to compare with, or its file; gate.against by default.",
)
@click.option(
    "--cost-ratio",
    type=click.FloatRange(min=1, max=1_000_000, min_open=True),
    metavar="R",
    help="Cost of a wrong action in escalations; gate.cost_ratio by default.",
)
@click.option(
    "--intervention",
    metavar="NAME",
    help="Intervention that is deployed; gate.intervention, or the only one of FILE, by default.",
)
@click.option(
    "--source",
    metavar="NAME",
    help="Import whose decisions are used, in place of the pipeline's.",
)
@reading_options
@click.option(
    "--junit",
    type=CallersPath(dir_okay=False),
    metavar="FILE",
    help="Write the verdict as JUnit XML, one test case per rule.",
)
@click.option(
    "--self-check",
    "is_checked",
    is_flag=True,
    help="Also print how often the verdict differs between two parts of the dialogues (minutes).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--markdown",
    "as_markdown",
    is_flag=True,
    help="Print Markdown, for a comment on a pull request or merge request.",
)
@click.pass_obj
def gate(
    workspace: Place,
    model: Path | str,
    chosen: str | None,
    against: Path | str | None,
    cost_ratio: float | None,
    intervention: str | None,
    source: str | None,
    mapping: dict[str, str],
    kind: str | None,
    junit: Path | None,
    is_checked: bool,
    as_json: bool,
    as_markdown: bool,
) -> int:
    """Check MODEL, or FILE, against the limits in params.yaml: pass, fail or inconclusive.

    The rules are those of `gate` in params.yaml: maximum regret, maximum distance of the implicit
    threshold from the optimal one, minimum share of readable answers and, with --against, no
    regression from the release in use above its tolerance. A rule passes if its whole 95%
    interval is within the limit, fails if all of it is outside, and is inconclusive otherwise or
    with too few dialogues. A missing number fails.

    FILE is a table of decisions as for `escalometer profile`, and needs no project: without a
    params.yaml, the limits are the built-in ones. --against is another file, or a model of FILE.

    \b
    Example:
      escalometer gate decisions.parquet --cost-ratio 4 --junit gate.xml
      escalometer gate new.csv --against old.csv
    """  # noqa: D301 (\b is click's mark for lines to keep)
    if as_json and as_markdown:
        raise UsageError("--json and --markdown exclude each other: give one of them")
    try:
        changes = {"cost_ratio": cost_ratio, "intervention": intervention, "is_checked": is_checked}
        with named("`escalometer gate`"):  # a missing package is no internal error
            if isinstance(model, Path) and source is None:
                options = (chosen, against, cost_ratio, intervention)
                verdict = _of_file(model, options, mapping, kind, is_checked)
            else:
                refuse_options({"--model": chosen, "--map": mapping, "--format": kind}, "gate")
                verdict = _verdict(workspace, str(model), against, changes, source or PIPELINE)
        if junit is not None:
            _write_verdict(junit, verdict)
        _print(verdict, as_json, as_markdown)
        return _code(verdict)
    except EscalometerError as error:
        _report_error(str(model), error, junit, as_markdown)
        raise
    except Exception as error:  # noqa: BLE001 - the outermost guard: an error is not a verdict
        traceback.print_exc()
        _report_error(str(model), error, junit, as_markdown)
        return INTERNAL_ERROR


def _verdict(
    workspace: Place,
    model: str,
    against: Path | str | None,
    changes: dict[str, Any],
    source: str,
) -> Verdict:
    from escalometer.config import load_params
    from escalometer.operations import gate as operation

    in_use = None if against is None else str(against)
    return operation.run(model, load_params(), workspace().root, in_use, source=source, **changes)


def _of_file(
    file: Path,
    options: tuple[str | None, Path | str | None, float | None, str | None],
    mapping: dict[str, str],
    kind: str | None,
    is_checked: bool,
) -> Verdict:
    """Return the verdict on a file; `options` are model, release in use, R and intervention."""
    from escalometer.operations import table_sides
    from escalometer.operations.gate import rules_of

    params, root = project_settings()
    chosen, against, cost_ratio, intervention = options
    rules = rules_of(params, cost_ratio=cost_ratio)
    in_use = rules.against if against is None else against
    files = [*([in_use] if isinstance(in_use, Path) else []), file]
    with opened_tables(files, mapping, kind, root) as tables:
        if against is None and in_use is not None and in_use not in tables[-1].known["models"]:
            raise UsageError(
                f"gate.against in params.yaml is {in_use}, of which {tables[-1].name} has no "
                "decisions: name the release in use (--against), or set gate.against to null"
            )
        judged = tables[-1]
        if in_use is None:
            both = [table_sides.Side.alone(judged, chosen)]
        elif isinstance(in_use, str):
            both = table_sides.sides(judged, judged, (in_use, chosen))
        else:  # the same model there, or the only one
            same = chosen if chosen in tables[0].known["models"] else None
            both = table_sides.sides(tables[0], judged, (same, chosen))
        return table_sides.gate(both, params, rules, intervention, is_checked)


def _code(verdict: Verdict) -> int:
    from escalometer.operations.gate import EXIT_CODES

    return EXIT_CODES[verdict.verdict]


def _print(verdict: Verdict, as_json: bool, as_markdown: bool) -> None:
    from escalometer.reporting.gate_markdown import gate_markdown
    from escalometer.reporting.gate_text import print_gate

    if as_json:
        click.echo(json.dumps(verdict.as_json(), allow_nan=False, indent=2))
    elif as_markdown:
        _echo(gate_markdown(verdict))
    else:
        print_gate(verdict, sys.stdout)


def _write_verdict(path: Path, verdict: Verdict) -> None:
    from escalometer.reporting.junit import junit_xml

    _write(path, junit_xml(verdict))


def _report_error(model: str, error: Exception, junit: Path | None, as_markdown: bool) -> None:
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
