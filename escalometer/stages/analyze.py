"""Stage analyze: one model, from decisions to metric tables, profile and escalation curve."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from escalometer import layout
from escalometer.analysis.asked_prompts import with_asked_prompt
from escalometer.analysis.card_notes import card_notes
from escalometer.analysis.decisions import load_decisions, measure_decisions
from escalometer.analysis.designs import load_design
from escalometer.analysis.flat_metrics import flat_metrics
from escalometer.analysis.profile import profile_of
from escalometer.config import Params
from escalometer.documents.document import write_document
from escalometer.reporting.curve_figure import escalation_curve_figure
from escalometer.reporting.dvc_tables import (
    headline_metrics,
    write_cost_curve,
    write_curve,
    write_reliability,
)
from escalometer.runtime.files import write_json


def run(model: str, params: Params, root: Path = Path()) -> None:
    """Write data/profiles/<model>/: metric tables, profile, flat metrics, curves for DVC.

    Parameters
    ----------
    model : str
        Whose decisions.
    params : Params
        Uses `seed`, `domains` and `analyze`.
    root : Path
        The project.

    Raises
    ------
    DataError
        If the decisions of a domain are absent or lack a column.
    """
    decisions = load_decisions(model, params.domains, root)
    measured = measure_decisions(decisions, params)
    design = load_design(model, root)
    profile = profile_of(measured, decisions, model, layout.PIPELINE, params, design)
    profile = with_asked_prompt(profile, root).with_notes(*card_notes(model, root))
    tables = layout.metric_tables_folder(model, root)
    tables.mkdir(parents=True, exist_ok=True)
    for name, table in measured.tables.items():
        pq.write_table(table, tables / f"{name}.parquet")
    write_document(profile, layout.profile_file(model, root))
    write_json(flat_metrics(profile), layout.metrics_file(model, root))
    by_domain = {
        domain: flat_metrics(
            profile_of(
                measured.on(domain), decisions.slice(0, 0), model, layout.PIPELINE, params, None
            )
        )
        for domain in params.domains
    }
    write_json(by_domain, layout.domain_metrics_file(model, root))
    ratio = params.analyze.headline_ratio
    write_json(headline_metrics(profile, ratio), layout.headline_file(model, root))
    write_curve(profile, ratio, layout.curve_table(model, root))
    write_cost_curve(profile, ratio, layout.cost_curve_table(model, root))
    write_reliability(profile, ratio, layout.reliability_table(model, root))
    escalation_curve_figure(profile, layout.curve_figure(model, root))
