"""The autonomy map in words and as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from escalometer.documents import Profile
from escalometer.documents.autonomy import AutonomyMap, ConditionAutonomy
from escalometer.documents.wording import count, share, visible
from escalometer.reporting.terminal import Column, plain_table


def autonomy_at(profile: Profile, cost_ratio: float) -> AutonomyMap | None:
    """Return the map at a cost ratio, None where it was not scored."""
    return next((found for found in profile.autonomy if found.cost_ratio == cost_ratio), None)


def autonomy_words(row: ConditionAutonomy) -> str:
    """Return act, escalate, or how many more dialogues are needed."""
    if row.autonomy != "not_enough_evidence":
        return row.autonomy
    if row.n_more is None:
        return "not enough evidence (accuracy at the threshold)"
    return f"not enough evidence ({count(row.n_more)} more dialogues)"


def counted(rows: Sequence[ConditionAutonomy]) -> str:
    """Return how many conditions have each result, as a sentence."""
    found = [row.autonomy for row in rows]
    act, escalate = found.count("act"), found.count("escalate")
    rest = len(found) - act - escalate
    return (
        f"Autonomy map: of {count(len(found))} conditions, act in {count(act)}, escalate in "
        f"{count(escalate)}, not enough evidence in {count(rest)}."
    )


def autonomy_caption(found: AutonomyMap) -> str:
    """Return the summary of a map, and what decides."""
    return (
        f"{counted(found.conditions)} Act: the one-sided 95% lower bound of the accuracy "
        f"({found.intervention}) is at least τ* = {share(found.optimal_threshold)}; escalate: the "
        "upper bound is below it."
    )


def autonomy_table(rows: Sequence[ConditionAutonomy]) -> Table:
    """Return one line per condition: accuracy, its bounds, and the result."""
    table = plain_table(
        [
            Column("domain", "left"),
            Column("condition", "left"),
            "n",
            "accuracy",
            "bounds",
            Column("autonomy", "left"),
        ],
        gap=2,
    )
    for row in rows:
        table.add_row(
            visible(row.domain),
            visible(row.condition),
            count(row.n),
            share(row.n_right / row.n),
            f"{share(row.lower)}–{share(row.upper)}",
            autonomy_words(row),
        )
    return table
