"""The gate: one model, from decisions to pass, fail or inconclusive, with all that it rests on."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from escalometer import __version__
from escalometer.analysis.comparison import resolved_models
from escalometer.analysis.gate import deployed, judge
from escalometer.analysis.verdicts import Answered
from escalometer.config import GateParams, Params
from escalometer.errors import DataError, ProviderError
from escalometer.operations.compare import ADAPTIVE, build_comparison
from escalometer.operations.decisions import decisions_of, design_of
from escalometer.stages import PIPELINE
from escalometer.stages.analyze import build_profile, side_domains

#: Exit codes of the verdicts.
EXIT_CODES = {"pass": 0, "fail": 1, "inconclusive": 2}


def run(
    model: str,
    params: Params,
    root: Path = Path(),
    against: str | None = None,
    cost_ratio: float | None = None,
    source: str = PIPELINE,
) -> dict[str, Any]:
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
    document = build_verdict(decisions, model, source, params, rules, designs)
    return {
        **document,
        "files": files,
        "version": __version__,
        "python": platform.python_version(),
        "judged_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def build_verdict(
    decisions: pa.Table,
    model: str,
    source: str,
    params: Params,
    rules: GateParams,
    designs: Mapping[str, Mapping[str, Any] | None] | None = None,
) -> dict[str, Any]:
    """Return the verdict on `model`, with what was asked, compared and ruled.

    Parameters
    ----------
    decisions : Table
        Of the model and of ``rules.against``, with at least the columns of `analyze.COLUMNS`.
    model, source : str
        Whose decisions are judged, and where they are from.
    params : Params
        Uses `seed` and `analyze`.
    rules : GateParams
    designs : mapping, optional
        What an adaptive design achieved, by model.

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
            raise DataError(f"there is not one decision of {name} in {source}: evaluate it first")
    own = decisions.filter(pc.field("model") == model)
    profile = build_profile(own, model, source, params, design=designs.get(model))
    comparison = None
    notes = list(profile["notes"])
    if rules.against is None:
        notes.append("No release in use was named: nothing is compared (--against, gate.against).")
    else:
        effort = rules.reasoning_effort or profile["reasoning_effort"]
        comparison, _ = build_comparison(decisions, rules.against, model, source, params, effort)
        notes += [said for said in comparison["notes"] if said not in notes]
        adaptive = [name for name in (rules.against, model) if designs.get(name)]
        notes += [ADAPTIVE.format(" and ".join(adaptive))] if adaptive else []
    answered = _answered(own, profile, rules)
    if answered.n_failed:
        notes.append(
            f"The provider failed in {answered.n_failed} further dialogues. They count as missing, "
            "not against the model: `escalometer evaluate MODEL --retry error` asks again."
        )
    verdict = judge(profile, comparison, answered, rules)
    return {
        "model": model,
        "against": rules.against,
        "source": source,
        "resolved_models": resolved_models(decisions, models),
        **verdict,
        "n_paired": None if comparison is None else comparison["n_paired"],
        "notes": notes,
        "params": rules.model_dump(),
        "seed": params.seed,
        "n_bootstrap": params.analyze.n_bootstrap,
        "human_error_rate": params.analyze.human_error_rate,
    }


def _answered(own: pa.Table, profile: Mapping[str, Any], rules: GateParams) -> Answered:
    """Return how many dialogues of what is deployed were asked for, and how many answered."""
    arm = deployed(profile, rules)
    side = side_domains(own.column("domain").unique().to_pylist())
    kept = (
        (pc.field("intervention") == arm["intervention"])
        & ~pc.field("domain").isin(pa.array(side, pa.string()))
        & (pc.field("cost_ratio").is_null() | (pc.field("cost_ratio") == rules.cost_ratio))
    )
    effort = arm["reasoning_effort"]
    kept &= (
        pc.field("reasoning_effort").is_null()
        if effort is None
        else pc.field("reasoning_effort") == effort
    )
    if rules.framing is not None:
        kept &= pc.field("framing") == rules.framing
    counts = Counter(own.filter(kept).column("status").to_pylist())
    n_failed = counts.pop("error", 0)
    n_asked = sum(counts.values())
    if n_failed and not n_asked:
        raise ProviderError(
            f"the provider failed in all {n_failed} dialogues of {arm['intervention']}, so there "
            "is no verdict: `escalometer evaluate MODEL --retry error` asks again"
        )
    return Answered(n_asked, counts["ok"] + counts["forced"], n_failed)
