"""From a ledger's rows to its document: counts, weighted estimates, the alarm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from escalometer.documents import PolicyDocument
from escalometer.documents.interval import SimpleInterval
from escalometer.documents.ledger import LedgerAlarm, LedgerCondition, LedgerSummary
from escalometer.documents.wording import count
from escalometer.ledger import ACT, DecidedCase, Outcome
from escalometer.stats.sequential import mean_above
from escalometer.stats.weighted_shares import combined, weighted_share

#: Chance of a false alarm, over all looks together.
LEVEL = 0.05

_EMPTY = SimpleInterval(estimate=None, low=None, high=None)


def summarize(
    decided: Sequence[DecidedCase],
    outcomes: Sequence[Outcome],
    policy: PolicyDocument | None = None,
) -> LedgerSummary:
    """Return the document of a ledger; with a policy, that of its own cases.

    Parameters
    ----------
    decided : sequence of DecidedCase
        All decisions.
    outcomes : sequence of Outcome
        In the order of their arrival.
    policy : PolicyDocument, optional
    """
    policies = Counter(row.policy for row in decided)
    rows = [row for row in decided if policy is None or row.policy == policy.digest]
    labels = {outcome.case_id: outcome.label for outcome in outcomes}
    by_condition: dict[tuple[str, str], list[DecidedCase]] = {}
    for row in rows:
        by_condition.setdefault((row.domain, row.condition), []).append(row)
    conditions = tuple(
        LedgerCondition(domain=domain, condition=name, **_results(part, labels, policy))
        for (domain, name), part in sorted(by_condition.items())
    )
    found = _results(rows, labels, policy)
    times = sorted(row.time for row in rows)
    n, n_acted = found["n"], found["n_acted"]
    return LedgerSummary(
        **found,
        policies=dict(sorted(policies.items())),
        policy=None if policy is None else policy.digest,
        models=dict(sorted(Counter(row.model for row in rows).items())),
        first=times[0] if times else None,
        last=times[-1] if times else None,
        acted_share=n_acted / n if n else None,
        escalated_share=found["n_escalated"] / n if n else None,
        audited_share=found["n_audited"] / n_acted if n_acted else None,
        alarm=None if policy is None else _alarm(rows, outcomes, policy),
        conditions=conditions,
        notes=_notes(rows, found, policy),
    )


def promised_wrong_rate(policy: PolicyDocument) -> tuple[float, bool] | None:
    """Return the wrong rate that a policy promised, and whether it is a limit; None if none.

    The limit on wrong actions where it is kept, else the upper end of the 95% interval on held-out
    dialogues. A policy that acts on nothing promised none.
    """
    limit = policy.requirements.max_wrong_rate
    if policy.rule.decides == "always_escalate":
        return None
    if limit is not None and policy.requirements.is_met:
        return limit, True
    exported = [p for p in policy.held_out.policies if p.policy == "exported"] if (
        policy.held_out
    ) else []  # fmt: skip
    high = exported[0].wrong_rate.high if exported else None
    return None if high is None or not 0 < high < 1 else (high, False)


def _results(
    rows: Sequence[DecidedCase], labels: Mapping[str, int], policy: PolicyDocument | None
) -> dict[str, Any]:
    acted = [row for row in rows if row.decision == ACT]
    escalated = [row for row in rows if row.decision != ACT]
    audited = [row for row in acted if row.is_audited]
    known = [row for row in audited if row.case_id in labels]
    known_escalated = [
        row for row in escalated if row.case_id in labels and row.prediction is not None
    ]
    wrong_rate = _wrong_share(known, labels) if _can_be_audited(acted) else None
    escalated_wrong = _wrong_share(known_escalated, labels)
    n = len(rows)
    shares = (len(acted) / n, len(escalated) / n) if n else (0.0, 0.0)
    wrong = combined([(shares[0], wrong_rate), (shares[1], escalated_wrong)])
    cost = None
    if policy is not None and n:
        ratio, h = policy.cost_ratio, policy.human_error_rate
        fixed = shares[1] * (1 + h * ratio)
        of_acted = combined([(shares[0], wrong_rate)]) if acted else (0.0, 0.0, 0.0)
        cost = None if of_acted is None else tuple(ratio * end + fixed for end in of_acted)
    return {
        "n": n,
        "n_acted": len(acted),
        "n_escalated": len(escalated),
        "n_audited": len(audited),
        "n_labelled_acted": len(known),
        "n_labelled_escalated": len(known_escalated),
        "n_pending": sum(row.needs_person and row.case_id not in labels for row in rows),
        "n_unselected": sum(not row.needs_person and row.case_id in labels for row in rows),
        "accuracy": _flipped(wrong),
        "wrong_rate": _interval(None if wrong_rate is None else wrong_rate[:3]),
        "escalated_accuracy": _flipped(None if escalated_wrong is None else escalated_wrong[:3]),
        "cost": _interval(cost),
    }


def _wrong_share(rows: Sequence[DecidedCase], labels: Mapping[str, int]) -> Any:
    wrong = [row.prediction != labels[row.case_id] for row in rows]
    return weighted_share(wrong, [row.propensity for row in rows])


def _can_be_audited(acted: Sequence[DecidedCase]) -> bool:
    """Return whether every acted case had a chance to be audited."""
    return all(row.propensity > 0 for row in acted)


def _interval(ends: Sequence[float] | None) -> SimpleInterval:
    return _EMPTY if ends is None else SimpleInterval(estimate=ends[0], low=ends[1], high=ends[2])


def _flipped(ends: Sequence[float] | None) -> SimpleInterval:
    if ends is None:
        return _EMPTY
    low, high = max(0.0, 1 - ends[2]), min(1.0, 1 - ends[1])
    return SimpleInterval(estimate=1 - ends[0], low=low, high=high)


def _alarm(
    rows: Sequence[DecidedCase], outcomes: Sequence[Outcome], policy: PolicyDocument
) -> LedgerAlarm | None:
    promise = promised_wrong_rate(policy)
    if promise is None:
        return None
    audited = {row.case_id: row for row in rows if row.decision == ACT and row.is_audited}
    wrong = [
        float(audited[outcome.case_id].prediction != outcome.label)
        for outcome in outcomes
        if outcome.case_id in audited
    ]
    test = mean_above(wrong, promise[0], LEVEL)
    return LedgerAlarm(
        promised=promise[0],
        is_limit=promise[1],
        is_raised=test.first is not None,
        level=LEVEL,
        e_value=test.e_value,
        n=len(wrong),
        n_at_alarm=test.first,
        lower_bound=test.bound,
    )


def _notes(
    rows: Sequence[DecidedCase], found: Mapping[str, Any], policy: PolicyDocument | None
) -> tuple[str, ...]:
    notes = []
    n_unseen = sum(row.decision == ACT and row.propensity == 0 for row in rows)
    if n_unseen:
        notes.append(
            f"{count(n_unseen)} acted cases had no chance of an audit: the accuracy over all cases "
            "and the wrong rate are unknown. Export the policy with --audit-rate."
        )
    if found["n_pending"]:
        notes.append(
            f"{count(found['n_pending'])} escalated or audited cases have no label yet. Estimates "
            "suppose that these do not differ from the others."
        )
    if found["n_unselected"]:
        notes.append(
            f"{count(found['n_unselected'])} labels of acted cases that were not audited are not "
            "used: nobody knows how they were selected."
        )
    n_no_prediction = sum(row.prediction is None for row in rows)
    if n_no_prediction:
        notes.append(
            f"{count(n_no_prediction)} escalated cases have no prediction; the accuracy of the "
            "others counts for them."
        )
    if policy is not None and not rows:
        notes.append("The ledger has no case of this policy.")
    return tuple(notes)
