"""`escalometer data`: the raw files of domains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from escalometer.commands._options import CallersLocation, names
from escalometer.errors import UsageError

if TYPE_CHECKING:
    from escalometer.runtime.object_storage import Location


@click.group()
def data() -> None:
    """Raw files of domains: status and download. Decisions: publication."""


@data.command("status")
@click.argument("domains", nargs=-1, metavar="[DOMAIN]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def data_status(domains: tuple[str, ...], as_json: bool) -> None:
    """Print the status of each domain's data: edition, rows, digests, licence and percentages.

    Percentages are computed from the rows and shown next to the published ones.
    """
    from escalometer.config import load_params
    from escalometer.operations import data as stage_data

    entries = stage_data.status(load_params(), Path(), domains)
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
    do. The table of your own domain is fetched again if it is on object storage.
    """
    from escalometer.config import check_project
    from escalometer.operations import data as stage_data

    check_project()
    about = stage_data.fetch(domain, release)
    for file in about["files"]:
        click.echo(f"data/raw/{domain}/{file['file']}\t{file['n_rows']} rows\t{file['origin']}")


@data.command("publish")
@click.argument("folder", type=CallersLocation(), metavar="s3://BUCKET/FOLDER/")
@click.option("--models", callback=names, metavar="M,..", help="Publish these models only.")
@click.option("--source", metavar="NAME", help="Import to publish, in place of the run's.")
def data_publish(folder: Location, models: list[str] | None, source: str | None) -> None:
    """Write the decisions of the project's run to object storage, as FOLDER/MODEL/DOMAIN.parquet.

    All tables appear at the end, or none. `escalometer profile`, `compare`, `gate`, `report` and
    `import` read the folder, the folder of one model, or one table.

    \b
    Example:
      escalometer data publish s3://reviews/2026-11/
      escalometer profile s3://reviews/2026-11/ --model MODEL
    """  # noqa: D301 (\b is click's mark for lines to keep)
    from escalometer.config import load_params
    from escalometer.operations import publish
    from escalometer.runtime.interruption import interruptible

    if isinstance(folder, Path):
        raise UsageError(f"{folder} is not an address on object storage: s3://BUCKET/FOLDER/")
    with interruptible():
        for address in publish.publish(folder, load_params(), models, source):
            click.echo(str(address))


@data.command("human-error")
@click.argument("domain")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def data_human_error(domain: str, as_json: bool) -> None:
    """Estimate the human error rate of DOMAIN from the disagreement of people about the same cases.

    It needs data with the judgements of single people: the raw edition of wikipedia_toxicity. The
    estimate is a lower bound, and nothing is changed: set analyze.human_error_rate to it.
    """
    from escalometer.config import check_project
    from escalometer.documents.wording import count, share, with_span
    from escalometer.operations import human_error

    check_project()
    found = human_error.estimate(domain)
    if as_json:
        click.echo(json.dumps(found.as_json(), allow_nan=False, indent=2))
        return
    click.echo(
        f"{found.domain}, {found.edition} edition: two people disagree about "
        f"{share(found.disagreement)} of {count(found.n_cases)} cases"
    )
    rate = found.human_error_rate
    if rate.estimate is None:
        click.echo("no error rate explains a disagreement above 50%")
        return
    click.echo(f"human error rate, at least: {with_span(rate)}")
    click.echo(f"to use it, set in params.yaml: analyze.human_error_rate: {rate.estimate:.4f}")
