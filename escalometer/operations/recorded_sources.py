"""Sources of decisions that others recorded: which there are, their profiles, their report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from escalometer import layout, warehouse
from escalometer.analysis.dialogue_samples import counted, sampled
from escalometer.config import Params
from escalometer.documents import Profile
from escalometer.errors import unknown_name
from escalometer.layout import PIPELINE
from escalometer.operations.import_decisions import restore
from escalometer.operations.kept_profiles import Asked, Keeper
from escalometer.operations.source_profiles import Drawn, drawn_profiles, profile_of
from escalometer.reporting.page import ReportContent, write_report
from escalometer.runtime.files import read_json
from escalometer.runtime.git import git_commit
from escalometer.schema import RECORDED, read_table


def names(root: Path = Path()) -> list[str]:
    """Return the sources that were imported, in alphabetical order."""
    restore(root)
    return sorted(path.parent.name for path in layout.sources_folder(root).glob("*/about.json"))


def about(source: str, root: Path = Path()) -> dict[str, Any]:
    """Return the record of a source: its file, digest, rows, models and warnings.

    Raises
    ------
    UsageError
        If there is no such source; the message names those that there are.
    """
    known = names(root)
    if source not in known:
        raise unknown_name("source", source, [PIPELINE, *known])
    return read_json(layout.source_file(source, root))


def load(source: str, root: Path = Path()) -> pa.Table:
    """Return the decisions of a source, in the columns of `schema.RECORDED`.

    Raises
    ------
    UsageError
        If there is no such source.
    DataError
        If its file is not readable.
    """
    about(source, root)
    return read_table(layout.source_decisions_file(source, root), RECORDED)


def models_of(source: str, root: Path = Path()) -> list[str]:
    """Return the models of a source, in alphabetical order; they need have no card.

    Raises
    ------
    UsageError
        If there is no such source.
    """
    return sorted(about(source, root)["models"])


def profile(
    model: str,
    source: str,
    params: Params,
    domains: Sequence[str] | None = None,
    is_pooled: bool = False,
    root: Path = Path(),
) -> Profile:
    """Return the profile of a model of a source; the import's warnings stand among its notes.

    Parameters
    ----------
    model, source : str
        Whose decisions, and where they are from.
    params : Params
        Uses `seed` and `analyze`.
    domains : sequence of str, optional
        Only these; they need be no plug-ins.
    is_pooled : bool
        True to count isolated dialogues among the others.
    root : Path
        The project.

    Raises
    ------
    UsageError
        If there is no such source, or it has no such model or domain.
    """
    known = about(source, root)
    asked = Asked(source, model, params, None if domains is None else tuple(domains), is_pooled)
    check_names(asked, known)
    found = profile_of(asked, Keeper(source, known["domains"], root), root)
    return with_warnings(found, known)


def check_names(asked: Asked, known: Mapping[str, Any]) -> None:
    """Refuse a model or a domain that the record of a source does not name.

    Raises
    ------
    UsageError
        If there is no such model or domain.
    """
    if asked.model not in known["models"]:
        raise unknown_name("model", asked.model, known["models"])
    for domain in asked.domains or ():
        if domain not in known["domains"]:
            raise unknown_name("domain", domain, known["domains"])


def with_warnings(found: Profile, known: Mapping[str, Any]) -> Profile:
    """Return a profile with the warnings of its source, without those about other models."""
    of_others = {
        warning
        for other, warnings in known["model_warnings"].items()
        if other != found.model
        for warning in warnings
    }
    warnings = [warning for warning in known["warnings"] if warning not in of_others]
    return found.with_notes(*(f"On reading: {warning}" for warning in warnings))


def report(source: str, params: Params, root: Path = Path(), out: Path | None = None) -> Path:
    """Write a page with the profiles of every model of a source, and return its path.

    Parameters
    ----------
    source : str
        Which source.
    params : Params
        Uses `seed` and `analyze`.
    root : Path
        The project.
    out : Path, optional
        Folder of the page; data/recorded/<source>/report by default.

    Raises
    ------
    UsageError
        If there is no such source.
    """
    known = about(source, root)
    page = (out or layout.source_folder(source, root) / "report") / layout.report_file().name
    asked = [Asked(source, model, params) for model in sorted(known["models"])]
    drawn = drawn_profiles(asked, Keeper(source, known["domains"], root), root)
    decisions = layout.source_decisions_file(source, root)
    write_page(drawn, known, decisions, params, page, git_commit(root))
    return page


def write_page(
    drawn: Sequence[Drawn],
    known: Mapping[str, Any],
    decisions: Path,
    params: Params,
    page: Path,
    commit: str,
) -> None:
    """Write the report on the models of a source.

    Parameters
    ----------
    drawn : sequence of Drawn
        Their profiles and figures.
    known : mapping
        The record of the source.
    decisions : Path
        Its Parquet file.
    params : Params
        Uses `seed` and `analyze`.
    page : Path
        The file to write.
    commit : str
        The commit of the code.
    """
    has_texts = warehouse.has_values(decisions, "prompt")
    content = ReportContent(
        profiles=[with_warnings(found.profile, known) for found in drawn],
        figures={found.profile.model: found.figures for found in drawn},
        cost_ratio=params.analyze.headline_ratio,
        provenance=[_provenance(known)],
        validation=[_validation(known)],
        samples=sampled([decisions], RECORDED) if has_texts else (),
        statuses=counted([decisions]),
        params={"seed": params.seed, "analyze": params.analyze.model_dump(mode="json")},
        git_commit=commit,
    )
    write_report(content, page)


def _provenance(known: Mapping[str, Any]) -> dict[str, Any]:
    shown = ("file", "sha256", "imported", "n_rows", "models", "domains", "unknown_columns")
    return {
        "domain": f"{known['source']}: recorded decisions",
        **{name: known[name] for name in shown if name in known},
        "warnings": {str(i): warning for i, warning in enumerate(known["warnings"], 1)},
    }


def _validation(known: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "stage": "import",
        "table": "recorded",
        "file": known["file"],
        "n_rows": known["n_rows"],
        "n_expectations": known["n_expectations"],
        "success": True,
    }
