"""The document of ``escalometer gate MODEL --json``."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from escalometer.config import GateParams
from escalometer.documents.document import Document
from escalometer.documents.interval import SimpleInterval
from escalometer.documents.promotion import Promotion
from escalometer.documents.variant import ScoredAgainst

Outcome: TypeAlias = Literal["pass", "fail", "inconclusive"]


class DeployedVariant(Document):
    """The protocol variant that is judged; null properties where no such variant was asked."""

    intervention: str = Field(description="Intervention, from `gate.intervention`.")
    cost_ratio: float = Field(description="Cost ratio R in use.")
    scored_against: ScoredAgainst = Field(description="Accuracy that decides what is optimal.")
    reasoning_effort: str | None = Field(description="Reasoning effort.")
    framing: str | None = Field(description="Wording of the cost.")
    is_thinking: bool | None = Field(description="True if the model thinks before it answers.")
    is_isolated: bool | None = Field(description="True if turn 2 is a new dialogue.")
    has_signal: bool | None = Field(description="True if the prompt has the signal.")
    is_cost_stated: bool | None = Field(description="True if the prompt states the cost ratio.")


class Observed(Document):
    """The number that a rule judges: parts of an interval, with the p-values of a regression."""

    estimate: float | None = Field(description="The number; above 0 is worse for `no_worse_…`.")
    low: float | None = Field(description="Lower end of the 95% interval for these conditions.")
    high: float | None = Field(description="Upper end of it.")
    clustered_low: float | None = Field(None, description="As in `Interval`.")
    clustered_high: float | None = Field(None, description="As in `Interval`.")
    scenario_low: float | None = Field(None, description="As in `Interval`.")
    scenario_high: float | None = Field(None, description="As in `Interval`.")
    bound_low: float | None = Field(None, description="As in `BoundedInterval`.")
    bound_high: float | None = Field(None, description="As in `BoundedInterval`.")
    p_value: float | None = Field(None, description="p-value of the difference, in [0, 1].")
    p_corrected: float | None = Field(
        None, description="Holm's correction of it over the gate's `no_worse_…` rules."
    )


class Power(Document):
    """Probabilities of a rule's results for a release that is truly worse by so much."""

    worsening: float = Field(description="True worsening that is supposed; 0 for no change.")
    fails: float = Field(description="Probability that the rule fails, in [0, 1].")
    passes: float = Field(
        description="Probability that it passes, in [0, 1]; it is inconclusive otherwise."
    )


class RulePower(Document):
    """The power of a comparison with the release in use, by a normal approximation.

    Why it is computed as it is: docs/decisions/0034-power-and-self-check.md.
    """

    n: int = Field(description="Dialogues of the release that has fewer.")
    standard_error: float = Field(description="Of the worsening, from its interval.")
    level: float = Field(
        description="Level of the test that is supposed: `alpha` over the number of tests, the "
        "strictest of Holm's correction."
    )
    at: tuple[Power, ...] = Field(
        description="For no change, for a worsening of the tolerance and for one of twice it."
    )
    least_failing: float | None = Field(
        description="The least worsening that fails with a probability of 80%."
    )


class RuleResult(Document):
    """The result of one rule of the gate."""

    rule: str = Field(
        description="`parse_rate`, `regret`, `threshold`, `policy_is_current`, or "
        "`no_worse_<metric>` against the release in use."
    )
    verdict: Outcome = Field(description="`pass`, `fail` or `inconclusive`.")
    observed: Observed | None = Field(description="The number; null where it is missing.")
    limit: float | tuple[float, float] = Field(
        description="The least or largest value allowed, or both ends of the range."
    )
    reason: str = Field(description="The result in words.")
    power: RulePower | None = Field(
        None,
        description="Power of a `no_worse_…` rule; null for the others, and where it was not "
        "compared.",
    )


class RuleFlips(Document):
    """Share of splits in which one rule's result differs between two parts of the dialogues."""

    rule: str = Field(description="Name of the rule.")
    flips: float = Field(description="Share of splits in which its results differ, in [0, 1].")


class SelfCheck(Document):
    """Share of splits in which the verdict differs between two parts of a model's dialogues.

    The intervals are of the choice of splits: all splits are of the same dialogues. What it does
    and does not say: docs/decisions/0034-power-and-self-check.md.
    """

    method: Literal["replicates", "halves"] = Field(
        description="`replicates`: the parts are different replicates of all scenarios; `halves`: "
        "random halves of the scenarios of every condition."
    )
    part: float = Field(description="Share of the dialogues that a part has, in (0, 0.5].")
    n_splits: int = Field(description="Random splits.")
    n_dialogues: int = Field(description="Dialogues of the judged variant in a part, on average.")
    min_dialogues: int = Field(description="`gate.min_dialogues` in proportion to the part.")
    n_bootstrap: int = Field(description="Resamples for each verdict.")
    flips: SimpleInterval = Field(
        description="Share of splits in which the verdicts on the two parts differ, each by all "
        "rules and against the release in use."
    )
    outcomes: dict[str, int] = Field(description="Verdicts on the parts, counted.")
    false_failures: SimpleInterval | None = Field(
        description="Share of splits in which the second part fails a comparison with the first: "
        "with a release that has not changed. Null where no metric is compared."
    )
    rules: tuple[RuleFlips, ...] = Field(description="The rules, in the order of the verdict.")


class Verdict(Document):
    """The verdict on a release: `fail` if a rule fails, else `inconclusive` if one is, else `pass`.

    Exit codes: docs/reference/exit-codes.md.
    """

    model: str = Field(description="The release that is judged.")
    against: str | None = Field(description="The release in use; null if none was named.")
    source: str = Field(description="Where the decisions are from: `pipeline`, or an import.")
    resolved_models: dict[str, tuple[str, ...]] = Field(
        description="By model, the names that answered under its name, where the provider said."
    )
    verdict: Outcome = Field(description="The verdict over all rules.")
    cost_ratio: float = Field(description="Cost ratio R in use.")
    optimal_threshold: float = Field(
        description="τ*: the accuracy above which implementing costs less, in [0, 1]."
    )
    deployed: DeployedVariant = Field(description="The protocol variant that is judged.")
    n_asked: int = Field(description="Dialogues of that variant that got any answer.")
    n_answered: int = Field(description="Those of them with a prediction and an action.")
    n_failed: int = Field(description="Further dialogues, in which the provider failed.")
    rules: tuple[RuleResult, ...] = Field(description="The rules, in the order of the text.")
    n_paired: int | None = Field(
        description="Dialogues paired with one of the release in use; null without comparison."
    )
    notes: tuple[str, ...] = Field(description="Remarks on how the numbers came about.")
    params: GateParams = Field(description="The section `gate` of params.yaml as it was used.")
    seed: int = Field(description="Seed of the resamples.")
    n_bootstrap: int = Field(description="Number of resamples.")
    human_error_rate: float = Field(
        description="h: the share of escalated cases that people get wrong, in [0, 1)."
    )
    self_check: SelfCheck | None = Field(
        None, description="Of `gate --self-check`; null without it."
    )
    promotion: Promotion | None = Field(None, description="Of `gate --promote`; null without it.")
    files: dict[str, str] = Field(
        default_factory=dict, description="sha256 of the files of decisions, by path."
    )
    version: str | None = Field(None, description="Version of escalometer.")
    python: str | None = Field(None, description="Version of Python.")
    judged_at: str | None = Field(None, description="Time of the verdict, ISO 8601, UTC.")
