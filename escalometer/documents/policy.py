"""The document of ``escalometer policy export``: what `escalometer.policy` reads."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from escalometer.documents.autonomy import ConditionAutonomy
from escalometer.documents.document import Document
from escalometer.documents.interval import SimpleInterval
from escalometer.documents.variant import Variant
from escalometer.documents.verdict import Outcome

Decides: TypeAlias = Literal[
    "own", "external", "own_and_external", "own_or_external", "always_escalate"
]
PolicyScore: TypeAlias = Literal[
    "stated_confidence", "prediction_probability", "condition_accuracy"
]


class WholeRatio(Document):
    """A fraction as two whole numbers, so that ties are exact."""

    numerator: int = Field(description="Numerator.")
    denominator: int = Field(description="Denominator, at least 1.")


class AccuracySteps(Document):
    """Isotonic regression of right predictions on a score, in counts."""

    starts: tuple[float, ...] = Field(
        description="Scores from which on the next step holds; one fewer than steps."
    )
    counts: tuple[tuple[int, int], ...] = Field(
        description="Of each step, from the lowest score on: right predictions, dialogues."
    )


class PolicyRule(Document):
    """The rule that decides."""

    decides: Decides = Field(
        description="`own`: the model's own action; `external`: the threshold on the score; "
        "`own_and_external`: act if both say so; `own_or_external`: act if one of them says so; "
        "`always_escalate`."
    )
    score: PolicyScore | None = Field(
        description="The score of the external threshold: stated confidence, choice probability, "
        "or the measured accuracy of the condition (`fitted`); null without one."
    )
    threshold: WholeRatio | None = Field(
        description="Act if the recalibrated accuracy is at least this; null without a score."
    )
    steps: AccuracySteps | None = Field(
        description="Recalibration of the score; null without one, and for `condition_accuracy`."
    )
    reason: str = Field(description="Why this rule was chosen, in words.")


class PolicyRequirements(Document):
    """The limits that were asked for, and how they were tested."""

    max_wrong_rate: float | None = Field(
        description="Largest share of wrong predictions among those implemented; null: no limit."
    )
    max_escalations_share: float | None = Field(
        description="Largest share of escalated decisions; null: no limit."
    )
    confidence: float = Field(
        description="Probability, over samples of scenarios, that the exported rule keeps the "
        "limits, in (0, 1)."
    )
    n_candidates: int = Field(description="Rules that were considered, without `always_escalate`.")
    n_qualified: int = Field(description="Those of them that are shown to keep the limits.")
    p_value: float | None = Field(
        description="p-value of the exported rule: of the hypothesis that it breaks a limit; null "
        "without a limit, and for `always_escalate`."
    )
    is_met: bool = Field(
        description="True if the exported rule keeps the limits, or there is none."
    )


class PolicyCondition(ConditionAutonomy):
    """A condition that the policy knows: its evidence, and the counts that a rule compares."""

    fitted: tuple[int, int] = Field(
        description="Right predictions and dialogues of the part to which the rule was fitted."
    )


class HeldOutPolicy(Document):
    """The results of one policy on dialogues that played no part in its choice."""

    policy: Literal["exported", "model", "always_act", "always_escalate"] = Field(
        description="`exported`; `model`: the model's own escalation alone; both constant ones."
    )
    n_acted: int = Field(description="Decisions that it implements.")
    n_wrong: int = Field(description="Those of them that are wrong.")
    cost: SimpleInterval = Field(description="Cost per decision.")
    escalations_share: SimpleInterval = Field(description="Share of decisions that it escalates.")
    wrong_rate: SimpleInterval = Field(
        description="Share of wrong predictions among those implemented; null where it implements "
        "none."
    )
    difference: SimpleInterval = Field(
        description="Its cost minus that of the exported policy: above 0 where the exported one is "
        "cheaper."
    )


class HeldOut(Document):
    """Results on the part of the scenarios that was neither fitted to nor chosen on.

    Intervals are 95%, clustered by scenario.
    """

    n: int = Field(description="Dialogues.")
    n_scenarios: int = Field(description="Scenarios.")
    policies: tuple[HeldOutPolicy, ...] = Field(description="The exported policy and the others.")


class PolicyParts(Document):
    """Dialogues by the part of the scenarios that they belong to, by a hash of the scenario."""

    n_fit: int = Field(description="Dialogues that steps and condition counts are fitted to.")
    n_choose: int = Field(description="Dialogues on which the rule is chosen and limits tested.")
    n_report: int = Field(description="Dialogues on which cost is reported.")


class PolicyDigests(Document):
    """Digests of what the policy rests on, each with ``sha256:`` before it."""

    decisions: dict[str, str] = Field(description="By file, of the decisions.")
    prompts: str | None = Field(
        description="Of the tasks in the prompts (`escalometer.policy.prompts_digest`); null where "
        "prompts were not recorded."
    )
    data: str = Field(description="Of domain, edition, condition, scenario and label of the rows.")


class PolicyVerdict(Document):
    """The gate's verdict on the same decisions."""

    verdict: Outcome = Field(description="`pass`, `fail` or `inconclusive`.")
    against: str | None = Field(description="The release that was compared; null without one.")
    rules: dict[str, Outcome] = Field(description="By rule, its result.")


class PolicyDocument(Document):
    """A policy: what decides for one model in one protocol variant, and the evidence for it."""

    format: Literal["escalometer policy"] = Field(description="Name of the format.")
    format_version: Literal[1] = Field(description="Version of the format.")
    escalometer: str = Field(description="Version of escalometer that exported it.")
    model: str = Field(description="The model.")
    resolved_models: tuple[str, ...] = Field(
        description="Names that answered under the model's name, where the provider said."
    )
    source: str = Field(description="Where the decisions are from: `pipeline`, or an import.")
    variant: Variant = Field(description="The protocol variant that the decisions are of.")
    cost_ratio: float = Field(description="Cost ratio R.")
    human_error_rate: float = Field(
        description="h: share of escalated cases that people get wrong."
    )
    optimal_threshold: WholeRatio = Field(description="Optimal threshold τ*.")
    rule: PolicyRule = Field(description="The rule that decides.")
    requirements: PolicyRequirements = Field(description="The limits that were asked for.")
    n: int = Field(description="Dialogues with a prediction and an action.")
    n_missing: int = Field(description="Dialogues of the variant without one, left out.")
    parts: PolicyParts = Field(description="Parts of the dialogues.")
    conditions: tuple[PolicyCondition, ...] = Field(description="Conditions that it knows.")
    held_out: HeldOut | None = Field(
        description="Results on the third part; null where it has fewer than two scenarios."
    )
    digests: PolicyDigests = Field(description="Digests of what it rests on.")
    gate: PolicyVerdict = Field(description="The gate's verdict.")
    audit_rate: float = Field(
        0.0,
        description="Share of the cases on which it acts that are sent to a person, too, at random "
        "(`escalometer.ledger`), in [0, 1).",
    )
    created_at: str = Field(description="Time of the export, ISO 8601.")
    expires_at: str = Field(description="From this time on it escalates every decision, ISO 8601.")
    notes: tuple[str, ...] = Field(description="Remarks on how it came about.")
    digest: str = Field(description="Digest of all other keys: `escalometer.policy.digest`.")
