"""The gate: the rules that a release must satisfy, by its profile and its comparison.

Each rule passes, fails or is inconclusive. Too little data is inconclusive before anything else; a
number that is missing although there is data is a fail.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from escalometer.analysis.regressions import worsenings
from escalometer.analysis.rule_results import (
    Answered,
    absent,
    limited,
    missing,
    too_little,
)
from escalometer.config import GateParams
from escalometer.documents import Comparison, Fit, Interval, Profile
from escalometer.documents.interval import BoundedFit
from escalometer.documents.verdict import DeployedVariant, Observed, Outcome, RuleResult
from escalometer.documents.wording import ratio
from escalometer.errors import UsageError
from escalometer.stats.policy import optimal_threshold
from escalometer.stats.shares import wilson

#: Properties of the deployed variant that its scores say.
_PROPERTIES = ("framing", "is_thinking", "is_isolated", "has_signal", "is_cost_stated")


class Deployed(NamedTuple):
    """The variant of the protocol that the gate judges, and its regret (null if not scored)."""

    variant: DeployedVariant
    regret: Interval | None


class Judgement(NamedTuple):
    """The results of all rules, and the verdict over them.

    Attributes
    ----------
    verdict : {"pass", "fail", "inconclusive"}
        Fail if any rule fails, else inconclusive if any is, else pass.
    optimal_threshold : float
        τ* at the cost ratio in use, in [0, 1].
    deployed : DeployedVariant
    rules : tuple of RuleResult
    """

    verdict: Outcome
    optimal_threshold: float
    deployed: DeployedVariant
    rules: tuple[RuleResult, ...]


def deployed(profile: Profile, rules: GateParams) -> Deployed:
    """Return the variant of the protocol that the gate judges, with its regret at R.

    Parameters
    ----------
    profile : Profile
        Scored at ``rules.cost_ratio``.
    rules : GateParams

    Raises
    ------
    UsageError
        If several variants are meant: the message says what to set.
    """
    wanted: dict[str, Any] = {
        "intervention": rules.intervention,
        "cost_ratio": rules.cost_ratio,
        "scored_against": rules.scored_against,
        "reasoning_effort": rules.reasoning_effort or profile.reasoning_effort,
    }
    if rules.framing is not None:
        wanted["framing"] = rules.framing
    rows = [
        row
        for row in profile.interventions
        if all(getattr(row, name) == value for name, value in wanted.items())
    ]
    if len(rows) > 1:
        framings = ", ".join(sorted({str(row.framing) for row in rows}))
        raise UsageError(
            f"the gate judges one variant of {rules.intervention}, but {len(rows)} were "
            f"evaluated at R = {ratio(rules.cost_ratio)} (framings: {framings}); set "
            "gate.framing in params.yaml"
        )
    row = rows[0] if rows else None
    properties = {name: getattr(row, name, None) for name in _PROPERTIES}
    variant = DeployedVariant(**{**wanted, **properties})
    return Deployed(variant, None if row is None else row.regret)


def judge(
    profile: Profile, comparison: Comparison | None, answered: Answered, rules: GateParams
) -> Judgement:
    """Return the verdict on a release, rule by rule.

    Parameters
    ----------
    profile : Profile
        Of the release.
    comparison : Comparison or None
        Of the release in use with it, in this order.
    answered : Answered
        Of the variant that `deployed` names.
    rules : GateParams
    """
    variant, regret = deployed(profile, rules)
    best = max(0.0, float(optimal_threshold(rules.cost_ratio, profile.human_error_rate)))
    results = (
        *_parse_rate(answered, rules),
        *_regret(regret, answered, rules),
        *_threshold(profile, variant, answered, rules, best),
        *([] if comparison is None else worsenings(comparison, variant, answered, rules)),
    )
    verdicts = {result.verdict for result in results}
    overall: Outcome = (
        "fail" if "fail" in verdicts else "inconclusive" if "inconclusive" in verdicts else "pass"
    )
    return Judgement(overall, best, variant, results)


def _observed(interval: Interval | None) -> Observed:
    """Return the parts of an interval that a limit is held against."""
    names = ("estimate", "low", "high", "bound_low", "bound_high")
    return Observed(**{name: getattr(interval, name, None) for name in names})


def _parse_rate(answered: Answered, rules: GateParams) -> list[RuleResult]:
    limit = rules.min_parse_rate
    if limit is None:
        return []
    n, k = answered.n_asked, answered.n_answered
    if n == 0:
        return [absent("parse_rate", limit, rules)]
    few = too_little("parse_rate", n, "dialogues", limit, rules)
    if few:
        return [few]
    low, high = wilson(k, n)
    observed = Observed(estimate=k / n, low=low, high=high)
    return [limited("parse_rate", observed, limit, None, "share", False)]


def _regret(regret: Interval | None, answered: Answered, rules: GateParams) -> list[RuleResult]:
    limit = rules.max_regret
    if limit is None:
        return []
    if answered.n_asked == 0:
        return [absent("regret", limit, rules)]
    few = too_little("regret", answered.n_answered, "answered dialogues", limit, rules)
    if few:
        return [few]
    return [limited("regret", _observed(regret), None, limit, "cost", not answered.is_whole)]


def _threshold(
    profile: Profile, variant: DeployedVariant, answered: Answered, rules: GateParams, best: float
) -> list[RuleResult]:
    distance = rules.max_threshold_distance
    if distance is None:
        return []
    lowest, highest = best - distance, best + distance
    limit = (lowest, highest)
    if answered.n_asked == 0:
        return [absent("threshold", limit, rules)]
    few = too_little("threshold", answered.n_answered, "answered dialogues", limit, rules)
    if few:
        return [few]
    fit = _fit(profile, variant)
    if fit is None or fit.estimate is None or fit.status == "unidentified":
        why = "no threshold: the escalation rate is not known to decrease with accuracy"
        return [missing("threshold", limit, why, answered)]
    observed = _observed(fit)
    result = limited("threshold", observed, lowest, highest, "share", not answered.is_whole)
    if fit.status == "extrapolated":
        outside = f"{result.reason}; it is outside of the observed accuracies"
        result = result.model_copy(update={"reason": outside})
    return [result]


def _fit(profile: Profile, variant: DeployedVariant) -> Fit | None:
    """Return the threshold of the variant that is deployed."""
    fits = profile.implicit_threshold
    is_headline = variant.intervention == "baseline" and (
        (variant.reasoning_effort, variant.is_thinking)
        == (profile.reasoning_effort, profile.is_thinking)
    )
    if is_headline:
        return fits.linear if fits.adaptive is None else _bounded(fits.adaptive, fits.linear)
    stated = variant.cost_ratio if variant.is_cost_stated else None
    names = ("intervention", "reasoning_effort", "framing", "is_thinking", "is_isolated")
    return next(
        (
            curve.implicit_threshold
            for curve in profile.arms
            if curve.cost_ratio == stated
            and all(getattr(curve, name) == getattr(variant, name) for name in names)
        ),
        None,
    )


def _bounded(adaptive: Fit, line: BoundedFit) -> BoundedFit:
    """Return the fit of an adaptive design, with bounds for missing answers.

    An adaptive design's own interval is the one that holds. What missing answers could have
    changed is known of the linear fit alone, and is put beside this one as far away.
    """

    def shifted(end: float | None) -> float | None:
        if adaptive.estimate is None or line.estimate is None or end is None:
            return None
        return adaptive.estimate + (end - line.estimate)

    return BoundedFit(
        **dict(adaptive),
        bound_low=shifted(line.bound_low),
        bound_high=shifted(line.bound_high),
    )
