"""The numbers of a canary's looks: flips, p-values, evidence, and what the provider said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from escalometer.documents import CanaryNotice
from escalometer.operations.canary_state import NO_ANSWER, CanaryState, Look
from escalometer.stats import drift


def p_value(state: CanaryState, look: Look) -> float:
    """Return the p-value of a look that follows those of `state`."""
    looks = [*state.baseline, *state.looks, look]
    if state.mode == "choices":
        answers = np.array([one.choices for one in looks], dtype=np.int64)
        scores = drift.choice_scores(answers, int(answers.max()) + 1)
    else:
        scores = drift.distance_scores(_log_probabilities(looks))
    return float(drift.last_p_value(scores))


def _log_probabilities(looks: Sequence[Look]) -> drift.Floats:
    """Return log-probabilities by look, prompt and token, NaN where there are none.

    A token that a look does not list has at most the smallest log-probability that it lists.
    """
    prompts = list(zip(*(one.tokens or () for one in looks), strict=True))
    names = [sorted({token for found in prompt if found for token in found}) for prompt in prompts]
    values = np.full((len(looks), len(prompts), max(map(len, names), default=0)), np.nan)
    for i, prompt in enumerate(prompts):
        for n, found in enumerate(prompt):
            if found:
                least = min(found.values())
                row = [found.get(token, least) for token in names[i]]
                values[n, i, : len(row)] = row
    return values


def evidence(state: CanaryState) -> drift.Evidence:
    """Return the evidence of drift after all looks."""
    p_values = [look.p_value for look in state.looks]
    return drift.evidence(np.array(p_values, dtype=float), max(1, len(state.baseline)))


def flips(state: CanaryState, look: Look) -> tuple[int, float] | None:
    """Return how many prompts differ from the baseline's usual choice, and how many are expected.

    None where `look` has no answers to compare.
    """
    usual = [_usual(prompt) for prompt in zip(*map(_choices, state.baseline), strict=True)]
    compared = [
        (choice, *common)
        for choice, common in zip(_choices(look), usual, strict=False)
        if choice is not None and common is not None
    ]
    if not compared:
        return None
    return sum(choice != one for choice, one, _ in compared), sum(1 - s for *_, s in compared)


def noise(state: CanaryState) -> float | None:
    """Return the share of the baseline's answers that differ from their prompt's usual one."""
    counts = [flips(state, look) for look in state.baseline]
    n_answered = sum(look.n_answered for look in state.baseline)
    if not n_answered:
        return None
    return sum(found[0] for found in counts if found is not None) / n_answered


def _choices(look: Look) -> list[int | str | None]:
    """Return each prompt's choice, or its likeliest token; None where there is no answer."""
    if look.choices is not None:
        return [None if code == NO_ANSWER else code for code in look.choices]
    return [max(found, key=lambda t: found[t]) if found else None for found in look.tokens or ()]


def _usual(choices: Iterable[int | str | None]) -> tuple[int | str, float] | None:
    counts = Counter(choice for choice in choices if choice is not None)
    if not counts:
        return None
    choice, n = counts.most_common(1)[0]
    return choice, n / counts.total()


def _names(looks: Iterable[Look], kind: str) -> tuple[str, ...]:
    return tuple(sorted({name for look in looks for name in getattr(look, kind)}))


def said(state: CanaryState, kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names that the provider gave in the last look, and before.

    Parameters
    ----------
    state : CanaryState
        The whole baseline counts as one look; before it is what the store has.
    kind : {"resolved_models", "fingerprints"}
        Models are compared with the look before; fingerprints with all looks before, since a
        provider may have several configurations in turn.
    """
    if not state.looks:
        return _names(state.baseline, kind), _names([state.stored], kind)
    last, before = state.looks[-1], [state.baseline, *([look] for look in state.looks[:-1])]
    compared = before[-1:] if kind == "resolved_models" else before
    return _names([last], kind), _names([look for some in compared for look in some], kind)


def notices(state: CanaryState) -> list[CanaryNotice]:
    """Return what the provider said differently in the last look."""
    found = []
    models, before = said(state, "resolved_models")
    if before and set(models) - set(before):
        text = (
            f"{state.model} resolves to {', '.join(models)}; before: {', '.join(before)}. Its "
            "profile is of the model before: evaluate it again, and name a dated snapshot in its "
            "card"
        )
        found.append(CanaryNotice(kind="alias", text=text))
    prints, before = said(state, "fingerprints")
    if before and set(prints) - set(before):
        text = (
            f"{state.model} has the system fingerprint {', '.join(prints)}; before: "
            f"{', '.join(before)}. The provider changed its configuration"
        )
        found.append(CanaryNotice(kind="fingerprint", text=text))
    return found
