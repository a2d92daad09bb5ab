"""What there is of each domain's data, in words and columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from escalometer.cases.sanitize import plain


def print_status(entries: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print what `escalometer data status` found.

    Parameters
    ----------
    entries : sequence of mapping
        What `escalometer.operations.data.status` returns.
    console : rich.console.Console
        Where to print.
    """
    for entry in entries:
        console.print(f"[bold]{escape(entry['domain'])}[/bold] · {escape(entry['title'])}")
        if entry["problem"]:
            console.print(f"  [red]not usable:[/red] {escape(entry['problem'])}")
        elif not entry["is_present"]:
            said = "ships with the project, brought by the first run"
            console.print(
                f"  not present: {escape(said if entry['ships'] else entry['how_to_get'])}"
            )
        if entry["is_present"]:
            _print_present(entry, console)
        console.print()


def _print_present(entry: Mapping[str, Any], console: Console) -> None:
    kind = (
        "a derived edition: rows that somebody worked out from the published ones"
        if entry["is_derived"]
        else "the published rows, decisions of real people"
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
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("condition", "rows", "%", "signal rows", "%", "published", ""):
        is_text = name in ("condition", "")
        # Where the terminal is narrow, names wrap and numbers stay whole.
        table.add_column(
            name,
            justify="left" if is_text else "right",
            no_wrap=name != "condition",
            overflow="fold",
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
