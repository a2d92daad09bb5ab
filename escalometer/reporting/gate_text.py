"""The gate's verdict as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TextIO

from rich.console import RenderableType
from rich.text import Text

from escalometer.documents import Verdict
from escalometer.documents.wording import count, ratio, share, visible
from escalometer.reporting.gate_power import power_words
from escalometer.reporting.gate_rules import TITLES
from escalometer.reporting.gate_self_check import self_check_words
from escalometer.reporting.terminal import heading, indented, render, write

_STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "yellow"}
#: Meanings of the verdicts for people.
MEANING = {
    "pass": "every rule is satisfied.",
    "fail": "at least one rule is violated.",
    "inconclusive": "no rule is known to be violated, but not all are known to be satisfied.",
}


def gate_text(verdict: Verdict, width: int = 100) -> str:
    """Return a verdict as plain text."""
    return render(_parts(verdict), width)


def print_gate(verdict: Verdict, stream: TextIO) -> None:
    """Write the verdict to `stream`, in colour where that is a terminal."""
    write(_parts(verdict), stream)


def resolved_words(resolved_models: Mapping[str, Sequence[str]]) -> list[str]:
    """Return which models answered under each name, where that is known."""
    return [
        f"{model} resolved to {', '.join(names)}."
        for model, names in resolved_models.items()
        if names
    ]


def _parts(verdict: Verdict) -> list[RenderableType]:
    outcome, deployed = verdict.verdict, verdict.deployed
    compared = f", compared with {verdict.against}" if verdict.against else ""
    headline = Text(f"Gate for {visible(verdict.model)}{visible(compared)}: ", style="bold")
    headline.append(outcome.upper(), style=_STYLES[outcome])
    effort = f", effort {deployed.reasoning_effort}" if deployed.reasoning_effort else ""
    about = (
        f"{count(verdict.n_answered)} of {count(verdict.n_asked)} dialogues of "
        f"{deployed.intervention}{effort} answered, source: {verdict.source}, "
        f"R = {ratio(verdict.cost_ratio)}, τ* = {share(verdict.optimal_threshold)}"
    )
    parts: list[RenderableType] = [
        headline,
        Text(visible(about)),
        Text(f"Meaning: {MEANING[outcome]}"),
        Text(),
        heading("Rules (95% intervals)"),
    ]
    for rule in verdict.rules:
        line = Text(f"{rule.verdict:<13}", style=_STYLES[rule.verdict])
        line.append(TITLES.get(rule.rule, rule.rule), style="not bold default")
        parts += [line, indented(Text(visible(rule.reason)))]
        if rule.power is not None:
            parts.append(indented(Text(power_words(rule, rule.power), style="dim")))
    if verdict.self_check is not None:
        words = self_check_words(verdict.self_check)
        parts += [Text(), heading("Self-check"), *map(Text, words), Text()]
    if verdict.promotion is not None:
        parts.append(Text(f"Promotion: {visible(verdict.promotion.text)}"))
    notes = [*resolved_words(verdict.resolved_models), *verdict.notes]
    parts += [Text(f"Note: {visible(note)}", style="dim") for note in notes]
    return parts
