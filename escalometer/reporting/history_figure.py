"""Evaluations over time as a picture: threshold, accuracy and escalation rate."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from escalometer.documents import History
from escalometer.documents.wording import visible
from escalometer.reporting.drawing import COLOURS, MARKERS, drawn, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: To the right of the axes, where no interval can be.
_LEGEND: dict[str, Any] = {
    "fontsize": 8,
    "frameon": False,
    "loc": "upper left",
    "bbox_to_anchor": (1, 1),
}


def history_figure(history: History, suffix: str = "svg") -> bytes:
    """Return the picture as a file's bytes.

    Parameters
    ----------
    history : History
        With at least one entry.
    suffix : {"svg", "png"}
    """

    def draw(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        _thresholds(upper, history)
        _rates(lower, history)
        for axes in (upper, lower):
            plain_axes(axes)
            for i, entry in enumerate(history.entries):
                if entry.changes or entry.unknown:
                    axes.axvline(i - 0.5, color="#888888", linestyle=":", linewidth=1)
        labels = [f"{_day(e.logged_at)}\n{visible(e.model)[:24]}" for e in history.entries]
        lower.set_xlim(-0.5, len(labels) - 0.5)
        lower.set_xticks(range(len(labels)), labels, rotation=30, ha="right", fontsize=8)
        if history.warnings:
            lower.set_xlabel("dotted: something besides the model changed", fontsize=9)

    width = min(24.0, max(8.0, 0.7 * len(history.entries)))
    return drawn(draw, suffix, (width, 6))


def _thresholds(axes: Axes, history: History) -> None:
    for number, model in enumerate(history.models):
        found = [
            (i, entry.threshold)
            for i, entry in enumerate(history.entries)
            if entry.model == model and entry.threshold.estimate is not None
        ]
        places = [i for i, _ in found]
        values = [100 * (t.estimate or 0) for _, t in found]
        # An end that is unknown is drawn at the estimate.
        ends = [
            [
                0.0 if end is None else abs(100 * end - v)
                for end, v in zip(side, values, strict=True)
            ]
            for side in ([t.low for _, t in found], [t.high for _, t in found])
        ]
        axes.errorbar(
            places,
            values,
            yerr=ends,
            fmt=MARKERS[number % len(MARKERS)],
            color=COLOURS[number % len(COLOURS)],
            capsize=3,
            label=visible(model),
        )
    axes.set_ylabel("implicit threshold (%)")
    axes.legend(**_LEGEND)


def _rates(axes: Axes, history: History) -> None:
    for name, label, marker, colour in (
        ("predictive_accuracy", "predictive accuracy", "x", COLOURS[-1]),
        ("escalation_rate", "escalation rate", "+", COLOURS[-1]),
    ):
        found = [(i, getattr(entry, name)) for i, entry in enumerate(history.entries)]
        known = [(i, 100 * value) for i, value in found if value is not None]
        if known:
            axes.plot(
                *zip(*known, strict=True), marker=marker, color=colour, linestyle="", label=label
            )
    axes.set_ylabel("%")
    axes.set_ylim(0, 100)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**_LEGEND)


def _day(moment: str) -> str:
    return datetime.fromisoformat(moment).strftime("%Y-%m-%d")
