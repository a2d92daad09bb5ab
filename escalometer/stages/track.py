"""Stage track: log a model's evaluation to MLflow, one run with a nested run for each domain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from escalometer import layout, tracking
from escalometer.config import ModelCard, Params, load_card
from escalometer.runtime.files import digest, read_json, write_json
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
    files = {domain: layout.decisions_file(model, domain, root) for domain in params.domains}
    decisions = {domain: read_table(file, DECISIONS) for domain, file in files.items()}
    by_domain = read_json(layout.domain_metrics_file(model, root))
    variant, headlines = _headlines(model, profile, params, root)
    cost_usd = sum(pc.sum(table.column("cost_usd")).as_py() or 0.0 for table in decisions.values())
    mix = tracking.mix_tags(decisions.values())
    record = tracking.RunRecord(
        name=model,
        parameters=asked,
        metrics={
            **read_json(layout.metrics_file(model, root)),
            **headlines,
            "cost_usd": cost_usd,
        },
        headlines=["n_decisions", "cost_usd", *headlines],
        measured_on=_table(params.domains[0]) if len(files) == 1 else None,
        tags={
            "git_commit": git_commit(root),
            "model": model,
            "domains": ",".join(params.domains),
            "force_answer": str(params.query.force_answer).lower(),
            "headline.variant": variant,
            "resolved_models": ",".join(profile["resolved_models"]),
            **mix,
        },
        tables={_table(domain): file for domain, file in files.items()},
        artifacts=[
            layout.profile_file(model, root),
            layout.metric_tables_folder(model, root),
            layout.curve_figure(model, root),
            layout.curve_table(model, root),
            layout.report_file(root),
        ],
        children=[
            _domain_run(domain, rows, by_domain[domain], profile, params, root)
            for domain, rows in decisions.items()
        ],
    )
    about = {"resolved_models": ",".join(profile["resolved_models"]), "prompts": mix["mix.prompts"]}
    release = tracking.Release(
        registered_model=params.track.registered_model,
        model=model,
        kind=_kind(card),
        decisions={domain: digest(file) for domain, file in files.items()},
        parameters={**_described(card), **about},
        adapter=(card.adapter, card.adapter_sha256)
        if card.adapter and card.adapter_sha256
        else None,
    )
    write_json(tracking.log(record, root, uri, release), layout.tracking_file(model, root))


def _table(domain: str) -> str:
    """Return the name of a domain's decisions among the data sets of a run."""
    return f"{domain}-decisions"


def _headlines(
    model: str, profile: Mapping[str, Any], params: Params, root: Path
) -> tuple[str, dict[str, float]]:
    """Return the variant that headlines are about, and its numbers, also those at a cost ratio."""
    ratio = params.analyze.headline_ratio
    variant, numbers = tracking.headline_numbers(profile, ratio)
    shown = read_json(layout.headline_file(model, root)).get(model, {})
    at_ratio = {"share_answered": shown.get("share_answered"), **shown.get(f"R{ratio:g}", {})}
    numbers |= {f"headline.{key}": x for key, x in at_ratio.items() if x is not None}
    return variant, numbers


def _kind(card: ModelCard) -> str:
    if card.source is None and (card.endpoint is not None or card.provider != "local"):
        return "hosted-model"
    return "tuned-model" if card.adapter else "local-model"


def _described(card: ModelCard) -> dict[str, Any]:
    """Return what a card says of the model itself, flat: no limits of requests, and no paths."""
    about: dict[str, Any] = {"model": card.id}
    kept = {"provider", "licence", "released", "hub_id", "source", "adapter", "adapter_sha256"}
    about |= _flat(card.model_dump(mode="json", include=kept | {"price", "thinking"}))
    if card.endpoint is not None:
        about["endpoint"] = card.endpoint.base_url
        about["endpoint.model"] = card.endpoint.model
    return {key: x for key, x in about.items() if x != "None" and key != "source.path"}


def _domain_run(
    domain: str,
    rows: pa.Table,
    metrics: Mapping[str, float],
    profile: Mapping[str, Any],
    params: Params,
    root: Path,
) -> tracking.RunRecord:
    model = profile["model"]
    provenance = read_json(layout.provenance_file(domain, root))
    ratio = params.analyze.headline_ratio
    _, headlines = tracking.headline_numbers(profile, ratio, domain)
    if len(params.domains) == 1:  # the same numbers are those of the run above
        headlines = {}
    n_traces = min(-(-params.track.n_traces // len(params.domains)), rows.num_rows)
    # Spread over the table, not its first rows: those are all of one condition.
    chosen = np.unique(np.linspace(0, rows.num_rows - 1, n_traces).astype(int))
    return tracking.RunRecord(
        name=f"{model} · {domain}",
        parameters={"model": model, "domain": domain, **_flat({"provenance": provenance})},
        metrics={**metrics, **headlines},
        headlines=["n_decisions", *headlines] if headlines else (),
        measured_on=_table(domain),
        tags={"domain": domain, "model": model},
        tables={
            f"{domain}-scenarios": layout.scenarios_file(domain, root),
            f"{domain}-conditions": layout.conditions_file(domain, root),
            _table(domain): layout.decisions_file(model, domain, root),
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
