"""Decisions of two models in one table or in two: their comparison, and the verdict on one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from escalometer import warehouse
from escalometer.analysis.comparison import build_comparison
from escalometer.analysis.policy_document import COLUMNS as POLICY_COLUMNS
from escalometer.analysis.verdict import build_verdict
from escalometer.config import GateParams, Params
from escalometer.documents import Comparison, Verdict
from escalometer.errors import UsageError, unknown_name
from escalometer.operations.decision_tables import DecisionTable
from escalometer.operations.gate import with_origin, with_self_check
from escalometer.operations.policy_in_use import with_policy

#: Interventions that are asked about for what they show, and are deployed by nobody.
_CONTROLS = (
    *("no_signal", "isolated", "swapped_actions", "length_control", "other_signal"),
    *("peer_acted", "peer_escalated", "unattributed_acted", "unattributed_escalated"),
)


@dataclass(frozen=True)
class Side:
    """A model of a table in a comparison, and what documents call it."""

    table: DecisionTable
    model: str
    label: str

    @classmethod
    def alone(cls, table: DecisionTable, model: str | None) -> Side:
        """Return the one side of what is not compared; None for the only model."""
        name = table.model(model)
        return cls(table, name, name)

    def rows(self) -> pa.Table:
        """Return its decisions."""
        return self.table.rows(self.model, self.label)


def sides(first: DecisionTable, second: DecisionTable, models: Sequence[str | None]) -> list[Side]:
    """Return the two sides of a comparison; a model that both tables have is called by the table.

    Parameters
    ----------
    first, second : DecisionTable
        May be the same.
    models : sequence of str or None
        The model of each; None for the only one.

    Raises
    ------
    UsageError
        If there is no such model, it must be named, or both sides are the same.
    """
    names = [table.model(model) for table, model in zip((first, second), models, strict=True)]
    if names[0] != names[1]:
        labels = names
    elif first is second:
        raise UsageError(f"{names[0]} cannot be compared with itself: name two models")
    else:
        by_name, by_place = [first.name, second.name], [first.place, second.place]
        pairs = (by_name, by_place, ["first", "second"])
        labels = next(pair for pair in pairs if pair[0] != pair[1])
    return [
        Side(table, name, label)
        for table, name, label in zip((first, second), names, labels, strict=True)
    ]


def compare(both: Sequence[Side], params: Params) -> tuple[Comparison, pa.Table]:
    """Return the comparison of two sides, and every dialogue in which they differ.

    Differences are the second's numbers minus the first's.
    """
    first, second = both
    decisions = pa.concat_tables([first.rows(), second.rows()])
    comparison, dialogues = build_comparison(
        decisions, first.label, second.label, _source(both), params
    )
    return comparison.with_notes(*_renamed(both)), dialogues


def gate(
    both: Sequence[Side],
    params: Params,
    rules: GateParams,
    intervention: str | None = None,
    is_checked: bool = False,
    note: str | None = None,
) -> Verdict:
    """Return the verdict on a model of a table.

    Parameters
    ----------
    both : sequence of Side
        The release in use, where there is one, then the release that is judged.
    params : Params
        Uses `seed` and `analyze`.
    rules : GateParams
        Its `against` is replaced by the release in use. The path `policy` is relative to the
        current folder.
    intervention : str, optional
        The one that is deployed; that of the rules, or the only one that there is, by default.
    is_checked : bool
        True to add the self-check, which takes minutes.
    note : str, optional
        As of `build_verdict`.

    Raises
    ------
    UsageError
        If there is no such intervention, or it is unknown which intervention is deployed.
    ProviderError
        If the provider failed in every dialogue that would be judged.
    """
    judged = both[-1]
    parts = [side.rows() for side in both]
    decisions = pa.concat_tables(parts)
    chosen = _intervention(judged, parts[-1], rules.intervention, intervention)
    against = both[0].label if len(both) > 1 else None
    changed = rules.model_copy(update={"against": against, "intervention": chosen})
    verdict = build_verdict(decisions, judged.label, _source(both), params, changed, note=note)
    if is_checked:
        verdict = with_self_check(verdict, decisions, params)
    files = {side.table.place: f"sha256:{side.table.digest}" for side in both}
    notes = list(_renamed(both))
    if intervention is None and chosen != rules.intervention:
        notes.append(
            f"Intervention {chosen}: the only one of {judged.table.name} that can be deployed "
            f"(gate.intervention is {rules.intervention})."
        )
    verdict = with_origin(verdict.model_copy(update={"notes": (*verdict.notes, *notes)}), files)
    return with_policy(verdict, lambda: _for_policy(judged), model=judged.model)


def _for_policy(side: Side) -> pa.Table:
    """Return the decisions of a side with the columns that a policy is made from."""
    model = {"model": [side.model]}
    return warehouse.read_rows([side.table.decisions], POLICY_COLUMNS, model)


def _intervention(side: Side, rows: pa.Table, usual: str, wanted: str | None) -> str:
    """Return the intervention that is judged: the rules', or the only one that there is."""
    known: set[str] = set(rows.column("intervention").unique().to_pylist())
    if wanted is not None:
        if wanted not in known:
            raise unknown_name("intervention", wanted, known)
        return wanted
    candidates = sorted(known - set(_CONTROLS))
    if usual in known or not candidates:
        return usual
    if len(candidates) > 1:
        raise UsageError(
            f"{side.table.name} has the interventions {', '.join(candidates)} of {side.model}: "
            "name the one that is deployed: --intervention"
        )
    return candidates[0]


def _source(both: Sequence[Side]) -> str:
    return ", ".join(dict.fromkeys(side.table.name for side in both))


def _renamed(both: Sequence[Side]) -> list[str]:
    """Return a note where sides are not called by their models."""
    model, label = both[0].model, both[0].label
    if model == label:
        return []
    return [f"Both sides are decisions of {model}; they are called by their tables."]
