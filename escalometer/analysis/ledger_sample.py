"""A ledger's cases as decisions for unweighted metrics: each has the same chance to be among them.

Of acted cases only the audited ones have a label from a person, so escalated ones are thinned to
the same rate. Shares of the sample then estimate shares of all cases without weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from escalometer.documents.wording import count, share
from escalometer.errors import DataError
from escalometer.ledger import ACT, DecidedCase, Outcome


class LedgerSample(NamedTuple):
    """Rows in the import schema, and remarks on how they were chosen."""

    rows: list[dict[str, Any]]
    notes: tuple[str, ...]


def equal_sample(
    decided: Sequence[DecidedCase],
    outcomes: Sequence[Outcome],
    draw: Callable[[str, str], float],
) -> LedgerSample:
    """Return labelled cases, each of which was kept with the same probability.

    The probability is the lowest audit rate of the policies in the ledger. An audited case of a
    policy with a higher rate, and an escalated case, are kept if a draw that depends on nothing but
    the case says so. Policies without audits are left out. The column `escalate` is the policy's
    decision, not the model's own action.

    Parameters
    ----------
    decided : sequence of DecidedCase
    outcomes : sequence of Outcome
    draw : callable
        Returns a number in [0, 1) for two texts: `Ledger.draw`.

    Raises
    ------
    DataError
        If no case is left, or a case has no signal's percentage.
    """
    unseen = {row.policy for row in decided if row.decision == ACT and row.propensity == 0}
    usable = [row for row in decided if row.policy not in unseen]
    rate = min((row.propensity for row in usable), default=1.0)
    labels = {outcome.case_id: outcome.label for outcome in outcomes}
    # Not the draw of the audit: that one is below the rate for every audited case.
    kept = [
        row
        for row in usable
        if row.needs_person
        and row.prediction is not None
        and draw(f"{row.policy}\0sample", row.case_id) * row.propensity < rate
    ]
    labelled = [row for row in kept if row.case_id in labels]
    if not labelled:
        raise DataError(
            "the ledger has no labelled case that a profile can be made from: policies need an "
            "audit rate (policy export --audit-rate), and outcomes (escalometer ledger join)"
        )
    lacking = [
        row.case_id for row in labelled if row.signal_accuracy is None or row.has_signal is None
    ]
    if lacking:
        raise DataError(
            f"{count(len(lacking))} cases of the ledger, {lacking[0]!r} first, lack "
            "signal_accuracy or has_signal, which a profile needs: record them with the decision"
        )
    notes = [
        f"Cases of the ledger: {count(len(labelled))} of {count(len(usable))}, each drawn with "
        f"probability {share(rate)}, so that metrics need no weights. `escalometer ledger show` "
        "uses all labels. Column escalate: the policy's decision."
    ]
    if len(labelled) < len(kept):
        notes.append(f"{count(len(kept) - len(labelled))} drawn cases have no label yet.")
    if unseen:
        notes.append(
            f"Left out: {count(len(decided) - len(usable))} cases of {count(len(unseen))} policies "
            "that audit nothing."
        )
    # One case may be decided by several policies.
    n_before: Counter[str] = Counter()
    places = {}
    for row in labelled:
        places[row] = n_before[row.case_id]
        n_before[row.case_id] += 1
    rows = [
        {
            "model": row.model,
            "domain": row.domain,
            "condition": row.condition,
            "scenario_id": row.case_id,
            "replicate": places[row],
            "signal_accuracy": row.signal_accuracy,
            "has_signal": row.has_signal,
            "label": labels[row.case_id],
            "prediction": row.prediction,
            "escalate": int(row.decision != ACT),
            "stated_confidence": row.confidence,
            "resolved_model": row.resolved_model,
        }
        for row in labelled
    ]
    return LedgerSample(rows, tuple(notes))
