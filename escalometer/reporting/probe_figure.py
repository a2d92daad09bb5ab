"""An adapter beside its base model as a picture: a row a probe, a point and an interval a model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from escalometer.documents.wording import share, visible
from escalometer.reporting.drawing import COLOURS, element, plain_axes
from escalometer.reporting.probe_rows import probe_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Role, colour, marker, offset from the middle of its row.
_MODELS = (("base", "#777777", "s", 0.16), ("tuned", COLOURS[0], "o", -0.16))


def probes_svg(document: Mapping[str, Any], prefix: str = "probes-") -> str:
    """Return the escalation accuracy of both models by probe as one ``<svg>`` element.

    Parameters
    ----------
    document : mapping
        probes.json.
    prefix : str
        Begins every id in it, so that the figures of one page do not take each other's.
    """
    n_rows = max(1, len(document["probes"]))
    return element(partial(_draw, document=document), prefix, (8, 1.6 + 0.36 * n_rows))


def _draw(figure: Figure, document: Mapping[str, Any]) -> None:
    rows = probe_rows(document)
    axes = figure.add_subplot()
    places = [len(rows) - i for i in range(len(rows))]  # the first one on top
    for role, colour, marker, off in _MODELS:
        points = [
            (row[role]["estimate"], row[role]["low"], row[role]["high"], place + off)
            for row, place in zip(rows, places, strict=True)
        ]
        for _, low, high, y in points:
            axes.plot([low, high], [y, y], color=colour, linewidth=1.6, alpha=0.55)
        axes.scatter(
            [x for x, *_ in points],
            [y for *_, y in points],
            color=colour,
            marker=marker,
            s=34,
            zorder=3,
            label=f" {visible(document['base' if role == 'base' else 'adapter'])}",
        )
    axes.scatter(
        [row["always_escalate"] for row in rows],
        places,
        color="#333333",
        marker="|",
        s=120,
        label=" always escalating",
    )
    axes.set_yticks(places, [row["label"] for row in rows])
    axes.set_ylim(0.4, len(rows) + 0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.xaxis.set_major_formatter(lambda value, _: share(value, 0))
    axes.set_xlabel("share of dialogues with the cost-optimal action, with 95 % interval")
    figure.legend(loc="outside lower left", ncols=3, frameon=False)
    plain_axes(axes)
