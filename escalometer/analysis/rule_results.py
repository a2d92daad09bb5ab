"""Results of the gate's rules: pass, fail or inconclusive, and why."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from escalometer.config import GateParams
from escalometer.documents.verdict import Observed, Outcome, RuleResult
from escalometer.documents.wording import cost, count, ratio, share, span

Limit: TypeAlias = float | tuple[float, float]

#: Largest share of dialogues with provider errors at which a missing number is still a fail.
MOST_FAILED = 0.05

#: What rounding may leave of a number that is exactly at its limit.
ROUNDING = 1e-12


class Answered(NamedTuple):
    """Dialogues of the variant that is deployed, over main domains.

    Attributes
    ----------
    n_asked : int
        Those that the model was asked in, whatever it said.
    n_answered : int
        Those of them with a prediction and an action.
    n_failed : int
        Further ones, in which the provider failed: they say nothing of the model.
    """

    n_asked: int
    n_answered: int
    n_failed: int = 0

    @property
    def is_disrupted(self) -> bool:
        """True if so many dialogues failed that missing numbers may be due to that."""
        return self.n_failed > MOST_FAILED * (self.n_asked + self.n_failed)

    @property
    def is_whole(self) -> bool:
        """True if every dialogue has an answer."""
        return self.n_answered == self.n_asked and not self.n_failed


def rule(
    name: str, verdict: Outcome, observed: Observed | None, limit: Limit, reason: str
) -> RuleResult:
    """Return the result of one rule of the gate."""
    return RuleResult(rule=name, verdict=verdict, observed=observed, limit=limit, reason=reason)


def too_little(name: str, n: int, what: str, limit: Limit, rules: GateParams) -> RuleResult | None:
    """Return the rule as inconclusive where there are too few dialogues, else None."""
    if n >= rules.min_dialogues:
        return None
    reason = f"too little data: {count(n)} {what}, but gate.min_dialogues is {rules.min_dialogues}"
    return rule(name, "inconclusive", None, limit, reason)


def absent(name: str, limit: Limit, rules: GateParams) -> RuleResult:
    """Return the rule as failed: not one dialogue of what it judges was asked for."""
    reason = (
        f"missing: no dialogue of {rules.intervention} at R = {ratio(rules.cost_ratio)}"
        + (f", effort {rules.reasoning_effort}" if rules.reasoning_effort else "")
        + (f", framing {rules.framing}" if rules.framing else "")
    )
    return rule(name, "fail", None, limit, reason)


def missing(name: str, limit: Limit, why: str, answered: Answered) -> RuleResult:
    """Return the rule as failed for want of its number; inconclusive if the provider is to blame.

    An outage must not be reported as a failure of the release.
    """
    if answered.is_disrupted:
        outage = f"the provider failed in {count(answered.n_failed)} dialogues"
        return rule(name, "inconclusive", None, limit, f"missing: {why}; {outage}")
    return rule(name, "fail", None, limit, f"missing: {why}")


def limited(
    name: str,
    observed: Observed,
    least: float | None,
    most: float | None,
    unit: str,
    is_missing: bool,
) -> RuleResult:
    """Return the verdict on a number with limits: pass inside, fail outside, else inconclusive.

    It is the interval for these conditions that has to be inside, or outside. Where answers are
    missing a pass holds only if it would whichever way these had gone; they excuse no fail.

    Parameters
    ----------
    name : str
        Of the rule.
    observed : Observed
        The number.
    least, most : float or None
        The limits, one at least.
    unit : {"share", "cost"}
    is_missing : bool
        True if answers are missing.
    """
    write = {"share": share, "cost": cost}[unit]
    limit: Limit
    if least is not None and most is not None:
        limit, allowed = (least, most), f"at least {write(least)} and at most {write(most)}"
    elif least is not None:
        limit, allowed = least, f"at least {write(least)}"
    elif most is not None:
        limit, allowed = most, f"at most {write(most)}"
    else:
        raise ValueError(f"rule {name} has no limit")
    low, high = observed.low, observed.high
    if observed.estimate is None:
        return rule(name, "fail", None, limit, f"no value to compare with the limit ({allowed})")
    reason = f"{write(observed.estimate)} {span(observed, unit)}, limit: {allowed}"
    if low is None or high is None:
        return rule(name, "inconclusive", observed, limit, f"{reason}; it has no interval")
    lowest = -float("inf") if least is None else least - ROUNDING
    highest = float("inf") if most is None else most + ROUNDING
    if high < lowest or low > highest:
        return rule(name, "fail", observed, limit, reason)
    if low < lowest or high > highest:
        wide = f"{reason}: the interval contains the limit; more dialogues are needed"
        return rule(name, "inconclusive", observed, limit, wide)
    if is_missing:
        if observed.bound_low is None or observed.bound_high is None:
            unknown = f"{reason}; the effect of the missing answers has no bound"
            return rule(name, "inconclusive", observed, limit, unknown)
        if observed.bound_low < lowest or observed.bound_high > highest:
            reach = f"{write(observed.bound_low)} to {write(observed.bound_high)}"
            open_ = f"{reason}; with the missing answers the range is {reach}"
            return rule(name, "inconclusive", observed, limit, open_)
    return rule(name, "pass", observed, limit, reason)
