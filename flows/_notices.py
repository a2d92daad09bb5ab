"""Notices to people: events in Prefect, which its automations send on.

docs/how-to/schedules.md has the automation; every notice has a subject and a text of its own.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Literal, TypeAlias

from prefect.events import emit_event

from escalometer.documents import Verdict
from escalometer.documents.wording import visible
from escalometer.errors import BudgetError, EscalometerError, Outage, UsageError
from flows._words import say

Kind: TypeAlias = Literal[
    "release", "pass", "fail", "inconclusive", "drift", "change", "retirement", "budget", "error"
]

#: What all events of notices are called, up to their kind.
PREFIX = "escalometer-notice."

_MOST_TEXT = 2000
_told: list[EscalometerError] = []


def notify(kind: Kind, model: str, subject: str, body: str, link: str | None = None) -> None:
    """Emit a notice about a model.

    Parameters
    ----------
    kind : str
        What it is about: automations choose by it.
    model : str
        The card's id; ``"-"`` for none.
    subject, body : str
        In words. What came from a server or a file may be in them.
    link : str, optional
        A page with more.
    """
    subject, body = visible(subject)[:_MOST_TEXT], visible(body)[:_MOST_TEXT]
    emit_event(
        f"{PREFIX}{kind}",
        resource={
            "prefect.resource.id": f"escalometer.model.{model}",
            "prefect.resource.name": model,
        },
        payload={"kind": kind, "model": model, "subject": subject, "body": body, "link": link},
    )
    is_bad = kind in ("fail", "drift", "retirement", "budget", "error")
    say(f"{subject}: {body}", logging.WARNING if is_bad else logging.INFO)


def notify_verdict(verdict: Verdict, promotion: str, link: str | None) -> None:
    """Emit the notice of a verdict: in its own words for pass, fail and inconclusive.

    Parameters
    ----------
    verdict : Verdict
        On a release.
    promotion : str
        A sentence about what became of the release; may be empty.
    link : str, optional
        The run in MLflow.
    """
    model = verdict.model
    compared = f" compared with {verdict.against}" if verdict.against else ""
    subject = {
        "pass": f"Gate passed: {model}",
        "fail": f"Gate failed: {model} must not go into use",
        "inconclusive": f"Gate undecided: {model} needs more dialogues",
    }[verdict.verdict]
    rules = [rule for rule in verdict.rules if rule.verdict == verdict.verdict]
    by_reason: dict[str, list[str]] = {}
    for rule in rules:
        by_reason.setdefault(rule.reason, []).append(rule.rule)
    reasons = "; ".join(f"{', '.join(names)}: {why}" for why, names in by_reason.items())
    body = {
        "pass": f"{model} satisfies all {len(verdict.rules)} rules{compared}.",
        "fail": f"{model} breaks {len(rules)} of {len(verdict.rules)} rules{compared}: {reasons}.",
        "inconclusive": f"{model}{compared} breaks no rule, but {len(rules)} of "
        f"{len(verdict.rules)} cannot be decided: {reasons}.",
    }[verdict.verdict]
    notify(verdict.verdict, model, subject, " ".join(filter(None, (body, promotion))), link)


@contextlib.contextmanager
def notifying(model: str = "-") -> Iterator[None]:
    """Emit a notice of an error that ends the block, once, and raise it again."""
    try:
        yield
    except EscalometerError as error:
        if not any(error is told for told in _told):
            _told.append(error)
            notify(*_error_words(model, error))
        raise


def _error_words(model: str, error: EscalometerError) -> tuple[Kind, str, str, str]:
    if isinstance(error, BudgetError) or error.exit_code == BudgetError.exit_code:
        subject = "Budget reached"
        return "budget", model, subject, _sentence(error)
    is_outage = isinstance(error, Outage) or getattr(error, "is_passing", False)
    if is_outage:
        subject = "No verdict: a provider does not answer"
    elif isinstance(error, UsageError) or error.exit_code == UsageError.exit_code:
        subject = "No verdict: the configuration must be corrected"
    else:
        subject = "No verdict: the run stopped"
    return "error", model, subject, f"{_sentence(error)} This says nothing about the model."


def _sentence(error: EscalometerError) -> str:
    return f"{str(error).rstrip('.')}."
