"""The document of ``escalometer power --json``."""

from __future__ import annotations

from pydantic import Field

from escalometer.documents.document import Document


class DesignSize(Document):
    """The number of dialogues that one design of a study needs."""

    design: str = Field(
        description="`unpaired`, `paired` (the same scenarios in both arms), or `implicit "
        "threshold, unpaired`."
    )
    n_per_condition: int = Field(description="Dialogues per condition in each arm.")
    n_per_arm: int = Field(description="Dialogues in each arm.")
    power: float = Field(description="Probability of detecting the difference with these.")


class SampleSizes(Document):
    """The numbers of dialogues that detect a difference between two arms, at 5%, two-sided."""

    difference: float = Field(description="Second arm's share minus the first's.")
    rate: float = Field(description="Share in the first arm.")
    discordance: float = Field(description="Share of scenarios on which paired arms differ.")
    n_conditions: int = Field(description="Number of conditions in each arm.")
    power: float = Field(description="Probability of detecting the difference that is wanted.")
    designs: tuple[DesignSize, ...] = Field(description="One row per design.")
