"""`escalometer gate`: the verdict on a release, as text and as exit code."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from escalometer.commands import Place
from escalometer.commands._options import (
    CallersPath,
    NumberRange,
    files_or_models,
    reading_options,
)
from escalometer.commands._tables import (
    opened_ledger,
    opened_tables,
    project_settings,
    refuse_options,
)
from escalometer.commands._verdicts import print_verdict, report_error, write_junit
from escalometer.errors import EscalometerError, UsageError
from escalometer.layout import LEDGER, PIPELINE
from escalometer.runtime.extras import named, need
from escalometer.runtime.object_storage import Location

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
    help="Release in use to compare with, its file, or in-use for that of MLflow's alias; "
    "gate.against by default.",
)
@click.option(
    "--cost-ratio",
    type=NumberRange(min=1, max=1_000_000, min_open=True),
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
    help="Import whose decisions are used, or ledger; the pipeline's by default.",
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
@click.option(
    "--promote",
    "is_promoted",
    is_flag=True,
    help="On a pass, set the alias in-use in MLflow to MODEL; record any verdict there.",
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
    model: Location | str,
    chosen: str | None,
    against: Location | str | None,
    cost_ratio: float | None,
    intervention: str | None,
    source: str | None,
    mapping: dict[str, str],
    kind: str | None,
    junit: Path | None,
    is_checked: bool,
    is_promoted: bool,
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

    --promote sets the alias in-use of the registered model (track.registered_model) in MLflow to
    the evaluation of MODEL that was judged, and only if it passes. If another release than that of
    --against is in use, nothing is promoted, and the exit code is 3.

    \b
    Example:
      escalometer gate decisions.parquet --cost-ratio 4 --junit gate.xml
      escalometer gate new.csv --against old.csv
      escalometer gate MODEL --against in-use --promote
    """  # noqa: D301 (\b is click's mark for lines to keep)
    if as_json and as_markdown:
        raise UsageError("--json and --markdown exclude each other: give one of them")
    failed = None
    try:
        changes = {"cost_ratio": cost_ratio, "intervention": intervention, "is_checked": is_checked}
        with named("`escalometer gate`"):  # a missing package is no internal error
            if is_promoted:
                _check_promotable(model, source)
            if isinstance(model, Location) and source is None:
                options = (chosen, against, cost_ratio, intervention)
                verdict = _of_file(workspace, model, options, mapping, kind, is_checked)
            else:
                refuse_options({"--model": chosen, "--map": mapping, "--format": kind}, "gate")
                verdict = _verdict(workspace, str(model), against, changes, source or PIPELINE)
            if junit is not None:
                write_junit(junit, verdict)
            if is_promoted:
                verdict, failed = _promoted(workspace, verdict)
        print_verdict(verdict, as_json, as_markdown)
        code = _code(verdict)
    except EscalometerError as error:
        report_error(str(model), error, junit, as_markdown)
        raise
    except Exception as error:  # noqa: BLE001 - the outermost guard: an error is not a verdict
        traceback.print_exc()
        report_error(str(model), error, junit, as_markdown)
        return INTERNAL_ERROR
    if failed is None:
        return code
    if code:  # nothing was to be promoted: the verdict counts
        click.echo(f"warning: the verdict is not recorded: {failed}", err=True)
        return code
    raise failed


def _check_promotable(model: Location | str, source: str | None) -> None:
    """Refuse what MLflow has no releases of, and a missing package, before anything is judged."""
    if isinstance(model, Location) or source not in (None, PIPELINE):
        raise UsageError(
            "--promote needs a MODEL that `escalometer evaluate` evaluated: MLflow has no releases "
            f"of {'a file' if isinstance(model, Location) else f'the source {source}'}"
        )
    need("pipeline", "`escalometer gate --promote`")


def _promoted(workspace: Place, verdict: Verdict) -> tuple[Verdict, EscalometerError | None]:
    """Return a verdict with what became of its promotion, and the error where that failed."""
    from escalometer.config import load_params
    from escalometer.operations import registry

    place, registered_model = workspace(), load_params().track.registered_model
    failed = None
    try:
        promotion = registry.promote(verdict, place.root, place.tracking, registered_model)
    except EscalometerError as error:  # there is a verdict all the same
        promotion, failed = registry.refused(verdict, registered_model, error), error
    return verdict.model_copy(update={"promotion": promotion}), failed


def _verdict(
    workspace: Place,
    model: str,
    against: Location | str | None,
    changes: dict[str, Any],
    source: str,
) -> Verdict:
    from escalometer.config import load_params
    from escalometer.operations import gate as operation

    place = workspace()
    in_use = None if against is None else str(against)
    if source == LEDGER:
        return _of_ledger(model, in_use, changes)
    return operation.run(
        model, load_params(), place.root, in_use, source=source, uri=place.tracking, **changes
    )


def _of_ledger(model: str, against: str | None, changes: dict[str, Any]) -> Verdict:
    """Return the verdict on a model by its cases in the ledger."""
    from escalometer.operations import table_sides
    from escalometer.operations.gate import rules_of

    params, _ = project_settings()
    with opened_ledger(Path()) as table:
        rules = rules_of(params, cost_ratio=changes["cost_ratio"])
        in_use = against or rules.against
        both = (
            [table_sides.Side.alone(table, model)]
            if in_use is None
            else table_sides.sides(table, table, (in_use, model))
        )
        return table_sides.gate(both, params, rules, changes["intervention"], changes["is_checked"])


def _of_file(
    workspace: Place,
    file: Location,
    options: tuple[str | None, Location | str | None, float | None, str | None],
    mapping: dict[str, str],
    kind: str | None,
    is_checked: bool,
) -> Verdict:
    """Return the verdict on a file; `options` are model, release in use, R and intervention."""
    from escalometer.config import IN_USE
    from escalometer.operations import registry, table_sides
    from escalometer.operations.gate import rules_of

    params, root = project_settings()
    chosen, against, cost_ratio, intervention = options
    rules = rules_of(params, cost_ratio=cost_ratio)
    in_use = rules.against if against is None else against
    note = None
    if in_use == IN_USE and root is not None:
        name, uri = params.track.registered_model, workspace().tracking
        in_use, note = registry.resolved(chosen or "", IN_USE, root, uri, name)
    files = [*([in_use] if isinstance(in_use, Location) else []), file]
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
        return table_sides.gate(both, params, rules, intervention, is_checked, note)


def _code(verdict: Verdict) -> int:
    from escalometer.operations.gate import EXIT_CODES

    return EXIT_CODES[verdict.verdict]
