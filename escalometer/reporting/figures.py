"""The escalation curve as a picture; the same profile always gives the same bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from escalometer.errors import UsageError
from escalometer.reporting.findings import best_threshold
from escalometer.reporting.wording import count, ratio, share, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito's colours, told apart with any colour vision, without the pale yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
FIT_COLOUR = "#8a1c1c"
SUFFIXES = ("svg", "png")

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "escalometer",  # element ids would be random otherwise
    "svg.fonttype": "none",  # text stays text: small, searchable, readable by screen readers
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "text.parse_math": False,  # names come from users' files; a dollar sign is no formula
}


def escalation_curve_figure(
    profile: Mapping[str, Any], path: Path, cost_ratio: float = 4.0
) -> None:
    """Write the escalation curve of a profile at `path`, as SVG or PNG by its suffix.

    Parameters
    ----------
    profile : mapping
        The document of ``escalometer profile --json``.
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
    path.write_bytes(_drawn(profile, cost_ratio, suffix))


def escalation_curve_svg(
    profile: Mapping[str, Any], cost_ratio: float = 4.0, prefix: str = "curve-"
) -> str:
    """Return the escalation curve of a profile as one ``<svg>`` element to put into a page.

    Parameters
    ----------
    profile, cost_ratio
        As in `escalation_curve_figure`.
    prefix : str
        Begins every id in it, so that the figures of one page do not take each other's.
    """
    document = _drawn(profile, cost_ratio, "svg").decode("utf-8")
    element = document[document.index("<svg") :]
    # Both would be the whole page's: an RDF block nobody reads, and a style for every element.
    element = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", element, flags=re.DOTALL)
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}", element)


def _drawn(profile: Mapping[str, Any], cost_ratio: float, suffix: str) -> bytes:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        _draw(figure, profile, cost_ratio)
        metadata = {"Date": None, "Creator": None} if suffix == "svg" else {"Software": None}
        figure.savefig(buffer, format=suffix, metadata=metadata)
    return buffer.getvalue()


def _draw(figure: Figure, profile: Mapping[str, Any], cost_ratio: float) -> None:
    rows = [
        row
        for row in profile["curve"]
        if row["predictive_accuracy"] is not None and row["escalation_rate"] is not None
    ]
    axes = figure.add_subplot()
    axes.axhline(0.5, color="#777777", linestyle="--", linewidth=1)
    _draw_points(axes, rows)
    _draw_fit(axes, profile, rows)
    target = best_threshold(profile, cost_ratio)
    axes.axvline(target, color="#333333", linestyle=":", linewidth=1.6)
    label = f"τ* = {share(target, 0)} at R = {ratio(cost_ratio)}"
    _note(axes, target, 0.985, label, "#333333")
    if not rows:
        axes.text(0.5, 0.6, "no usable dialogue", transform=axes.transAxes, ha="center")
    axes.set_title(f"Escalation curve of {visible(profile['model'])}", loc="left", fontsize=11)
    axes.set_xlabel("predictive accuracy of the condition")
    axes.set_ylabel("escalation rate, with 95 % interval")
    axes.set_ylim(-0.04, 1.16)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    lowest = min([0.45, *(row["predictive_accuracy"] for row in rows)])
    axes.set_xlim(lowest - 0.03, 1.02)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: share(value, 0))
    axes.grid(color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_points(axes: Axes, rows: list[Mapping[str, Any]]) -> None:
    from matplotlib.lines import Line2D

    largest = max([1, *(row["n"] for row in rows)])
    handles = []
    domains = sorted({row["domain"] for row in rows})
    for i, domain in enumerate(domains):
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
        mine = [row for row in rows if row["domain"] == domain]
        is_main = all(row.get("is_main", True) for row in mine)
        for row in mine:
            x, low, high = row["predictive_accuracy"], row["low"], row["high"]
            if low is not None and high is not None:
                axes.plot([x, x], [low, high], color=colour, linewidth=1, alpha=0.45)
        axes.scatter(
            [row["predictive_accuracy"] for row in mine],
            [row["escalation_rate"] for row in mine],
            s=[20 + 90 * row["n"] / largest for row in mine],
            facecolors=colour if is_main else "white",
            marker=marker,
            edgecolors="white" if is_main else colour,
            linewidths=0.8 if is_main else 1.4,
            alpha=0.9,
            zorder=3,
        )
        n = count(sum(row["n"] for row in mine))
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
    if handles:
        # Below the axes, where no point can lie.
        figure = axes.get_figure(root=True)
        if figure is not None:
            figure.legend(handles=handles, loc="outside lower left", ncols=3, frameon=False)


def _draw_fit(axes: Axes, profile: Mapping[str, Any], rows: list[Mapping[str, Any]]) -> None:
    fit = (profile.get("implicit_threshold") or {}).get("linear") or {}
    threshold, status = fit.get("estimate"), fit.get("status")
    if threshold is None or status not in ("ok", "extrapolated") or not rows:
        _remark(axes, "no threshold: unidentified")
        return
    accuracies = [row["predictive_accuracy"] for row in rows]
    if fit.get("slope") is not None and fit.get("intercept") is not None:
        ends = [min(accuracies), max(accuracies)]
        rates = [fit["intercept"] + fit["slope"] * x for x in ends]
        axes.plot(ends, rates, color=FIT_COLOUR, linewidth=1.6, zorder=2)
    if status == "extrapolated":
        _remark(axes, f"p* = {share(threshold)}: extrapolated, see the text")
        return
    low, high = fit.get("low"), fit.get("high")
    if low is not None and high is not None:
        axes.axvspan(low, high, color=FIT_COLOUR, alpha=0.12, linewidth=0)
    axes.axvline(threshold, color=FIT_COLOUR, linewidth=1.6)
    _note(axes, threshold, 0.93, f"p* = {share(threshold)}", FIT_COLOUR)


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


def _note(axes: Axes, x: float, height: float, text: str, colour: str) -> None:
    """Write `text` beside the vertical line at `x`, clear of the page's edge."""
    is_far = x > 0.85
    axes.annotate(
        text,
        (x, height),
        xycoords=("data", "axes fraction"),
        xytext=(-5 if is_far else 5, 0),
        textcoords="offset points",
        ha="right" if is_far else "left",
        va="top",
        color=colour,
        fontsize=9,
    )
