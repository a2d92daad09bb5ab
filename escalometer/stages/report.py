"""Stage report: one page about all models that were asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from escalometer import layout
from escalometer.analysis.dialogue_samples import counted, sampled
from escalometer.config import Params
from escalometer.documents import Probes, Profile
from escalometer.documents.document import read_document
from escalometer.reporting.dvc_plots import write_plots_template
from escalometer.reporting.page import ReportContent, write_report
from escalometer.runtime.files import read_json
from escalometer.runtime.git import git_commit
from escalometer.schema import CONDITIONS, DECISIONS, read_table

#: The validate stages, in the order of the pipeline.
VALIDATED = ("raw", "scenarios", "decisions")


def run(params: Params, root: Path = Path(), out: Path | None = None) -> Path:
    """Write index.html, and the template of DVC's plots beside it, and return the page's path.

    Parameters
    ----------
    params : Params
        Whose models and domains the page is about.
    root : Path
        The project.
    out : Path, optional
        Folder of the page; data/report by default.

    Raises
    ------
    DataError
        If what an earlier stage writes is absent or unreadable.
    """
    profiles = [read_document(Profile, layout.profile_file(model, root)) for model in params.models]
    conditions: list[dict[str, Any]] = []
    provenance = []
    for domain in params.domains:
        read = read_json(layout.provenance_file(domain, root))
        provenance.append({**read, "domain": domain})
        path = layout.conditions_file(domain, root)
        conditions += read_table(path, CONDITIONS).to_pylist()
    decisions = [
        layout.decisions_file(model, domain, root)
        for model in params.models
        for domain in params.domains
    ]
    page = (out or layout.report_folder(root)) / layout.report_file().name
    content = ReportContent(
        profiles=profiles,
        cost_ratio=params.analyze.headline_ratio,
        provenance=provenance,
        validation=_validation(root),
        samples=sampled(decisions, DECISIONS),
        statuses=counted(decisions),
        conditions=conditions,
        # Adapters that were evaluated; most projects have none.
        probes=[read_document(Probes, path) for path in layout.all_probes_files(root)],
        params=params.model_dump(mode="json"),
        force_answer=params.query.force_answer,
        git_commit=git_commit(root),
    )
    write_report(content, page)
    write_plots_template(page.parent / "plots_template.html", root)
    return page


def _validation(root: Path) -> list[dict[str, Any]]:
    """Return one row a suite that was run, in the order of the pipeline."""
    return [
        {"stage": stage, **entry}
        for stage in VALIDATED
        for entry in read_json(layout.validation_file(stage, root))["tables"]
    ]
