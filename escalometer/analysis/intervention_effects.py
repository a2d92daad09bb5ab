"""Effects of the interventions: each against the baseline, paired by scenario where possible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from escalometer import stats
from escalometer.analysis import (
    ConditionKey,
    Row,
    VariantKey,
    condition_key,
    variant_key,
)
from escalometer.analysis.measure import Measured
from escalometer.analysis.paired_dialogues import FourFold
from escalometer.analysis.scores import (
    LEVEL_KEY,
    LevelKey,
    Scored,
    level_key,
    right_actions,
    with_shared_optimum,
)
from escalometer.documents import SCORED_KEY
from escalometer.documents.interval import Interval
from escalometer.documents.profile import InterventionDifference
from escalometer.stats import Counts, Floats
from escalometer.stats.shares import holm, mcnemar_exact, newcombe, paired_interval, unpaired_p

#: Properties of the reference variant; its reasoning effort is that of the other one.
_BASELINE = {
    "intervention": "baseline",
    "framing": None,
    "is_thinking": False,
    "is_isolated": False,
    "has_signal": True,
    "is_cost_stated": False,
}

_Pairs = dict[tuple[VariantKey, ConditionKey], Row]


def intervention_differences(
    measured: Measured, model: str, variants: Mapping[LevelKey, Scored]
) -> list[InterventionDifference]:
    """Return what each intervention changes of escalation accuracy, cost and threshold.

    Over main domains. One row per intervention, cost ratio and `scored_against`; the reference is
    the baseline at the same reasoning effort. Measured accuracies are those of both variants'
    dialogues together. Where both have dialogues about the same scenario under the same condition,
    those pairs alone are compared (``is_paired``), by McNemar's exact test; elsewhere all dialogues
    of the conditions that both have, as independent. The threshold's shift is of all dialogues of
    these conditions. ``p_corrected`` is Holm's, over the table.

    Parameters
    ----------
    measured : Measured
    model : str
    variants : mapping
        From `scores.scored_variants`.
    """
    pairs = _pairs(measured, model)
    rows = []
    for key, scored in variants.items():
        named = dict(zip(LEVEL_KEY, key, strict=True))
        reference = level_key({**named, **_BASELINE})
        if named["domain"] is not None or reference == key or reference not in variants:
            continue
        first, second = _shared(measured, scored, variants[reference])
        if first[0]:
            if named["scored_against"] == "predictive_accuracy":
                first, second = with_shared_optimum(measured, first, second)
            numbers = _difference(measured, first, second, pairs)
            rows.append(
                InterventionDifference(
                    **{name: named[name] for name in SCORED_KEY},
                    **numbers,
                    threshold_shift=_threshold_shift(measured, first[0], second[0])
                    if named["has_signal"]
                    else None,
                    p_corrected=None,
                )
            )
    corrected = holm([row.p_value for row in rows])
    return [
        row.model_copy(update={"p_corrected": p_value})
        for row, p_value in zip(rows, corrected, strict=True)
    ]


def _threshold_shift(measured: Measured, first: list[int], second: list[int]) -> Interval | None:
    """Return the difference of two implicit thresholds, None where one is not identified."""
    for places in (first, second):
        fit = stats.threshold_fit("linear", measured.resamples.take(places))
        if fit["status"] == "unidentified":
            return None
    n_first, cross = len(first), stats.threshold("linear")

    def shift(counts: Counts, weight: Floats) -> Floats:
        return cross(counts[:, :n_first], weight[:, :n_first]) - cross(
            counts[:, n_first:], weight[:, n_first:]
        )

    found = measured.resamples.take([*first, *second]).jackknife_interval(shift)
    if found["scenario_low"] is not None:  # pairs leave together
        found |= {"low": found["scenario_low"], "high": found["scenario_high"]}
    return Interval(**found)


def _shared(measured: Measured, first: Scored, second: Scored) -> tuple[Scored, Scored]:
    """Return two variants on the conditions that both have, in the same order."""
    conditions = measured.resamples.conditions
    restricted = []
    for (places, policy), (others, _) in ((first, second), (second, first)):
        shared = {conditions[i] for i in others}
        kept = sorted(
            (i for i, place in enumerate(places) if conditions[place] in shared),
            key=lambda i, places=places: repr(conditions[places[i]]),  # type: ignore[misc]
        )
        restricted.append(([places[i] for i in kept], policy.restricted(kept)))
    return restricted[0], restricted[1]


def _pairs(measured: Measured, model: str) -> _Pairs:
    """Return the rows of `paired_actions` by variant and condition."""
    return {
        (variant_key(row), condition_key(row)): row
        for row in measured.tables["paired_actions"].to_pylist()
        if row["model"] == model
    }


def _difference(measured: Measured, first: Scored, second: Scored, pairs: _Pairs) -> dict[str, Any]:
    """Return the numbers of a row: two variants compared over the same conditions."""
    n_first = len(first[0])
    policies = (first[1], second[1])
    together = measured.resamples.take([*first[0], *second[0]])

    def gap(counts: Counts, weight: Floats) -> dict[str, Floats]:
        scores = policies[0].measures(counts[:, :n_first], weight[:, :n_first])
        others = policies[1].measures(counts[:, n_first:], weight[:, n_first:])
        names = ("escalation_accuracy", "realized_cost")
        return {name: scores[name] - others[name] for name in names}

    gaps = together.each(gap)
    accuracy, cost = (
        together.interval_from(stats.part(gaps, name))
        for name in ("escalation_accuracy", "realized_cost")
    )
    table = _four_fold(measured, first, second, pairs)
    if table is None:
        k, n = zip(*(right_actions(measured, scored) for scored in (first, second)), strict=True)
        ends = newcombe(k[0], n[0], k[1], n[1])
        p_value = unpaired_p(k[0], n[0], k[1], n[1])
        n_only_first = n_only_second = None
    else:
        n_both, n_only_first, n_only_second, n_neither = table
        n = (sum(table), sum(table))
        accuracy["estimate"] = (n_only_first - n_only_second) / n[0]
        ends = paired_interval(n_both, n_only_first, n_only_second, n_neither)
        p_value = mcnemar_exact(n_only_first, n_only_second)
        if cost["scenario_low"] is not None:  # drawn together, as pairs are
            cost |= {"low": cost["scenario_low"], "high": cost["scenario_high"]}
    return {
        "is_paired": table is not None,
        "n": n[0],
        "n_reference": n[1],
        "n_only_right": n_only_first,
        "n_reference_right": n_only_second,
        "escalation_accuracy": Interval(**(accuracy | {"low": ends[0], "high": ends[1]})),
        "realized_cost": Interval(**cost),
        "p_value": p_value,
    }


def _four_fold(measured: Measured, first: Scored, second: Scored, pairs: _Pairs) -> FourFold | None:
    """Return pairs in which both acted right, only the first, only the second, neither.

    None where a variant's dialogues are not all about known scenarios, or no pair exists.
    """
    n_both = n_only_first = n_only_second = n_neither = 0
    for i, place in enumerate(first[0]):
        row = measured.curve[place]
        found = pairs.get((variant_key(row), condition_key(row)))
        if found is None:
            return None
        # Pairs by what both did: (first escalated, second escalated).
        both_escalated, only_escalated, reference_escalated = (
            found[name]
            for name in ("n_both_escalated", "n_only_escalated", "n_reference_escalated")
        )
        acted = {
            (True, True): both_escalated,
            (True, False): only_escalated,
            (False, True): reference_escalated,
            (False, False): found["n_pairs"]
            - both_escalated
            - only_escalated
            - reference_escalated,
        }
        best = bool(first[1].escalating[i]), bool(second[1].escalating[i])
        n_both += acted[best]
        n_only_first += acted[(best[0], not best[1])]
        n_only_second += acted[(not best[0], best[1])]
        n_neither += acted[(not best[0], not best[1])]
    total = n_both + n_only_first + n_only_second + n_neither
    return (n_both, n_only_first, n_only_second, n_neither) if total else None
