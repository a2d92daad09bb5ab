"""`escalometer profile` and `escalometer report`: what is known of models, as text or as a page."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from escalometer.commands._options import names
from escalometer.layout import PIPELINE


@click.command()
@click.argument("model")
@click.option("--source", default=PIPELINE, show_default=True, help="Where decisions are from.")
@click.option("--domains", callback=names, metavar="D,..", help="Only these domains.")
@click.option("--pool-isolated", is_flag=True, help="Count isolated turns among the others.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def profile(
    model: str, source: str, domains: list[str] | None, pool_isolated: bool, as_json: bool
) -> None:
    """Print what is known of MODEL: threshold, idea of itself, accuracy, statuses, cost."""
    from escalometer.analysis.decisions import load_decisions, load_design
    from escalometer.analysis.profile import build_profile
    from escalometer.cases import catalog
    from escalometer.config import load_card, load_params
    from escalometer.reporting.profile_text import print_profile

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
        print_profile(found, sys.stdout, params.analyze.headline_ratio)


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder to write to.")
@click.option("--source", default=PIPELINE, show_default=True, help="Where decisions are from.")
def report(out: Path | None, source: str) -> None:
    """Write the report, one page that opens without a network, and print its path."""
    from escalometer.config import load_params

    if source != PIPELINE:
        from escalometer.operations import recorded_sources

        path = recorded_sources.report(source, load_params(), Path(), out)
    else:
        from escalometer.stages import report as stage_report

        path = stage_report.run(load_params(), Path(), out)
    click.echo(str(path.resolve()))
