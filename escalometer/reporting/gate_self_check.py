"""The self-check of a gate in sentences."""

from __future__ import annotations

from escalometer.documents.verdict import SelfCheck
from escalometer.documents.wording import count, share, with_span
from escalometer.reporting.gate_rules import TITLES

_PARTS = {
    "halves": "random halves of the scenarios of each condition",
    "replicates": "different replicates of the same scenarios",
}


def self_check_words(check: SelfCheck) -> list[str]:
    """Return what a self-check found, a sentence each."""
    counted = ", ".join(f"{outcome} {n}" for outcome, n in check.outcomes.items())
    words = [
        f"{check.n_splits} pairs of {_PARTS[check.method]}, with {count(check.n_dialogues)} "
        f"dialogues each ({share(check.part, 0)} of all; gate.min_dialogues in proportion: "
        f"{count(check.min_dialogues)}).",
        f"The two verdicts differ in {with_span(check.flips)} of the splits. All verdicts: "
        f"{counted}.",
    ]
    if check.false_failures is not None:
        words.append(
            "One part fails a comparison with the other, as a release without a change would, in "
            f"{with_span(check.false_failures)} of the splits."
        )
    flipping = sorted((rule for rule in check.rules if rule.flips), key=lambda rule: -rule.flips)
    if flipping:
        listed = ", ".join(f"{TITLES.get(r.rule, r.rule)} {share(r.flips, 0)}" for r in flipping)
        words.append(f"Rules whose results differ: {listed}.")
    words.append(
        "This is for a part of the dialogues: with all of them verdicts differ less. The intervals "
        "are of the choice of splits, which all use the same dialogues."
    )
    return words
