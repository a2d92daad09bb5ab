"""`escalometer domains`: list domains, check one of your own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from escalometer.commands._options import CallersPath
from escalometer.commands._tables import project_settings
from escalometer.errors import EscalometerError
from escalometer.layout import DOMAINS_FOLDER


@click.group()
def domains() -> None:
    """Domains: tables of recorded human decisions."""


@domains.command("list")
def domains_list() -> None:
    """List the domains: titles, numbers of conditions, built in or your own."""
    from escalometer.cases import catalog

    for name in catalog.names():
        try:
            domain = catalog.load(name)
        except EscalometerError:  # a user's card: an error in it must not hide the others
            file = DOMAINS_FOLDER / f"{name}.yaml"
            click.echo(f"{name}\tnot usable: escalometer domains check {file}")
            continue
        n_given = len(domain.conditions)
        click.echo(
            f"{name}\t{domain.title}\t{n_given or 'learned'} conditions\t{catalog.origin(name)}"
        )


@domains.command("check")
@click.argument("file", type=CallersPath())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--write-suite", is_flag=True, help="Write a suite inferred from these rows, for later files."
)
def domains_check(file: Path, as_json: bool, write_suite: bool) -> None:
    """Check a domain of your own, and show its conditions and prompts.

    FILE is its YAML file, in domains/ or elsewhere; it needs no project. Prints problems with what
    to do about them, rows, outcomes, conditions with their percentages, a test whether the text's
    form reveals the label, both turns of a prompt, and the rules for later files. Exit code 0:
    usable, 3: the YAML file is wrong, 4: the rows are wrong. docs/tutorials/own-decisions.md and
    examples/support_tickets have examples.
    """
    from escalometer.config import load_params
    from escalometer.operations import check_domain
    from escalometer.reporting.domain_check_text import print_check

    # A suite is written into a project; the check itself needs none.
    params = load_params() if write_suite else project_settings()[0]
    report = check_domain.run(file, params, Path(), write_suite)
    if as_json:
        click.echo(json.dumps(report, allow_nan=False, indent=2))
    else:
        print_check(report, sys.stdout)
    if report["exit_code"]:
        raise SystemExit(report["exit_code"])
