"""The document of ``escalometer store canary MODEL --json``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from escalometer.documents.document import Document


class CanaryNotice(Document):
    """A change that a provider states; no alarm."""

    kind: Literal["alias", "fingerprint"] = Field(
        description="`alias`: the model's name resolves to another model; `fingerprint`: the "
        "provider names another system configuration."
    )
    text: str = Field(description="The notice as a sentence.")


class CanaryLook(Document):
    """One look at a fixed panel of prompts, and the evidence of drift from all looks so far.

    If nothing was asked (`looked today`, or `drift` that was reported before), the numbers are
    those of the last look.
    """

    model: str = Field(description="The model.")
    looked_at: str = Field(description="Time of the look, ISO 8601, UTC.")
    mode: Literal["choices", "probabilities"] = Field(
        description="What is compared: choices, or log-probabilities of one token per prompt."
    )
    status: Literal["baseline", "no drift", "drift", "looked today", "not enough answers"] = Field(
        description="`baseline`: the model's own noise is being measured; `drift` stays until "
        "`--restart`; `looked today`: nothing was asked; `not enough answers`: fewer than half of "
        "the prompts were answered, and the look does not count."
    )
    n_prompts: int = Field(description="Prompts of the panel.")
    n_answered: int = Field(description="Prompts with an answer in this look.")
    n_flips: int | None = Field(
        description="Prompts whose choice (or likeliest token) differs from the most frequent one "
        "of the baseline; in the baseline itself: whose stored choice does. Null where no stored "
        "choices can be compared, or answers are missing."
    )
    expected_flips: float | None = Field(
        description="The same number as expected from the noise of the baseline."
    )
    noise: float | None = Field(
        description="Share of the baseline's answers that differ from the most frequent one of "
        "their prompt."
    )
    n_baseline: int = Field(description="Answers per prompt in the baseline so far.")
    n_baseline_planned: int = Field(description="Answers per prompt in the whole baseline.")
    n_looks: int = Field(description="Looks after the baseline.")
    p_value: float | None = Field(
        description="Of this look: the rank of its distance from all looks so far. Null in the "
        "baseline."
    )
    evidence: float = Field(
        description="Evidence of drift from all looks. Without drift its mean is at most 1 after "
        "365 looks."
    )
    evidence_limit: float = Field(
        description="Evidence at which drift is reported: 1/`canary.alpha`."
    )
    drift_since: str | None = Field(
        description="Day of the look at which the drift most likely began; null without drift."
    )
    drift_at: str | None = Field(
        description="Time of the look that reported the drift: answers stored before it are to be "
        "asked again (`evaluate --retry all --retry-before`). Null without drift."
    )
    resolved_models: tuple[str, ...] = Field(
        description="Models that the provider names in the answers of this look."
    )
    resolved_models_before: tuple[str, ...] = Field(
        description="The same in the look before; in the baseline: in the stored answers."
    )
    fingerprints: tuple[str, ...] = Field(
        description="System fingerprints in the answers of this look."
    )
    fingerprints_before: tuple[str, ...] = Field(
        description="The same in all looks before; in the baseline: in the stored answers."
    )
    notices: tuple[CanaryNotice, ...] = Field(description="Changes that the provider states.")
    n_requests: int = Field(description="Requests of this call.")
    cost_usd: float = Field(description="Dollars that they cost.")
