"""How two models act under every variant of the protocol, compared: scores, costs, statuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from escalometer import stats
from escalometer.analysis import ANSWERED, ARM, CONDITION, Row
from escalometer.analysis.contrasts import Side, contrast, share_contrast
from escalometer.analysis.matched_conditions import Arm, Both, Condition, Shared
from escalometer.analysis.paired_dialogues import four_fold, usable
from escalometer.analysis.scores import SCORED, Policy, right_actions, scored_arms
from escalometer.schema import STATUSES


def score_rows(both: Both) -> list[Row]:
    """Return the differences in escalation accuracy, cost and regret, by arm, R and yardstick."""
    first, second = (scored_arms(both.measured, model) for model in both.models)
    made = []
    for key in sorted(set(first) & set(second), key=repr):
        named = dict(zip(SCORED, key, strict=True))
        level = named.pop("domain")
        ratio = named["cost_ratio"] if named["is_cost_stated"] else None
        arm = tuple({**named, "cost_ratio": ratio}[name] for name in ARM)
        shared = both.shared(arm, level)
        if level not in both.levels or not shared.conditions:
            continue
        policies = _restricted(first[key], shared.first), _restricted(second[key], shared.second)
        is_paired = both.is_paired(arm, shared)
        for name in ("escalation_accuracy", "realized_cost", "regret"):
            against = named["scored_against"]
            if name == "realized_cost":  # the same by either yardstick: told once
                if against == "predictive_accuracy":
                    continue
                against = None
            sides = (
                Side(shared.first, policies[0].statistic(name)),
                Side(shared.second, policies[1].statistic(name)),
            )
            found = contrast(both.measured.resamples, *sides, is_paired, both.ways)
            if name == "escalation_accuracy":
                found = _exact(both, found, arm, level, shared, policies)
            made.append(
                both.row(name, arm, level, shared, found, **{**named, "scored_against": against})
            )
    return made


def _restricted(arm: tuple[list[int], Policy], places: Sequence[int]) -> Policy:
    """Return an arm's policy on some of its rows, in their order."""
    own = {place: i for i, place in enumerate(arm[0])}
    return arm[1].restricted([own[place] for place in places])


def _exact(
    both: Both,
    found: Row,
    arm: Arm,
    level: str | None,
    shared: Shared,
    policies: tuple[Policy, Policy],
) -> Row:
    """Return the contrast of escalation accuracies by exact methods, where these hold."""
    best = [dict(zip(shared.conditions, p.escalating, strict=True)) for p in policies]
    table = four_fold(
        usable(both.pairs.within(arm, shared.conditions)),
        lambda row: bool(row["first_is_escalated"] == best[0][row["place"]]),
        lambda row: bool(row["second_is_escalated"] == best[1][row["place"]]),
    )
    first, second = (
        right_actions(both.measured, (places, policy))
        for places, policy in zip((shared.first, shared.second), policies, strict=True)
    )
    is_whole = both.is_apart(arm, level) and sum(table) == first[1] == second[1]
    return share_contrast(found, first, second, table if is_whole else None)


def status_rows(both: Both, level: str | None) -> list[Row]:
    """Return the differences in the share answered, and in that of every status that occurs.

    Every dialogue counts; in the share answered, every one in which the provider did not fail, for
    that says nothing of the model. Dialogues about one scenario count as independent of each other.
    """
    counts = _status_counts(both, level)
    made = []
    for arm in sorted(set(counts[0]) & set(counts[1]), key=repr):
        first, second = counts[0][arm], counts[1][arm]
        conditions = sorted(set(first) & set(second), key=repr)
        if conditions:
            totals = [
                {s: sum(own[c].get(s, 0) for c in conditions) for s in STATUSES}
                for own in (first, second)
            ]
            made += _shares(both, arm, level, conditions, totals)
    return made


def _shares(
    both: Both,
    arm: Arm,
    level: str | None,
    conditions: list[Condition],
    totals: list[dict[str, int]],
) -> list[Row]:
    pairs = both.pairs.within(arm, conditions)
    shares: dict[str, tuple[str, ...]] = {"share_answered": ANSWERED}
    occurring = [s for s in STATUSES if totals[0][s] or totals[1][s]]
    if len(occurring) > 1:  # or the share answered says it all
        shares |= {f"share_{s}": (s,) for s in occurring}
    made = []
    for name, statuses in shares.items():
        base = [s for s in STATUSES if s != "error" or name != "share_answered"]
        first, second = (
            (sum(own[s] for s in statuses), sum(own[s] for s in base)) for own in totals
        )
        if not first[1] or not second[1]:
            continue
        table = four_fold(
            (row for row in pairs if row["first_status"] in base and row["second_status"] in base),
            lambda row, kept=statuses: row["first_status"] in kept,  # type: ignore[misc]
            lambda row, kept=statuses: row["second_status"] in kept,  # type: ignore[misc]
        )
        is_whole = sum(table) == first[1] == second[1]
        values = first[0] / first[1], second[0] / second[1]
        nothing = {**stats.NO_INTERVAL, "bound_low": None, "bound_high": None}
        found: Row = {
            "first": values[0],
            "second": values[1],
            "difference": {**nothing, "estimate": values[1] - values[0]},
            "is_paired": is_whole,
        }
        found = share_contrast(found, first, second, table if is_whole else None)
        if first[0] + second[0] in (0, first[1] + second[1]):
            found |= {"test": None, "p_value": None}  # nothing varies, so nothing is tested
        row = both.row(name, arm, level, Shared(conditions, [], []), found)
        made.append({**row, "n": [first[1], second[1]]})
    return made


def _status_counts(
    both: Both, level: str | None
) -> tuple[dict[Arm, dict[Condition, dict[str, int]]], ...]:
    """Return both models' dialogues by arm, condition and status."""
    made: dict[str, dict[Arm, dict[Condition, dict[str, int]]]] = {m: {} for m in both.models}
    for row in both.measured.tables["outcome_counts"].to_pylist():
        if row["model"] in made and both.holds(row["domain"], level):
            arm: Any = tuple(row[name] for name in ARM)
            condition = tuple(row[name] for name in CONDITION)
            own = made[row["model"]].setdefault(arm, {}).setdefault(condition, {})
            own[row["status"]] = own.get(row["status"], 0) + row["n"]
    return tuple(made[model] for model in both.models)
