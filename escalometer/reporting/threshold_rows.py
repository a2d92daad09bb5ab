"""Thresholds of each intervention that has a signal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from escalometer.reporting.variants import label


def flag(fit: Mapping[str, Any] | None) -> str:
    """Return what stands in the place of a threshold that is not one to rely on, else nothing."""
    status = (fit or {}).get("status") or "unidentified"
    has_number = (fit or {}).get("estimate") is not None
    return "" if status == "ok" and has_number else ("unidentified" if status == "ok" else status)


def arm_rows(profile: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the interventions with a signal, each with ``label``, ``threshold`` and ``flag``.

    An older profile has none.
    """
    return [
        {
            **row,
            "label": label(row),
            "threshold": row.get("implicit_threshold"),
            "flag": flag(row.get("implicit_threshold")),
        }
        for row in profile.get("arms") or []
        if row["implicit_threshold"] is not None  # without a signal there is no line of its own
    ]
