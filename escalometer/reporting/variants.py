"""The variants of the protocol that a profile scores, one row each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Scored against the accuracy that the model really has, and against the one it was told.
SCORES = ("predictive_accuracy", "signal_accuracy")


#: What tells two variants of the protocol apart, beside the cost ratio.
VARIANT = (
    "intervention",
    "reasoning_effort",
    "framing",
    "is_thinking",
    "is_isolated",
    "has_signal",
)


def states_cost(row: Mapping[str, Any]) -> bool:
    """Return whether the prompt of this intervention row stated its cost ratio."""
    stated = row.get("is_cost_stated")
    return row.get("framing") is not None if stated is None else bool(stated)


def intervention_rows(
    profile: Mapping[str, Any], cost_ratio: float | None = None
) -> list[dict[str, Any]]:
    """Return one row an intervention, effort, cost ratio and wording, with both scores beside.

    Parameters
    ----------
    profile : mapping
        The document of ``escalometer profile --json``.
    cost_ratio : float, optional
        Rows of this R alone.

    Returns
    -------
    list of dict
        What the profile says of the row, ``label`` for people, ``states_cost``, and
        ``scores``: ``escalation_accuracy`` and ``regret`` by what they are scored against.
    """
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in profile["interventions"]:
        if cost_ratio is not None and row["cost_ratio"] != cost_ratio:
            continue
        entry = merged.setdefault(
            (*(row.get(name) for name in VARIANT), row["cost_ratio"], states_cost(row)),
            {**row, "label": label(row), "states_cost": states_cost(row), "scores": {}},
        )
        entry["scores"][row["scored_against"]] = {
            name: row.get(name) for name in ("escalation_accuracy", "regret")
        }
    return list(merged.values())


def difference_rows(
    profile: Mapping[str, Any], cost_ratio: float | None = None
) -> list[dict[str, Any]]:
    """Return what each intervention changes against the baseline, with both yardsticks beside.

    Parameters
    ----------
    profile, cost_ratio
        As in `intervention_rows`.

    Returns
    -------
    list of dict
        What the profile says of the comparison, ``label``, ``states_cost``, and ``against``:
        ``escalation_accuracy`` and ``p_corrected`` by what actions are scored against.
    """
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in profile.get("differences") or []:
        if cost_ratio is not None and row["cost_ratio"] != cost_ratio:
            continue
        entry = merged.setdefault(
            (*(row.get(name) for name in VARIANT), row["cost_ratio"], states_cost(row)),
            {**row, "label": label(row), "states_cost": states_cost(row), "against": {}},
        )
        entry["against"][row["scored_against"]] = {
            name: row.get(name) for name in ("escalation_accuracy", "p_corrected")
        }
    return list(merged.values())


def label(row: Mapping[str, Any]) -> str:
    """Return the intervention with all that its name leaves open."""
    name = row["intervention"]
    framing = f" ({row['framing']})" if row.get("framing") else ""
    more = [
        f", effort {row['reasoning_effort']}" if row.get("reasoning_effort") else "",
        ", thinking" if row.get("is_thinking") and "thinking" not in name else "",
        ", isolated" if row.get("is_isolated") and "isolated" not in name else "",
        ", no signal" if row.get("has_signal") is False and name != "no_signal" else "",
    ]
    return f"{name}{framing}{''.join(more)}"
