"""Keys that rows share: of a condition and of a protocol variant, a way to ask a model."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from escalometer.documents.document import Document

ScoredAgainst: TypeAlias = Literal["predictive_accuracy", "signal_accuracy"]

_Intervention = Annotated[str, Field(description="Name of the intervention: `baseline`, …")]
_ReasoningEffort = Annotated[
    str | None,
    Field(description="Reasoning effort as the provider names it; null where it has none."),
]
_Framing = Annotated[
    str | None, Field(description="Wording of the cost; null where no cost was stated.")
]
_IsThinking = Annotated[bool, Field(description="True if the model thought before it answered.")]
_IsIsolated = Annotated[
    bool, Field(description="True if turn 2 was a new dialogue that quotes the prediction.")
]
_HasSignal = Annotated[
    bool, Field(description="True if the prompt had the signal (the condition's accuracy).")
]
_IsCostStated = Annotated[bool, Field(description="True if the prompt stated this cost ratio.")]


class Condition(Document):
    """A condition: a subset of a domain's scenarios with one accuracy."""

    domain: str = Field(description="Domain.")
    condition: str = Field(description="Name of the condition within its domain.")
    signal_accuracy: float = Field(description="Accuracy that the signal states, in [0, 1].")


#: The key of a condition, whatever the model and the protocol variant.
CONDITION_KEY = tuple(Condition.model_fields)


class Variant(Document):
    """A protocol variant as a model was asked."""

    intervention: _Intervention
    reasoning_effort: _ReasoningEffort
    cost_ratio: float | None = Field(
        description="Cost ratio R that the prompt stated; null where it stated none."
    )
    framing: _Framing
    is_thinking: _IsThinking
    is_isolated: _IsIsolated
    has_signal: _HasSignal


#: The key of a protocol variant within one model. Generators of resamples are named by it: another
#: order gives other random numbers.
VARIANT_KEY = tuple(Variant.model_fields)


class ScoredVariant(Document):
    """A protocol variant, and the cost ratio at which its decisions are scored."""

    intervention: _Intervention
    reasoning_effort: _ReasoningEffort
    framing: _Framing
    is_thinking: _IsThinking
    is_isolated: _IsIsolated
    has_signal: _HasSignal
    cost_ratio: float | None = Field(
        description="Cost ratio R at which decisions are scored; null for numbers without one."
    )
    is_cost_stated: _IsCostStated

    @property
    def variant(self) -> Variant:
        """The variant as it was asked."""
        named = {name: getattr(self, name) for name in VARIANT_KEY}
        return Variant(**named) if self.is_cost_stated else Variant(**named | {"cost_ratio": None})


#: What tells two rows of scores of one model apart, beside the domain.
SCORED_KEY = (*ScoredVariant.model_fields, "scored_against")
