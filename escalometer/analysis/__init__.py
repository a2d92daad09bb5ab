"""From decisions to conclusions: what the metric tables and their resamples say together.

`measure` runs the statements under sql/metrics and draws the resamples; the other modules each make
one part of what a profile, a comparison or a gate says of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import pyarrow as pa

Row: TypeAlias = dict[str, Any]
Tables: TypeAlias = Mapping[str, pa.Table]

#: What tells two variants of the protocol apart, within one model.
ARM = (
    "intervention",
    "reasoning_effort",
    "cost_ratio",
    "framing",
    "is_thinking",
    "is_isolated",
    "has_signal",
)

#: What names a condition, whatever the model and the intervention.
CONDITION = ("domain", "condition", "signal_accuracy")

#: What names a row of the escalation curve.
CELL = ("model", *ARM, *CONDITION)

#: Statuses of dialogues with a prediction and an action.
ANSWERED = ("ok", "forced")
