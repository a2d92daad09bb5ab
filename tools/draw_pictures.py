"""Draw the pictures of README and documentation: SVG files in docs/pictures.

The escalation curves are drawn from docs/pictures/recorded-curves.csv: accuracy and escalation rate
of each condition, aggregated from decisions recorded by DiSorbo and Ju (arXiv 2604.08588).
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from escalometer.reporting.drawing import COLOURS, MARKERS, drawn, plain_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "pictures"
OPTIMAL = 0.75  # τ* at R = 4


def escalation_curves(figure: Figure) -> None:
    """Draw the escalation rate against accuracy of two models, with fits and thresholds."""
    with (FOLDER / "recorded-curves.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    axes = figure.subplots()
    plain_axes(axes)
    for model, colour, marker in zip(
        dict.fromkeys(row["model"] for row in rows), COLOURS, MARKERS, strict=False
    ):
        own = [row for row in rows if row["model"] == model]
        x = np.array([float(row["predictive_accuracy"]) for row in own])
        y = np.array([float(row["escalation_rate"]) for row in own])
        slope, intercept = np.polyfit(x, y, 1)
        threshold = (0.5 - intercept) / slope
        axes.scatter(x, y, s=22, color=colour, marker=marker, alpha=0.75)
        ends = np.array([0.4, 1.0])
        label = f"{model}: threshold {100 * threshold:.0f}%"
        axes.plot(ends, intercept + slope * ends, color=colour, linewidth=2, label=label)
        axes.plot([threshold, threshold], [0, 0.5], color=colour, linewidth=1, linestyle=":")
    axes.plot([0.4, OPTIMAL, OPTIMAL, 1], [1, 1, 0, 0], color="#555555", linestyle="--")
    axes.plot([], [], color="#555555", linestyle="--", label="optimal at R = 4: threshold 75%")
    axes.set(xlim=(0.4, 1.0), ylim=(-0.03, 1.03))
    axes.set_xlabel("predictive accuracy of the condition")
    axes.set_ylabel("escalation rate")
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}%")
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}%")
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)


def costs(figure: Figure) -> None:
    """Draw the cost of implementing and escalating against accuracy, crossing at τ*."""
    axes = figure.subplots()
    plain_axes(axes)
    x = np.linspace(0.4, 1, 2)
    axes.plot(x, 4 * (1 - x), color=COLOURS[1], linewidth=2, label="implement: R × (1 − accuracy)")
    axes.plot(x, [1, 1], color=COLOURS[0], linewidth=2, label="escalate: 1")
    axes.axvline(OPTIMAL, color="#555555", linestyle="--")
    axes.annotate("τ* = 1 − 1/R = 75%", (OPTIMAL, 2.2), (6, 0), textcoords="offset points")
    axes.set(xlim=(0.4, 1), ylim=(0, 2.5), xlabel="accuracy", ylabel="expected cost per decision")
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}%")
    axes.legend(frameon=False)


def self_estimate(figure: Figure) -> None:
    """Draw how the self-estimated accuracy follows from the rate without a signal."""
    axes = figure.subplots()
    plain_axes(axes)
    slope, intercept, rate, accuracy = -1.35, 1.325, 0.2, 0.76
    x = np.linspace(0.4, 1, 2)
    estimate = (rate - intercept) / slope
    axes.plot(x, intercept + slope * x, color=COLOURS[0], linewidth=2, label="line with a signal")
    axes.axhline(rate, color=COLOURS[1], linestyle=":", label="escalation rate without a signal")
    axes.plot([estimate, estimate], [0, rate], color=COLOURS[1])
    axes.plot([accuracy, accuracy], [0, rate], color="#555555", linestyle="--")
    words = {"ha": "center", "textcoords": "offset points"}
    axes.annotate("self-estimated\naccuracy", (estimate, rate), (18, 14), **words)
    axes.annotate("predictive\naccuracy", (accuracy, rate), (-38, -34), **words)
    axes.annotate(
        "", (estimate, 0.06), (accuracy, 0.06), arrowprops={"arrowstyle": "<->", "color": "#333333"}
    )
    axes.annotate("bias", ((estimate + accuracy) / 2, 0.06), (0, 4), **words)
    axes.set(xlim=(0.4, 1), ylim=(0, 1), xlabel="accuracy", ylabel="escalation rate")
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}%")
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}%")
    axes.legend(frameon=False)


def pipeline(figure: Figure) -> None:
    """Draw the stages of dvc.yaml in their order."""
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set(xlim=(0, 10), ylim=(0, 4))
    boxes = {
        "raw files": (0.9, 3.2),
        "ingest, validate": (3.1, 3.2),
        "sample, validate": (5.4, 3.2),
        "query": (7.6, 3.2),
        "completion store": (9.0, 1.9),
        "model": (9.4, 3.2),
        "validate decisions": (5.4, 0.6),
        "analyze": (3.4, 0.6),
        "report": (1.4, 1.2),
        "track (MLflow)": (1.4, 0.2),
    }
    for name, (x, y) in boxes.items():
        axes.text(
            x, y, name, ha="center", va="center",
            bbox={"boxstyle": "round,pad=0.45", "facecolor": "#eef4fa", "edgecolor": COLOURS[0]},
        )  # fmt: skip
    arrows = [
        ((1.5, 3.2), (2.1, 3.2)), ((4.1, 3.2), (4.4, 3.2)), ((6.4, 3.2), (7.15, 3.2)),
        ((7.4, 2.9), (6.1, 0.95)),
        ((4.3, 0.6), (3.95, 0.6)), ((2.8, 0.7), (1.95, 1.1)), ((2.8, 0.5), (2.3, 0.3)),
    ]  # fmt: skip
    both_ways = [((8.05, 3.2), (8.95, 3.2)), ((7.85, 2.9), (8.75, 2.25))]
    for style, pairs in (("->", arrows), ("<->", both_ways)):
        for start, end in pairs:
            axes.annotate("", end, start, arrowprops={"arrowstyle": style, "color": "#333333"})


PICTURES: dict[str, tuple[Callable[[Figure], None], tuple[float, float]]] = {
    "escalation-curves": (escalation_curves, (8, 4.2)),
    "costs": (costs, (7, 3.6)),
    "self-estimate": (self_estimate, (7, 3.8)),
    "pipeline": (pipeline, (9, 3.4)),
}


def main() -> None:
    """Write every picture."""
    for name, (draw, size) in PICTURES.items():
        (FOLDER / f"{name}.svg").write_bytes(drawn(draw, "svg", size))


if __name__ == "__main__":
    main()
