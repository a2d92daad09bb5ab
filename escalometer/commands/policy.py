"""`escalometer policy`: export of a policy, its summary, and single decisions."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from escalometer.commands import Place
from escalometer.commands._options import (
    CallersPath,
    NumberRange,
    files_or_models,
    reading_options,
)
from escalometer.commands._tables import opened_tables, project_settings, refuse_options
from escalometer.layout import PIPELINE
from escalometer.runtime.object_storage import Location

if TYPE_CHECKING:
    from escalometer.documents import PolicyDocument
    from escalometer.operations.policies import Wanted


_LIMIT = NumberRange(min=0, max=1, min_open=True, max_open=True)


@click.group()
def policy() -> None:
    """Export policies, files that decide whether a prediction is implemented or escalated."""


@policy.command("export")
@click.argument("model", metavar="MODEL|FILE", callback=files_or_models)
@click.option("--model", "chosen", metavar="MODEL", help="Model of FILE, if it has several.")
@click.option(
    "--cost-ratio",
    type=NumberRange(min=1, max=1_000_000, min_open=True),
    metavar="R",
    required=True,
    help="Cost of a wrong action in escalations.",
)
@click.option(
    "--max-wrong-rate",
    type=_LIMIT,
    metavar="A",
    help="Largest share of wrong predictions among those implemented, in (0, 1).",
)
@click.option(
    "--max-escalations-share",
    type=_LIMIT,
    metavar="S",
    help="Largest share of escalated decisions, in (0, 1).",
)
@click.option(
    "--confidence",
    type=NumberRange(min=0.5, max=1, max_open=True),
    default=0.95,
    show_default=True,
    metavar="C",
    help="Confidence with which the policy keeps both limits.",
)
@click.option(
    "--intervention",
    metavar="NAME",
    help="Intervention that is deployed; gate.intervention, or the only one of FILE, by default.",
)
@click.option(
    "--valid-days",
    type=click.IntRange(min=1, max=3650),
    metavar="N",
    help="Days until the policy escalates everything; policy.valid_days by default.",
)
@click.option(
    "--audit-rate",
    type=NumberRange(min=0, max=1, max_open=True),
    metavar="A",
    help="Share of acted cases that a person judges, too, in [0, 1); policy.audit_rate by default.",
)
@click.option(
    "--source",
    metavar="NAME",
    help="Import whose decisions are used, in place of the pipeline's.",
)
@reading_options
@click.option(
    "--out",
    type=CallersPath(dir_okay=False),
    metavar="FILE",
    help="Write the policy to FILE; to standard output by default.",
)
@click.pass_obj
def policy_export(
    workspace: Place,
    model: Location | str,
    chosen: str | None,
    cost_ratio: float,
    max_wrong_rate: float | None,
    max_escalations_share: float | None,
    confidence: float,
    intervention: str | None,
    valid_days: int | None,
    audit_rate: float | None,
    source: str | None,
    mapping: dict[str, str],
    kind: str | None,
    out: Path | None,
) -> None:
    """Export the policy of MODEL, or of the decisions in FILE, as one JSON file.

    The policy decides by the model's own action, by an external threshold on stated confidence,
    choice probability or the condition's accuracy, by both, or it always escalates. The cheapest
    rule is chosen on one part of the scenarios; its cost on another part is in the file.

    With --max-wrong-rate or --max-escalations-share, only rules are considered that are shown to
    keep the limits with the stated confidence. If there is none, the policy escalates every
    decision.

    \b
    Example:
      escalometer policy export decisions.csv --cost-ratio 10 --out policy.json
      escalometer policy export MODEL --cost-ratio 4 --max-wrong-rate 0.05 --out policy.json
    """  # noqa: D301 (\b is click's mark for lines to keep)
    from escalometer.analysis.policy_choice import Limits
    from escalometer.operations import policies
    from escalometer.reporting.policy_text import print_policy

    limits = Limits(max_wrong_rate, max_escalations_share, confidence)
    wanted = policies.Wanted(cost_ratio, limits, intervention, valid_days, audit_rate)
    if isinstance(model, Location) and source is None:
        document = _of_file(model, chosen, wanted, mapping, kind)
    else:
        options = {"--model": chosen, "--map": mapping, "--format": kind}
        refuse_options(options, "policy export")
        document = _of_model(workspace, str(model), wanted, source or PIPELINE)
    if out is None:
        click.echo(json.dumps(document.as_json(), allow_nan=False, indent=2, ensure_ascii=False))
    else:
        policies.write(document, out)
    print_policy(document, sys.stderr if out is None else sys.stdout)


@policy.command("show")
@click.argument("file", type=CallersPath(dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def policy_show(file: Path, as_json: bool) -> None:
    """Print the policy in FILE after its digest was checked: rule, limits, cost, conditions."""
    from escalometer.operations import policy_file
    from escalometer.reporting.policy_text import print_policy

    _, document = policy_file.read(file)
    if as_json:
        click.echo(json.dumps(document.as_json(), allow_nan=False, indent=2, ensure_ascii=False))
    else:
        print_policy(document, sys.stdout, is_full=True)


@policy.command("decide")
@click.argument("file", type=CallersPath(dir_okay=False))
@click.option("--condition", required=True, metavar="NAME", help="Condition, or DOMAIN/CONDITION.")
@click.option("--confidence", metavar="P", help="Score that the policy reads, in [0, 1].")
@click.option("--own-action", metavar="ACTION", help="The model's action: implement or escalate.")
@click.option("--model", metavar="MODEL", help="Model that predicted; the policy's by default.")
@click.option("--version", "version", metavar="NAME", help="Version of the model that answered.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def policy_decide(
    file: Path,
    condition: str,
    confidence: str | None,
    own_action: str | None,
    model: str | None,
    version: str | None,
    as_json: bool,
) -> None:
    """Print the decision of the policy in FILE on one case: act or escalate, and the reason."""
    from escalometer.documents.wording import visible
    from escalometer.operations import policy_file

    found, document = policy_file.read(file)
    decision = found.decide(
        condition, _number(confidence), own_action, model or document.model, version=version
    )
    if as_json:
        click.echo(json.dumps(decision._asdict(), ensure_ascii=False, indent=2))
    else:
        click.echo(f"{decision.action}: {visible(decision.reason)}")


def _number(text: str | None) -> float | str | None:
    """Return a number, or the text where it is none: the policy escalates then."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _of_model(workspace: Place, model: str, wanted: Wanted, source: str) -> PolicyDocument:
    from escalometer.config import load_params
    from escalometer.operations import policies

    place = workspace()
    return policies.of_model(model, wanted, load_params(), place.root, source, place.tracking)


def _of_file(
    file: Location, chosen: str | None, wanted: Wanted, mapping: dict[str, str], kind: str | None
) -> PolicyDocument:
    from escalometer.operations import policies

    params, root = project_settings()
    with opened_tables([file], mapping, kind, root) as tables:
        return policies.of_table(tables[0], wanted, params, chosen)
