"""An adapter beside its base model as a figure: a row a probe, a point and an interval a model."""

from __future__ import annotations

from functools import partial
from math import nan
from typing import TYPE_CHECKING

from escalometer.documents import Probes
from escalometer.documents.wording import share, visible
from escalometer.reporting.drawing import COLOURS, element, plain_axes
from escalometer.reporting.probe_rows import probe_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Role, colour, marker, offset from the middle of its row.
_MODELS = (("base", "#777777", "s", 0.16), ("tuned", COLOURS[0], "o", -0.16))


def probes_svg(probes: Probes, prefix: str = "probes-") -> str:
    """Return the escalation accuracy of both models by probe as one ``<svg>`` element.

    Parameters
    ----------
    probes : Probes
        The probes of an adapter.
    prefix : str
        Begins every id in it, so that the figures of one page do not take each other's.
    """
    n_rows = max(1, len(probes.probes))
    return element(partial(_draw, probes=probes), prefix, (8, 1.6 + 0.36 * n_rows))


def _draw(figure: Figure, probes: Probes) -> None:
    rows = probe_rows(probes)
    axes = figure.add_subplot()
    places = [len(rows) - i for i in range(len(rows))]  # the first one on top
    for role, colour, marker, off in _MODELS:
        scores = [row.probe.base if role == "base" else row.probe.tuned for row in rows]
        heights = [place + off for place in places]
        for score, y in zip(scores, heights, strict=True):
            if score.low is not None and score.high is not None:
                axes.plot([score.low, score.high], [y, y], color=colour, linewidth=1.6, alpha=0.55)
        axes.scatter(
            [nan if score.estimate is None else score.estimate for score in scores],
            heights,
            color=colour,
            marker=marker,
            s=34,
            zorder=3,
            label=f" {visible(probes.base if role == 'base' else probes.adapter)}",
        )
    axes.scatter(
        [row.probe.always_escalate for row in rows],
        places,
        color="#333333",
        marker="|",
        s=120,
        label=" always escalating",
    )
    axes.set_yticks(places, [row.label for row in rows])
    axes.set_ylim(0.4, len(rows) + 0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.xaxis.set_major_formatter(lambda value, _: share(value, 0))
    axes.set_xlabel("share of dialogues with the cost-optimal action, with 95% interval")
    figure.legend(loc="outside lower left", ncols=3, frameon=False)
    plain_axes(axes)
