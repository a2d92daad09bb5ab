"""`escalometer init`: a project of one's own."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from escalometer.commands._options import CallersPath
from escalometer.runtime.extras import is_installed

if TYPE_CHECKING:
    from escalometer.operations.project import Changes


@click.command()
@click.argument("folder", metavar="[DIR]", type=CallersPath(file_okay=False), required=False)
@click.option(
    "--example",
    "with_example",
    is_flag=True,
    help="Add the example: a generated table of support tickets as a domain.",
)
@click.option(
    "--upgrade",
    is_flag=True,
    help="Replace what an older version wrote; files that you edited stay.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def init(folder: Path | None, with_example: bool, upgrade: bool, as_json: bool) -> None:
    """Create a project in DIR, the current folder by default.

    A project has params.yaml (the settings), dvc.yaml (the pipeline), folders for your own domains,
    model cards and suites, and git and DVC set up. Files that exist are not touched, so the command
    can be repeated. In a project of an older version it prints what would change; --upgrade
    changes it.

    \b
    Example:
      escalometer init tickets --example
      cd tickets
      escalometer evaluate smollm2-135m-escalates
    """  # noqa: D301 (\b is click's mark for lines to keep)
    from escalometer.operations import project

    changes = project.init(folder or Path(), with_example, upgrade)
    if as_json:
        click.echo(json.dumps(project.described(changes), indent=2, ensure_ascii=False))
    else:
        _print(changes)


def _print(changes: Changes) -> None:
    root = changes.root.resolve()
    if not changes.is_applied:
        click.echo(f"{root} was set up by escalometer {changes.previous}. --upgrade would change:")
    elif changes.previous and not (changes.written or changes.replaced or changes.edited):
        click.echo(f"{root} is a project already, and up to date")
    else:
        click.echo(f"{'Upgraded' if changes.previous else 'Created'} the project {root}")
    for title, names in (
        ("written", changes.written),
        ("replaced", changes.replaced),
        ("edited by you, stays; the new version is in NAME.new", changes.edited),
    ):
        if names:
            click.echo(f"  {title}: {', '.join(names)}")
    if not changes.is_applied:
        click.echo("  escalometer.json: stages run again with the code of this version")
    for note in changes.notes:
        click.echo(f"note: {note}", err=True)
    if changes.is_applied and not changes.previous:
        here = "" if root == Path.cwd() else f"cd {shlex.quote(str(root))}; "
        evaluation = "escalometer evaluate smollm2-135m-escalates"
        has_pipeline = is_installed("dvc")
        following = evaluation if has_pipeline else "escalometer import FILE --as NAME"
        click.echo(f"Next: {here}{following}")
