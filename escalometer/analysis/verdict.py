"""The verdict on a release: its decisions measured, compared and held against the gate's rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pyarrow as pa

from escalometer import warehouse
from escalometer.analysis.comparison import ADAPTIVE, build_comparison, resolved_models
from escalometer.analysis.decisions import side_domains
from escalometer.analysis.gate import deployed, judge
from escalometer.analysis.profile import build_profile
from escalometer.analysis.rule_results import Answered
from escalometer.config import GateParams, Params
from escalometer.documents import Profile, Verdict
from escalometer.documents.profile import Design
from escalometer.errors import DataError, ProviderError

#: The note where nothing says what to compare with.
NOT_NAMED = "No release in use was named, so nothing is compared (--against, gate.against)."


def build_verdict(
    decisions: pa.Table,
    model: str,
    source: str,
    params: Params,
    rules: GateParams,
    designs: Mapping[str, Design | None] | None = None,
    note: str | None = None,
) -> Verdict:
    """Return the verdict on `model`, with what was asked, compared and ruled.

    Parameters
    ----------
    decisions : Table
        Of the model and of ``rules.against``, with at least the columns of `decisions.COLUMNS`.
    model, source : str
        Whose decisions are judged, and where they are from.
    params : Params
        Uses `seed` and `analyze`.
    rules : GateParams
    designs : mapping, optional
        Results of adaptive designs, by model.
    note : str, optional
        On the release in use: which it is, or why nothing is compared.

    Raises
    ------
    DataError
        If there is no decision of a model at all.
    """
    # Only the ratio in use is scored: the family that p-values are corrected for is the gate's.
    scoring = params.analyze.model_copy(update={"cost_ratios": (rules.cost_ratio,)})
    params = params.model_copy(update={"analyze": scoring})
    designs = designs or {}
    models = [model] if rules.against is None else [model, rules.against]
    present = set(decisions.column("model").unique().to_pylist())
    for name in models:
        if name not in present:
            raise DataError(f"{source} has no decisions of {name}: evaluate it first")
    rows = warehouse.choose_rows(decisions, {"model": [model]})
    profile = build_profile(rows, model, source, params, design=designs.get(model))
    comparison = None
    notes = list(profile.notes)
    if rules.against is None:
        notes.append(note or NOT_NAMED)
    else:
        notes += [note] if note else []
        effort = rules.reasoning_effort or profile.reasoning_effort
        comparison, _ = build_comparison(decisions, rules.against, model, source, params, effort)
        notes += [note for note in comparison.notes if note not in notes]
        adaptive = [name for name in (rules.against, model) if designs.get(name)]
        notes += [ADAPTIVE.format(" and ".join(adaptive))] if adaptive else []
    answered = _answered(rows, profile, rules)
    if answered.n_failed:
        notes.append(
            f"The provider failed in {answered.n_failed} further dialogues. They count as "
            "missing, not against the model: `escalometer evaluate MODEL --retry error` "
            "requests them again."
        )
    judgement = judge(profile, comparison, answered, rules)
    return Verdict(
        model=model,
        against=rules.against,
        source=source,
        resolved_models=resolved_models(decisions, models),
        verdict=judgement.verdict,
        cost_ratio=rules.cost_ratio,
        optimal_threshold=judgement.optimal_threshold,
        deployed=judgement.deployed,
        n_asked=answered.n_asked,
        n_answered=answered.n_answered,
        n_failed=answered.n_failed,
        rules=judgement.rules,
        n_paired=None if comparison is None else comparison.n_paired,
        notes=tuple(notes),
        params=rules,
        seed=params.seed,
        n_bootstrap=params.analyze.n_bootstrap,
        human_error_rate=params.analyze.human_error_rate,
    )


def _answered(decisions: pa.Table, profile: Profile, rules: GateParams) -> Answered:
    """Return how many dialogues of what is deployed were asked for, and how many answered."""
    variant = deployed(profile, rules).variant
    left_out = side_domains(decisions.column("domain").unique().to_pylist())
    counts: Counter[str] = Counter()
    columns = ("domain", "intervention", "cost_ratio", "reasoning_effort", "framing", "status")
    for row in warehouse.count_rows(decisions, columns):
        if (
            row["intervention"] == variant.intervention
            and row["domain"] not in left_out
            and row["cost_ratio"] in (None, rules.cost_ratio)
            and row["reasoning_effort"] == variant.reasoning_effort
            and rules.framing in (None, row["framing"])
        ):
            counts[row["status"]] += row["n"]
    n_failed = counts.pop("error", 0)
    n_asked = sum(counts.values())
    if n_failed and not n_asked:
        raise ProviderError(
            f"the provider failed in all {n_failed} dialogues of {variant.intervention}, so "
            "there is no verdict: `escalometer evaluate MODEL --retry error` requests them "
            "again"
        )
    return Answered(n_asked, counts["ok"] + counts["forced"], n_failed)
