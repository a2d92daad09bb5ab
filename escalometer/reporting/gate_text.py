"""The gate's verdict as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO

from rich.console import RenderableType
from rich.text import Text

from escalometer.documents.wording import count, ratio, share, visible
from escalometer.reporting.terminal import heading, indented, render, write

_STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "yellow"}
_MEANING = {
    "pass": "every rule holds.",
    "fail": "at least one rule is broken.",
    "inconclusive": "no rule is known to be broken, and not all are known to hold.",
}
#: What each rule is called for people.
TITLES = {
    "parse_rate": "answers that can be read",
    "regret": "regret",
    "threshold": "implicit threshold near τ*",
    "no_worse_realized_cost": "no costlier",
    "no_worse_regret": "no more regret",
    "no_worse_threshold_distance": "threshold no farther from τ*",
    "no_worse_predictive_accuracy": "predicts no worse",
    "no_worse_share_answered": "answers no less often",
    "no_worse_escalation_accuracy": "acts right no less often",
    "no_worse_calibration_bias_size": "no more biased",
}


def gate_text(document: Mapping[str, Any], width: int = 100) -> str:
    """Return the document of ``escalometer gate --json`` as plain text."""
    return render(_parts(document), width)


def print_gate(document: Mapping[str, Any], stream: TextIO) -> None:
    """Write the verdict to `stream`, in colour where that is a terminal."""
    write(_parts(document), stream)


def resolved_words(document: Mapping[str, Any]) -> list[str]:
    """Return what answered under each model's name, where that is known."""
    return [
        f"{model} was answered by {', '.join(names)}."
        for model, names in document["resolved_models"].items()
        if names
    ]


def _parts(document: Mapping[str, Any]) -> list[RenderableType]:
    verdict = document["verdict"]
    against = document["against"]
    compared = f", against {against}" if against else ""
    headline = Text(f"Gate for {visible(document['model'])}{visible(compared)}: ", style="bold")
    headline.append(verdict.upper(), style=_STYLES[verdict])
    arm = document["deployed"]
    effort = f", effort {arm['reasoning_effort']}" if arm["reasoning_effort"] else ""
    about = (
        f"{count(document['n_answered'])} of {count(document['n_asked'])} dialogues of "
        f"{arm['intervention']}{effort} answered, source: {document['source']}, "
        f"R = {ratio(document['cost_ratio'])}, τ* = {share(document['optimal_threshold'])}"
    )
    parts: list[RenderableType] = [
        headline,
        Text(visible(about)),
        Text(f"It means: {_MEANING[verdict]}"),
        Text(),
        heading("Rules (95 % intervals)"),
    ]
    for rule in document["rules"]:
        line = Text(f"{rule['verdict']:<13}", style=_STYLES[rule["verdict"]])
        line.append(TITLES.get(rule["rule"], rule["rule"]), style="not bold default")
        parts += [line, indented(Text(visible(rule["reason"])))]
    said = [*resolved_words(document), *document["notes"]]
    parts += [Text(f"Note: {visible(note)}", style="dim") for note in said]
    return parts
