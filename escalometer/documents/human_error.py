"""The document of ``escalometer data human-error DOMAIN --json``."""

from __future__ import annotations

from pydantic import Field

from escalometer.documents.document import Document
from escalometer.documents.interval import SimpleInterval


class HumanErrorRate(Document):
    """The error rate of one person, from the disagreement of people about the same cases.

    A lower bound where cases differ in difficulty: docs/decisions/0042-what-reviewers-ask-for.md.
    """

    domain: str = Field(description="The domain.")
    edition: str = Field(description="Edition of its data.")
    n_cases: int = Field(description="Cases that at least two people judged.")
    disagreement: float = Field(
        description="Probability that two people disagree about a case, in [0, 1]."
    )
    human_error_rate: SimpleInterval = Field(
        description="h: the error rate of one person, with its 95% interval; null where the "
        "disagreement is above one half."
    )
