"""Colours, style and bytes of all figures: the same profile always gives the same bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito's colours, told apart with any colour vision, without the pale yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "escalometer",  # element ids would be random otherwise
    "svg.fonttype": "none",  # text stays text: small, searchable, readable by screen readers
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "text.parse_math": False,  # names come from users' files; a dollar sign is no formula
}


def drawn(draw: Callable[[Figure], None], suffix: str, size: tuple[float, float] = (8, 5)) -> bytes:
    """Return a figure that `draw` fills in, as a file's bytes.

    Parameters
    ----------
    draw : callable
        Given the empty figure.
    suffix : {"svg", "png"}
    size : (float, float)
        Inches.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        metadata = {"Date": None, "Creator": None} if suffix == "svg" else {"Software": None}
        figure.savefig(buffer, format=suffix, metadata=metadata)
    return buffer.getvalue()


def element(draw: Callable[[Figure], None], prefix: str, size: tuple[float, float] = (8, 5)) -> str:
    """Return the figure as one ``<svg>`` element to put into a page.

    Parameters
    ----------
    draw, size
        As in `drawn`.
    prefix : str
        Begins every id in it, so that the figures of one page do not take each other's.
    """
    document = drawn(draw, "svg", size).decode("utf-8")
    found = document[document.index("<svg") :]
    # Both would be the whole page's: an RDF block nobody reads, and a style for every element.
    found = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", found, flags=re.DOTALL)
    return prefixed(found, prefix)


def prefixed(svg: str, prefix: str) -> str:
    """Return a figure with `prefix` at the beginning of every id in it."""
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}", svg)


def plain_axes(axes: Axes) -> None:
    """Give the axes a light grid and leave them two lines."""
    axes.grid(color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def note(axes: Axes, x: float, height: float, text: str, colour: str, is_left: bool) -> None:
    """Write `text` beside the vertical line at `x`, on its left or its right."""
    axes.annotate(
        text,
        (x, height),
        xycoords=("data", "axes fraction"),
        xytext=(-5 if is_left else 5, 0),
        textcoords="offset points",
        ha="right" if is_left else "left",
        va="top",
        color=colour,
        fontsize=9,
    )
