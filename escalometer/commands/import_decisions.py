"""`escalometer import`: recorded decisions of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from escalometer.commands import Place
from escalometer.commands._options import CallersLocation, reading_options
from escalometer.commands._tables import opened_tables, project_settings, standard_input
from escalometer.errors import UsageError
from escalometer.runtime.interruption import interruptible
from escalometer.runtime.object_storage import Location


@click.command("import")
@click.argument("file", type=CallersLocation())
@click.option("--as", "name", metavar="NAME", help="Name of the source in this project.")
@click.option(
    "--out",
    type=CallersLocation(dir_okay=False),
    metavar="FILE",
    help="Write the checked decisions to a .parquet file or s3:// address; needs no project.",
)
@click.option("--replace", is_flag=True, help="Replace an existing source of that name.")
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def import_file(
    workspace: Place,
    file: Location,
    name: str | None,
    out: Location | None,
    replace: bool,
    mapping: dict[str, str],
    kind: str | None,
    as_json: bool,
) -> None:
    """Import decisions that were recorded elsewhere.

    FILE is Parquet, CSV or JSON lines, also gzipped, or - for standard input; one row per dialogue.
    s3://BUCKET/KEY is an object on object storage, s3://BUCKET/FOLDER/ all Parquet objects below.
    Required columns: model, domain, condition, signal_accuracy (a fraction), has_signal, label,
    prediction, escalate (0 or 1). Optional: is_thinking, is_isolated, reasoning_effort, cost_ratio,
    intervention, framing, scenario_id, replicate, status, and the texts prompt, prediction_text,
    decision_prompt, decision_text. --map renames columns; those that are unknown are stored
    separately. Invalid rows are listed, and then nothing is imported. If texts are given, answers
    are checked against their prompts.

    `escalometer profile`, `compare`, `gate` and `report` take FILE as well, without an import.

    \b
    Example:
      escalometer import theirs.csv --as theirs --map label=outcome
      escalometer profile THEIR_MODEL --source theirs
      escalometer report --source theirs
      escalometer import theirs.csv --out checked.parquet
    """  # noqa: D301 (\b is click's mark for lines to keep)
    if out is not None and name is None:
        _write(file, out, mapping, kind, as_json)
        return
    if out is not None or name is None:
        raise UsageError(
            "import takes --as NAME, the name of the source in this project, or --out FILE, the "
            "file for the checked decisions"
        )
    from escalometer.config import load_params
    from escalometer.documents.wording import visible
    from escalometer.operations import import_decisions

    load_params()  # says so where this is not a project
    root = workspace().root
    import_decisions.restore(root)
    with interruptible():
        about = import_decisions.run(
            file,
            name,
            root,
            replace,
            lambda text: click.echo(f"{visible(text)} …", err=True),
            mapping=mapping,
            kind=kind,
            standard_input=standard_input,
        )
    for warning in about["warnings"]:
        click.echo(f"warning: {visible(warning)}", err=True)
    if as_json:
        click.echo(json.dumps(about, allow_nan=False, indent=2, ensure_ascii=False))
        return
    _print(about)


def _write(
    file: Location, out: Location, mapping: dict[str, str], kind: str | None, as_json: bool
) -> None:
    """Write the decisions of a file, checked and completed, to another file."""
    from escalometer.documents.wording import count, visible
    from escalometer.operations import decision_tables

    decision_tables.check_out(out)
    _, root = project_settings()
    with opened_tables([file], mapping, kind, root) as [table]:
        decision_tables.write(table, out)
    if as_json:
        click.echo(json.dumps(dict(table.known), allow_nan=False, indent=2, ensure_ascii=False))
        return
    click.echo(visible(f"checked: {table.name}, {count(table.known['n_rows'])} rows"))
    click.echo(str(out.resolve() if isinstance(out, Path) else out))


def _print(about: dict[str, Any]) -> None:
    import shlex

    from escalometer.documents.wording import count, visible

    done = "imported" if about["is_new"] else "already imported"
    lines = [f"{done}: {about['file']} as {about['source']}, {count(about['n_rows'])} rows"]
    for key in ("models", "domains", "interventions", "statuses"):
        named = ", ".join(f"{name} ({count(n)})" for name, n in about[key].items())
        lines.append(f"  {key}: {named}")
    checked = {check["verdict"] for check in about["text_check"]}
    if checked == {"belong"}:
        lines.append("  texts: answers match their prompts")
    lines.append("next:")
    lines += [
        f"  escalometer profile {shlex.quote(model)} --source {about['source']}"
        for model in list(about["models"])[:3]
    ]
    lines.append(f"  escalometer report --source {about['source']}")
    for line in lines:
        click.echo(visible(line))
