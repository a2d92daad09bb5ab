"""Stage track: log a model's evaluation to MLflow, one run with a nested run for each domain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from escalometer import layout, tracking
from escalometer.config import Params, load_card
from escalometer.runtime.files import read_json, write_json
from escalometer.runtime.git import git_commit
from escalometer.schema import DECISIONS, read_table


def run(model: str, params: Params, root: Path = Path(), uri: str | None = None) -> None:
    """Log the profile of `model` and write data/tracking/<model>.json, which names the run.

    Parameters
    ----------
    model : str
        A model whose profile is current.
    params : Params
        What was asked; logged whole.
    root : Path
        The project.
    uri : str, optional
        MLflow's tracking address; a SQLite file in the project by default.

    Raises
    ------
    ProviderError
        If MLflow refuses or cannot be reached.
    """
    card = load_card(model, layout.cards_folder(root))
    asked = _flat(params.model_dump(mode="json", exclude={"models", "track", "watch", "canary"}))
    asked |= {"model": model, "provider": card.provider, "licence": card.licence}
    profile = read_json(layout.profile_file(model, root))
    variant, headline = tracking.headline_numbers(profile, params.analyze.headline_ratio)
    decisions = [
        read_table(layout.decisions_file(model, domain, root), DECISIONS)
        for domain in params.domains
    ]
    by_domain = read_json(layout.domain_metrics_file(model, root))
    record = tracking.RunRecord(
        name=model,
        parameters=asked,
        metrics={
            **read_json(layout.metrics_file(model, root)),
            **headline,
            "cost_usd": sum(pc.sum(table.column("cost_usd")).as_py() or 0.0 for table in decisions),
        },
        tags={
            "git_commit": git_commit(root),
            "model": model,
            "domains": ",".join(params.domains),
            "force_answer": str(params.query.force_answer).lower(),
            "headline.variant": variant,
            "resolved_models": ",".join(profile["resolved_models"]),
            **tracking.mix_tags(decisions),
        },
        tables={
            f"{domain}-decisions": layout.decisions_file(model, domain, root)
            for domain in params.domains
        },
        artifacts=[
            layout.profile_file(model, root),
            layout.metric_tables_folder(model, root),
            layout.curve_figure(model, root),
            layout.curve_table(model, root),
            layout.report_file(root),
        ],
        children=[
            _domain_run(model, domain, by_domain[domain], params, root) for domain in params.domains
        ],
    )
    write_json(tracking.log(record, root, uri), layout.tracking_file(model, root))


def _domain_run(
    model: str, domain: str, metrics: Mapping[str, float], params: Params, root: Path
) -> tracking.RunRecord:
    decisions = layout.decisions_file(model, domain, root)
    provenance = read_json(layout.provenance_file(domain, root))
    rows = read_table(decisions, DECISIONS)
    n_traces = min(-(-params.track.n_traces // len(params.domains)), rows.num_rows)
    # Spread over the table, not its first rows: those are all of one condition.
    chosen = np.unique(np.linspace(0, rows.num_rows - 1, n_traces).astype(int))
    return tracking.RunRecord(
        name=f"{model} · {domain}",
        parameters={"model": model, "domain": domain, **_flat({"provenance": provenance})},
        metrics=metrics,
        tags={"domain": domain, "model": model},
        tables={
            f"{domain}-scenarios": layout.scenarios_file(domain, root),
            f"{domain}-conditions": layout.conditions_file(domain, root),
            f"{domain}-decisions": decisions,
        },
        dialogues=rows.take(chosen).to_pylist(),
    )


def _flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested keys joined by dots; MLflow's parameters are flat and at most 6,000 long."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flat |= _flat(value, f"{name}.")
        else:
            flat[name] = str(value)[:500]
    return flat
