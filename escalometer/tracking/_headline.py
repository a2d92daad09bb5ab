"""Headline numbers of a profile, as the summary states them, for the run in MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def headline_numbers(
    profile: Mapping[str, Any], cost_ratio: float, domain: str | None = None
) -> tuple[str, dict[str, float]]:
    """Return the protocol variant that headlines are about, and its numbers by metric name.

    It is the baseline; without one, the variant with a signal whose prompt states `cost_ratio`, or
    else one that states no cost.

    Parameters
    ----------
    profile : mapping
        As profile.json has it.
    cost_ratio : float
        The one that headlines are about.
    domain : str, optional
        For the means over the conditions of one domain, without a threshold.
    """
    variant, points, fit = "baseline", profile["curve"], profile["implicit_threshold"]
    fit = fit["adaptive"] or fit["linear"]
    arms = [arm for arm in profile["arms"] if arm["has_signal"] and arm["points"]]
    if not points and arms:

        def preference(arm: Mapping[str, Any]) -> tuple[bool, bool, bool]:
            stated = arm["cost_ratio"]
            return (arm["is_isolated"], stated != cost_ratio, stated is not None)

        arm = min(arms, key=preference)
        points, fit = arm["points"], arm["implicit_threshold"]
        names = (arm["intervention"], arm["framing"], arm["reasoning_effort"])
        stated = "" if arm["cost_ratio"] is None else f", R = {arm['cost_ratio']:g}"
        variant = " ".join(name for name in names if name) + stated
    main = [point for point in points if point["is_main"]]
    if domain is not None:
        main, fit = [point for point in points if point["domain"] == domain], None
    numbers: dict[str, float | None] = {
        name: sum(point[name] for point in main) / len(main)
        for name in ("predictive_accuracy", "escalation_rate")
        if main
    }
    if fit is not None and fit["status"] != "unidentified":
        ends = {"": "estimate", "_low": "low", "_high": "high"}
        numbers |= {f"implicit_threshold{end}": fit[name] for end, name in ends.items()}
    return variant, {f"headline.{k}": v for k, v in numbers.items() if v is not None}
