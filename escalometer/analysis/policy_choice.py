"""The choice of a policy's rule: the cheapest of those that are shown to keep its limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from escalometer.analysis.policy_dialogues import Dialogues, Flags
from escalometer.analysis.policy_rules import Fitted, Rule, candidates, fitted
from escalometer.stats.external_threshold import MIN_DIALOGUES
from escalometer.stats.policy import exact
from escalometer.stats.risk_control import fixed_sequence, limit_p_values

#: Of the first part's p-values: the cheapest rule below each is in the short sequence of tests.
_LEARNED_LEVELS = (1e-6, 1e-4, 1e-3, 0.01, 0.05, 0.2)


@dataclass(frozen=True)
class Limits:
    """Limits of a policy: on wrong actions, and on escalations; None is none."""

    max_wrong_rate: float | None = None
    max_escalations_share: float | None = None
    confidence: float = 0.95

    @property
    def exist(self) -> bool:
        """True if there is one."""
        return self.max_wrong_rate is not None or self.max_escalations_share is not None

    def p_values(self, acts: Sequence[Flags], right: Flags) -> list[float]:
        """Return p-values of the hypotheses that rules break a limit.

        A rule that is shown to keep both limits is one for which both hypotheses are rejected:
        the larger p-value counts.
        """
        found = np.zeros(len(acts))
        n_acted = np.array([int(one.sum()) for one in acts])
        if self.max_wrong_rate is not None:
            wrong = np.array([int((one & ~right).sum()) for one in acts])
            found = np.maximum(found, limit_p_values(wrong, n_acted, self.max_wrong_rate))
        if self.max_escalations_share is not None:
            n = np.full(len(acts), len(right))
            share = limit_p_values(n - n_acted, n, self.max_escalations_share)
            found = np.maximum(found, share)
        return [float(p) for p in found]


@dataclass(frozen=True)
class Choice:
    """The rule that was chosen, and how."""

    rule: Rule
    fitted: Fitted
    n_candidates: int
    n_qualified: int
    p_value: float | None
    is_met: bool
    reason: str


def choose(
    fit: Dialogues,
    chosen_on: Dialogues,
    optimal: Fraction,
    ratio: float,
    human_error_rate: float,
    limits: Limits,
    seed: int = 0,
) -> Choice:
    """Return the cheapest rule among those that are shown to keep the limits.

    Parameters
    ----------
    fit, chosen_on : Dialogues
        Of different scenarios.
    optimal : Fraction
        τ*.
    ratio, human_error_rate : float
        R and h.
    limits : Limits
        Tested on one dialogue per scenario of `chosen_on`, in an order learned on `fit`.
    seed : int
        Which dialogue of a scenario.

    References
    ----------
    Angelopoulos et al., Learn then Test, arXiv 2110.01052.
    """
    found = fitted(fit)
    if min(len(fit), len(chosen_on)) < MIN_DIALOGUES:
        few = min(len(fit), len(chosen_on))
        reason = f"a part of the scenarios has {few} dialogues, and {MIN_DIALOGUES} are needed"
        return Choice(Rule("always_escalate"), found, 0, 0, None, _is_met(limits), reason)
    rules = candidates(found, optimal, limits.exist)
    places, p_values = list(range(len(rules))), [0.0] * len(rules)
    if limits.exist:
        places, p_values = _qualified(
            found, rules, fit, chosen_on, ratio, human_error_rate, limits, seed
        )
    costs = [
        _cost(found.acts(rules[i], chosen_on), chosen_on.right, ratio, human_error_rate)
        for i in places
    ]
    n = len(rules)
    people = 1 + exact(ratio) * exact(human_error_rate)
    if not places:
        reason = f"none of {n} rules is shown to keep the limits"
        return Choice(Rule("always_escalate"), found, n, 0, None, _is_met(limits), reason)
    cheapest = min(range(len(places)), key=lambda i: costs[i])
    if costs[cheapest] > people and limits.max_escalations_share is None:
        reason = "every other rule costs more"
        return Choice(Rule("always_escalate"), found, n, len(places), None, True, reason)
    place = places[cheapest]
    shown = f"the cheapest of {len(places)} rules that are shown to keep the limits"
    reason = shown if limits.exist else f"the cheapest of {n} rules"
    p_value = p_values[place] if limits.exist else None
    return Choice(rules[place], found, n, len(places), p_value, True, reason)


def _qualified(
    found: Fitted,
    rules: Sequence[Rule],
    fit: Dialogues,
    chosen_on: Dialogues,
    ratio: float,
    human_error_rate: float,
    limits: Limits,
    seed: int,
) -> tuple[list[int], list[float]]:
    """Return the rules that are shown to keep the limits, and the p-values of all.

    Two sequences are learned on the first part, and tested on the second, each at half the level:
    all rules from the smallest p-value on, and a short one of the cheapest rules at each of some
    levels. The second reaches a cheap rule where the first ends early.
    """
    first, second = fit.one_per_scenario(seed), chosen_on.one_per_scenario(seed)
    acts = [found.acts(rule, first) for rule in rules]
    learned = limits.p_values(acts, first.right)
    costs = [_cost(one, first.right, ratio, human_error_rate) for one in acts]
    order = sorted(range(len(rules)), key=lambda i: (learned[i], i))
    cheapest = [
        min(below, key=lambda i: (costs[i], i))
        for level in _LEARNED_LEVELS
        if (below := [i for i in order if learned[i] <= level])
    ]
    p_values = limits.p_values([found.acts(rule, second) for rule in rules], second.right)
    half = exact(1 - exact(limits.confidence)) / 2
    shown = {
        place
        for sequence in (order, list(dict.fromkeys(cheapest)))
        for place in fixed_sequence(p_values, sequence, float(half))
    }
    return sorted(shown), p_values


def _is_met(limits: Limits) -> bool:
    """Return whether always escalating keeps the limits: it has no wrong action."""
    return limits.max_escalations_share is None or limits.max_escalations_share >= 1


def _cost(acts: Flags, right: Flags, ratio: float, human_error_rate: float) -> Fraction:
    """Return the cost of all dialogues, per dialogue."""
    n_wrong, n_escalated = int((acts & ~right).sum()), int((~acts).sum())
    escalating = 1 + exact(ratio) * exact(human_error_rate)
    return (exact(ratio) * n_wrong + escalating * n_escalated) / len(right)
