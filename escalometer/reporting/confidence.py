"""Calibration of a model's confidence in its prediction, in sentences and as a figure."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from escalometer.documents import Profile
from escalometer.documents.calibration import Calibration, ExternalThreshold
from escalometer.documents.interval import SimpleInterval
from escalometer.documents.wording import (
    DASH,
    cost,
    count,
    estimate,
    more,
    ratio,
    share,
    span,
    visible,
)
from escalometer.reporting.drawing import COLOURS, MARKERS, element, plain_axes
from escalometer.reporting.variants import label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SCORES = {
    "stated_confidence": "stated confidence",
    "choice_probability": "choice probability",
}


def score_name(row: Calibration | ExternalThreshold) -> str:
    """Return the score and the protocol variant, for people."""
    score = _SCORES[row.score]
    under = _variant_words(row)
    return f"{score[:1].upper()}{score[1:]}{f' under {under}' if under else ''}"


def _variant_words(row: Calibration | ExternalThreshold) -> str:
    """Return the variant that the score is from; empty where the score's name says it."""
    if isinstance(row, ExternalThreshold):
        is_cost_stated = row.is_cost_stated
    else:
        is_cost_stated = row.cost_ratio is not None
    stated = f", R = {ratio(row.cost_ratio)} stated" if is_cost_stated else ""
    name = label(row)
    return "" if name == row.score and not stated else f"{name}{stated}"


def calibration_words(profile: Profile) -> list[str]:
    """Return a sentence for each protocol variant and score."""
    return [_calibration(row) for row in profile.calibration]


def _calibration(row: Calibration) -> str:
    smooth = row.smooth_calibration_error
    errs = ""
    if smooth.estimate is not None:
        bounds, noise = span(smooth, "cost"), cost(smooth.if_calibrated)
        errs = f"; calibration error {cost(smooth.estimate)}"
        errs += "" if bounds == DASH else f" {bounds}"
        errs += "" if noise == DASH else f", {noise} expected from noise"
    return (
        f"{score_name(row)}: mean {share(row.mean_confidence)}, correct in "
        f"{share(row.accuracy)} of {count(row.n)}{errs}."
    )


def external_words(profile: Profile, cost_ratio: float | None = None) -> list[str]:
    """Return the cost of an external threshold on the model's own score, or why it is unknown.

    Parameters
    ----------
    profile : Profile
        The profile of one model.
    cost_ratio : float, optional
        At this R alone.
    """
    return [
        _external(row)
        for row in profile.external_threshold
        if cost_ratio is None or row.cost_ratio in (None, cost_ratio)
    ]


def _external(row: ExternalThreshold) -> str:
    difference = row.difference
    if row.reason or difference is None:
        reason = row.reason or ""
        why = reason[:1].upper() + reason[1:]
        return f"{score_name(row)}: no external threshold was fitted. {why}."
    under = _variant_words(row)
    name = _SCORES[row.score] + (f" ({under})" if under else "")
    start = (
        f"At R = {ratio(row.cost_ratio)} an external threshold on its {name} would cost "
        f"{cost(row.cost)} instead of {cost(row.own_cost)}: "
    )
    bounds = span(difference, "cost")
    if difference.low is not None and difference.low > 0:
        return (
            f"{start}the model's own escalation costs {estimate(difference, 'cost')} {bounds} more."
        )
    if difference.high is not None and difference.high < 0:
        gain = _turned(difference)
        return (
            f"{start}the model's own escalation costs {estimate(gain, 'cost')} "
            f"{span(gain, 'cost')} less."
        )
    if bounds == DASH:
        return f"{start}no interval, so no difference is shown."
    return f"{start}no difference is shown ({more(difference.estimate)} {bounds})."


def _turned(difference: SimpleInterval) -> SimpleInterval:
    """Return a difference the other way round."""
    ends = (difference.estimate, difference.high, difference.low)
    value, low, high = (None if end is None else -end for end in ends)
    return SimpleInterval(estimate=value, low=low, high=high)


def reliability_svg(profile: Profile, prefix: str) -> str:
    """Return the reliability diagram as one ``<svg>`` element; empty where there is no score.

    Parameters
    ----------
    profile : Profile
        The profile of one model.
    prefix : str
        Begins every id in it.
    """
    rows = [row for row in profile.calibration if row.reliability]
    return element(partial(_draw, rows=rows), prefix, (8, 6)) if rows else ""


def _draw(figure: Figure, rows: list[Calibration]) -> None:
    from matplotlib.lines import Line2D

    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#777777", linestyle="--", linewidth=1)
    handles = []
    for i, row in enumerate(rows):
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
        bins = row.reliability
        low, high = [one.accuracy_low for one in bins], [one.accuracy_high for one in bins]
        axes.vlines(
            [one.mean_confidence for one in bins], low, high, color=colour, linewidth=1, alpha=0.45
        )
        at, right = [one.mean_confidence for one in bins], [one.accuracy for one in bins]
        axes.plot(at, right, color=colour, linewidth=1, alpha=0.6)
        largest = max(one.n for one in bins)
        axes.scatter(
            at,
            right,
            s=[20 + 90 * one.n / largest for one in bins],
            color=colour,
            marker=marker,
            edgecolors="white",
            linewidths=0.8,
            zorder=3,
        )
        # A leading underscore would hide the entry from matplotlib's legend.
        name = f" {visible(score_name(row))} (n = {count(row.n)})"
        handles.append(Line2D([], [], color=colour, marker=marker, label=name))
    axes.set_title("Calibration of confidence", loc="left", fontsize=11)
    axes.set_xlabel("confidence in the prediction")
    axes.set_ylabel("share of correct predictions, with 95% interval")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: share(value, 0))
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    plain_axes(axes)
    figure.legend(handles=handles, loc="outside lower left", ncols=1, frameon=False)
