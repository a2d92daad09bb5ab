"""`escalometer compare`: the differences between two models."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from escalometer.commands import Place
from escalometer.commands._options import CallersPath
from escalometer.layout import PIPELINE


@click.command()
@click.argument("first", metavar="MODEL")
@click.argument("second", metavar="MODEL")
@click.option(
    "--source",
    default=PIPELINE,
    show_default=True,
    help="Source of the decisions: `pipeline`, or the name of an import.",
)
@click.option(
    "--out",
    type=CallersPath(dir_okay=False),
    metavar="FILE",
    help="Write all dialogues in which the models differ to a .csv or .parquet file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def compare(
    workspace: Place, first: str, second: str, source: str, out: Path | None, as_json: bool
) -> None:
    """Compare two models: the differences of all metrics, and the dialogues in which they differ.

    Prints the second model minus the first, over all main domains and by domain, with 95% intervals
    and p-values corrected for the number of comparisons. Dialogues on the same scenarios are
    paired. Both models must have been evaluated.

    \b
    Example:
      escalometer evaluate OLD NEW
      escalometer compare OLD NEW --out differ.csv
    """  # noqa: D301 (\b is click's mark for lines to keep)
    from escalometer.config import load_params
    from escalometer.operations import compare as operation
    from escalometer.reporting.comparison_text import print_comparison

    params = load_params()
    comparison = operation.run(first, second, params, workspace().root, source, out)
    if as_json:
        click.echo(json.dumps(comparison.as_json(), allow_nan=False, indent=2))
    else:
        print_comparison(comparison, sys.stdout, params.analyze.headline_ratio)
