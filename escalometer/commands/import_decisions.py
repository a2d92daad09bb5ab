"""`escalometer import`: recorded decisions of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from escalometer.commands import Place
from escalometer.commands._options import CallersPath


@click.command("import")
@click.argument("file", type=CallersPath())
@click.option("--as", "name", required=True, metavar="NAME", help="Name of the source.")
@click.option("--replace", is_flag=True, help="Replace an existing source of that name.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def import_file(workspace: Place, file: Path, name: str, replace: bool, as_json: bool) -> None:
    """Import decisions that were recorded elsewhere.

    FILE is Parquet, CSV or JSONL, one row per dialogue. Required columns: model, domain, condition,
    signal_accuracy (a fraction), has_signal, label, prediction, escalate (0 or 1). Optional:
    is_thinking, is_isolated, reasoning_effort, cost_ratio, intervention, framing, scenario_id,
    replicate, status, and the texts prompt, prediction_text, decision_prompt, decision_text. Other
    columns are stored separately. Invalid rows are listed, and then nothing is imported. If texts
    are given, answers are checked against their prompts.

    \b
    Example:
      escalometer import theirs.csv --as theirs
      escalometer profile THEIR_MODEL --source theirs
      escalometer report --source theirs
    """  # noqa: D301 (\b is click's mark for lines to keep)
    from escalometer.config import load_params
    from escalometer.documents.wording import visible
    from escalometer.operations import import_decisions

    load_params()  # says so where this is not a project
    root = workspace().root
    import_decisions.restore(root)
    about = import_decisions.run(
        file, name, root, replace, lambda text: click.echo(f"{visible(text)} …", err=True)
    )
    for warning in about["warnings"]:
        click.echo(f"warning: {visible(warning)}", err=True)
    if as_json:
        click.echo(json.dumps(about, allow_nan=False, indent=2, ensure_ascii=False))
        return
    _print(about)


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
