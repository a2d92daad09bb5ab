"""`escalometer data`: the raw files of domains."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.group()
def data() -> None:
    """Raw files of domains: status and download."""


@data.command("status")
@click.argument("names", nargs=-1, metavar="[DOMAIN]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def data_status(names: tuple[str, ...], as_json: bool) -> None:
    """Print the status of each domain's data: edition, rows, digests, licence and percentages.

    Percentages are computed from the rows and shown next to the published ones.
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
@click.option(
    "--release", metavar="NAME", help="Release of the data, e.g. ml-25m; the first one by default."
)
def data_fetch(domain: str, release: str | None) -> None:
    """Download the public files of DOMAIN to data/raw/DOMAIN/ and verify published checksums.

    Downloads resume after an interruption. For data behind a login, the command explains what to
    do.
    """
    from escalometer.config import check_project
    from escalometer.operations import data as stage_data

    check_project()
    about = stage_data.fetch(domain, release)
    for file in about["files"]:
        click.echo(f"data/raw/{domain}/{file['file']}\t{file['n_rows']} rows\t{file['origin']}")
