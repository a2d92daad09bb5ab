"""Stage track: log a model's evaluation to MLflow, one run with a nested run for each domain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from escalometer import tracking
from escalometer.config import Params, load_card
from escalometer.stages import PIPELINE, read_json, write_json
from escalometer.stages.analyze import build_profile, flat_metrics, load_decisions


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
    card = load_card(model, root / "models")
    profile = read_json(_profile_file(root, model, "profile.json"))
    decisions_folder = root / "data" / "decisions" / model
    asked = _flat(params.model_dump(mode="json", exclude={"models", "track"}))
    asked |= {"model": model, "provider": card.provider, "licence": card.licence}
    children = [_domain_run(model, domain, params, root) for domain in params.domains]
    record = tracking.RunRecord(
        name=model,
        parameters=asked,
        metrics=flat_metrics(profile),
        tags={
            "git_commit": tracking.git_commit(root),
            "model": model,
            "domains": ",".join(params.domains),
            "force_answer": str(params.query.force_answer).lower(),
        },
        tables={
            f"{domain}-decisions": decisions_folder / f"{domain}.parquet"
            for domain in params.domains
        },
        artifacts=[
            _profile_file(root, model, "profile.json"),
            _profile_file(root, model, "tables"),
            _profile_file(root, model, "escalation_curve.svg"),
            _profile_file(root, model, "escalation_curve.csv"),
            root / "data" / "report" / "index.html",
        ],
        children=children,
    )
    where = tracking.log(record, root, uri)
    path = root / "data" / "tracking" / f"{model}.json"
    write_json(where, path)


def _profile_file(root: Path, model: str, name: str) -> Path:
    return root / "data" / "profiles" / model / name


def _domain_run(model: str, domain: str, params: Params, root: Path) -> tracking.RunRecord:
    decisions = load_decisions(model, [domain], root)
    profile = build_profile(decisions, model, PIPELINE, params, [domain])
    folder = root / "data"
    provenance = read_json(folder / "raw" / domain / "provenance.json")
    rows = decisions.to_pylist()
    # Spread over the table, not its first rows: those are all of one condition.
    chosen = np.unique(np.linspace(0, len(rows) - 1, params.track.n_traces).astype(int))
    return tracking.RunRecord(
        name=f"{model} · {domain}",
        parameters={"model": model, "domain": domain, **_flat({"provenance": provenance})},
        metrics=flat_metrics(profile),
        tags={"domain": domain, "model": model},
        tables={
            f"{domain}-scenarios": folder / "scenarios" / domain / "scenarios.parquet",
            f"{domain}-conditions": folder / "scenarios" / domain / "conditions.parquet",
            f"{domain}-decisions": folder / "decisions" / model / f"{domain}.parquet",
        },
        dialogues=[rows[i] for i in chosen] if params.track.n_traces else [],
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
