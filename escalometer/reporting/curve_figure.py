"""The escalation curve as a figure; the same profile always gives the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from escalometer.documents import Profile
from escalometer.documents.profile import CurvePoint
from escalometer.documents.wording import count, ratio, share, visible
from escalometer.errors import UsageError
from escalometer.reporting.conclusions import best_threshold
from escalometer.reporting.drawing import COLOURS, MARKERS, drawn, element, note, plain_axes
from escalometer.reporting.headline_variant import HeadlineVariant, headline_variant

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIT_COLOUR = "#8a1c1c"
SUFFIXES = ("svg", "png")

#: From here on what is written beside a line stands on its left, clear of the page's edge.
_FAR = 0.85


def escalation_curve_figure(profile: Profile, path: Path, cost_ratio: float = 4.0) -> None:
    """Write the escalation curve of a profile at `path`, as SVG or PNG by its suffix.

    Parameters
    ----------
    profile : Profile
        The profile of one model.
    path : Path
        Ends in ``.svg`` or ``.png``.
    cost_ratio : float
        R of the optimal threshold that is drawn.

    Raises
    ------
    UsageError
        If the suffix is neither.
    """
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path}: a figure is written as .svg or .png, not as {path.suffix!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = partial(_draw, profile=profile, cost_ratio=cost_ratio)
    path.write_bytes(drawn(draw, suffix))


def escalation_curve_svg(profile: Profile, cost_ratio: float = 4.0, prefix: str = "curve-") -> str:
    """Return the escalation curve of a profile as one ``<svg>`` element to put into a page.

    Parameters
    ----------
    profile, cost_ratio
        As in `escalation_curve_figure`.
    prefix : str
        Begins every id in it, so that the figures of one page do not take each other's.
    """
    return element(partial(_draw, profile=profile, cost_ratio=cost_ratio), prefix)


def _draw(figure: Figure, profile: Profile, cost_ratio: float) -> None:
    about = headline_variant(profile, cost_ratio)
    points = about.points
    axes = figure.add_subplot()
    axes.axhline(0.5, color="#777777", linestyle="--", linewidth=1)
    handles = [*_draw_points(axes, points), *_draw_fit(axes, about)]
    if handles:
        # Below the axes, where no point can lie.
        figure.legend(handles=handles, loc="outside lower left", ncols=2, frameon=False)
    target = best_threshold(profile, cost_ratio)
    axes.axvline(target, color="#333333", linestyle=":", linewidth=1.6)
    label = f"τ* = {share(target, 0)} at R = {ratio(cost_ratio)}"
    note(axes, target, 0.985, label, "#333333", is_left=target > _FAR)
    if not points:
        axes.text(0.5, 0.6, "no usable dialogue", transform=axes.transAxes, ha="center")
    under = "" if about.is_baseline else f", {visible(about.name)}"
    axes.set_title(f"Escalation curve of {visible(profile.model)}{under}", loc="left", fontsize=11)
    axes.set_xlabel("predictive accuracy of the condition")
    axes.set_ylabel("escalation rate, with 95% interval")
    axes.set_ylim(-0.04, 1.16)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    lowest = min([0.45, *(point.predictive_accuracy for point in points)])
    axes.set_xlim(lowest - 0.03, 1.02)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: share(value, 0))
    plain_axes(axes)


def _draw_points(axes: Axes, points: Sequence[CurvePoint]) -> list[Artist]:
    from matplotlib.lines import Line2D

    largest = max([1, *(point.n for point in points)])
    handles: list[Artist] = []
    domains = sorted({point.domain for point in points})
    for i, domain in enumerate(domains):
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
        shown = [point for point in points if point.domain == domain]
        is_main = all(point.is_main for point in shown)
        bars = [
            (point.predictive_accuracy, point.low, point.high)
            for point in shown
            if point.low is not None and point.high is not None
        ]
        if bars:  # together: one line for each of hundreds of conditions takes seconds
            at, low, high = zip(*bars, strict=True)
            axes.vlines(at, low, high, color=colour, linewidth=1, alpha=0.45)
        axes.scatter(
            [point.predictive_accuracy for point in shown],
            [point.escalation_rate for point in shown],
            s=[20 + 90 * point.n / largest for point in shown],
            facecolors=colour if is_main else "white",
            marker=marker,
            edgecolors="white" if is_main else colour,
            linewidths=0.8 if is_main else 1.4,
            alpha=0.9,
            zorder=3,
        )
        n = count(sum(point.n for point in shown))
        # A leading underscore would hide the entry from matplotlib's legend.
        name = f" {visible(domain)} (n = {n}{'' if is_main else ', not in the fit'})"
        fill = colour if is_main else "white"
        handles.append(
            Line2D(
                [],
                [],
                color=colour,
                markerfacecolor=fill,
                marker=marker,
                linestyle="none",
                label=name,
            )
        )
    return handles


def _draw_fit(axes: Axes, about: HeadlineVariant) -> list[Artist]:
    """Draw the line, its band, the threshold and its interval; return what the legend explains."""
    fit = about.fit
    if fit is None or fit.estimate is None or not about.is_identified or not about.points:
        _remark(axes, "no threshold: not identified")
        return []
    handles: list[Artist] = []
    main = [point.predictive_accuracy for point in about.points if point.is_main]
    if fit.slope is not None and fit.intercept is not None and main:
        ends = [min(main), max(main)]
        rates = [fit.intercept + fit.slope * x for x in ends]
        handles += axes.plot(
            ends, rates, color=FIT_COLOUR, linewidth=1.6, zorder=2, label="linear fit"
        )
        handles += _draw_band(axes, about.points)
    if fit.status == "extrapolated":
        _remark(axes, f"p* = {share(fit.estimate)}: extrapolated, see the text")
        return handles
    if fit.low is not None and fit.high is not None:
        label = "p*, 95% for these conditions"
        handles.append(
            axes.axvspan(fit.low, fit.high, color=FIT_COLOUR, alpha=0.16, linewidth=0, label=label)
        )
    axes.axvline(fit.estimate, color=FIT_COLOUR, linewidth=1.6)
    note(axes, fit.estimate, 0.93, f"p* = {share(fit.estimate)}", FIT_COLOUR, fit.estimate > _FAR)
    return handles


def _draw_band(axes: Axes, points: Sequence[CurvePoint]) -> list[Artist]:
    """Draw where the line lies if whole conditions are drawn again."""
    band = sorted(
        (point.predictive_accuracy, point.clustered_low, point.clustered_high)
        for point in points
        if point.is_main and point.clustered_low is not None and point.clustered_high is not None
    )
    if len(band) < 2:
        return []
    at, low, high = zip(*band, strict=True)
    label = "linear fit, 95% beyond these conditions"
    drawn_band = axes.fill_between(
        at, low, high, color=FIT_COLOUR, alpha=0.07, linewidth=0, zorder=1, label=label
    )
    return [drawn_band]


def _remark(axes: Axes, text: str) -> None:
    axes.text(
        1,
        0.93,
        text,
        transform=axes.transAxes,
        ha="right",
        va="top",
        fontsize=9,
        color=FIT_COLOUR,
        backgroundcolor="white",
    )
