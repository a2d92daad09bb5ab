"""All that a run found as one HTML page that needs no network and no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from escalometer.documents import wording
from escalometer.documents.wording import MISSING, visible
from escalometer.reporting.conclusions import (
    findings,
    headline,
    missing,
    origin,
    status_rows,
    status_warnings,
)
from escalometer.reporting.confidence import calibration_rows, external_words, reliability_svg
from escalometer.reporting.cost_figure import cost_caption, cost_curve_svg
from escalometer.reporting.curve_figure import escalation_curve_svg
from escalometer.reporting.domain_rows import domain_rows
from escalometer.reporting.missing_answers import moved, overlap_words
from escalometer.reporting.model_ranking import across_models
from escalometer.reporting.probe_figure import probes_svg
from escalometer.reporting.probe_rows import (
    MISTAKE_WORDS,
    grid_rows,
    mistake_rows,
    probe_rows,
    published_rows,
    sentences,
)
from escalometer.reporting.recommendations import recommended, recommended_at
from escalometer.reporting.threshold_rows import arm_rows
from escalometer.reporting.variants import SCORES, VARIANT, difference_rows, intervention_rows
from escalometer.runtime.files import write_text

TEMPLATE = "report.html.j2"


def write_report(
    profiles: Sequence[Mapping[str, Any]],
    provenance: Sequence[Mapping[str, Any]],
    validation: Sequence[Mapping[str, Any]],
    samples: Sequence[Mapping[str, Any]],
    path: Path,
    meta: Mapping[str, Any],
) -> None:
    """Write the report at `path`, whole or not at all.

    Parameters
    ----------
    profiles : sequence of mapping
        One document of ``escalometer profile --json`` a model.
    provenance : sequence of mapping
        What provenance.json says of each domain, with its ``domain``.
    validation : sequence of mapping
        One a suite: ``stage``, ``table``, ``file``, ``n_rows``, ``n_expectations``, ``success``.
    samples : sequence of mapping
        Rows of `schema.DECISIONS`. Their texts are a model's and nobody's markup: everything is
        escaped, and what one cannot see is spelt out.
    path : Path
        The page.
    meta : mapping
        ``cost_ratio`` for the headlines, ``params``, ``git_commit``, ``conditions`` (rows of
        `schema.CONDITIONS`), ``statuses`` (rows of `stages.report.COUNTED_BY` and the
        number ``n`` of such dialogues) and ``probes`` (a probes.json an adapter). All but the first
        may be absent.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    page = _render(
        cost_ratio=meta["cost_ratio"],
        across=across_models(profiles),
        models=[_model_view(profile, i, meta) for i, profile in enumerate(profiles)],
        tuned=[_tuned_view(probes, i) for i, probes in enumerate(meta.get("probes") or [])],
        provenance=[_flat_items(entry) for entry in provenance],
        validation=validation,
        samples=samples,
        conditions=meta.get("conditions") or [],
        params=_flat_items(meta.get("params") or {}),
        force_answer=bool(((meta.get("params") or {}).get("query") or {}).get("force_answer")),
        git_commit=meta.get("git_commit") or "unknown",
    )
    write_text(page, path)


def _render(**values: Any) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("escalometer.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,  # a misspelt name fails the stage, not silently the page
        trim_blocks=True,
        lstrip_blocks=True,
        # Whatever is printed goes through `visible`, so no text can reorder or hide the page.
        finalize=_finalized,
    )
    environment.filters |= {
        "share": wording.share,
        "count": wording.count,
        "ratio": wording.ratio,
        "estimate": wording.estimate,
        "span": wording.span,
        "cost": wording.cost,
        "p_value": wording.p_value,
        "moved": _moved,
    }
    return environment.get_template(TEMPLATE).render(**values)


def _moved(interval: Mapping[str, Any] | None, n_missing: int, unit: str) -> str:
    # Between numbers with signs a dash would be one sign too many.
    return moved(
        interval, n_missing, unit, "{low} to {high}" if unit == "points" else "{low}–{high}"
    )


def _finalized(value: Any) -> Any:
    if value is None:
        return wording.DASH
    # Markup (figures, macros) is ours and stays as it is; other strings come from anywhere.
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _model_view(profile: Mapping[str, Any], index: int, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template shows of one model."""
    from markupsafe import Markup

    cost_ratio = meta["cost_ratio"]
    counted = [row for row in meta.get("statuses") or [] if row["model"] == profile["model"]]
    interventions = [
        {
            **row,
            "by_accuracy": row["scores"].get(SCORES[0], {}),
            "by_signal": row["scores"].get(SCORES[1], {}),
            "n_missing": _missing_beside(row, counted),
        }
        for row in intervention_rows(profile)
    ]
    at_ratio = [row for row in interventions if row["cost_ratio"] == cost_ratio]
    status = ((profile.get("implicit_threshold") or {}).get("linear") or {}).get("status")
    shown = findings(profile, cost_ratio)
    figures = {
        "figure": escalation_curve_svg(profile, cost_ratio, prefix=f"curve{index}-"),
        "cost_figure": cost_curve_svg(profile, cost_ratio, prefix=f"cost{index}-"),
        "reliability": reliability_svg(profile, prefix=f"reliability{index}-"),
    }
    return {
        "profile": profile,
        "anchor": f"model-{index}",
        "origin": origin(profile),
        "notes": profile.get("notes") or [],
        "headline": headline(profile, cost_ratio),
        "recommendation": recommended_at(profile, cost_ratio),
        "recommendations": recommended(profile),
        "overlap": overlap_words(profile),
        "findings": shown,
        "key_findings": [found for found in shown if found.title in _KEY_FINDINGS],
        "domains": domain_rows(profile),
        "differences": difference_rows(profile),
        "arms": arm_rows(profile),
        "calibration": calibration_rows(profile),
        "external": external_words(profile),
        "statuses": status_rows(profile),
        "warnings": status_warnings(profile),
        "n_missing": missing(profile),
        "interventions": interventions,
        "overview": [row for row in at_ratio if row["intervention"] in _OVERVIEW],
        "curve": _curve_rows(profile, counted, meta.get("conditions") or []),
        "has_line": status in ("ok", "extrapolated"),
        "has_threshold": status == "ok",
        "has_band": any(row.get("clustered_low") is not None for row in profile["curve"]),
        "cost_caption": cost_caption(profile, cost_ratio),
        # matplotlib's own output; it escapes our names
        **{name: Markup(drawn) for name, drawn in figures.items()},  # noqa: S704
    }


def _tuned_view(probes: Mapping[str, Any], index: int) -> dict[str, Any]:
    """Return what the template shows of one adapter."""
    from markupsafe import Markup

    return {
        "about": probes,
        "anchor": f"tuned-{index}",
        "rows": probe_rows(probes),
        "sentences": sentences(probes),
        "mistakes": mistake_rows(probes),
        "mistake_words": [*MISTAKE_WORDS.values()],
        "grid": grid_rows(probes),
        "published": published_rows(probes),
        # matplotlib's own output; it escapes our names
        "figure": Markup(probes_svg(probes, prefix=f"probes{index}-")),  # noqa: S704
    }


#: Findings in the table that compares models.
_KEY_FINDINGS = (
    "Predictive accuracy",
    "Implicit threshold p*, linear fit",
    "Self-estimated accuracy",
    "Calibration bias",
)

#: Interventions in the table that compares models: the protocol as it is, and with its cost.
_OVERVIEW = ("baseline", "cost_framing")


def _curve_rows(
    profile: Mapping[str, Any],
    counted: Sequence[Mapping[str, Any]],
    conditions: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return the curve by domain and stated accuracy, with the dialogues that are missing.

    A condition without one usable dialogue has no point on the curve; it gets a row of dashes.
    """

    def place(row: Mapping[str, Any]) -> tuple[str, str]:
        return row["domain"], row["condition"]

    stated = {place(row): row["signal_accuracy"] for row in conditions}
    asked: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in counted:
        if row["intervention"] == "baseline":
            asked.setdefault(place(row), []).append(row)
    unusable = dict.fromkeys(("predictive_accuracy", "escalation_rate", "low", "high"))
    seen = {place(row) for row in profile["curve"]}
    rows = [dict(row) for row in profile["curve"]]
    rows += [
        {"domain": key[0], "condition": key[1], "signal_accuracy": stated.get(key), "n": 0}
        | unusable
        for key in asked
        if key not in seen
    ]
    for row in rows:
        row["n_missing"] = _lacking(asked.get(place(row), []))
    return sorted(
        rows, key=lambda row: (row["domain"], row["signal_accuracy"] or 0, row["condition"])
    )


def _missing_beside(row: Mapping[str, Any], counted: Sequence[Mapping[str, Any]]) -> int | None:
    """Return how many dialogues of an intervention row have no usable answer, None if unknown."""
    asked_ratio = row["cost_ratio"] if row["states_cost"] else None
    same = [
        other
        for other in counted
        if other["cost_ratio"] == asked_ratio
        # What an older profile does not say of a variant does not tell it apart.
        and all(name not in row or row[name] == other[name] for name in VARIANT)
    ]
    return _lacking(same)


def _lacking(rows: Sequence[Mapping[str, Any]]) -> int | None:
    if not rows:
        return None
    return sum(int(row["n"]) for row in rows if row["status"] in MISSING)


def _flat_items(nested: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested keys joined by dots, with values as text."""
    flat: dict[str, str] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= _flat_items(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value):
            for i, item in enumerate(value):
                inner = item if isinstance(item, Mapping) else {"": item}
                flat |= _flat_items(inner, f"{prefix}{key} {i + 1}: ")
        elif isinstance(value, list | tuple):
            flat[f"{prefix}{key}"] = ", ".join(str(item) for item in value)
        else:
            flat[f"{prefix}{key}"] = wording.DASH if value is None else str(value)
    return flat
