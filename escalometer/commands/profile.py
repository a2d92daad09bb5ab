"""`escalometer profile` and `escalometer report`: the results of models, as text and as a page."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from escalometer.commands._options import CallersPath, names
from escalometer.layout import PIPELINE


@click.command()
@click.argument("model")
@click.option(
    "--source",
    default=PIPELINE,
    show_default=True,
    help="Source of the decisions: `pipeline`, or the name of an import.",
)
@click.option("--domains", callback=names, metavar="D,..", help="Use these domains only.")
@click.option("--pool-isolated", is_flag=True, help="Pool isolated turns with the others.")
@click.option("--full", "is_full", is_flag=True, help="Print all tables, not the summary alone.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def profile(
    model: str,
    source: str,
    domains: list[str] | None,
    pool_isolated: bool,
    is_full: bool,
    as_json: bool,
) -> None:
    """Print the escalation profile of MODEL.

    The summary has the conclusion and the headline numbers with their 95% intervals: accuracy,
    implicit threshold next to the optimal one, self-estimated accuracy, calibration bias, coverage,
    selective risk and cost. --full adds every table: statuses, domains, interventions, conditions.

    \b
    Example:
      escalometer profile smollm2-135m-instruct --full
    """  # noqa: D301 (\b is click's mark for lines to keep)
    from escalometer.analysis.decisions import load_decisions
    from escalometer.analysis.designs import load_design
    from escalometer.analysis.profile import build_profile
    from escalometer.cases import catalog
    from escalometer.config import load_card, load_params
    from escalometer.reporting.profile_text import print_profile
    from escalometer.reporting.summary_text import print_summary

    params = load_params()
    if source != PIPELINE:
        from escalometer.operations import recorded_sources

        found = recorded_sources.profile(model, source, params, domains, pool_isolated)
    else:
        load_card(model)
        for name in domains or ():
            catalog.load(name)
        decisions = load_decisions(model, domains or params.domains, Path())
        design = None if domains else load_design(model)
        found = build_profile(decisions, model, source, params, domains, design, pool_isolated)
    if as_json:
        click.echo(json.dumps(found.as_json(), allow_nan=False, indent=2))
    else:
        print_text = print_profile if is_full else print_summary
        print_text(found, sys.stdout, params.analyze.headline_ratio)


@click.command()
@click.option(
    "--out",
    type=CallersPath(file_okay=False),
    help="Folder to write to; data/report by default.",
)
@click.option(
    "--source",
    default=PIPELINE,
    show_default=True,
    help="Source of the decisions: `pipeline`, or the name of an import.",
)
def report(out: Path | None, source: str) -> None:
    """Write the report as one HTML page that needs no network, and print its path."""
    from escalometer.config import load_params

    if source != PIPELINE:
        from escalometer.operations import recorded_sources

        path = recorded_sources.report(source, load_params(), Path(), out)
    else:
        from escalometer.stages import report as stage_report

        path = stage_report.run(load_params(), Path(), out)
    click.echo(str(path.resolve()))
