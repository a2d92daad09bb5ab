"""Domains: list them, check one of your own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from escalometer.errors import EscalometerError
from escalometer.layout import DOMAINS_FOLDER


@click.group()
def domains() -> None:
    """Domains: tables of recorded human decisions."""


@domains.command("list")
def domains_list() -> None:
    """Print the domains that there are, with whose decisions they hold."""
    from escalometer.cases import catalog

    for name in catalog.names():
        try:
            domain = catalog.load(name)
        except EscalometerError:  # of one's own: it must not hide the others
            file = DOMAINS_FOLDER / f"{name}.yaml"
            click.echo(f"{name}\tnot usable: escalometer domains check {file}")
            continue
        n_given = len(domain.conditions)
        click.echo(f"{name}\t{domain.title}\t{n_given or 'learned'} conditions")


@domains.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.option("--write-suite", is_flag=True, help="Hold later files against what these rows show.")
def domains_check(file: Path, as_json: bool, write_suite: bool) -> None:
    """Say what is wrong with a domain of your own, and what a run would ask.

    FILE is its YAML, in domains/ or elsewhere. It prints what is wrong and what to do about it,
    rows, outcomes, conditions with their percentages, whether the text's form gives the label
    away, both turns as a model sees them, and what Great Expectations inferred. It exits with 0
    where the domain can be used, 3 where the YAML is wrong and 4 where the rows are.

    README.md, section "Your own decisions", has an example to begin with; so has examples/.
    """
    from escalometer.config import load_params
    from escalometer.operations import check_domain
    from escalometer.reporting.domain_check_text import print_check

    report = check_domain.run(file, load_params(), Path(), write_suite)
    if as_json:
        click.echo(json.dumps(report, allow_nan=False, indent=2))
    else:
        print_check(report, sys.stdout)
    if report["exit_code"]:
        raise SystemExit(report["exit_code"])
