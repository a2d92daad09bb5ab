"""What a model's own score of itself is worth, in sentences and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from escalometer.documents.wording import DASH, cost, count, more, ratio, share, span, visible
from escalometer.reporting.drawing import COLOURS, MARKERS, element, plain_axes
from escalometer.reporting.variants import label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SCORES = {
    "stated_confidence": "stated confidence",
    "choice_probability": "probability of its choice",
}


def score_name(row: Mapping[str, Any]) -> str:
    """Return the intervention and the score, for people."""
    score = _SCORES.get(row["score"], row["score"])
    stated = f", R = {ratio(row['cost_ratio'])} stated" if _states_cost(row) else ""
    name = label(row)
    of_it = "" if name == row["score"] and not stated else f" under {name}{stated}"
    return f"{score[:1].upper()}{score[1:]}{of_it}"


def _states_cost(row: Mapping[str, Any]) -> bool:
    """Return whether the prompt stated a cost: rows of calibration have no flag, but then no R."""
    stated = row.get("is_cost_stated")
    return row.get("cost_ratio") is not None if stated is None else bool(stated)


def calibration_rows(profile: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the profile's calibration, each row with its ``name``; none from an older profile."""
    return [{**row, "name": score_name(row)} for row in profile.get("calibration") or []]


def calibration_words(profile: Mapping[str, Any]) -> list[str]:
    """Return a sentence an intervention and score."""
    said = []
    for row in calibration_rows(profile):
        smooth = row.get("smooth_calibration_error") or {}
        error = cost(smooth.get("estimate"))
        bounds, noise = span(smooth, "cost"), cost(smooth.get("if_calibrated"))
        errs = "" if error == DASH else f"; calibration error {error}"
        errs += "" if error == DASH or bounds == DASH else f" {bounds}"
        errs += "" if error == DASH or noise == DASH else f", {noise} by noise alone"
        said.append(
            f"{row['name']}: {share(row['mean_confidence'])} on average, and right in "
            f"{share(row['accuracy'])} of {count(row['n'])}{errs}."
        )
    return said


def external_words(profile: Mapping[str, Any], cost_ratio: float | None = None) -> list[str]:
    """Return what a threshold from outside on its own score would have cost, or why none is known.

    Parameters
    ----------
    profile : mapping
        The document of ``escalometer profile --json``.
    cost_ratio : float, optional
        At this R alone.
    """
    return [
        _external(row)
        for row in profile.get("external_threshold") or []
        if cost_ratio is None or row["cost_ratio"] in (None, cost_ratio)
    ]


def _external(row: Mapping[str, Any]) -> str:
    if row.get("reason"):
        return f"{score_name(row)}: no threshold from outside could be tried. {_why(row)}."
    own, outside = cost(row["own_cost"]), cost(row["cost"])
    difference = row["difference"]
    value, low, high = (difference.get(key) for key in ("estimate", "low", "high"))
    named = _SCORES.get(row["score"], row["score"])
    if not _is_usual(row):
        named += f" ({score_name(row).partition(' under ')[2]})"
    start = (
        f"At R = {ratio(row['cost_ratio'])} a threshold from outside on its {named} would cost "
        f"{outside} instead of {own}: "
    )
    bounds = span(difference, "cost")
    if low is not None and low > 0:
        return f"{start}its own escalation loses {cost(value)} {bounds}."
    if high is not None and high < 0:
        gained = {"low": -high, "high": -low if low is not None else None}
        return f"{start}its own escalation saves {cost(-value)} {span(gained, 'cost')}."
    if bounds == DASH:
        return f"{start}whether they differ is open, there is no interval."
    return f"{start}no difference is shown ({more(value)} {bounds})."


def _is_usual(row: Mapping[str, Any]) -> bool:
    return label(row) == row["score"] and not _states_cost(row)


def _why(row: Mapping[str, Any]) -> str:
    reason = str(row["reason"])
    return reason[:1].upper() + reason[1:]


def reliability_svg(profile: Mapping[str, Any], prefix: str) -> str:
    """Return the reliability diagram as one ``<svg>`` element; empty where there is no score.

    Parameters
    ----------
    profile : mapping
        The document of ``escalometer profile --json``.
    prefix : str
        Begins every id in it.
    """
    rows = [row for row in calibration_rows(profile) if row.get("reliability")]
    return element(partial(_draw, rows=rows), prefix, (8, 6)) if rows else ""


def _draw(figure: Figure, rows: list[dict[str, Any]]) -> None:
    from matplotlib.lines import Line2D

    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#777777", linestyle="--", linewidth=1)
    handles = []
    for i, row in enumerate(rows):
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
        bins = row["reliability"]
        at = [own["mean_confidence"] for own in bins]
        for x, own in zip(at, bins, strict=True):
            low, high = own["accuracy_low"], own["accuracy_high"]
            if low is not None and high is not None:
                axes.plot([x, x], [low, high], color=colour, linewidth=1, alpha=0.45)
        right = [own["accuracy"] for own in bins]
        axes.plot(at, right, color=colour, linewidth=1, alpha=0.6)
        largest = max(own["n"] for own in bins)
        axes.scatter(
            at,
            right,
            s=[20 + 90 * own["n"] / largest for own in bins],
            color=colour,
            marker=marker,
            edgecolors="white",
            linewidths=0.8,
            zorder=3,
        )
        # A leading underscore would hide the entry from matplotlib's legend.
        name = f" {visible(row['name'])} (n = {count(row['n'])})"
        handles.append(Line2D([], [], color=colour, marker=marker, label=name))
    axes.set_title("Is it right as often as it says?", loc="left", fontsize=11)
    axes.set_xlabel("how probable it says it is that it is right")
    axes.set_ylabel("how often it is right, with 95 % interval")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: share(value, 0))
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    plain_axes(axes)
    figure.legend(handles=handles, loc="outside lower left", ncols=1, frameon=False)
