"""Several models beside each other: which of them to take at a cost ratio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from escalometer.documents.wording import count, ratio, share, with_span
from escalometer.reporting.recommendations import candidate

#: Domain, condition and the accuracy that its signal states.
Place = tuple[str, str, Any]


def across_models(profiles: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return which model costs least at each cost ratio, among those that are comparable.

    Models are held against each other only where what is recommended of them was measured on the
    very same conditions.

    Parameters
    ----------
    profiles : sequence of mapping
        The documents of ``escalometer profile --json``.

    Returns
    -------
    dict or None
        ``rows`` and ``notes``; None where no two models have a recommendation at one cost ratio.
    """
    found: dict[float, list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = {}
    for profile in profiles:
        for row in profile.get("recommendations") or []:
            found.setdefault(row["cost_ratio"], []).append((profile, row))
    several = {at: pairs for at, pairs in sorted(found.items()) if len(pairs) > 1}
    if not several:
        return None
    rows: list[dict[str, Any]] = []
    notes: dict[str, list[str]] = {}
    for at, pairs in several.items():
        groups: dict[frozenset[Place], list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = {}
        for profile, row in pairs:
            groups.setdefault(_conditions(profile, row), []).append((profile, row))
        rows += [_chosen(at, places, group) for places, group in groups.items() if len(group) > 1]
        for said in _notes(groups):
            notes.setdefault(said, []).append(ratio(at))
    return {
        "rows": rows,
        "notes": [
            said if len(where) == len(several) else f"At R = {', '.join(where)}: {said}"
            for said, where in notes.items()
        ],
    }


def _conditions(profile: Mapping[str, Any], row: Mapping[str, Any]) -> frozenset[Place]:
    """Return the conditions that a recommendation holds for."""
    editions = profile.get("editions") or {}
    return frozenset(
        (f"{domain} {editions.get(domain, '')}", condition, accuracy)
        for domain, condition, accuracy in row["conditions"]
    )


def _chosen(
    cost_ratio: float,
    places: frozenset[Place],
    group: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]],
) -> dict[str, Any]:
    """Return the model that costs least among those with the same conditions."""
    ranked = sorted(group, key=lambda pair: pair[1]["realized_cost"]["estimate"])
    (profile, best), (other_profile, other) = ranked[:2]
    is_nobody = best["policy"] == "always_escalate"
    return {
        "cost_ratio": cost_ratio,
        "model": None if is_nobody else profile["model"],
        "advice": "let people take every decision" if is_nobody else candidate(best),
        "cost": with_span(best["realized_cost"], "cost"),
        "kept": share(best["escalation_rate"], 0),
        "next": None if is_nobody else _named(other_profile, other),
        "next_cost": None if is_nobody else with_span(other["realized_cost"], "cost"),
        "verdict": _verdict(best["realized_cost"], other["realized_cost"], is_nobody)
        if best.get("is_shown", True)
        else "no: not shown to cost less than people taking every decision",
        "models": ", ".join(sorted(str(own["model"]) for own, _ in group)),
        "n_conditions": len(places),
    }


def _named(profile: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    if row["policy"] == "always_escalate":
        return "people take every decision"
    return f"{profile['model']}, {candidate(row)}"


def _verdict(best: Mapping[str, Any], other: Mapping[str, Any], is_nobody: bool) -> str:
    if is_nobody:
        return "no model here costs less"
    high, low = best["high"], other["low"]
    if high is None or low is None:
        return "open: no interval"
    return "yes: the intervals are apart" if high < low else "no: the intervals overlap"


def _notes(
    groups: Mapping[frozenset[Place], Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]],
) -> list[str]:
    """Return which models cannot be compared."""
    if len(groups) < 2:
        return []
    named = [
        f"{', '.join(sorted(str(profile['model']) for profile, _ in group))} "
        f"({count(len(places))} conditions)"
        for places, group in groups.items()
    ]
    said = f"These cover different conditions, so they are not compared: {'; '.join(named)}."
    return [said]
