"""The gate's verdict as Markdown: the comment of a pull request or a merge request."""

from __future__ import annotations

from collections.abc import Sequence

from escalometer.documents import RuleResult, Verdict
from escalometer.documents.wording import (
    DASH,
    Bounds,
    count,
    more,
    number,
    p_value,
    points,
    ratio,
    share,
    span,
)
from escalometer.reporting.gate_power import POWER_TITLES, power_row
from escalometer.reporting.gate_rules import TITLES, size, unit
from escalometer.reporting.gate_self_check import self_check_words
from escalometer.reporting.gate_text import MEANING, resolved_words
from escalometer.reporting.markdown import code, table, text

#: A line that is not shown: a job finds its earlier comment by it, and replaces that.
MARK = "<!-- escalometer gate -->"

_RESULTS = {"pass": "✅ pass", "fail": "❌ fail", "inconclusive": "⚠️ inconclusive"}
_COMPARES = "no_worse_"
_LIMITS = ("Rule", "Result", "Number", "95% interval", "Limit")
_REGRESSIONS = ("Compared", "Result", "Worse by", "95% interval", "Corrected p", "Tolerance")


def gate_markdown(verdict: Verdict) -> str:
    """Return a verdict as a Markdown document.

    Names and reasons are escaped: a model's name can break no table, and notifies nobody.
    """
    compared = f", compared with {code(verdict.against)}" if verdict.against else ""
    limits = [rule for rule in verdict.rules if not rule.rule.startswith(_COMPARES)]
    regressions = [rule for rule in verdict.rules if rule.rule.startswith(_COMPARES)]
    lines = [
        f"### Escalation gate: {_RESULTS[verdict.verdict]} for {code(verdict.model)}{compared}",
        "",
        f"{MEANING[verdict.verdict].capitalize()} {_about(verdict)}",
    ]
    if verdict.promotion is not None:
        lines += ["", f"**Promotion**: {text(verdict.promotion.text)}"]
    if limits:
        lines += ["", *table(_LIMITS, [_limit_row(rule) for rule in limits], 2)]
    if regressions:
        against = code(verdict.against)
        lines += ["", f"**Regressions from {against}** (a number above 0 is worse)", ""]
        lines += table(_REGRESSIONS, [_regression_row(rule) for rule in regressions], 2)
        lines += _power(regressions)
    lines += _reasons(verdict.rules)
    if verdict.self_check is not None:
        lines += ["", "**Self-check**", ""]
        lines += [f"- {text(words)}" for words in self_check_words(verdict.self_check)]
    lines += _details(verdict)
    return "\n".join([*lines, "", MARK]) + "\n"


def error_markdown(model: str, error: BaseException) -> str:
    """Return the Markdown document that says that there is no verdict, and why."""
    lines = [
        f"### Escalation gate: no verdict for {code(model)}",
        "",
        "An error occurred. It says nothing about the model.",
        "",
        f"{code(type(error).__name__)}: {text(error)}",
        "",
        MARK,
    ]
    return "\n".join(lines) + "\n"


def _about(verdict: Verdict) -> str:
    deployed = verdict.deployed
    effort = f", effort {code(deployed.reasoning_effort)}" if deployed.reasoning_effort else ""
    paired = "" if verdict.n_paired is None else f" {count(verdict.n_paired)} are paired."
    return (
        f"{count(verdict.n_answered)} of {count(verdict.n_asked)} dialogues of "
        f"{code(deployed.intervention)}{effort} are answered.{paired} Source: "
        f"{code(verdict.source)}. R = {ratio(verdict.cost_ratio)}, "
        f"τ\\* = {share(verdict.optimal_threshold)}."
    )


def _limit_row(rule: RuleResult) -> Sequence[str]:
    kind = unit(rule)
    observed = rule.observed
    limit = rule.limit
    if isinstance(limit, tuple):
        allowed = span(Bounds(*limit), kind, "{low} to {high}%")
    else:
        allowed = f"{'≥' if rule.rule == 'parse_rate' else '≤'} {number(limit, kind)}"
    value = number(observed.estimate if observed else None, kind)
    return (_title(rule), _RESULTS[rule.verdict], value, _interval(rule), allowed)


def _regression_row(rule: RuleResult) -> Sequence[str]:
    observed = rule.observed
    is_cost = unit(rule) == "cost"
    value = observed.estimate if observed else None
    limit = rule.limit if isinstance(rule.limit, float) else None
    return (
        _title(rule),
        _RESULTS[rule.verdict],
        more(value) if is_cost else points(value),
        _interval(rule),
        p_value(observed.p_corrected if observed else None),
        size(limit, rule),
    )


def _power(rules: Sequence[RuleResult]) -> list[str]:
    """Return the table of how probable worsenings were to be seen; nothing where it is unknown."""
    rows = [
        [_title(rule), *power_row(rule, rule.power)] for rule in rules if rule.power is not None
    ]
    titles = ("Power", *POWER_TITLES)
    return ["", *table(titles, rows)] if rows else []


def _interval(rule: RuleResult) -> str:
    kind = "cost" if unit(rule) == "cost" else "points"
    return DASH if rule.observed is None else span(rule.observed, kind, "{low} to {high}")


def _title(rule: RuleResult) -> str:
    return text(TITLES.get(rule.rule, rule.rule))


def _reasons(rules: Sequence[RuleResult]) -> list[str]:
    """Return the reasons of what did not pass, which a reader needs, and folded those that did."""
    lines = []
    open_ = [rule for rule in rules if rule.verdict != "pass"]
    if open_:
        lines += ["", "**Reasons**", "", *map(_reason, open_)]
    passed = [rule for rule in rules if rule.verdict == "pass"]
    return lines + _folded("Rules that pass", list(map(_reason, passed)))


def _reason(rule: RuleResult) -> str:
    return f"- **{_title(rule)}**: {text(rule.reason)}"


def _details(verdict: Verdict) -> list[str]:
    notes = [*resolved_words(verdict.resolved_models), *verdict.notes]
    facts = [f"- {text(note)}" for note in notes]
    facts += [f"- {code(path)}: {code(digest)}" for path, digest in verdict.files.items()]
    made = f" (Python {text(verdict.python)})" if verdict.python else ""
    if verdict.version:
        facts.append(f"- escalometer {text(verdict.version)}{made}, seed {verdict.seed}")
    if verdict.judged_at:
        facts.append(f"- Judged at {code(verdict.judged_at)}")
    return _folded("Notes, digests of the decisions, version", facts)


def _folded(title: str, lines: list[str]) -> list[str]:
    if not lines:
        return []
    return ["", f"<details><summary>{title}</summary>", "", *lines, "", "</details>"]
