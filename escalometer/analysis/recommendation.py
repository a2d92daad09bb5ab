"""For a cost ratio: which intervention, or which fixed rule, costs least."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from escalometer.analysis import condition_key
from escalometer.analysis.measure import Measured
from escalometer.analysis.scores import LevelKey, Scored, level_key
from escalometer.documents import WORDING_KEY
from escalometer.documents.interval import Interval
from escalometer.documents.profile import InterventionScores
from escalometer.documents.recommendation import Candidate, Policy, Recommendation
from escalometer.stats import Counts, Floats, Statistic

#: The fixed rules, and the share of decisions that people keep under each.
_RULES: dict[Policy, float] = {"always_implement": 0.0, "always_escalate": 1.0}

#: Yardstick of the rows that candidates are taken from; their cost does not depend on it.
_YARDSTICK = "signal_accuracy"

#: The name of a candidate's variant.
_NAMED = (*WORDING_KEY, "is_cost_stated")


class _Choice(NamedTuple):
    """A variant of the protocol, or a fixed rule, over some conditions."""

    named: dict[str, Any]  # the variant, nulls for a fixed rule
    policy: Policy
    places: list[int]  # rows of the curve
    cost: Statistic
    escalation_rate: float | None  # the share that people keep

    def candidate(self, measured: Measured) -> Candidate:
        resamples = measured.resamples.take(self.places)
        return Candidate(
            **self.named,
            policy=self.policy,
            realized_cost=Interval(**resamples.interval(self.cost)),
            escalation_rate=self.escalation_rate,
            n=int(resamples.counts.sum()),
        )


def recommendations(
    measured: Measured,
    scores: Sequence[InterventionScores],
    variants: Mapping[LevelKey, Scored],
) -> list[Recommendation]:
    """Return for each scored cost ratio what costs least, with its interval and what people keep.

    Parameters
    ----------
    measured : Measured
    scores : sequence of InterventionScores
    variants : mapping
        From `scores.scored_variants`.
    """
    made = []
    for ratio in sorted({row.cost_ratio for row in scores}):
        rows = [
            row for row in scores if row.cost_ratio == ratio and row.scored_against == _YARDSTICK
        ]
        choices = _choices(measured, variants, rows)
        costs = [_value(measured, choice) for choice in choices]
        best, second = (choices[i] for i in sorted(range(len(choices)), key=costs.__getitem__)[:2])
        people = next(choice for choice in choices if choice.policy == "always_escalate")
        gap, saves = _gap(measured, best, second), _gap(measured, best, people)
        made.append(
            Recommendation(
                cost_ratio=ratio,
                **dict(best.candidate(measured)),
                next_best=second.candidate(measured),
                gap=gap,
                is_clear=_is_positive(gap.low) and _is_positive(gap.clustered_low),
                saves=saves,
                is_shown=_is_positive(saves.low),
                n_left_out=len(rows) - len(choices) + len(_RULES),
                conditions=tuple(sorted(condition_key(measured.curve[i]) for i in best.places)),
            )
        )
    return made


def _choices(
    measured: Measured,
    variants: Mapping[LevelKey, Scored],
    rows: Iterable[InterventionScores],
) -> list[_Choice]:
    """Return what there is to choose from, all over the same conditions."""
    conditions = measured.resamples.conditions
    keyed = [(row, *variants[level_key({**dict(row), "domain": None})]) for row in rows]
    covered = [{conditions[i] for i in places} for _, places, _ in keyed]
    most = max(map(len, covered))
    kept = [i for i, found in enumerate(covered) if 2 * len(found) >= most]
    shared = set.intersection(*(covered[i] for i in kept))
    if not shared:  # they have nothing in common: the one with most stands alone
        kept = [max(kept, key=lambda i: len(covered[i]))]
        shared = covered[kept[0]]
    choices = []
    for row, places, policy in (keyed[i] for i in kept):
        inside = [k for k, place in enumerate(places) if conditions[place] in shared]
        restricted, where = policy.restricted(inside), [places[k] for k in inside]
        coverage = measured.resamples.take(where).value(restricted.statistic("coverage"))
        named = {name: getattr(row, name) for name in _NAMED}
        rate = None if coverage is None else 1 - coverage
        choices.append(_Choice(named, "model", where, restricted.statistic("realized_cost"), rate))
    # The fixed rules follow all predictions, or none, of the intervention with most dialogues.
    largest = max(choices, key=lambda choice: int(measured.resamples.counts[choice.places].sum()))
    nobody = dict.fromkeys(_NAMED)
    for rule, rate in _RULES.items():
        cost = restricted.statistic(f"{rule}_cost")  # the same whatever is optimal
        choices.append(_Choice(nobody, rule, largest.places, cost, rate))
    return choices


def _value(measured: Measured, choice: _Choice) -> float:
    value = measured.resamples.take(choice.places).value(choice.cost)
    return float("inf") if value is None else value


def _gap(measured: Measured, best: _Choice, second: _Choice) -> Interval:
    """Return what the second costs more; both are drawn together."""
    n_first = len(best.places)

    def gap(counts: Counts, weight: Floats) -> Floats:
        return second.cost(counts[:, n_first:], weight[:, n_first:]) - best.cost(
            counts[:, :n_first], weight[:, :n_first]
        )

    return Interval(**measured.resamples.take([*best.places, *second.places]).interval(gap))


def _is_positive(value: float | None) -> bool:
    return value is not None and value > 0
