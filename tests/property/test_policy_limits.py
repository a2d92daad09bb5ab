"""Limits of exported policies hold with the stated confidence, by simulation of a known truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import beta, binom

from escalometer.analysis.policy_choice import Choice, Limits, _qualified, choose
from escalometer.analysis.policy_dialogues import Dialogues, Flags
from escalometer.analysis.policy_rules import candidates, fitted
from escalometer.stats.policy import optimal_threshold
from escalometer.stats.risk_control import (
    fixed_sequence,
    further_dialogues,
    limit_p_values,
    lower_bounds,
    upper_bounds,
)

RATIO = 4


@dataclass(frozen=True)
class World:
    """Kinds of dialogues: how often each comes, and how often its prediction is right."""

    cells: Dialogues
    chance: np.ndarray
    right: np.ndarray

    def drawn(self, rng: np.random.Generator, n: int, per_scenario: int) -> Dialogues:
        """Return dialogues about n scenarios, each of which is in several that end alike."""
        kinds = rng.choice(len(self.chance), n, p=self.chance)
        is_right = rng.random(n) < self.right[kinds]
        places = np.repeat(np.arange(n), per_scenario)
        found = self.cells.take(kinds[places])
        return replace(found, scenario=[f"s{i}" for i in places], right=is_right[places])

    def wrong_rate(self, acts: Flags) -> float:
        """Return the true share of wrong actions among those of a rule; 0 if it never acts."""
        weight = self.chance * acts
        return float((weight * (1 - self.right)).sum() / weight.sum()) if acts.any() else 0.0

    def escalations(self, acts: Flags) -> float:
        """Return the true share of escalated decisions."""
        return float(self.chance[~acts].sum())


def world(seed: int = 0, n_conditions: int = 6) -> World:
    """Return conditions of many accuracies, a score of ten levels, and two actions."""
    rng = np.random.default_rng(seed)
    condition, score, own, chance, right = [], [], [], [], []
    for c in range(n_conditions):
        for level in range(10):
            for acts in (True, False):
                condition.append(("d", f"c{c}"))
                score.append(level / 10)
                own.append(acts)
                chance.append(rng.random())
                base = 0.62 + 0.35 * c / n_conditions + 0.5 * (level / 10 - 0.4)
                right.append(np.clip(base + (0.04 if acts else -0.06), 0.02, 0.98))
    names = [f"cell {i}" for i in range(len(own))]
    cells = Dialogues(
        condition, names, np.ones(len(own), bool), np.array(own), {"stated_confidence": score}
    )
    return World(cells, np.array(chance) / sum(chance), np.array(right))


def studies(limits: Limits, n_studies: int, n: int, per_scenario: int, seed: int) -> list[Choice]:
    """Return what is chosen in repeated evaluations of one world."""
    rng, truth = np.random.default_rng(seed), world()
    optimal = optimal_threshold(RATIO)
    found = []
    for i in range(n_studies):
        fit, chosen_on, _ = truth.drawn(rng, n, per_scenario).parts(i)
        found.append(choose(fit, chosen_on, optimal, RATIO, 0.0, limits, i))
    return found


def broken(limits: Limits, found: list[Choice]) -> int:
    """Return how often the chosen rule truly breaks a limit."""
    truth, n_broken = world(), 0
    for choice in found:
        acts = choice.fitted.acts(choice.rule, truth.cells)
        wrong, share = limits.max_wrong_rate, limits.max_escalations_share
        n_broken += (wrong is not None and truth.wrong_rate(acts) > wrong) or (
            share is not None and choice.is_met and truth.escalations(acts) > share
        )
    return n_broken


SETTINGS = (
    (Limits(max_wrong_rate=0.2), 800, 1),
    (Limits(max_wrong_rate=0.1), 800, 1),
    (Limits(max_wrong_rate=0.15, confidence=0.8), 400, 1),
    (Limits(max_wrong_rate=0.2), 500, 3),
    (Limits(max_escalations_share=0.3), 800, 1),
    (Limits(max_wrong_rate=0.2, max_escalations_share=0.6, confidence=0.9), 800, 2),
)


def _check(limits: Limits, n: int, per_scenario: int, n_studies: int, seed: int) -> None:
    found = studies(limits, n_studies, n, per_scenario, seed)
    # What so many studies can be off by, by chance: one in a thousand is above.
    most = int(binom.ppf(0.999, n_studies, 1 - limits.confidence))
    assert broken(limits, found) <= most
    kept = [choice for choice in found if choice.rule.decides != "always_escalate"]
    assert len(kept) > n_studies / 40, "nothing qualifies: the simulation shows nothing"


@pytest.mark.parametrize(("limits", "n", "per_scenario"), SETTINGS)
def test_a_limit_is_broken_as_rarely_as_the_confidence_says(limits, n, per_scenario):
    _check(limits, n, per_scenario, n_studies=60, seed=5)


@pytest.mark.long
@pytest.mark.parametrize(("limits", "n", "per_scenario"), SETTINGS)
def test_a_limit_is_broken_as_rarely_as_the_confidence_says_in_many_studies(
    limits, n, per_scenario
):
    _check(limits, n, per_scenario, n_studies=1500, seed=6)


def _any_qualified_breaks(limits: Limits, n_studies: int) -> tuple[int, int]:
    """Return in how many studies some qualified rule truly breaks the limit on wrong actions.

    And in how many some rule does that is only measured to keep it.
    """
    truth, rng, optimal = world(), np.random.default_rng(8), Fraction(3, 4)
    n_broken, n_naive = 0, 0
    for i in range(n_studies):
        fit, chosen_on, _ = truth.drawn(rng, 400, 1).parts(i)
        found = fitted(fit)
        rules = candidates(found, optimal, has_limits=True)
        shown, _ = _qualified(found, rules, fit, chosen_on, RATIO, 0.0, limits, i)
        acts = [found.acts(rule, chosen_on) for rule in rules]
        breaks = [
            truth.wrong_rate(found.acts(rule, truth.cells)) > (limits.max_wrong_rate or 1)
            for rule in rules
        ]
        measured = [
            j
            for j, one in enumerate(acts)
            if (one & ~chosen_on.right).sum() <= (limits.max_wrong_rate or 1) * one.sum()
        ]
        n_broken += any(breaks[j] for j in shown)
        n_naive += any(breaks[j] for j in measured)
    return n_broken, n_naive


def test_all_qualified_rules_keep_the_limit_together_and_measured_ones_do_not():
    n_studies, limits = 60, Limits(max_wrong_rate=0.2, confidence=0.9)
    n_broken, n_naive = _any_qualified_breaks(limits, n_studies)
    assert n_broken <= binom.ppf(0.999, n_studies, 0.1)
    assert n_naive > n_studies / 2


@pytest.mark.long
@pytest.mark.parametrize("limit", [0.12, 0.16, 0.2])
def test_all_qualified_rules_keep_the_limit_together_in_many_studies(limit):
    limits = Limits(max_wrong_rate=limit, confidence=0.9)
    n_broken, _ = _any_qualified_breaks(limits, 1000)
    assert n_broken <= binom.ppf(0.999, 1000, 0.1)


def test_p_values_and_bounds_equal_those_of_scipy():
    n = np.array([0, 1, 5, 20, 20, 300, 300])
    k = np.array([0, 1, 0, 3, 20, 20, 300])
    expected = np.where(n > 0, binom.cdf(k, n, 0.1), 1.0)
    assert limit_p_values(k, n, 0.1) == pytest.approx(expected, rel=1e-9)
    n, k = n[1:], k[1:]
    low = np.where(k > 0, beta.ppf(0.05, np.maximum(k, 1), n - k + 1), 0)
    high = np.where(k < n, beta.ppf(0.95, k + 1, np.maximum(n - k, 1)), 1)
    assert lower_bounds(k, n) == pytest.approx(low, abs=1e-9)
    assert upper_bounds(k, n) == pytest.approx(high, abs=1e-9)


def test_a_sequence_ends_at_the_first_hypothesis_that_is_not_rejected():
    assert fixed_sequence([0.01, 0.2, 0.001, 0.03], [2, 0, 3, 1], 0.05) == [2, 0, 3]
    assert fixed_sequence([0.01, 0.2, 0.001], [1, 2, 0], 0.05) == []


@pytest.mark.parametrize(
    ("k", "n"), [(0, 1), (1, 1), (8, 10), (80, 100), (70, 100), (179, 230), (76, 100), (500, 650)]
)
def test_as_many_further_dialogues_decide_as_often_as_is_said(k, n):
    threshold, rng = Fraction(3, 4), np.random.default_rng(1)
    more = further_dialogues(k, n, threshold)
    assert more is not None and more >= 1
    drawn, total = rng.binomial(n + more, k / n, 4000), np.full(4000, n + more)
    is_above = k / n > threshold
    bound = (lower_bounds if is_above else upper_bounds)(drawn, total)
    decided = np.mean(bound >= 0.75 if is_above else bound < 0.75)
    assert decided >= 0.8 - 0.03
    assert decided <= 0.86 or more < 40  # no more than are needed


def test_an_accuracy_at_the_threshold_is_decided_by_no_number():
    assert further_dialogues(75, 100, Fraction(3, 4)) is None
