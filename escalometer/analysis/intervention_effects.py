"""What an intervention changes against the baseline: paired where the scenarios are the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from escalometer import stats
from escalometer.analysis import ARM, CONDITION, Row
from escalometer.analysis.measure import Measured
from escalometer.analysis.scores import SCORED, Scored, right_actions
from escalometer.stats import Counts, Floats
from escalometer.stats.shares import holm, mcnemar_exact, newcombe, paired_interval, unpaired_p

#: What makes an arm the one that others are compared with.
_BASELINE = {
    "intervention": "baseline",
    "framing": None,
    "is_thinking": False,
    "is_isolated": False,
    "has_signal": True,
    "is_cost_stated": False,
}


def intervention_differences(
    measured: Measured, model: str, arms: Mapping[tuple[Any, ...], Scored]
) -> list[Row]:
    """Return what each intervention changes of escalation accuracy and cost, over main domains.

    One row an intervention, cost ratio and yardstick; the reference is the baseline at the same
    reasoning effort. Where both have dialogues about the same scenario under the same condition,
    those pairs alone are compared (``is_paired``), by McNemar's exact test; elsewhere all dialogues
    of the conditions that both have, as independent. ``p_corrected`` is Holm's, over the table.

    Parameters
    ----------
    measured : Measured
    model : str
    arms : mapping
        From `scores.scored_arms`.
    """
    arms = {key: value for key, value in arms.items() if key[0] is None}
    pairs = _pairs(measured, model)
    made = []
    for key, (places, policy) in arms.items():
        named = dict(zip(SCORED, key, strict=True))
        reference = tuple({**named, **_BASELINE}[name] for name in SCORED)
        if reference == key or reference not in arms:
            continue
        own, other = _shared(measured, (places, policy), arms[reference])
        if own[0]:
            row = {name: value for name, value in named.items() if name != "domain"}
            made.append({**row, **_difference(measured, own, other, pairs)})
    corrected = holm([row["p_value"] for row in made])
    for row, p_value in zip(made, corrected, strict=True):
        row["p_corrected"] = p_value
    return made


def _shared(measured: Measured, first: Scored, second: Scored) -> tuple[Scored, Scored]:
    """Return both arms on the conditions that both have, in the same order."""
    conditions = measured.resamples.conditions
    found = []
    for (places, policy), (others, _) in ((first, second), (second, first)):
        shared = {conditions[i] for i in others}
        kept = sorted(
            (i for i, place in enumerate(places) if conditions[place] in shared),
            key=lambda i, places=places: repr(conditions[places[i]]),  # type: ignore[misc]
        )
        found.append(([places[i] for i in kept], policy.restricted(kept)))
    return found[0], found[1]


def _pairs(measured: Measured, model: str) -> dict[tuple[Any, ...], Row]:
    """Return the rows of `paired_actions` by arm and condition."""
    return {
        tuple(row[name] for name in (*ARM, *CONDITION)): row
        for row in measured.tables["paired_actions"].to_pylist()
        if row["model"] == model
    }


def _difference(
    measured: Measured, first: Scored, second: Scored, pairs: dict[tuple[Any, ...], Row]
) -> Row:
    """Return the comparison of two arms over the same conditions."""
    n_first = len(first[0])
    policies = (first[1], second[1])
    together = measured.resamples.take([*first[0], *second[0]])

    def gap(counts: Counts, weight: Floats) -> dict[str, Floats]:
        own = policies[0].measures(counts[:, :n_first], weight[:, :n_first])
        other = policies[1].measures(counts[:, n_first:], weight[:, n_first:])
        return {name: own[name] - other[name] for name in ("escalation_accuracy", "realized_cost")}

    gaps = together.each(gap)
    accuracy, cost = (
        together.interval_from(stats.part(gaps, name))
        for name in ("escalation_accuracy", "realized_cost")
    )
    table = _four_fold(measured, first, second, pairs)
    if table is None:
        k, n = zip(*(right_actions(measured, arm) for arm in (first, second)), strict=True)
        ends = newcombe(k[0], n[0], k[1], n[1])
        p_value = unpaired_p(k[0], n[0], k[1], n[1])
        only = reference = None
    else:
        both, only, reference, neither = table
        n = (sum(table), sum(table))
        accuracy["estimate"] = (only - reference) / n[0]
        ends = paired_interval(both, only, reference, neither)
        p_value = mcnemar_exact(only, reference)
        if cost["scenario_low"] is not None:  # drawn together, as pairs are
            cost |= {"low": cost["scenario_low"], "high": cost["scenario_high"]}
    return {
        "is_paired": table is not None,
        "n": n[0],
        "n_reference": n[1],
        "n_only_right": only,
        "n_reference_right": reference,
        "escalation_accuracy": accuracy | {"low": ends[0], "high": ends[1]},
        "realized_cost": cost,
        "p_value": p_value,
    }


def _four_fold(
    measured: Measured, first: Scored, second: Scored, pairs: dict[tuple[Any, ...], Row]
) -> tuple[int, int, int, int] | None:
    """Return pairs in which both acted right, only the first, only the second, neither.

    None where an arm's dialogues are not all about known scenarios, or no pair exists.
    """
    both = only = reference = neither = 0
    for i, place in enumerate(first[0]):
        row = measured.curve[place]
        found = pairs.get(tuple(row[name] for name in (*ARM, *CONDITION)))
        if found is None:
            return None
        # Pairs by what both did: (first escalated, second escalated).
        n_both, n_only, n_reference = (
            found[name]
            for name in ("n_both_escalated", "n_only_escalated", "n_reference_escalated")
        )
        acted = {
            (True, True): n_both,
            (True, False): n_only,
            (False, True): n_reference,
            (False, False): found["n_pairs"] - n_both - n_only - n_reference,
        }
        best = bool(first[1].escalating[i]), bool(second[1].escalating[i])
        both += acted[best]
        only += acted[(best[0], not best[1])]
        reference += acted[(not best[0], best[1])]
        neither += acted[(not best[0], not best[1])]
    return (both, only, reference, neither) if both + only + reference + neither else None
