"""`escalometer ledger`: what policies decided in service, and the labels that came later."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from escalometer.commands._options import CallersPath, Command
from escalometer.commands._tables import project_settings, standard_input


def _ledger_options(command: Command) -> Command:
    """Add the file of the ledger, and the format of the file that is read."""
    add_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    add_kind = click.option(
        "--format",
        "kind",
        type=click.Choice(("parquet", "csv", "jsonl")),
        help="Format of FILE; by its ending, or its content, by default.",
    )
    return _ledger_option(add_kind(add_json(command)))


def _ledger_option(command: Command) -> Command:
    add = click.option(
        "--ledger",
        "path",
        type=CallersPath(dir_okay=False),
        metavar="FILE",
        help="SQLite file of the ledger; .escalometer/ledger.sqlite of the project by default.",
    )
    return add(command)


@click.group()
def ledger() -> None:
    """Store decisions of policies in service, join their outcomes, and estimate accuracy."""


@ledger.command("add")
@click.argument("file", type=CallersPath())
@_ledger_options
def ledger_add(file: Path, path: Path | None, kind: str | None, as_json: bool) -> None:
    """Add the decisions in FILE to the ledger: all of them or none.

    FILE is JSON lines, CSV or Parquet, also gzipped, or - for standard input. Required columns:
    case_id, policy (digest), time, model, domain, condition, decision (act or escalate), reason,
    propensity, is_audited; for acted cases also prediction. Optional: resolved_model,
    signal_accuracy, has_signal, confidence, own_action. Decisions that are there already are left
    out; a different decision on the same case and policy is an error.
    """
    from escalometer.operations import ledger as operation

    given, new = operation.add(file, _place(path), kind, standard_input)
    _say(as_json, "decisions", given, new)


@ledger.command("join")
@click.argument("file", type=CallersPath())
@_ledger_options
def ledger_join(file: Path, path: Path | None, kind: str | None, as_json: bool) -> None:
    """Join the outcomes in FILE to the decisions of the ledger: all of them or none.

    Columns: case_id, label, time, and optionally source. An outcome of a case that nobody decided,
    one that is earlier than its decision, and another label for the same case are errors.
    """
    from escalometer.operations import ledger as operation

    given, new = operation.join(file, _place(path), kind, standard_input)
    _say(as_json, "outcomes", given, new)


@ledger.command("show")
@_ledger_option
@click.option(
    "--policy",
    type=CallersPath(dir_okay=False),
    metavar="FILE",
    help="Policy whose cases are shown, with their cost and the alarm; gate.policy by default.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def ledger_show(path: Path | None, policy: Path | None, as_json: bool) -> None:
    """Print counts, accuracy, wrong actions and cost of the cases in the ledger, and the alarm.

    Estimates weigh each label by its propensity. The alarm is raised when wrong actions are shown
    to exceed what the policy promised; it may be looked at after every label.
    """
    from escalometer.operations import ledger as operation
    from escalometer.operations import policy_file
    from escalometer.reporting.ledger_text import print_ledger

    found = _place(path)
    operation.existing(found)
    params, _ = project_settings()
    file = policy or (None if params.gate.policy is None else Path(params.gate.policy))
    document = None if file is None else policy_file.read(file)[1]
    summary = operation.show(found, document)
    if as_json:
        click.echo(json.dumps(summary.as_json(), allow_nan=False, indent=2, ensure_ascii=False))
    else:
        print_ledger(summary, sys.stdout)


def _place(path: Path | None) -> Path:
    from escalometer.operations import ledger as operation

    if path is not None:
        return path
    _, root = project_settings()
    return operation.place(root, None)


def _say(as_json: bool, what: str, given: int, new: int) -> None:
    from escalometer.documents.wording import count

    record: dict[str, Any] = {"n_given": given, "n_new": new}
    if as_json:
        click.echo(json.dumps(record, indent=2))
    else:
        click.echo(f"{what}: {count(given)} read, {count(new)} new")
