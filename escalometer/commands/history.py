"""`escalometer history`: evaluations of a model or a family over time."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from escalometer.commands import Place
from escalometer.commands._options import CallersPath
from escalometer.errors import UsageError
from escalometer.runtime.extras import named


@click.command()
@click.argument("name", metavar="MODEL|FAMILY")
@click.option(
    "--out",
    type=CallersPath(dir_okay=False),
    metavar="FILE",
    help="Draw the picture to an .svg or .png file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def history(workspace: Place, name: str, out: Path | None, as_json: bool) -> None:
    """List the evaluations of MODEL over time, with warnings where more than the model changed.

    FAMILY is the beginning of several models' names up to a separator: claude-haiku for
    claude-haiku-4-5 and claude-haiku-5-5. Evaluations are those that MLflow has a record of
    (MLFLOW_TRACKING_URI, or the project's own). Two evaluations are comparable if domains,
    editions, conditions, scenarios, prompts, interventions and settings are the same: a warning
    names those that are not.

    \b
    Example:
      escalometer history smollm2-135m-escalates --out history.svg
    """  # noqa: D301 (\b is click's mark for lines to keep)
    if out is not None and out.suffix not in (".svg", ".png"):
        raise UsageError(f"--out {out}: its name must end in .svg or .png")
    with named("`escalometer history`"):
        from escalometer.operations import history as operation
        from escalometer.reporting.history_figure import history_figure
        from escalometer.reporting.history_text import print_history

        place = workspace()
        found = operation.run(name, place.root, place.tracking)
        if out is not None:
            _write(out, history_figure(found, out.suffix[1:]))
    if as_json:
        click.echo(json.dumps(found.as_json(), allow_nan=False, indent=2))
    else:
        print_history(found, sys.stdout)


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
