"""Differences of two models' actions under every variant: scores, costs, statuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from escalometer.analysis import ANSWERED, ConditionKey, VariantKey, condition_key, variant_key
from escalometer.analysis.bounds import UNDEFINED
from escalometer.analysis.contrasts import Contrast, Term, contrast, share_contrast
from escalometer.analysis.matched_conditions import MatchedConditions, Shared
from escalometer.analysis.paired_dialogues import four_fold, usable
from escalometer.analysis.scores import (
    LEVEL_KEY,
    Policy,
    Scored,
    right_actions,
    scored_variants,
    with_shared_optimum,
)
from escalometer.documents import VARIANT_KEY
from escalometer.documents.comparison import ModelDifference
from escalometer.schema import STATUSES

#: Dialogues by status.
_Counts: TypeAlias = dict[str, int]


def score_rows(matched: MatchedConditions) -> list[ModelDifference]:
    """Return the differences in escalation accuracy, cost and regret.

    One row per variant, level, cost ratio and `scored_against`. Escalation accuracy against
    measured accuracies is against those of both models' dialogues together.
    """
    first, second = (scored_variants(matched.measured, model) for model in matched.models)
    rows = []
    for key in sorted(set(first) & set(second), key=repr):
        named = dict(zip(LEVEL_KEY, key, strict=True))
        level, ratio, against = (named[name] for name in ("domain", "cost_ratio", "scored_against"))
        stated = ratio if named["is_cost_stated"] else None
        variant = tuple({**named, "cost_ratio": stated}[name] for name in VARIANT_KEY)
        shared = matched.shared(variant, level)
        if level not in matched.levels or not shared.conditions:
            continue
        sides = (
            (shared.first, _restricted(first[key], shared.first)),
            (shared.second, _restricted(second[key], shared.second)),
        )
        pooled = with_shared_optimum(matched.measured, *sides)
        is_paired = matched.is_paired(variant, shared)
        for name in ("escalation_accuracy", "realized_cost", "regret"):
            # The cost does not depend on the optimal action: one row, which names no accuracy.
            if name == "realized_cost" and against == "predictive_accuracy":
                continue
            is_pooled = name == "escalation_accuracy" and against == "predictive_accuracy"
            scored = pooled if is_pooled else sides
            terms = [Term(places, policy.statistic(name)) for places, policy in scored]
            found = contrast(
                matched.measured.resamples, terms[0], terms[1], is_paired, matched.completed
            )
            if name == "escalation_accuracy":
                policies = (scored[0][1], scored[1][1])
                found = _exact(matched, found, variant, level, shared, policies)
            scored_against = None if name == "realized_cost" else against
            changes = {"cost_ratio": ratio, "scored_against": scored_against}
            rows.append(matched.row(name, variant, level, shared, found, **changes))
    return rows


def _restricted(scored: Scored, places: Sequence[int]) -> Policy:
    """Return a variant's policy on some of its rows, in their order."""
    order = {place: i for i, place in enumerate(scored[0])}
    return scored[1].restricted([order[place] for place in places])


def _exact(
    matched: MatchedConditions,
    found: Contrast,
    variant: VariantKey,
    level: str | None,
    shared: Shared,
    policies: tuple[Policy, Policy],
) -> Contrast:
    """Return the contrast of escalation accuracies by exact methods, where these hold."""
    best = [dict(zip(shared.conditions, p.escalating, strict=True)) for p in policies]
    table = four_fold(
        usable(matched.pairs.within(variant, shared.conditions)),
        lambda row: bool(row["first_is_escalated"] == best[0][row["condition_key"]]),
        lambda row: bool(row["second_is_escalated"] == best[1][row["condition_key"]]),
    )
    first, second = (
        right_actions(matched.measured, (places, policy))
        for places, policy in zip((shared.first, shared.second), policies, strict=True)
    )
    is_whole = matched.is_apart(variant, level) and sum(table) == first[1] == second[1]
    return share_contrast(found, first, second, table if is_whole else None)


def status_rows(matched: MatchedConditions, level: str | None) -> list[ModelDifference]:
    """Return the differences in the share answered, and in that of every status that occurs.

    Every dialogue counts; in the share answered, every one in which the provider did not fail, for
    that says nothing of the model. Dialogues about one scenario count as independent of each other.
    """
    counts = _status_counts(matched, level)
    rows = []
    for variant in sorted(set(counts[0]) & set(counts[1]), key=repr):
        first, second = counts[0][variant], counts[1][variant]
        conditions = sorted(set(first) & set(second), key=repr)
        if conditions:
            totals = [
                {s: sum(by_condition[c].get(s, 0) for c in conditions) for s in STATUSES}
                for by_condition in (first, second)
            ]
            rows += _shares(matched, variant, level, conditions, totals)
    return rows


def _shares(
    matched: MatchedConditions,
    variant: VariantKey,
    level: str | None,
    conditions: list[ConditionKey],
    totals: list[_Counts],
) -> list[ModelDifference]:
    pairs = matched.pairs.within(variant, conditions)
    shares: dict[str, tuple[str, ...]] = {"share_answered": ANSWERED}
    occurring = [s for s in STATUSES if totals[0][s] or totals[1][s]]
    if len(occurring) > 1:  # or the share answered says it all
        shares |= {f"share_{s}": (s,) for s in occurring}
    rows = []
    for name, statuses in shares.items():
        base = [s for s in STATUSES if s != "error" or name != "share_answered"]
        first, second = (
            (sum(total[s] for s in statuses), sum(total[s] for s in base)) for total in totals
        )
        if not first[1] or not second[1]:
            continue
        table = four_fold(
            (row for row in pairs if row["first_status"] in base and row["second_status"] in base),
            lambda row, counted=statuses: row["first_status"] in counted,  # type: ignore[misc]
            lambda row, counted=statuses: row["second_status"] in counted,  # type: ignore[misc]
        )
        is_whole = sum(table) == first[1] == second[1]
        values = first[0] / first[1], second[0] / second[1]
        difference = UNDEFINED.model_copy(update={"estimate": values[1] - values[0]})
        found = Contrast(*values, difference, is_whole, None, None)
        found = share_contrast(found, first, second, table if is_whole else None)
        if first[0] + second[0] in (0, first[1] + second[1]):
            found = replace(found, test=None, p_value=None)  # nothing varies: nothing is tested
        shared = Shared(conditions, [], [])
        n = (first[1], second[1])
        rows.append(matched.row(name, variant, level, shared, found, n=n))
    return rows


def _status_counts(
    matched: MatchedConditions, level: str | None
) -> tuple[dict[VariantKey, dict[ConditionKey, _Counts]], ...]:
    """Return both models' dialogues by variant, condition and status."""
    counts: dict[str, dict[VariantKey, dict[ConditionKey, _Counts]]]
    counts = {model: {} for model in matched.models}
    for row in matched.measured.tables["outcome_counts"].to_pylist():
        if row["model"] in counts and matched.is_of(row["domain"], level):
            conditions = counts[row["model"]].setdefault(variant_key(row), {})
            by_status = conditions.setdefault(condition_key(row), {})
            by_status[row["status"]] = by_status.get(row["status"], 0) + row["n"]
    return tuple(counts[model] for model in matched.models)
