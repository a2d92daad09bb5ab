"""The gate's rule `policy_is_current`: the policy in use against the evaluation and the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from escalometer.analysis.ledger_results import promised_wrong_rate
from escalometer.analysis.rule_results import rule
from escalometer.config import GateParams
from escalometer.documents import PolicyDocument
from escalometer.documents.ledger import LedgerSummary
from escalometer.documents.verdict import Observed, Outcome, RuleResult
from escalometer.documents.wording import count, share

NAME = "policy_is_current"


class Evaluated(NamedTuple):
    """The release that the gate judged: model, names that answered, digest of the prompts."""

    model: str
    resolved_models: Sequence[str]
    prompts: str | None


def policy_is_current(
    policy: PolicyDocument,
    evaluated: Evaluated,
    ledger: LedgerSummary | None,
    rules: GateParams,
    now: datetime,
) -> RuleResult:
    """Return the result of the rule.

    It fails if the policy is expired, is for another model, version or prompt than was evaluated,
    or if the ledger shows that more of its actions are wrong than it promised: the lower bound,
    which holds at every look, is above. It is inconclusive with too few labels of audited cases.

    Parameters
    ----------
    policy : PolicyDocument
    evaluated : Evaluated
    ledger : LedgerSummary, optional
        Of the policy's own cases; None where there is no ledger.
    rules : GateParams
        Uses `min_audited`.
    now : datetime
        With a time zone.
    """
    promise = promised_wrong_rate(policy)
    limit = 1.0 if promise is None else promise[0]
    outdated = _outdated(policy, evaluated, now)
    if outdated:
        return rule(NAME, "fail", None, limit, f"{'; '.join(outdated)}: export the policy again")
    if policy.rule.decides == "always_escalate":
        return rule(NAME, "pass", None, limit, "current; it escalates every decision")
    if promise is None:
        why = "the policy has no limit on wrong actions, and none were measured on held-out cases"
        return rule(NAME, "inconclusive", None, limit, why)
    alarm = None if ledger is None else ledger.alarm
    if ledger is None or alarm is None:
        return rule(NAME, "inconclusive", None, limit, "there is no ledger (`escalometer ledger`)")
    wrong = ledger.wrong_rate
    observed = Observed(estimate=wrong.estimate, low=wrong.low, high=wrong.high)
    known = (
        f"{count(alarm.n)} labels of audited cases: at least {share(alarm.lower_bound)} of the "
        f"acted cases are wrong, promised: at most {share(alarm.promised)}"
    )
    outcome: Outcome = "pass"
    if alarm.is_raised or alarm.lower_bound > alarm.promised:
        outcome = "fail"
    elif alarm.n < rules.min_audited:
        known = f"too few labels: gate.min_audited is {rules.min_audited}; {known}"
        outcome = "inconclusive"
    return rule(NAME, outcome, observed if wrong.estimate is not None else None, limit, known)


def _outdated(policy: PolicyDocument, evaluated: Evaluated, now: datetime) -> list[str]:
    found = []
    if now >= datetime.fromisoformat(policy.expires_at):
        found.append(f"it expired at {policy.expires_at}")
    if policy.model != evaluated.model:
        found.append(f"it is for {policy.model}, not for {evaluated.model}")
    unknown = sorted(set(evaluated.resolved_models) - set(policy.resolved_models))
    if unknown:
        known = ", ".join(policy.resolved_models) or "none"
        found.append(f"{', '.join(unknown)} answered, the policy knows: {known}")
    if policy.digests.prompts != evaluated.prompts:
        found.append("the evaluated prompts are not those of the policy")
    return found
