"""The document of ``escalometer profile MODEL --json``."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from escalometer.documents.autonomy import AutonomyMap
from escalometer.documents.calibration import Calibration, ExternalThreshold
from escalometer.documents.document import Document
from escalometer.documents.interval import (
    BoundedFit,
    BoundedInterval,
    Fit,
    Interval,
    SelfEstimate,
    StudyLine,
)
from escalometer.documents.recommendation import Recommendation
from escalometer.documents.variant import Condition, ScoredAgainst, ScoredVariant, Variant

#: Beginning of a note on the terms of a model's service; the summary and the page show it first.
TERMS = "Terms: "

Status: TypeAlias = Literal["ok", "forced", "unparsed", "truncated", "refused", "error"]


class Statuses(Document):
    """Dialogues by how they ended."""

    ok: int = Field(description="A prediction and an action could be read.")
    forced: int = Field(description="The same, after the answer was closed for the model.")
    unparsed: int = Field(description="No prediction or no action could be read.")
    truncated: int = Field(description="The answer was cut off at the token budget.")
    refused: int = Field(description="The model or a content filter refused.")
    error: int = Field(description="The provider failed.")

    def count(self, status: Status) -> int:
        """Return the number of dialogues with this status."""
        number: int = getattr(self, status)
        return number


class Thresholds(Document):
    """Implicit threshold by the kind of fit."""

    linear: BoundedFit = Field(
        description="Least-squares line through the escalation rates, corrected for the noise of "
        "the measured accuracies."
    )
    logit: BoundedFit = Field(
        description="Binomial logit, fitted to the counts and corrected in the same way."
    )
    study_line: StudyLine = Field(
        description="The study's plain line, for comparison with published values; noise in the "
        "accuracies flattens it."
    )
    adaptive: Fit | None = Field(
        None,
        description="Threshold of the adaptive design: the one that holds for its rows; null where "
        "scenarios were not drawn adaptively.",
    )


class HeadlineNumbers(Document):
    """Headline numbers at one reasoning effort."""

    predictive_accuracy: BoundedInterval = Field(
        description="Mean over conditions with a signal of the share of right predictions."
    )
    implicit_threshold: Thresholds = Field(
        description="Accuracy at which the model escalates half of its dialogues."
    )
    self_estimated_accuracy: SelfEstimate = Field(
        description="Accuracy at which the line has the escalation rate of dialogues without a "
        "signal. Of a domain, it uses the line over all main domains."
    )
    calibration_bias: BoundedInterval = Field(
        description="Self-estimated minus predictive accuracy in the same dialogues without a "
        "signal; above 0 is overconfident."
    )
    calibration_bias_signalled: BoundedInterval = Field(
        description="The paper's variant: minus predictive accuracy with a signal."
    )


class _DomainShare(Document):
    domain: str = Field(description="Domain.")
    is_main: bool = Field(description="False for a side domain: left out of pooled numbers.")
    n_conditions: int = Field(description="Conditions of the baseline with a signal.")
    n: int = Field(description="Dialogues in them.")
    escalation_rate: float = Field(description="Mean over them of the share escalated, in [0, 1].")


class DomainProfile(HeadlineNumbers, _DomainShare):
    """Headline numbers of one domain."""


class CurvePoint(Condition):
    """One condition of an escalation curve."""

    predictive_accuracy: float = Field(description="Share of right predictions, in [0, 1].")
    escalation_rate: float = Field(description="Share of dialogues escalated, in [0, 1].")
    low: float | None = Field(description="Lower end of Wilson's 95% interval of that rate.")
    high: float | None = Field(description="Upper end of it.")
    n: int = Field(description="Dialogues with a prediction and an action.")
    is_main: bool = Field(description="False in a side domain: no line is fitted to it.")
    fitted: float | None = Field(
        description="Escalation rate of the corrected line there, in [0, 1]."
    )
    clustered_low: float | None = Field(
        description="Lower end of the line's 95% interval there, by a jackknife of conditions."
    )
    clustered_high: float | None = Field(description="Upper end of it.")


class VariantCurve(Variant):
    """The escalation curve of one protocol variant."""

    n_conditions: int = Field(description="Conditions, of side domains too.")
    n: int = Field(description="Dialogues with a prediction and an action.")
    implicit_threshold: Fit | None = Field(
        description="Corrected least-squares line over main domains; null without a signal."
    )
    points: tuple[CurvePoint, ...] = Field(description="The conditions.")


class InterventionScores(ScoredVariant):
    """Scores of one protocol variant at one cost ratio, over all main domains.

    Variants in whose prompt no cost was stated are scored at every cost ratio of the analysis.
    """

    cost_ratio: float = Field(description="Cost ratio R at which decisions are scored.")
    scored_against: ScoredAgainst = Field(
        description="Accuracy of the condition that decides which action is optimal: the model's "
        "own (`predictive_accuracy`) or the one that the signal states (`signal_accuracy`)."
    )
    n: int = Field(description="Dialogues with a prediction and an action.")
    escalation_accuracy: BoundedInterval = Field(description="Share of optimal actions.")
    realized_cost: BoundedInterval = Field(description="Cost per dialogue.")
    regret: BoundedInterval = Field(
        description="Realized cost minus that of the optimal policy by condition."
    )
    single_policy_regret: BoundedInterval = Field(
        description="Realized cost minus that of the cheaper of implementing everything and "
        "escalating everything."
    )
    coverage: BoundedInterval = Field(description="Share of predictions implemented.")
    selective_risk: BoundedInterval = Field(description="Share of them that is wrong.")
    optimal_cost: float | None = Field(description="Cost per dialogue of the optimal policy.")
    always_implement_cost: float | None = Field(description="Of implementing every prediction.")
    always_escalate_cost: float | None = Field(description="Of escalating every dialogue.")


class InterventionDifference(ScoredVariant):
    """A protocol variant minus the baseline at the same effort, over main domains."""

    cost_ratio: float = Field(description="Cost ratio R at which decisions are scored.")
    scored_against: ScoredAgainst = Field(
        description="Accuracy that decides what is optimal; the measured one is that of both "
        "variants' dialogues together."
    )
    is_paired: bool = Field(
        description="True if dialogues about the same scenarios are paired; else all dialogues of "
        "the conditions that both have are compared as independent."
    )
    n: int = Field(description="Dialogues, or pairs.")
    n_reference: int = Field(description="Dialogues of the baseline, or pairs.")
    n_only_right: int | None = Field(
        description="Pairs in which only this variant's action was optimal; null if not paired."
    )
    n_reference_right: int | None = Field(
        description="Pairs in which only the baseline's action was optimal; null if not paired."
    )
    escalation_accuracy: Interval = Field(description="Difference of escalation accuracies.")
    realized_cost: Interval = Field(description="Difference of costs per dialogue.")
    p_value: float | None = Field(
        description="McNemar's exact test of pairs, or the test of independent shares."
    )
    p_corrected: float | None = Field(description="Holm's correction of it over this table.")
    threshold_shift: Interval | None = Field(
        None,
        description="Difference of the implicit thresholds over the conditions that both have; "
        "null where one of them is not identified, or the prompt has no signal.",
    )


class Overlap(Variant):
    """Dialogues about scenarios that stand under several conditions, over main domains."""

    n: int = Field(description="Dialogues with a prediction and an action.")
    n_scenarios: int = Field(description="Scenarios that they are about.")
    n_overlapping: int = Field(description="Dialogues that share their scenario with another.")
    accuracy_design_effect: float | None = Field(
        description="Variance of the accuracy over that of independent dialogues."
    )
    escalation_design_effect: float | None = Field(description="The same of the escalation rate.")
    n_effective_accuracy: float | None = Field(
        description="Independent dialogues that would know the accuracy as well."
    )
    n_effective_escalation: float | None = Field(description="The same of the escalation rate.")


class CostCurve(Variant):
    """Costs per dialogue of one protocol variant against the cost ratio, over main domains."""

    n: int = Field(description="Dialogues with a prediction and an action.")
    escalation_rate: float = Field(description="Share of dialogues escalated, in [0, 1].")
    cost_ratios: tuple[float, ...] = Field(description="R of each cost below: 1 to 100.")
    realized_cost: tuple[float, ...] = Field(description="Of the model's own actions.")
    always_implement_cost: tuple[float, ...] = Field(description="Of implementing everything.")
    always_escalate_cost: tuple[float, ...] = Field(description="Of escalating everything.")
    signal_policy_cost: tuple[float, ...] = Field(
        description="Of the policy that is optimal if the signal is true."
    )
    optimal_cost: tuple[float, ...] = Field(description="Of the optimal policy by condition.")


class Design(Document):
    """The adaptive design of a model's scenarios and its result."""

    model: str = Field(description="The model.")
    kind: Literal["adaptive"] = Field(description="`adaptive`.")
    precision: float = Field(description="Half-width of the threshold's interval asked for.")
    estimate: float | None = Field(description="The implicit threshold; null if unidentified.")
    low: float | None = Field(description="Lower end of its 95% interval.")
    high: float | None = Field(description="Upper end of it.")
    status: Literal["ok", "extrapolated", "unidentified"] = Field(description="As in `Fit`.")
    n_dialogues: int = Field(description="Dialogues that ended as asked.")
    n_rounds: int = Field(description="Rounds of questions.")
    stopped_by: str = Field(description="`precision`, `no more scenarios` or `budget`.")


class _Subject(Document):
    model: str = Field(description="The model.")
    source: str = Field(description="Where the decisions are from: `pipeline`, or an import.")
    editions: dict[str, str] = Field(
        description="By domain, the edition of its data; without those that do not say."
    )
    resolved_models: tuple[str, ...] = Field(
        description="Names that answered under the model's name, where the provider said."
    )
    n_decisions: int = Field(description="Dialogues, however they ended.")
    n_usable: int = Field(description="Dialogues with a prediction and an action.")
    statuses: Statuses = Field(description="Dialogues by how they ended.")
    reasoning_effort: str | None = Field(description="Reasoning effort of the headline numbers.")
    is_thinking: bool = Field(description="True if the headline numbers are with thinking.")


class DeployerPromptRecord(Document):
    """The system prompt that a model was asked with."""

    file: str = Field(description="Its file in the project.")
    digest: str = Field(description="sha256 of its text in UTF-8, without blanks at its ends.")


class Profile(HeadlineNumbers, _Subject):
    """The profile of one model.

    Headline numbers are of the baseline with a signal and without a stated cost, isolated dialogues
    left out, over the main domains.
    """

    domains: tuple[DomainProfile, ...] = Field(description="Headline numbers by domain.")
    curve: tuple[CurvePoint, ...] = Field(description="Escalation curve of the baseline.")
    arms: tuple[VariantCurve, ...] = Field(description="Escalation curve by protocol variant.")
    interventions: tuple[InterventionScores, ...] = Field(
        description="Scores by protocol variant, cost ratio and `scored_against`."
    )
    differences: tuple[InterventionDifference, ...] = Field(
        description="Protocol variants against the baseline."
    )
    calibration: tuple[Calibration, ...] = Field(
        description="Calibration of a model's confidence in its prediction."
    )
    external_threshold: tuple[ExternalThreshold, ...] = Field(
        description="A threshold on that score in place of the model's own escalation."
    )
    overlap: tuple[Overlap, ...] = Field(
        description="Design effects of scenarios under several conditions."
    )
    cost_curves: tuple[CostCurve, ...] = Field(description="Costs against the cost ratio.")
    recommendations: tuple[Recommendation, ...] = Field(
        description="The cheapest variant or rule by cost ratio."
    )
    autonomy: tuple[AutonomyMap, ...] = Field(
        (),
        description="By cost ratio, the conditions in which the evidence allows that the model "
        "acts. Of the baseline; without one, of a variant that states the ratio or no cost.",
    )
    notes: tuple[str, ...] = Field(description="Remarks on how the numbers came about.")
    force_answer: bool = Field(
        description="True if answers without an end were closed for the model."
    )
    human_error_rate: float = Field(
        description="h: the share of escalated cases that people get wrong, in [0, 1)."
    )
    design: Design | None = Field(
        None, description="The adaptive design; null where scenarios were not drawn adaptively."
    )

    deployer_prompt: DeployerPromptRecord | None = Field(
        None,
        description="The system prompt of the intervention `deployer_prompt`: its rows are about "
        "the model with this prompt; null without one, and where it is not recorded.",
    )

    def with_notes(self, *notes: str) -> Profile:
        """Return the profile with further notes after its own."""
        return self.model_copy(update={"notes": (*self.notes, *notes)})
