"""Policies: their export from decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pyarrow as pa

from escalometer import layout, warehouse
from escalometer.analysis.decisions import load_decisions
from escalometer.analysis.policy_choice import Limits
from escalometer.analysis.policy_document import COLUMNS, Export, build_policy
from escalometer.config import Params, load_card
from escalometer.documents import PolicyDocument, Verdict
from escalometer.errors import UsageError
from escalometer.layout import PIPELINE
from escalometer.operations import gate, recorded_sources, table_sides
from escalometer.operations.decision_tables import DecisionTable
from escalometer.runtime.files import write_json


@dataclass(frozen=True)
class Wanted:
    """The limits and settings of an export.

    Attributes
    ----------
    cost_ratio : float
        R, above 1.
    limits : Limits
    intervention : str, optional
        The one that is deployed; `gate.intervention` by default.
    valid_days : int, optional
        `policy.valid_days` by default.
    audit_rate : float, optional
        `policy.audit_rate` by default.
    """

    cost_ratio: float
    limits: Limits = field(default_factory=Limits)
    intervention: str | None = None
    valid_days: int | None = None
    audit_rate: float | None = None


def of_model(
    model: str,
    wanted: Wanted,
    params: Params,
    root: Path = Path(),
    source: str = PIPELINE,
    uri: str | None = None,
) -> PolicyDocument:
    """Return the policy of a model of the project, or of a source.

    Parameters
    ----------
    model : str
    wanted : Wanted
    params : Params
        Uses `seed`, `domains`, `analyze`, `gate` and `policy`.
    root : Path
        The project.
    source : str
        Where decisions are from.
    uri : str, optional
        MLflow's tracking address, for a gate against ``in-use``.

    Raises
    ------
    UsageError
        If a name does not exist, or it is unknown which variant is deployed.
    DataError
        If decisions are absent, or none has an answer.
    ProviderError
        As `gate.run`.
    """
    verdict = gate.run(
        model, _without_policy(params), root, cost_ratio=wanted.cost_ratio, source=source,
        intervention=wanted.intervention, uri=uri,
    )  # fmt: skip
    retires = None
    if source == PIPELINE:
        rows = load_decisions(model, params.domains, root)
        retires = load_card(model, layout.cards_folder(root)).retires
    else:
        rows = recorded_sources.load(source, root)
    last = None if retires is None else datetime.combine(retires, time(), UTC)
    return _built(warehouse.choose_rows(rows, {"model": [model]}), verdict, wanted, params, last)


def of_table(
    table: DecisionTable, wanted: Wanted, params: Params, model: str | None = None
) -> PolicyDocument:
    """Return the policy of a model of a file; errors as of `of_model`.

    Nothing is compared with the release in use: the gate's verdict is on the model alone.
    """
    side = table_sides.Side.alone(table, model)
    rules = gate.rules_of(_without_policy(params), cost_ratio=wanted.cost_ratio)
    verdict = table_sides.gate([side], params, rules, wanted.intervention)
    rows = warehouse.read_rows([table.decisions], COLUMNS, {"model": [side.model]})
    return _built(rows, verdict, wanted, params, None)


def write(document: PolicyDocument, path: Path) -> None:
    """Write a policy as JSON, whole or not at all.

    Raises
    ------
    UsageError
        If the file cannot be written.
    """
    try:
        write_json(document.as_json(), path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


def _without_policy(params: Params) -> Params:
    """Return the parameters with no policy in use: a new one is not judged by its predecessor."""
    return params.model_copy(update={"gate": params.gate.model_copy(update={"policy": None})})


def _built(
    rows: pa.Table, verdict: Verdict, wanted: Wanted, params: Params, last: datetime | None
) -> PolicyDocument:
    """Return the policy; `last` is when the model retires, if that is known."""
    now = datetime.now(UTC).replace(microsecond=0)
    expires = now + timedelta(days=wanted.valid_days or params.policy.valid_days)
    export = Export(
        cost_ratio=wanted.cost_ratio,
        human_error_rate=params.analyze.human_error_rate,
        limits=wanted.limits,
        seed=params.seed,
        created_at=now,
        expires_at=expires if last is None else min(expires, last),
        audit_rate=(params.policy.audit_rate if wanted.audit_rate is None else wanted.audit_rate),
    )
    return build_policy(rows, verdict, export)
