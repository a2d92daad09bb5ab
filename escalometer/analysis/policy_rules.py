"""Rules of a policy: the candidates, and what each does with a dialogue."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from escalometer.analysis.policy_dialogues import Dialogues, Flags, Places
from escalometer.documents.policy import Decides, PolicyScore
from escalometer.stats.external_threshold import MIN_DIALOGUES, Steps, fit_steps

#: At most so many thresholds of a score are candidates where there are limits.
MOST_THRESHOLDS = 50

_COMBINED: tuple[Decides, ...] = ("external", "own_and_external", "own_or_external")


class Rule(NamedTuple):
    """A rule: what decides, the score that it reads, and from which accuracy on it acts."""

    decides: Decides
    score: PolicyScore | None = None
    threshold: Fraction | None = None


@dataclass(frozen=True)
class Fitted:
    """Fitted parts of rules: steps by score, and counts by condition."""

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
