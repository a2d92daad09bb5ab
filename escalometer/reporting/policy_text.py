"""A policy as text for a terminal."""

from __future__ import annotations

from typing import TextIO

from rich.console import RenderableType
from rich.text import Text

from escalometer.documents.policy import HeldOut, PolicyDocument
from escalometer.documents.wording import (
    DASH,
    count,
    p_value,
    ratio,
    share,
    span,
    visible,
    with_span,
)
from escalometer.reporting import terminal
from escalometer.reporting.autonomy_rows import autonomy_table, counted
from escalometer.reporting.terminal import Column, plain_table

_SCORES = {
    "stated_confidence": "stated confidence",
    "prediction_probability": "choice probability",
    "condition_accuracy": "measured accuracy of the condition",
}
_DECIDES = {
    "own": "act if the model implements",
    "external": "act if the {external}",
    "own_and_external": "act if the model implements and the {external}",
    "own_or_external": "act if the model implements or the {external}",
    "always_escalate": "escalate every decision",
}
_POLICIES = {
    "exported": "this policy",
    "model": "model alone",
    "always_act": "always act",
    "always_escalate": "always escalate",
}


def print_policy(document: PolicyDocument, stream: TextIO, is_full: bool = False) -> None:
    """Write a policy to `stream`; with `is_full` also each condition."""
    terminal.write(_parts(document, is_full), stream)


def policy_text(document: PolicyDocument, width: int = 100, is_full: bool = True) -> str:
    """Return a policy as plain text."""
    return terminal.render(_parts(document, is_full), width)


def rule_words(document: PolicyDocument) -> str:
    """Return the rule as a clause."""
    rule = document.rule
    if rule.score is None or rule.threshold is None:
        return _DECIDES[rule.decides]
    least = share(rule.threshold.numerator / rule.threshold.denominator)
    kind = "" if rule.score == "condition_accuracy" else "recalibrated "
    return _DECIDES[rule.decides].format(
        external=f"{kind}{_SCORES[rule.score]} is at least {least}"
    )


def _parts(document: PolicyDocument, is_full: bool) -> list[RenderableType]:
    answered = ", ".join(document.resolved_models) or DASH
    parts: list[RenderableType] = [
        Text(f"Policy of {visible(document.model)}", style="bold"),
        Text(
            visible(
                f"{document.variant.intervention}, R = {ratio(document.cost_ratio)}; "
                f"source {document.source}; model that answered: {answered}"
            )
        ),
        Text(),
        Text(f"Rule: {rule_words(document)}.", style="bold"),
        Text(visible(f"Reason: {document.rule.reason}.")),
        *[Text(words) for words in _limit_words(document)],
        Text(visible(f"Gate: {document.gate.verdict}. Expires at {document.expires_at}.")),
        *[Text(f"! {visible(note)}", style="yellow") for note in document.notes],
        Text(),
    ]
    if document.held_out is not None:
        parts += [
            terminal.heading(
                f"On {count(document.held_out.n)} dialogues that played no part (95% intervals)"
            ),
            _held_out(document.held_out),
            Text(),
        ]
    parts.append(Text(counted(document.conditions)))
    if is_full:
        parts += [autonomy_table(document.conditions)]
    return parts


def _limit_words(document: PolicyDocument) -> list[str]:
    """Return the limits with the result of their test."""
    asked = document.requirements
    limits = []
    if asked.max_wrong_rate is not None:
        limits.append(f"wrong actions at most {share(asked.max_wrong_rate)} of those implemented")
    if asked.max_escalations_share is not None:
        limits.append(f"escalations at most {share(asked.max_escalations_share)}")
    if not limits:
        return []
    tested = "" if asked.p_value is None else f", p = {p_value(asked.p_value)}".replace("= <", "<")
    met = "kept" if asked.is_met else "not kept"
    return [
        f"Limits: {'; '.join(limits)}; {met} with {share(asked.confidence)} confidence{tested} "
        f"({count(asked.n_qualified)} of {count(asked.n_candidates)} rules qualify)."
    ]


def _held_out(results: HeldOut) -> RenderableType:
    table = plain_table(
        [
            Column("policy", "left"),
            "cost per decision",
            "escalated",
            "wrong of acted",
            "more than this policy",
        ],
        gap=2,
    )
    for row in results.policies:
        is_own = row.policy == "exported"
        table.add_row(
            _POLICIES[row.policy],
            with_span(row.cost, "cost"),
            share(row.escalations_share.estimate),
            f"{share(row.wrong_rate.estimate)} {span(row.wrong_rate)}".replace(
                f"{DASH} {DASH}", DASH
            ),
            DASH if is_own else with_span(row.difference, "more"),
        )
    return table
