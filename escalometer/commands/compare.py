"""`escalometer compare`: the differences between two models."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from escalometer.commands import Place
from escalometer.commands._options import (
    CallersPath,
    cost_ratio_option,
    files_or_models,
    reading_options,
)
from escalometer.commands._tables import opened_tables, project_settings, refuse_options
from escalometer.errors import UsageError
from escalometer.layout import PIPELINE
from escalometer.runtime.object_storage import Location

if TYPE_CHECKING:
    from escalometer.config import Params
    from escalometer.documents import Comparison
    from escalometer.operations.decision_tables import DecisionTable


@click.command()
@click.argument(
    "given",
    metavar="MODEL MODEL | FILE FILE | FILE MODEL MODEL",
    nargs=-1,
    required=True,
    callback=files_or_models,
)
@click.option(
    "--model", "chosen", metavar="MODEL", help="Model of both files, if they have several."
)
@click.option(
    "--source",
    metavar="NAME",
    help="Import whose decisions are used, in place of the pipeline's.",
)
@click.option(
    "--out",
    type=CallersPath(dir_okay=False),
    metavar="FILE",
    help="Write all dialogues in which the models differ to a .csv or .parquet file.",
)
@cost_ratio_option
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def compare(
    workspace: Place,
    given: tuple[Location | str, ...],
    chosen: str | None,
    source: str | None,
    out: Path | None,
    cost_ratio: float | None,
    mapping: dict[str, str],
    kind: str | None,
    as_json: bool,
) -> None:
    """Compare two models: the differences of all metrics, and the dialogues in which they differ.

    Prints the second model minus the first, over all main domains and by domain, with 95% intervals
    and p-values corrected for the number of comparisons. Dialogues on the same scenarios are
    paired. Both models must have been evaluated, or their decisions are in files.

    Of two files, the models are compared; if both have the same model, e.g. before and after a
    change, they are named by the files. Of one file, name two models. A file needs no project;
    formats as for `escalometer profile`.

    \b
    Example:
      escalometer evaluate OLD NEW
      escalometer compare OLD NEW --out differ.csv
      escalometer compare old.csv new.csv
      escalometer compare decisions.parquet OLD NEW
    """  # noqa: D301 (\b is click's mark for lines to keep)
    from escalometer.config import load_params
    from escalometer.reporting.comparison_text import print_comparison

    if isinstance(given[0], Location) and source is None:
        from escalometer.operations.compare import check_out
        from escalometer.operations.decision_tables import scored_at

        check_out(out)
        params, root = project_settings()
        params = scored_at(params, cost_ratio)
        with opened_tables(_files(given, chosen), mapping, kind, root) as tables:
            comparison = _compared(tables, given, chosen, params, out)
    else:
        from escalometer.operations import compare as operation

        options = {
            "--model": chosen,
            "--map": mapping,
            "--format": kind,
            "--cost-ratio": cost_ratio,
        }
        refuse_options(options, "compare")
        if len(given) != 2:
            raise UsageError(
                f"compare takes MODEL MODEL, or files of decisions; found {len(given)} arguments"
            )
        first, second = map(str, given)
        params, root = load_params(), workspace().root
        comparison = operation.run(first, second, params, root, source or PIPELINE, out)
    if as_json:
        click.echo(json.dumps(comparison.as_json(), allow_nan=False, indent=2))
    else:
        print_comparison(comparison, sys.stdout, params.analyze.headline_ratio)


def _files(given: tuple[Location | str, ...], chosen: str | None) -> list[Location]:
    """Return the files that are compared, if the arguments make sense."""
    files = [one for one in given if isinstance(one, Location)]
    n_models = len(given) - len(files)
    if (len(files), n_models) not in ((2, 0), (1, 2)):
        raise UsageError(
            "compare takes two files, or a file and two of its models: escalometer compare "
            f"{files[0]} MODEL MODEL"
        )
    if n_models and chosen is not None:
        raise UsageError(f"--model {chosen} belongs to two files; here the models are named")
    return files


def _compared(
    tables: list[DecisionTable],
    given: tuple[Location | str, ...],
    chosen: str | None,
    params: Params,
    out: Path | None,
) -> Comparison:
    """Return the comparison of two files, or of two models of one file."""
    from escalometer.operations import compare as operation
    from escalometer.operations import table_sides

    models: list[str | None] = [one for one in given if isinstance(one, str)]
    sides = table_sides.sides(tables[0], tables[-1], models or [chosen, chosen])
    comparison, dialogues = table_sides.compare(sides, params)
    if out is not None:
        operation.write_dialogues(dialogues, out)
    return comparison
