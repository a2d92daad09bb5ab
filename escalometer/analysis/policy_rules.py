"""Rules of a policy: candidates, what each does with a dialogue, and the choice between them.

Scenarios are in three parts by a hash: steps and condition counts are fitted to the first, the
rule is chosen and the limits are tested on the second, and the third is for the report.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from escalometer.documents.policy import Decides, PolicyScore
from escalometer.stats.external_threshold import MIN_DIALOGUES, Steps, fit_steps
from escalometer.stats.policy import exact
from escalometer.stats.risk_control import fixed_sequence, limit_p_values

Flags: TypeAlias = NDArray[np.bool_]
Places: TypeAlias = NDArray[np.intp]

#: Parts in which scenarios are, and the tenths of all hashes that each takes.
FIT, CHOOSE, REPORT = 0, 1, 2
_TENTHS = (FIT,) * 3 + (CHOOSE,) * 4 + (REPORT,) * 3

#: At most so many thresholds of a score are candidates where there are limits.
MOST_THRESHOLDS = 50

#: Of the first part's p-values: the cheapest rule below each is in the short sequence of tests.
_LEARNED_LEVELS = (1e-6, 1e-4, 1e-3, 0.01, 0.05, 0.2)

_COMBINED: tuple[Decides, ...] = ("external", "own_and_external", "own_or_external")


@dataclass(frozen=True)
class Dialogues:
    """Answered dialogues of one model in one protocol variant.

    Attributes
    ----------
    condition : list of (str, str)
        Domain and condition.
    scenario : list of str
        A name for the scenario; all dialogues about it are in one part, and are one cluster.
    right, own : ndarray of bool, shape (n,)
        Whether the prediction is right; whether the model implements it.
    scores : dict of str to list
        By score, its values; None where a dialogue has none.
    """

    condition: list[tuple[str, str]]
    scenario: list[str]
    right: Flags
    own: Flags
    scores: dict[PolicyScore, list[float | None]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.scenario)

    def take(self, places: Sequence[int] | NDArray[np.intp]) -> Dialogues:
        """Return some of them, in this order."""
        return Dialogues(
            [self.condition[i] for i in places],
            [self.scenario[i] for i in places],
            self.right[places],
            self.own[places],
            {name: [values[i] for i in places] for name, values in self.scores.items()},
        )

    def parts(self, seed: int) -> tuple[Dialogues, Dialogues, Dialogues]:
        """Return the dialogues to fit, to choose and to report on."""
        part = np.array([_part(seed, name) for name in self.scenario], dtype=int)
        fit, choose, report = (self.take(np.flatnonzero(part == p)) for p in (FIT, CHOOSE, REPORT))
        return fit, choose, report

    def one_per_scenario(self, seed: int) -> Dialogues:
        """Return one dialogue per scenario, chosen by a hash: they are independent."""
        chosen: dict[str, tuple[bytes, int]] = {}
        for i, name in enumerate(self.scenario):
            # Dialogues of one scenario and condition: the first counts.
            key = hashlib.sha256(f"{seed}:{name}:{self.condition[i]}".encode()).digest()
            if name not in chosen or key < chosen[name][0]:
                chosen[name] = (key, i)
        return self.take([i for _, i in chosen.values()])

    def counts(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Return right predictions and dialogues by condition."""
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for name, is_right in zip(self.condition, self.right.tolist(), strict=True):
            k, n = found.get(name, (0, 0))
            found[name] = (k + is_right, n + 1)
        return found


class Rule(NamedTuple):
    """A rule: what decides, the score that it reads, and from which accuracy on it acts."""

    decides: Decides
    score: PolicyScore | None = None
    threshold: Fraction | None = None


@dataclass(frozen=True)
class Fitted:
    """What rules need: steps by score, and counts by condition, of the part that is fitted to."""

    steps: dict[PolicyScore, Steps]
    counts: dict[tuple[str, str], tuple[int, int]]

    def levels(self, score: PolicyScore, dialogues: Dialogues) -> tuple[list[Fraction], Places]:
        """Return the accuracies that a score can have, and which one each dialogue has.

        The place is −1 for a dialogue without a score, or of a condition that is not known.
        """
        if score == "condition_accuracy":
            number = {name: i for i, name in enumerate(self.counts)}
            places = np.array([number.get(name, -1) for name in dialogues.condition], dtype=np.intp)
            return [Fraction(*count) for count in self.counts.values()], places
        steps = self.steps[score]
        values = np.array([np.nan if s is None else s for s in dialogues.scores[score]])
        places = np.searchsorted(steps.starts, values, side="right")
        return [Fraction(*c) for c in steps.counts], np.where(np.isnan(values), -1, places)

    def acts(self, rule: Rule, dialogues: Dialogues) -> Flags:
        """Return whether the rule acts, as `escalometer.policy` decides on the same dialogues."""
        if rule.decides == "always_escalate":
            return np.zeros(len(dialogues), dtype=bool)
        if rule.score is None or rule.threshold is None:
            return dialogues.own.copy()
        levels, places = self.levels(rule.score, dialogues)
        # Fractions on both sides: at a tie the prediction is implemented. The last one is for −1.
        reached = [level >= rule.threshold for level in levels]
        external: Flags = np.array([*reached, False], dtype=bool)[places]
        if rule.decides == "external":
            return external
        if rule.decides == "own_and_external":
            return np.logical_and(dialogues.own, external)
        either = np.logical_or(dialogues.own, external)
        # A missing score escalates, whatever the model's own action is.
        return either if rule.score == "condition_accuracy" else either & (places >= 0)


def fitted(dialogues: Dialogues) -> Fitted:
    """Return what rules need, fitted to these dialogues; scores that few have are left out."""
    steps: dict[PolicyScore, Steps] = {}
    for name, values in dialogues.scores.items():
        places = [i for i, value in enumerate(values) if value is not None]
        if len(places) >= max(MIN_DIALOGUES, len(dialogues) / 2):
            present = [value for value in values if value is not None]
            steps[name] = fit_steps(present, dialogues.right[places])
    return Fitted(steps, dialogues.counts())


def candidates(found: Fitted, optimal: Fraction, has_limits: bool) -> list[Rule]:
    """Return the rules to choose from, the simplest first.

    Without limits, the threshold is τ*. With limits, it is also each accuracy that the score can
    have: a limit on wrong actions needs a higher one, a limit on escalations a lower one.
    """
    rules = [Rule("own")]
    values = {name: {Fraction(*c) for c in steps.counts} for name, steps in found.steps.items()}
    values["condition_accuracy"] = {Fraction(*count) for count in found.counts.values()}
    for decides in _COMBINED:
        for name, accuracies in values.items():
            thresholds = {optimal}
            if has_limits:
                ordered = sorted(accuracies)
                stride = -(-len(ordered) // MOST_THRESHOLDS)
                thresholds |= set(ordered[::stride])
            rules += [Rule(decides, name, threshold) for threshold in sorted(thresholds)]
    return rules


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


def _part(seed: int, scenario: str) -> int:
    found = hashlib.sha256(f"policy:{seed}:{scenario}".encode()).digest()
    return _TENTHS[int.from_bytes(found[:8], "big") % len(_TENTHS)]
