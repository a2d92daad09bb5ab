"""Each domain by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from escalometer.reporting.threshold_rows import flag


def domain_rows(profile: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the profile's domains; none from an older profile.

    Returns
    -------
    list of dict
        What the profile says of the domain, ``threshold`` (the linear fit), ``flag`` (what stands
        in the place of a threshold that is not one, else empty) and ``is_at_limit`` (whether the
        self-estimated accuracy was cut at 0 or 1).
    """
    rows = []
    for row in profile.get("domains") or []:
        fit = (row.get("implicit_threshold") or {}).get("linear")
        own = (row.get("self_estimated_accuracy") or {}).get("estimate")
        rows.append(
            {
                **row,
                "is_main": row.get("is_main", True),
                "threshold": fit,
                "flag": flag(fit),
                "is_at_limit": own in (0, 1),
            }
        )
    return rows
