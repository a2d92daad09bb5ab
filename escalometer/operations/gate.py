"""The gate: one model, from decisions to pass, fail or inconclusive, with all that it rests on."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from pathlib import Path

from escalometer import __version__
from escalometer.analysis.verdict import build_verdict
from escalometer.config import Params
from escalometer.documents import Verdict
from escalometer.layout import PIPELINE
from escalometer.operations.decisions import decisions_of, design_of

#: Exit codes of the verdicts.
EXIT_CODES = {"pass": 0, "fail": 1, "inconclusive": 2}


def run(
    model: str,
    params: Params,
    root: Path = Path(),
    against: str | None = None,
    cost_ratio: float | None = None,
    source: str = PIPELINE,
) -> Verdict:
    """Return the document of ``escalometer gate --json``.

    Parameters
    ----------
    model : str
        The release that is judged.
    params : Params
        Uses `seed`, `domains`, `analyze` and `gate`.
    root : Path
        The project.
    against : str, optional
        The release in use; `gate.against` by default.
    cost_ratio : float, optional
        R in use; `gate.cost_ratio` by default.
    source : str
        Where decisions are from.

    Raises
    ------
    UsageError
        If a name does not exist, or the rules do not say what is deployed.
    DataError
        If decisions are absent or lack a column.
    ProviderError
        If the provider failed in every dialogue that would be judged.
    """
    changes = {"cost_ratio": cost_ratio, "against": against}
    rules = params.gate.model_copy(
        update={name: value for name, value in changes.items() if value is not None}
    )
    models = [model] if rules.against is None else [model, rules.against]
    decisions, files = decisions_of(models, source, params, root)
    designs = {name: design_of(name, source, root) for name in models}
    verdict = build_verdict(decisions, model, source, params, rules, designs)
    return verdict.model_copy(
        update={
            "files": files,
            "version": __version__,
            "python": platform.python_version(),
            "judged_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )
