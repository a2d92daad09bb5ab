"""From decisions to the typed documents: profile, comparison, verdict.

`measure` runs the statements under sql/metrics and draws the resamples; every other module makes
one part of a document from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import pyarrow as pa

from escalometer.documents import CONDITION_KEY, VARIANT_KEY

#: A row of a metric table.
Row: TypeAlias = dict[str, Any]
Tables: TypeAlias = Mapping[str, pa.Table]

#: Values of `VARIANT_KEY`, and of `CONDITION_KEY`.
VariantKey: TypeAlias = tuple[Any, ...]
ConditionKey: TypeAlias = tuple[Any, ...]

#: The key of a row of the escalation curve.
CURVE_KEY = ("model", *VARIANT_KEY, *CONDITION_KEY)

#: Statuses of dialogues with a prediction and an action.
ANSWERED = ("ok", "forced")


def variant_key(row: Mapping[str, Any]) -> VariantKey:
    """Return the values of `VARIANT_KEY` in a row of a metric table."""
    return tuple(row[name] for name in VARIANT_KEY)


def condition_key(row: Mapping[str, Any]) -> ConditionKey:
    """Return the values of `CONDITION_KEY` in a row of a metric table."""
    return tuple(row[name] for name in CONDITION_KEY)


def curve_key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the values of `CURVE_KEY` in a row of a metric table."""
    return tuple(row[name] for name in CURVE_KEY)
