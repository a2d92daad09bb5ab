"""`escalometer profile` and `escalometer report`: the results of models, as text and as a page."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from escalometer import layout
from escalometer.commands._options import (
    CallersLocation,
    CallersPath,
    callers_path,
    cost_ratio_option,
    file_database_or_model,
    is_database,
    names,
    reading_options,
)
from escalometer.commands._tables import (
    opened_ledger,
    opened_tables,
    project_settings,
    refuse_options,
)
from escalometer.errors import UsageError
from escalometer.layout import LEDGER, PIPELINE
from escalometer.runtime.interruption import interruptible
from escalometer.runtime.object_storage import Location

if TYPE_CHECKING:
    from escalometer.config import Params
    from escalometer.documents import Profile

#: Folder of the report on a file, in the folder where the command is started.
REPORT_FOLDER = "escalometer-report"


@click.command()
@click.argument("model", metavar="MODEL|FILE|DATABASE", callback=file_database_or_model)
@click.option("--model", "chosen", metavar="MODEL", help="Model of FILE, if it has several.")
@click.option(
    "--table", metavar="SCHEMA.TABLE", help="Table or view of DATABASE that has the decisions."
)
@click.option(
    "--source",
    metavar="NAME",
    help="Import whose decisions are used, or ledger; the pipeline's by default.",
)
@click.option("--domains", callback=names, metavar="D,..", help="Use these domains only.")
@click.option("--pool-isolated", is_flag=True, help="Pool isolated turns with the others.")
@cost_ratio_option
@reading_options
@click.option("--full", "is_full", is_flag=True, help="Print all tables, not the summary alone.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def profile(
    model: Location | str,
    chosen: str | None,
    table: str | None,
    source: str | None,
    domains: list[str] | None,
    pool_isolated: bool,
    cost_ratio: float | None,
    mapping: dict[str, str],
    kind: str | None,
    is_full: bool,
    as_json: bool,
) -> None:
    """Print the escalation profile of MODEL, or of the decisions in FILE.

    The summary has the conclusion and the headline numbers with their 95% intervals: accuracy,
    implicit threshold next to the optimal one, self-estimated accuracy, calibration bias, coverage,
    selective risk and cost. --full adds every table: statuses, domains, interventions, conditions.

    FILE is a table of decisions, one row per dialogue: Parquet, CSV or JSON lines, also gzipped, or
    - for standard input; s3://BUCKET/KEY is an object on object storage, s3://BUCKET/FOLDER/ all
    Parquet objects below. It needs no project, and is neither imported nor changed. Columns as for
    `escalometer import`.

    DATABASE is an address such as postgresql://USER@HOST/NAME, whose --table has the same columns.
    The database counts the outcomes, and only the counts are transferred; intervals are those of
    independent dialogues.

    \b
    Example:
      escalometer profile smollm2-135m-instruct --full
      escalometer profile decisions.csv --map label=outcome --cost-ratio 10
      escalometer profile postgresql://reader@db.example/risk --table reviews.decisions
    """  # noqa: D301 (\b is click's mark for lines to keep)
    from escalometer.config import load_params
    from escalometer.reporting.profile_text import print_profile
    from escalometer.reporting.summary_text import print_summary

    if isinstance(model, str) and is_database(model):
        others = {"--source": source, "--pool-isolated": pool_isolated, "--format": kind}
        params, found = _database_profile(
            model, table, chosen, domains, mapping, cost_ratio, others
        )
    elif table is not None:
        raise UsageError("--table belongs to a database: escalometer profile DATABASE --table NAME")
    elif isinstance(model, Location) and source is None:
        from escalometer.operations import decision_tables

        params, root = project_settings()
        params = decision_tables.scored_at(params, cost_ratio)
        with opened_tables([model], mapping, kind, root) as [decisions]:
            found = decision_tables.profile(decisions, params, chosen, domains, pool_isolated)
    else:
        given = {"--model": chosen, "--map": mapping, "--format": kind, "--cost-ratio": cost_ratio}
        refuse_options(given, "profile")
        params = load_params()
        found = _profile(str(model), source or PIPELINE, params, domains, pool_isolated)
    if as_json:
        click.echo(json.dumps(found.as_json(), allow_nan=False, indent=2))
    else:
        print_text = print_profile if is_full else print_summary
        print_text(found, sys.stdout, params.analyze.headline_ratio)


def _database_profile(
    url: str,
    table: str | None,
    chosen: str | None,
    domains: list[str] | None,
    mapping: dict[str, str],
    cost_ratio: float | None,
    others: dict[str, Any],
) -> tuple[Params, Profile]:
    """Return the settings and the profile of decisions in a database."""
    from escalometer.operations import database_profiles, decision_tables
    from escalometer.warehouse.databases import DatabaseTable

    for option, value in others.items():
        if value:
            raise UsageError(f"{option} does not apply to a database")
    if not table:
        raise UsageError("name the table of the database: --table SCHEMA.TABLE")
    params, root = project_settings()
    params = decision_tables.scored_at(params, cost_ratio)
    suites = (root or Path()) / layout.SUITES_FOLDER
    with interruptible():
        found = database_profiles.profile(
            DatabaseTable(url, table), params, suites, chosen, domains, mapping
        )
    return params, found


def _profile(
    model: str, source: str, params: Params, domains: list[str] | None, pool_isolated: bool
) -> Profile:
    """Return the profile of a model of a project."""
    if source == LEDGER:
        from escalometer.operations import decision_tables

        with opened_ledger(Path()) as table:
            return decision_tables.profile(table, params, model, domains, pool_isolated)
    if source != PIPELINE:
        from escalometer.operations import recorded_sources

        return recorded_sources.profile(model, source, params, domains, pool_isolated)
    from escalometer.analysis.asked_prompts import with_asked_prompt
    from escalometer.analysis.card_notes import card_notes
    from escalometer.analysis.decisions import load_decisions
    from escalometer.analysis.designs import load_design
    from escalometer.analysis.profile import build_profile
    from escalometer.cases import catalog
    from escalometer.config import load_card

    load_card(model)
    for name in domains or ():
        catalog.load(name)
    decisions = load_decisions(model, domains or params.domains, Path())
    design = None if domains else load_design(model)
    found = build_profile(decisions, model, source, params, domains, design, pool_isolated)
    return with_asked_prompt(found).with_notes(*card_notes(model))


@click.command()
@click.argument("file", required=False, type=CallersLocation())
@click.option(
    "--out",
    type=CallersPath(file_okay=False),
    help="Folder to write to; by default data/report, of FILE escalometer-report.",
)
@click.option(
    "--source",
    metavar="NAME",
    help="Import whose decisions are used, or ledger; the pipeline's by default.",
)
@cost_ratio_option
@reading_options
def report(
    file: Location | None,
    out: Path | None,
    source: str | None,
    cost_ratio: float | None,
    mapping: dict[str, str],
    kind: str | None,
) -> None:
    """Write the report as one HTML page that needs no network, and print its path.

    It is about all models of the project, of --source, or of FILE: a table of decisions, which
    needs no project.

    \b
    Example:
      escalometer report decisions.parquet --out review
    """  # noqa: D301 (\b is click's mark for lines to keep)
    from escalometer.config import load_params

    if file is not None:
        from escalometer.operations import decision_tables

        if source is not None:
            raise UsageError(f"--source {source} and the file {file}: name one of them")
        params, root = project_settings()
        params = decision_tables.scored_at(params, cost_ratio)
        folder = out or callers_path(REPORT_FOLDER, click.get_current_context())
        with opened_tables([file], mapping, kind, root) as [table]:
            path = decision_tables.report(table, params, folder)
    else:
        given = {"--map": mapping, "--format": kind, "--cost-ratio": cost_ratio}
        refuse_options(given, "report")
        path = _report(source or PIPELINE, load_params(), out)
    click.echo(str(path.resolve()))


def _report(source: str, params: Params, out: Path | None) -> Path:
    """Write the report of a project, and return its path."""
    if source == LEDGER:
        from escalometer.operations import decision_tables

        with opened_ledger(Path()) as table:
            return decision_tables.report(table, params, out or Path(REPORT_FOLDER))
    if source != PIPELINE:
        from escalometer.operations import recorded_sources

        return recorded_sources.report(source, params, Path(), out)
    from escalometer.stages import report as stage_report

    return stage_report.run(params, Path(), out)
