"""The report: all that a run found as one HTML page that needs no network and no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from escalometer.documents import Probes, Profile, wording
from escalometer.documents.profile import InterventionScores
from escalometer.documents.wording import MISSING, visible
from escalometer.reporting.autonomy_rows import autonomy_at, autonomy_caption, autonomy_words
from escalometer.reporting.conclusions import (
    Conclusion,
    conclusions,
    headline,
    missing,
    origin,
    status_rows,
    status_warnings,
)
from escalometer.reporting.confidence import external_words, reliability_svg, score_name
from escalometer.reporting.cost_figure import cost_caption, cost_curve_svg
from escalometer.reporting.curve_figure import escalation_curve_svg
from escalometer.reporting.drawing import prefixed
from escalometer.reporting.headline_variant import HeadlineVariant, headline_variant
from escalometer.reporting.missing_answers import WithBounds, moved, overlap_words
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
from escalometer.reporting.seed_spread import seed_spreads
from escalometer.reporting.threshold_rows import domain_rows, variant_rows
from escalometer.reporting.variants import ScoredRow, difference_rows, intervention_rows
from escalometer.runtime.files import write_text

TEMPLATE = "report.html.j2"

#: A row of a table: of a Parquet file, or of a JSON file that a stage wrote.
Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """All that the report shows.

    Attributes
    ----------
    profiles : sequence of Profile
        One a model.
    cost_ratio : float
        R of the headlines.
    provenance : sequence of mapping
        provenance.json of each domain, with its ``domain``.
    validation : sequence of mapping
        One a suite: ``stage``, ``table``, ``file``, ``n_rows``, ``n_expectations``, ``success``.
    samples : sequence of mapping
        Rows of `schema.DECISIONS`. Their texts are a model's and nobody's markup: everything is
        escaped, and what one cannot see is spelt out.
    statuses : sequence of mapping
        Numbers ``n`` of dialogues by model, condition, variant and status, as
        `analysis.dialogue_samples.counted` returns them.
    conditions : sequence of mapping
        Rows of `schema.CONDITIONS`.
    probes : sequence of Probes
        One an adapter.
    params : mapping
        Parameters of the run, as params.yaml nests them.
    force_answer : bool
        True if the run closed unfinished answers for the model.
    git_commit : str
        Commit of the code, or ``unknown``.
    figures : mapping of str to mapping
        By model, its `model_figures`, where they are drawn already.
    """

    profiles: Sequence[Profile]
    cost_ratio: float
    provenance: Sequence[Row] = ()
    validation: Sequence[Row] = ()
    samples: Sequence[Row] = ()
    statuses: Sequence[Row] = ()
    conditions: Sequence[Row] = ()
    probes: Sequence[Probes] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    force_answer: bool = False
    git_commit: str = "unknown"
    figures: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def model_figures(profile: Profile, cost_ratio: float) -> dict[str, str]:
    """Return a model's figures, each an ``<svg>`` element, by the name that the template uses."""
    return {
        "figure": escalation_curve_svg(profile, cost_ratio, prefix=""),
        "cost_figure": cost_curve_svg(profile, cost_ratio, prefix=""),
        "reliability": reliability_svg(profile, prefix=""),
    }


def write_report(content: ReportContent, path: Path) -> None:
    """Write the report at `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page = _render(
        cost_ratio=content.cost_ratio,
        across=across_models(content.profiles),
        models=[_model_view(profile, i, content) for i, profile in enumerate(content.profiles)],
        tuned=[_tuned_view(probes, i) for i, probes in enumerate(content.probes)],
        spreads=seed_spreads(content.probes),
        provenance=[_flat_items(entry) for entry in content.provenance],
        validation=content.validation,
        samples=content.samples,
        conditions=content.conditions,
        params=_flat_items(content.params),
        force_answer=content.force_answer,
        git_commit=content.git_commit,
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
        "points": _unsigned_points,
        "moved": _moved,
    }
    return environment.get_template(TEMPLATE).render(**values)


def _unsigned_points(value: float) -> str:
    return wording.points(value).lstrip("+")


def _moved(interval: WithBounds, n_missing: int, unit: str) -> str:
    # Between numbers with signs a dash would be one sign too many.
    pattern = "{low} to {high}" if unit == "points" else "{low}–{high}"
    return moved(interval, n_missing, unit, pattern)


def _finalized(value: Any) -> Any:
    if value is None:
        return wording.DASH
    # Markup (figures, macros) is ours and stays as it is; other strings come from anywhere.
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _model_view(profile: Profile, index: int, content: ReportContent) -> dict[str, Any]:
    """Return the values of the template for one model."""
    from markupsafe import Markup

    cost_ratio = content.cost_ratio
    counted = [row for row in content.statuses if row["model"] == profile.model]
    interventions = intervention_rows(profile)
    about = headline_variant(profile, cost_ratio)
    status = about.fit.status if about.fit is not None else "unidentified"
    shown = conclusions(profile, cost_ratio)
    figures = content.figures.get(profile.model) or model_figures(profile, cost_ratio)
    return {
        "profile": profile,
        "anchor": f"model-{index}",
        "origin": origin(profile),
        "headline": headline(profile, cost_ratio),
        "recommendation": recommended_at(profile, cost_ratio),
        "recommendations": recommended(profile),
        "overlap": overlap_words(profile),
        "conclusions": shown,
        "key_conclusions": _key_conclusions(shown),
        "about": about,
        **_autonomy_view(profile, cost_ratio),
        "domains": domain_rows(profile),
        "differences": difference_rows(profile),
        "variants": variant_rows(profile),
        "calibration": [(score_name(row), row) for row in profile.calibration],
        "external": external_words(profile),
        "statuses": status_rows(profile),
        "warnings": status_warnings(profile),
        "n_missing": missing(profile),
        "interventions": [(row, _missing_beside(row, counted)) for row in interventions],
        "overview": [
            row
            for row in interventions
            if row.common.cost_ratio == cost_ratio
            and (
                row.common.intervention in _OVERVIEW
                or (not about.is_baseline and about.covers(row.common, profile))
            )
        ],
        "curve": _curve_rows(about, counted, content.conditions),
        "has_line": status != "unidentified" and getattr(about.fit, "slope", None) is not None,
        "has_threshold": status == "ok",
        "has_band": any(point.clustered_low is not None for point in about.points),
        "cost_caption": cost_caption(profile, cost_ratio),
        # matplotlib's own output; it escapes our names
        **{
            name: Markup(prefixed(svg, f"{name}{index}-"))  # noqa: S704
            for name, svg in figures.items()
        },
    }


def _autonomy_view(profile: Profile, cost_ratio: float) -> dict[str, Any]:
    """Return the autonomy map's caption and rows; both empty where the ratio was not scored."""
    found = autonomy_at(profile, cost_ratio)
    rows = () if found is None else found.conditions
    return {
        "autonomy_caption": "" if found is None else autonomy_caption(found),
        "autonomy": [
            (row, autonomy_words(row), row.n_right / row.n, wording.Bounds(row.lower, row.upper))
            for row in rows
        ],
    }


def _tuned_view(probes: Probes, index: int) -> dict[str, Any]:
    """Return the values of the template for one adapter."""
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


#: Conclusions in the table that compares models; the first threshold of a model is the valid one.
_KEY_CONCLUSIONS = (
    "Predictive accuracy",
    "Implicit threshold p*",
    "Self-estimated accuracy",
    "Calibration bias",
)

#: Interventions in the table that compares models: the protocol as it is, and with its cost.
_OVERVIEW = ("baseline", "cost_framing")


def _key_conclusions(shown: Sequence[Conclusion]) -> list[Conclusion]:
    return [
        next(found for found in shown if found.title.startswith(title))
        for title in _KEY_CONCLUSIONS
    ]


@dataclass(frozen=True)
class CurveRow:
    """A condition of the headlines' variant; without one usable dialogue its numbers are None.

    Attributes
    ----------
    domain, condition : str
        Where.
    signal_accuracy : float, optional
        Accuracy that the signal states, in [0, 1].
    n : int
        Usable dialogues.
    n_missing : int, optional
        Dialogues without a usable answer; None if unknown.
    predictive_accuracy, escalation_rate : float, optional
        Shares of the usable dialogues, in [0, 1].
    low, high : float, optional
        Interval of the escalation rate.
    """

    domain: str
    condition: str
    signal_accuracy: float | None
    n: int
    n_missing: int | None
    predictive_accuracy: float | None = None
    escalation_rate: float | None = None
    low: float | None = None
    high: float | None = None


def _curve_rows(
    about: HeadlineVariant, counted: Sequence[Row], conditions: Sequence[Row]
) -> list[CurveRow]:
    """Return the curve by domain and stated accuracy, with the dialogues that are missing.

    A condition without one usable dialogue has no point on the curve; it gets a row of dashes.
    """
    stated = {(row["domain"], row["condition"]): row["signal_accuracy"] for row in conditions}
    asked: dict[tuple[str, str], list[Row]] = {}
    for row in counted:
        if about.asked(row):
            asked.setdefault((row["domain"], row["condition"]), []).append(row)
    rows = [
        CurveRow(
            point.domain,
            point.condition,
            point.signal_accuracy,
            point.n,
            _lacking(asked.get((point.domain, point.condition), [])),
            point.predictive_accuracy,
            point.escalation_rate,
            point.low,
            point.high,
        )
        for point in about.points
    ]
    seen = {(row.domain, row.condition) for row in rows}
    rows += [
        CurveRow(*key, stated.get(key), 0, _lacking(found))
        for key, found in asked.items()
        if key not in seen
    ]
    return sorted(rows, key=lambda row: (row.domain, row.signal_accuracy or 0, row.condition))


def _missing_beside(row: ScoredRow[InterventionScores], counted: Sequence[Row]) -> int | None:
    """Return how many dialogues of a variant have no usable answer, None if unknown."""
    variant = dict(row.common.variant)
    return _lacking([other for other in counted if variant.items() <= other.items()])


def _lacking(rows: Sequence[Row]) -> int | None:
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
