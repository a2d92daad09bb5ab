"""The part of a profile that recommends a protocol variant or a fixed rule by cost ratio."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from escalometer.documents.document import Document
from escalometer.documents.interval import Interval

Policy: TypeAlias = Literal["model", "always_implement", "always_escalate"]


class Candidate(Document):
    """A protocol variant, or a fixed rule: then all that names a variant is null."""

    intervention: str | None = Field(description="Intervention.")
    reasoning_effort: str | None = Field(description="Reasoning effort.")
    framing: str | None = Field(description="Wording of the cost.")
    is_thinking: bool | None = Field(description="True if the model thought.")
    is_isolated: bool | None = Field(description="True if turn 2 was a new dialogue.")
    has_signal: bool | None = Field(description="True if the prompt had the signal.")
    is_cost_stated: bool | None = Field(description="True if the prompt stated the cost ratio.")
    policy: Policy = Field(
        description="`model` (the variant decides), `always_implement` or `always_escalate`."
    )
    realized_cost: Interval = Field(description="Cost per dialogue.")
    escalation_rate: float | None = Field(
        description="Share of dialogues that people decide, in [0, 1]."
    )
    n: int = Field(description="Dialogues that the cost rests on.")


class RecommendedRatio(Document):
    """The cost ratio that a recommendation is for."""

    cost_ratio: float = Field(description="Cost ratio R.")


class Recommendation(Candidate, RecommendedRatio):
    """The candidate that costs least at one cost ratio.

    Candidates are the variants that state no cost or this one, and both fixed rules, all over the
    same conditions: those that every variant has which has at least half of the conditions of the
    one with most.
    """

    next_best: Candidate = Field(description="The second cheapest.")
    gap: Interval = Field(description="What the second cheapest costs more.")
    is_clear: bool = Field(
        description="True if both intervals of `gap`, for these conditions and beyond them, are "
        "above 0."
    )
    saves: Interval = Field(
        description="Cost per decision that it saves compared with always escalating."
    )
    is_shown: bool = Field(
        description="True if the interval of `saves` is above 0; else do not act on it."
    )
    n_left_out: int = Field(description="Variants left out for want of conditions.")
    conditions: tuple[tuple[str, str, float], ...] = Field(
        description="The conditions: domain, condition, signal accuracy."
    )
