"""The data of each domain, in words and columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from escalometer.cases.sanitize import plain
from escalometer.reporting.terminal import Column, plain_table


def print_status(entries: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print the report of ``escalometer data status``.

    Parameters
    ----------
    entries : sequence of mapping
        From `escalometer.operations.data.status`.
    console : rich.console.Console
        Where to print.
    """
    for entry in entries:
        console.print(f"[bold]{escape(entry['domain'])}[/bold] · {escape(entry['title'])}")
        if entry["problem"]:
            console.print(f"  [red]not usable:[/red] {escape(entry['problem'])}")
        elif not entry["is_present"]:
            ships = "ships with the project; the first run copies it"
            how_to_get = ships if entry["ships"] else entry["how_to_get"]
            console.print(f"  not present: {escape(how_to_get)}")
        if entry["is_present"]:
            _print_present(entry, console)
        console.print()


def _print_present(entry: Mapping[str, Any], console: Console) -> None:
    kind = (
        "derived edition: rows computed by somebody from the published ones"
        if entry["is_derived"]
        else "published rows: decisions of real people"
    )
    if entry["decisions_of"].lower().startswith(("generated", "made up", "made-up")):
        kind = entry["decisions_of"]
    console.print(f"  edition {escape(entry['edition'])}: {escape(kind)}")
    console.print(f"  release: {escape(entry['release'])}")
    console.print(f"  decisions of {escape(entry['decisions_of'])}")
    console.print(f"  licence: {escape(entry['licence'])}")
    for file in entry["files"]:
        name = plain(file["file"], 120)
        console.print(f"  {escape(name)}: {file['n_rows']:,} rows, sha256 {file['sha256'][:16]}…")
    if "conditions" not in entry:
        return
    console.print(f"  {entry['n_cases']:,} cases, {entry['n_scenarios']:,} distinct scenarios")
    # Where the terminal is narrow, names wrap and numbers stay whole.
    table = plain_table(
        [
            Column("condition", "left"),
            *("rows", "%", "signal rows", "%", "published"),
            Column("", "left", can_wrap=False),
        ],
        gap=2,
    )
    for row in entry["conditions"]:
        published = row["percent_published"]
        off = max(abs(row[name] - (published or 0)) for name in ("percent_all", "percent_signal"))
        table.add_row(
            escape(row["condition"]),
            f"{row['n_all']:,}",
            f"{row['percent_all']:.2f}",
            f"{row['n_signal']:,}",
            f"{row['percent_signal']:.2f}",
            "—" if published is None else f"{published}",
            f"[yellow]! {off:.1f} points off[/yellow]" if row["is_far"] else "",
        )
    console.print(Padding(table, (0, 0, 0, 2)))
    for note in entry["notes"]:
        console.print(f"  note: {escape(note)}")
