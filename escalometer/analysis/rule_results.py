"""What a rule of the gate can say: pass, fail or inconclusive, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from escalometer.analysis import Row
from escalometer.config import GateParams
from escalometer.documents.verdict import Observed
from escalometer.documents.wording import cost, count, ratio, share, span

Verdict = Literal["pass", "fail", "inconclusive"]

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
        """Whether so much failed that what is missing may be missing for that."""
        return self.n_failed > MOST_FAILED * (self.n_asked + self.n_failed)

    @property
    def is_whole(self) -> bool:
        """Whether there is an answer in every dialogue."""
        return self.n_answered == self.n_asked and not self.n_failed


def rule(name: str, verdict: Verdict, observed: Any, limit: Any, reason: str) -> Row:
    """Return what one rule of the gate says."""
    return {
        "rule": name,
        "verdict": verdict,
        "observed": observed,
        "limit": limit,
        "reason": reason,
    }


def too_little(name: str, n: int, what: str, limit: Any, rules: GateParams) -> Row | None:
    """Return the rule as inconclusive where there are too few dialogues, else None."""
    if n >= rules.min_dialogues:
        return None
    said = f"too little data: {count(n)} {what}, and gate.min_dialogues is {rules.min_dialogues}"
    return rule(name, "inconclusive", None, limit, said)


def absent(name: str, limit: Any, rules: GateParams) -> Row:
    """Return the rule as failed: not one dialogue of what it judges was asked for."""
    said = (
        f"missing: no dialogue of {rules.intervention} at R = {ratio(rules.cost_ratio)}"
        + (f", effort {rules.reasoning_effort}" if rules.reasoning_effort else "")
        + (f", framing {rules.framing}" if rules.framing else "")
    )
    return rule(name, "fail", None, limit, said)


def missing(name: str, limit: Any, why: str, answered: Answered) -> Row:
    """Return the rule as failed for want of its number; inconclusive if the provider is to blame.

    An outage must not be reported as a failure of the release.
    """
    if answered.is_disrupted:
        said = f"missing: {why}; the provider failed in {count(answered.n_failed)} dialogues"
        return rule(name, "inconclusive", None, limit, said)
    return rule(name, "fail", None, limit, f"missing: {why}")


def limited(
    name: str,
    found: Mapping[str, Any],
    least: float | None,
    most: float | None,
    unit: str,
    is_missing: bool,
) -> Row:
    """Return the verdict on a number with limits: pass inside, fail outside, else inconclusive.

    It is the interval for these conditions that has to be inside, or outside. Where answers are
    missing a pass holds only if it would whichever way these had gone; they excuse no fail.
    """
    keys = ("estimate", "low", "high", "bound_low", "bound_high")
    observed = {key: found[key] for key in keys if key in found}
    limit = least if most is None else most if least is None else [least, most]
    write = {"share": share, "cost": cost}[unit]
    allowed = " and ".join(
        [
            *([f"at least {write(least)}"] if least is not None else []),
            *([f"at most {write(most)}"] if most is not None else []),
        ]
    )
    low, high = observed["low"], observed["high"]
    if observed["estimate"] is None:
        return rule(name, "fail", None, limit, f"missing: nothing to hold against {allowed}")
    said = f"{write(observed['estimate'])} {span(Observed(**observed), unit)}, allowed is {allowed}"
    if low is None or high is None:
        return rule(name, "inconclusive", observed, limit, f"{said}; it has no interval")
    lowest = -float("inf") if least is None else least - ROUNDING
    highest = float("inf") if most is None else most + ROUNDING
    if high < lowest or low > highest:
        return rule(name, "fail", observed, limit, said)
    if low < lowest or high > highest:
        wide = f"{said}: the interval holds both, and more dialogues would tell"
        return rule(name, "inconclusive", observed, limit, wide)
    if is_missing:
        bounds = observed.get("bound_low"), observed.get("bound_high")
        if bounds[0] is None or bounds[1] is None:
            unknown = f"{said}; what the missing answers could have changed has no bound"
            return rule(name, "inconclusive", observed, limit, unknown)
        if bounds[0] < lowest or bounds[1] > highest:
            reach = f"{write(bounds[0])} to {write(bounds[1])}"
            open_ = f"{said}; with the missing answers it could be anything from {reach}"
            return rule(name, "inconclusive", observed, limit, open_)
    return rule(name, "pass", observed, limit, said)
