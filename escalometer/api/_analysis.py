"""Profile, comparison, verdict and report of decisions."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from escalometer.api._decisions import Table, opened
from escalometer.config import IN_USE, Params, default_params
from escalometer.documents import Comparison, Profile, Verdict
from escalometer.errors import UsageError
from escalometer.operations import decision_tables, table_sides
from escalometer.operations.decision_tables import check_ratio, scored_at
from escalometer.operations.gate import rules_of


def profile(
    table: Table,
    model: str | None = None,
    *,
    domains: Sequence[str] | None = None,
    pool_isolated: bool = False,
    cost_ratio: float | None = None,
    mapping: Mapping[str, str] | None = None,
    params: Params | None = None,
) -> Profile:
    """Return the escalation profile of a model.

    Parameters
    ----------
    table, mapping
        As for `read`.
    model : str, optional
        The model; may be left out where there is one.
    domains : sequence of str, optional
        Use these domains only.
    pool_isolated : bool, default False
        Whether to count isolated turns among the others, as the study did.
    cost_ratio : float, optional
        Cost of a wrong action in escalations, above 1; that of `params` by default.
    params : Params, optional
        Of `parameters`; the built-in ones by default.

    Raises
    ------
    UsageError
        As `read`, and if there is no such model or domain, or the model must be named.
    DataError
        As `read`.
    """
    settings = scored_at(params or default_params(), cost_ratio)
    with opened(table, mapping) as found:
        return decision_tables.profile(found, settings, model, domains, pool_isolated)


def compare(
    first: Table,
    second: Table | None = None,
    *,
    models: tuple[str | None, str | None] = (None, None),
    cost_ratio: float | None = None,
    mapping: Mapping[str, str] | None = None,
    params: Params | None = None,
) -> Comparison:
    """Return the comparison of two models: the second's numbers minus the first's.

    Parameters
    ----------
    first : path, ArrowTable or Decisions
        As for `read`.
    second : path, ArrowTable or Decisions, optional
        Decisions of the second model; by default those of both are in `first`.
    models : tuple of str and str
        The first model and the second; may be left out where each table has one. A model that is
        in both tables is called by the tables.
    cost_ratio, params
        As for `profile`.
    mapping
        As for `read`, for both tables.

    Raises
    ------
    UsageError
        As `profile`, and if both sides are the same.
    DataError
        As `read`.
    """
    return _compared(first, second, models, cost_ratio, mapping, params)[0]


def disagreements(
    first: Table,
    second: Table | None = None,
    *,
    models: tuple[str | None, str | None] = (None, None),
    mapping: Mapping[str, str] | None = None,
) -> pa.Table:
    """Return every dialogue in which two models differ, one row per dialogue on the same scenario.

    Parameters
    ----------
    first, second, models, mapping
        As for `compare`, as are the errors.
    """
    return _compared(first, second, models, None, mapping, None)[1]


def _compared(
    first: Table,
    second: Table | None,
    models: tuple[str | None, str | None],
    cost_ratio: float | None,
    mapping: Mapping[str, str] | None,
    params: Params | None,
) -> tuple[Comparison, pa.Table]:
    settings = scored_at(params or default_params(), cost_ratio)
    with contextlib.ExitStack() as stack:
        old = stack.enter_context(opened(first, mapping))
        new = old if second is None else stack.enter_context(opened(second, mapping))
        return table_sides.compare(table_sides.sides(old, new, models), settings)


def gate(
    table: Table,
    model: str | None = None,
    *,
    against: Table | None = None,
    cost_ratio: float | None = None,
    intervention: str | None = None,
    mapping: Mapping[str, str] | None = None,
    params: Params | None = None,
) -> Verdict:
    """Return the verdict on a model: pass, fail or inconclusive, with the reasons.

    Parameters
    ----------
    table, mapping
        As for `read`.
    model : str, optional
        The release that is judged; may be left out where there is one.
    against : str, path, ArrowTable or Decisions, optional
        The release in use: a model of `table`, or another table with one model or this one.
    cost_ratio : float, optional
        Cost of a wrong action in escalations, above 1; that of `params` by default.
    intervention : str, optional
        The intervention that is deployed; that of `params`, or the only one that there is, by
        default.
    params : Params, optional
        The limits, from `parameters`; the built-in ones by default.

    Raises
    ------
    UsageError
        As `profile`, and if it is unknown which intervention is deployed.
    DataError
        As `read`.
    ProviderError
        If the provider failed in every dialogue that would be judged.
    """
    settings = params or default_params()
    check_ratio(cost_ratio)
    rules = rules_of(settings, cost_ratio=cost_ratio)
    with contextlib.ExitStack() as stack:
        judged = stack.enter_context(opened(table, mapping))
        in_use = rules.against if against is None else against
        if in_use is None:
            both = [table_sides.Side.alone(judged, model)]
        elif isinstance(in_use, str) and in_use in judged.known["models"]:
            both = table_sides.sides(judged, judged, (in_use, model))
        elif isinstance(in_use, str) and in_use == IN_USE:
            raise UsageError(f"{IN_USE} is no model of {judged.name}: name the release in use")
        else:
            other = stack.enter_context(opened(in_use, mapping))
            same = model if model in other.known["models"] else None
            both = table_sides.sides(other, judged, (same, model))
        return table_sides.gate(both, settings, rules, intervention)


def report(
    table: Table,
    out: Path | str,
    *,
    cost_ratio: float | None = None,
    mapping: Mapping[str, str] | None = None,
    params: Params | None = None,
) -> Path:
    """Write a page with the profiles of all models, and return its path.

    Parameters
    ----------
    table, mapping
        As for `read`, as are the errors.
    out : path
        The page's folder; made where it does not exist.
    cost_ratio, params
        As for `profile`.
    """
    settings = scored_at(params or default_params(), cost_ratio)
    with opened(table, mapping) as found:
        # Further processes would run a script again that calls this function at its top level.
        return decision_tables.report(found, settings, Path(out), n_processes=1)
