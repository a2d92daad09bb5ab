"""Protocol variants in words, and their scores with both accuracies beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeAlias, TypeVar

from escalometer.documents import Profile, ScoredVariant, Variant
from escalometer.documents.profile import InterventionDifference, InterventionScores
from escalometer.documents.recommendation import Candidate

#: Anything that names a protocol variant. A candidate that is a fixed rule names none.
AnyVariant: TypeAlias = Variant | ScoredVariant | Candidate

Scored = TypeVar("Scored", InterventionScores, InterventionDifference)


@dataclass(frozen=True)
class ScoredRow(Generic[Scored]):
    """One protocol variant at one cost ratio, scored against both accuracies.

    Attributes
    ----------
    common : InterventionScores or InterventionDifference
        For the numbers that do not depend on which action is optimal.
    by_accuracy, by_signal : InterventionScores or InterventionDifference, optional
        The same variant scored against the accuracy that the model has in a condition, and against
        the one that the signal states.
    """

    common: Scored
    by_accuracy: Scored | None = None
    by_signal: Scored | None = None

    @property
    def label(self) -> str:
        """The variant in words."""
        return label(self.common)

    @property
    def scored(self) -> list[Scored]:
        """The rows that there are, by accuracy first."""
        return [row for row in (self.by_accuracy, self.by_signal) if row is not None]


def intervention_rows(
    profile: Profile, cost_ratio: float | None = None
) -> list[ScoredRow[InterventionScores]]:
    """Return the scores of each protocol variant; at one cost ratio if one is given."""
    return _beside(profile.interventions, cost_ratio)


def difference_rows(
    profile: Profile, cost_ratio: float | None = None
) -> list[ScoredRow[InterventionDifference]]:
    """Return the differences of each protocol variant from the baseline, as `intervention_rows`."""
    return _beside(profile.differences, cost_ratio)


def _beside(rows: Sequence[Scored], cost_ratio: float | None) -> list[ScoredRow[Scored]]:
    """Return the rows with those that differ in `scored_against` alone put together."""
    merged: dict[tuple[Variant, float], ScoredRow[Scored]] = {}
    for row in rows:
        if cost_ratio is not None and row.cost_ratio != cost_ratio:
            continue
        key = (row.variant, row.cost_ratio)
        together = merged.get(key, ScoredRow(row))
        if row.scored_against == "signal_accuracy":
            merged[key] = replace(together, by_signal=row)
        else:
            merged[key] = replace(together, by_accuracy=row)
    return list(merged.values())


def label(variant: AnyVariant) -> str:
    """Return the intervention with all that its name leaves open."""
    name = variant.intervention or ""
    framing = f" ({variant.framing})" if variant.framing else ""
    more = [
        f", effort {variant.reasoning_effort}" if variant.reasoning_effort else "",
        ", thinking" if variant.is_thinking and "thinking" not in name else "",
        ", isolated" if variant.is_isolated and "isolated" not in name else "",
        ", no signal" if variant.has_signal is False and name != "no_signal" else "",
    ]
    return f"{name}{framing}{''.join(more)}"
