"""The power of a gate's comparison: how probable a worsening of a given size was to be seen.

docs/decisions/0034-power-and-self-check.md has the reasons.
"""

from __future__ import annotations

import math

from escalometer.documents.interval import BoundedInterval
from escalometer.documents.verdict import Power, RulePower
from escalometer.stats.gate_power import fail_probability, least_failing, pass_probability
from escalometer.stats.shares import Z95

#: Shares of dialogues: a worsening of so many makes at least so many dialogues differ.
_SHARES = ("predictive_accuracy", "share_answered", "escalation_accuracy")


def rule_power(
    metric: str, worse: BoundedInterval, floor: float, n: int, n_tests: int, alpha: float
) -> RulePower | None:
    """Return how probable it was that a rule fails, or passes, by the true worsening.

    Parameters
    ----------
    metric : str
        The metric that is compared.
    worse : BoundedInterval
        Its worsening as it was estimated.
    floor : float
        The tolerance.
    n : int
        Dialogues of the release that has fewer.
    n_tests : int
        Rules that the p-values are corrected for.
    alpha : float
        The gate's.

    Returns
    -------
    RulePower or None
        None where the worsening has no interval.

    Notes
    -----
    The standard error is that of the interval that the rule was judged by. Each rule is taken to be
    tested at ``alpha / n_tests``, the strictest level of Holm's correction, so that the probability
    does not depend on the other rules and is not overstated.
    """
    if worse.estimate is None or worse.low is None or worse.high is None:
        return None
    seen = (worse.high - worse.low) / (2 * Z95)
    level = alpha / max(n_tests, 1)
    estimate, above = worse.estimate, worse.high - worse.estimate
    beyond = 0.0  # what missing answers could add to the estimate, as the rule has it
    if metric != "share_answered":
        beyond = math.inf if worse.bound_high is None else worse.bound_high - estimate

    def error(worsening: float) -> float:
        if metric not in _SHARES:
            return seen
        further = max(0.0, worsening - max(0.0, estimate))
        return math.sqrt(seen**2 + further * max(0.0, 1 - further) / n)

    def failing(worsening: float) -> float:
        return fail_probability(worsening, floor, error(worsening), level)

    def passing(worsening: float) -> float:
        wider = error(worsening) / seen if seen > 0 else 1.0
        reach = max(above * wider, beyond)
        return pass_probability(worsening, floor, error(worsening), reach)

    supposed = dict.fromkeys((0.0, floor, 2 * floor))
    scale = floor or seen
    return RulePower(
        n=n,
        standard_error=seen,
        level=level,
        at=tuple(
            Power(worsening=size, fails=failing(size), passes=passing(size)) for size in supposed
        ),
        least_failing=least_failing(failing, scale) if scale > 0 else None,
    )
