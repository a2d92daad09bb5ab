"""`escalometer compare`: the differences between two models."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from escalometer.commands import Place
from escalometer.layout import PIPELINE


@click.command()
@click.argument("first", metavar="MODEL")
@click.argument("second", metavar="MODEL")
@click.option("--source", default=PIPELINE, show_default=True, help="Where decisions are from.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write all dialogues in which they disagree to a .csv or .parquet file.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def compare(
    workspace: Place, first: str, second: str, source: str, out: Path | None, as_json: bool
) -> None:
    """Print what the second MODEL changes against the first, and where the two disagree.

    Threshold, bias, accuracy, right actions, cost, regret and what was answered: second minus
    first, in all and in each domain, with intervals and p-values that are corrected for how many
    there are. Dialogues about the same scenarios are compared in pairs. Both models must have been
    evaluated: `escalometer evaluate OLD NEW`, then `escalometer compare OLD NEW`.
    """
    from escalometer.config import load_params
    from escalometer.operations import compare as operation
    from escalometer.reporting.comparison_text import print_comparison

    params = load_params()
    comparison = operation.run(first, second, params, workspace().root, source, out)
    if as_json:
        click.echo(json.dumps(comparison.as_json(), allow_nan=False, indent=2))
    else:
        print_comparison(comparison, sys.stdout, params.analyze.headline_ratio)
