"""Projects whose releases were evaluated up to the stage `track`, without asking a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from escalometer import layout
from escalometer.config import Params, load_params
from escalometer.stages import analyze, track
from tests.conftest import ROOT
from tests.releases import DOMAINS, release, store

CARD = {"title": "m", "provider": "local", "licence": "x", "context": 1}


def evaluate(root: Path, model: str, card: dict[str, Any] | None = None, **about: Any) -> Params:
    """Evaluate a release in a project, all but its record in MLflow; return the parameters."""
    card_file = layout.card_file(model, root)
    card_file.parent.mkdir(parents=True, exist_ok=True)
    card_file.write_text(yaml.safe_dump({**CARD, "id": model, **(card or {})}), "utf-8")
    store(release(model, **about), root)
    params = load_params(root / "params.yaml")
    analyze.run(model, params, root)
    for path in (
        layout.report_file(root),
        *(layout.provenance_file(domain, root) for domain in params.domains),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}", "utf-8")
    for domain in params.domains:
        table = layout.decisions_file(model, domain, root).read_bytes()
        for path in (layout.scenarios_file(domain, root), layout.conditions_file(domain, root)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(table)  # what is in them is not looked at
    return params


def project(root: Path, domains: tuple[str, ...] = DOMAINS, **gate: Any) -> Path:
    """Make a project without a release, and return its root."""
    root.mkdir(parents=True, exist_ok=True)
    params = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    params |= {"models": ["used"], "domains": list(domains)}
    params["gate"] |= {"intervention": "baseline", **gate}
    params["analyze"]["n_bootstrap"] = 200
    params["track"]["n_traces"] = 1
    (root / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    return root


def logged(root: Path, model: str, uri: str | None = None) -> None:
    """Run the stage `track` of an evaluated release."""
    track.run(model, load_params(root / "params.yaml"), root, uri)
