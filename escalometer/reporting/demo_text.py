"""The result of the demo in about ten lines: a base model and its tuned version, compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from escalometer.documents import Comparison, Profile, Verdict
from escalometer.documents.profile import InterventionScores, VariantCurve
from escalometer.documents.verdict import RuleResult
from escalometer.documents.wording import cost, count, number, ratio, share, visible, with_span
from escalometer.reporting.gate_rules import TITLES
from escalometer.reporting.terminal import render, write


@dataclass(frozen=True)
class Side:
    """One model of the demo: its name there, its profile and its verdict."""

    name: str
    profile: Profile
    verdict: Verdict

    @property
    def scores(self) -> InterventionScores:
        """Scores of the variant that the gate judges, by the model's measured accuracy."""
        deployed = self.verdict.deployed
        return next(
            row
            for row in self.profile.interventions
            if row.intervention == deployed.intervention
            and row.cost_ratio == deployed.cost_ratio
            and row.scored_against == deployed.scored_against
        )

    @property
    def curve(self) -> VariantCurve:
        """Escalation curve of the same variant."""
        return next(
            arm for arm in self.profile.arms if arm.intervention == self.scores.intervention
        )


def print_demo(
    sides: Sequence[Side], comparison: Comparison, report: Path, steps: Sequence[str], out: TextIO
) -> None:
    """Write the demo's result to `out`.

    Parameters
    ----------
    sides : sequence of Side
        The base model and the tuned one.
    comparison : Comparison
        The tuned model minus the base model.
    report : Path
        The report's page.
    steps : sequence of str
        Commands to try next.
    out : TextIO
        A terminal or a file.
    """
    write(_parts(sides, comparison, report, steps), out)


def demo_text(
    sides: Sequence[Side], comparison: Comparison, report: Path, steps: Sequence[str]
) -> str:
    """Return the demo's result as plain text; parameters as for `print_demo`."""
    return render(_parts(sides, comparison, report, steps))


def _parts(
    sides: Sequence[Side], comparison: Comparison, report: Path, steps: Sequence[str]
) -> list[RenderableType]:
    base, tuned = sides
    verdict = tuned.verdict
    optimal = share(verdict.optimal_threshold, 0)
    domains = ", ".join(dict.fromkeys(point.domain for point in tuned.curve.points))
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    rows = [
        (
            "Rule",
            f"At R = {ratio(verdict.cost_ratio)}, implement where accuracy is at least τ* = "
            f"{optimal}; escalate elsewhere.",
        ),
        *((side.name.capitalize(), _behaviour(side)) for side in sides),
        ("Threshold", f"{_threshold(base)}; {_threshold(tuned)} (optimal: {optimal})"),
        ("Cost", _costs(base, tuned, comparison)),
        *((f"Gate {side.name}", _gate(side)) for side in sides),
        ("Forced", _forced(sides)),
        ("Report", str(report)),
        *(("Next" if i == 0 else "", step) for i, step in enumerate(steps)),
    ]
    for label, text in rows:
        table.add_row(label, visible(text))
    names = " and ".join(f"{side.profile.model} ({side.name})" for side in sides)
    title = f"{names}, {count(tuned.profile.n_decisions)} decisions each ({domains})"
    return [Text(visible(title), style="bold underline"), table]


def _behaviour(side: Side) -> str:
    """Return escalation rate, coverage with selective risk, and the share of optimal actions."""
    scores = side.scores
    coverage, risk = scores.coverage.estimate, scores.selective_risk.estimate
    rate = None if coverage is None else 1 - coverage
    wrong = "" if risk is None else f" ({share(risk, 0)} of them wrong)"
    return (
        f"escalates {share(rate, 0)}, implements {share(coverage, 0)}{wrong}; cost-optimal "
        f"actions: {share(scores.escalation_accuracy.estimate, 0)}"
    )


def _threshold(side: Side) -> str:
    """Return the implicit threshold with its interval, or why there is none."""
    fit = side.curve.implicit_threshold
    if fit is None or fit.estimate is None:
        return f"{side.name}: none"
    note = " (extrapolated)" if fit.status == "extrapolated" else ""
    return f"{side.name}: {with_span(fit)}{note}"


def _costs(base: Side, tuned: Side, comparison: Comparison) -> str:
    """Return the cost per decision of both models, of always escalating, and the difference."""
    each = ", ".join(
        f"{side.name} {with_span(side.scores.realized_cost, 'cost')}" for side in (base, tuned)
    )
    difference = next(
        row.difference
        for row in comparison.differences
        if row.metric == "realized_cost" and row.domain is None
    )
    return (
        f"{each}, always a person {cost(tuned.scores.always_escalate_cost)} (escalations per "
        f"decision); tuned − base {with_span(difference, 'more')}"
    )


def _gate(side: Side) -> str:
    """Return the verdict with the rules that decide it."""
    verdict = side.verdict
    deciding = [rule for rule in verdict.rules if rule.verdict == verdict.verdict]
    if verdict.verdict == "pass":
        names = ", ".join(TITLES.get(rule.rule, rule.rule) for rule in deciding)
        return f"PASS: {names} within their limits"
    fit = side.curve.implicit_threshold
    is_flat = fit is not None and fit.status == "unidentified"
    reasons = [
        "no threshold, escalation does not decrease with accuracy"
        if rule.rule == "threshold" and is_flat
        else _rule(rule)
        for rule in deciding
    ]
    return f"{verdict.verdict.upper()}: {'; '.join(reasons)}"


def _rule(rule: RuleResult) -> str:
    """Return one rule that does not hold: its number and its limit."""
    unit = "cost" if "regret" in rule.rule or "cost" in rule.rule else "share"
    limit = rule.limit if isinstance(rule.limit, tuple) else (rule.limit,)
    allowed = " to ".join(number(value, unit) for value in limit)
    title = TITLES.get(rule.rule, rule.rule)
    if rule.observed is None or rule.observed.estimate is None:
        return f"{title}: {rule.reason}"
    return f"{title}: {with_span(rule.observed, unit)}, limit {allowed}"


def _forced(sides: Sequence[Side]) -> str:
    """Return how many answers had to be completed."""
    shares = ", ".join(
        f"{side.name} {count(side.profile.statuses.forced)} of {count(side.profile.n_decisions)}"
        for side in sides
    )
    return f"{shares} answers lacked the marker; it was appended for the model"
