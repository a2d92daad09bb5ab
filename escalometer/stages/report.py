"""Stage report: put all that is known of the models asked about into one page."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa

from escalometer.config import Params
from escalometer.reporting.dvc_plots import write_plots_template
from escalometer.reporting.page import write_report
from escalometer.reporting.variants import VARIANT
from escalometer.schema import CONDITIONS, DECISIONS, read_table
from escalometer.stages import read_json
from escalometer.tracking import git_commit

#: Sample dialogues shown of one model in one domain.
N_SAMPLES = 6

#: What the validate stages leave behind, in the order of the pipeline.
VALIDATED = ("raw", "scenarios", "decisions")

#: What tells dialogues apart that are counted together.
COUNTED_BY = (
    "model",
    "domain",
    "condition",
    *VARIANT,
    "cost_ratio",
    "status",
)


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
    data = root / "data"
    profiles = [read_json(data / "profiles" / m / "profile.json") for m in params.models]
    conditions: list[dict[str, Any]] = []
    provenance = []
    for domain in params.domains:
        read = read_json(data / "raw" / domain / "provenance.json")
        provenance.append({**read, "domain": domain})
        path = data / "scenarios" / domain / "conditions.parquet"
        conditions += read_table(path, CONDITIONS).to_pylist()
    samples: list[dict[str, Any]] = []
    statuses: list[dict[str, Any]] = []
    for model in params.models:
        for domain in params.domains:
            path = data / "decisions" / model / f"{domain}.parquet"
            decisions = read_table(path, DECISIONS)
            statuses += counted(decisions)
            samples += sampled(decisions)
    page = (out or data / "report") / "index.html"
    write_report(
        profiles,
        provenance,
        _validation(data / "validation"),
        samples,
        page,
        {
            "cost_ratio": headline_ratio(params),
            "params": params.model_dump(mode="json"),
            "git_commit": git_commit(root),
            "conditions": conditions,
            "statuses": statuses,
            # Adapters that were evaluated; most projects have none.
            "probes": [read_json(p) for p in sorted((data / "probes").glob("*/probes.json"))],
        },
    )
    write_plots_template(page.parent / "plots_template.html")
    return page


def headline_ratio(params: Params) -> float:
    """Return the cost ratio of the headlines: the study's 4 where it is scored."""
    scored = params.analyze.cost_ratios
    return 4.0 if 4.0 in scored else scored[0]


def _validation(folder: Path) -> list[dict[str, Any]]:
    """Return one row a suite that was run, in the order of the pipeline."""
    return [
        {"stage": stage, **entry}
        for stage in VALIDATED
        for entry in read_json(folder / f"{stage}.json")["tables"]
    ]


def counted(decisions: pa.Table) -> list[dict[str, Any]]:
    """Return the number ``n`` of dialogues of each kind and status."""
    rows = decisions.select(list(COUNTED_BY)).to_pylist()
    counts = Counter(tuple(row.values()) for row in rows)
    return [{**dict(zip(COUNTED_BY, key, strict=True)), "n": n} for key, n in counts.items()]


def sampled(decisions: pa.Table) -> list[dict[str, Any]]:
    """Return dialogues that show each intervention and each way to end, always the same ones.

    The first of every (intervention, status), by scenario, rarest status first, so that a refusal
    or a failure is never crowded out by what goes well.
    """
    keys = decisions.select(["status", "intervention", "scenario_id", "condition"]).to_pylist()
    frequency = Counter(row["status"] for row in keys)
    first: dict[tuple[str, str], tuple[str, str, int]] = {}
    for i, row in enumerate(keys):
        kind = (row["status"], row["intervention"])
        place = (row["scenario_id"], row["condition"], i)
        first[kind] = min(first.get(kind, place), place)
    chosen = sorted(first, key=lambda kind: (frequency[kind[0]], kind))[:N_SAMPLES]
    sampled: list[dict[str, Any]] = decisions.take([first[k][2] for k in chosen]).to_pylist()
    return sampled
