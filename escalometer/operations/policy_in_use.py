"""The policy in use in a verdict of the gate: `gate.policy`, with what the ledger says of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from escalometer import layout
from escalometer.analysis.policy_document import prompts_of
from escalometer.analysis.policy_in_use import Evaluated, policy_is_current
from escalometer.documents import Verdict
from escalometer.documents.verdict import Outcome
from escalometer.operations import ledger, policy_file
from escalometer.runtime.files import digest


def with_policy(
    verdict: Verdict,
    load: Callable[[], pa.Table],
    root: Path = Path(),
    model: str | None = None,
) -> Verdict:
    """Return a verdict with the rule `policy_is_current`; unchanged where `gate.policy` is null.

    Parameters
    ----------
    verdict : Verdict
    load : callable
        Returns the decisions of the judged model with the columns of `policy_document.COLUMNS`;
        called where there is a policy.
    root : Path
        The project.
    model : str, optional
        The model, where the verdict calls it by its file.

    Raises
    ------
    UsageError
        If the policy or the ledger cannot be read.
    DataError
        If the policy was changed after its export.
    """
    name = verdict.params.policy
    if name is None:
        return verdict
    path = root / name
    _, policy = policy_file.read(path)
    place = layout.ledger_file(root)
    summary = ledger.show(place, policy) if place.is_file() else None
    evaluated = Evaluated(
        model or verdict.model,
        verdict.resolved_models.get(verdict.model, ()),
        prompts_of(load(), verdict) if verdict.n_asked else None,
    )
    found = policy_is_current(policy, evaluated, summary, verdict.params, datetime.now(UTC))
    rules = (*verdict.rules, found)
    outcomes = {result.verdict for result in rules}
    overall: Outcome = (
        "fail" if "fail" in outcomes else "inconclusive" if "inconclusive" in outcomes else "pass"
    )
    files = {**verdict.files, name: f"sha256:{digest(path)}"}
    return verdict.model_copy(update={"rules": rules, "verdict": overall, "files": files})
