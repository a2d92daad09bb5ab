"""The gate: one model, from decisions to pass, fail or inconclusive, with all that it rests on."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from escalometer import __version__, warehouse
from escalometer.analysis.decisions import load_decisions
from escalometer.analysis.policy_document import COLUMNS
from escalometer.analysis.self_check import self_check
from escalometer.analysis.verdict import build_verdict
from escalometer.config import GateParams, Params
from escalometer.documents import Verdict
from escalometer.layout import PIPELINE
from escalometer.operations import recorded_sources, registry
from escalometer.operations.decisions import decisions_of, design_of
from escalometer.operations.policy_in_use import with_policy

#: Exit codes of the verdicts.
EXIT_CODES = {"pass": 0, "fail": 1, "inconclusive": 2}


def run(
    model: str,
    params: Params,
    root: Path = Path(),
    against: str | None = None,
    cost_ratio: float | None = None,
    source: str = PIPELINE,
    intervention: str | None = None,
    is_checked: bool = False,
    uri: str | None = None,
) -> Verdict:
    """Return the document of ``escalometer gate --json``.

    Parameters
    ----------
    model : str
        The release that is judged.
    params : Params
        Uses `seed`, `domains`, `analyze`, `gate` and `track.registered_model`.
    root : Path
        The project.
    against : str, optional
        The release in use, ``in-use`` for that of MLflow's alias; `gate.against` by default.
    cost_ratio : float, optional
        R in use; `gate.cost_ratio` by default.
    source : str
        Where decisions are from.
    intervention : str, optional
        The one that is deployed; `gate.intervention` by default.
    is_checked : bool
        True to add the self-check, which takes minutes.
    uri : str, optional
        MLflow's tracking address, for ``in-use``; the project's own by default.

    Raises
    ------
    UsageError
        If a name does not exist, or the rules do not say what is deployed.
    DataError
        If decisions are absent or lack a column.
    ProviderError
        If the provider failed in every dialogue that would be judged, or MLflow is needed and
        cannot be reached.
    """
    rules = rules_of(params, cost_ratio=cost_ratio, against=against, intervention=intervention)
    found, note = registry.resolved(model, rules.against, root, uri, params.track.registered_model)
    rules = rules.model_copy(update={"against": found})
    models = [model] if rules.against is None else [model, rules.against]
    decisions, files = decisions_of(models, source, params, root)
    designs = {name: design_of(name, source, root) for name in models}
    verdict = build_verdict(decisions, model, source, params, rules, designs, note)
    if is_checked:
        verdict = with_self_check(verdict, decisions, params)
    verdict = with_origin(verdict, files)
    return with_policy(verdict, lambda: _of_model(model, source, params, root), root)


def _of_model(model: str, source: str, params: Params, root: Path) -> pa.Table:
    """Return the decisions of a model with the columns that a policy is made from."""
    if source == PIPELINE:
        rows = load_decisions(model, params.domains, root)
    else:
        rows = recorded_sources.load(source, root)
    return warehouse.choose_rows(rows.select(list(COLUMNS)), {"model": [model]})


def with_self_check(verdict: Verdict, decisions: pa.Table, params: Params) -> Verdict:
    """Return a verdict with its self-check, made from the decisions that it rests on."""
    return verdict.model_copy(update={"self_check": self_check(decisions, verdict, params)})


def rules_of(params: Params, **changes: Any) -> GateParams:
    """Return the rules of the parameters with changes; None changes nothing."""
    rules = {name: value for name, value in changes.items() if value is not None}
    return params.gate.model_copy(update=rules)


def with_origin(verdict: Verdict, files: Mapping[str, str]) -> Verdict:
    """Return a verdict with the digests of the files that it rests on, version and time."""
    return verdict.model_copy(
        update={
            "files": dict(files),
            "version": __version__,
            "python": platform.python_version(),
            "judged_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )
