"""`escalometer data`: the raw files of domains."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.group()
def data() -> None:
    """Raw files of domains: what is there, and fetching what is public."""


@data.command("status")
@click.argument("names", nargs=-1, metavar="[DOMAIN]...")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def data_status(names: tuple[str, ...], as_json: bool) -> None:
    """Print what there is of each domain: edition, rows, digests, licence, percentages.

    Percentages are of the rows at hand, beside the published ones where there are any.
    """
    from escalometer.config import load_params
    from escalometer.operations import data as stage_data

    entries = stage_data.status(load_params(), Path(), names)
    if as_json:
        click.echo(json.dumps(entries, allow_nan=False, indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    from escalometer.reporting.data_status_text import print_status

    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, 100)  # columns stay whole where the output goes to a file
    print_status(entries, console)


@data.command("fetch")
@click.argument("domain")
@click.option("--release", metavar="NAME", help="Which release, such as ml-25m; else the first.")
def data_fetch(domain: str, release: str | None) -> None:
    """Download DOMAIN's public files into data/raw/DOMAIN/, verified where a checksum is published.

    A download that broke off goes on where it was. What needs a login is explained.
    """
    from escalometer.operations import data as stage_data

    about = stage_data.fetch(domain, release)
    for file in about["files"]:
        click.echo(f"data/raw/{domain}/{file['file']}\t{file['n_rows']} rows\t{file['origin']}")
