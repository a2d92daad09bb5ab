"""The document of ``escalometer ledger show --json``."""

from __future__ import annotations

from pydantic import Field

from escalometer.documents.document import Document
from escalometer.documents.interval import SimpleInterval


class LedgerCounts(Document):
    """Cases by what the policy decided and by what is known of them."""

    n: int = Field(description="Cases that were decided.")
    n_acted: int = Field(description="Those on which the policy acts.")
    n_escalated: int = Field(description="Those that it escalates.")
    n_audited: int = Field(description="Acted cases that were drawn for an audit.")
    n_labelled_acted: int = Field(description="Audited cases whose label is known.")
    n_labelled_escalated: int = Field(
        description="Escalated cases with a prediction whose label is known."
    )
    n_pending: int = Field(description="Escalated and audited cases without a label so far.")
    n_unselected: int = Field(
        description="Labels of acted cases that were not drawn for an audit, e.g. complaints. "
        "Nobody knows how they were selected: no number uses them."
    )


class LedgerEstimates(Document):
    """Estimates for all cases from the labels, each weighted by its propensity.

    Intervals are 95%: Wilson's, with Kish's effective number of labels; those of sums over acted
    and escalated cases by the MOVER. Null where there is no label, or cases could not be audited.
    """

    accuracy: SimpleInterval = Field(
        description="Predictive accuracy over all cases, acted and escalated."
    )
    wrong_rate: SimpleInterval = Field(description="Share of the acted cases that are wrong.")
    escalated_accuracy: SimpleInterval = Field(
        description="Predictive accuracy of the escalated cases."
    )
    cost: SimpleInterval = Field(
        description="Realized cost per case, in escalations; null without a policy file. The cost "
        "of audits is not part of it."
    )


class LedgerCondition(LedgerCounts, LedgerEstimates):
    """The same for one condition."""

    domain: str = Field(description="The domain.")
    condition: str = Field(description="The condition.")


class LedgerAlarm(Document):
    """The test that the wrong rate is above what the policy promised, valid at every look.

    It takes labels of audited cases in the order of their arrival. Method:
    docs/decisions/0041-ledger.md.
    """

    promised: float = Field(
        description="The policy's wrong rate: the limit that it keeps (`max_wrong_rate`), else the "
        "upper end of the interval on its held-out dialogues."
    )
    is_limit: bool = Field(description="True if it is the limit.")
    is_raised: bool = Field(description="True if the evidence ever reached 1 / `level`.")
    level: float = Field(description="Chance of a false alarm, over all looks together.")
    e_value: float = Field(description="Largest evidence so far; 1 is none.")
    n: int = Field(description="Labels of audited cases.")
    n_at_alarm: int | None = Field(description="Those after which it was raised; null if not.")
    lower_bound: float = Field(
        description="The wrong rate is at least this, with confidence 1 − `level` at every look."
    )


class LedgerSummary(LedgerCounts, LedgerEstimates):
    """The ledger: what policies decided in service, and what became of it."""

    policies: dict[str, int] = Field(description="Cases by the digest of the policy.")
    policy: str | None = Field(description="Digest of the policy that is shown; null for all.")
    models: dict[str, int] = Field(description="Cases by model.")
    first: str | None = Field(description="Time of the first decision; null without one.")
    last: str | None = Field(description="Time of the last decision.")
    acted_share: float | None = Field(description="Share of acted cases.")
    escalated_share: float | None = Field(description="Share of escalated cases.")
    audited_share: float | None = Field(description="Share of acted cases that are audited.")
    alarm: LedgerAlarm | None = Field(
        description="Null without a policy file, or where it promised no wrong rate."
    )
    conditions: tuple[LedgerCondition, ...] = Field(description="By condition, in order.")
    notes: tuple[str, ...] = Field(description="Remarks on how the numbers came about.")
