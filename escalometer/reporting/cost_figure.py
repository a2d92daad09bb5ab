"""The cost of a decision against the cost ratio, as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from escalometer.documents import Profile
from escalometer.documents.profile import CostCurve
from escalometer.documents.wording import ratio, visible
from escalometer.reporting.drawing import COLOURS, element, note, plain_axes
from escalometer.reporting.variants import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: More lines of the model than this cannot be told apart.
MAX_LINES = 6
#: The figure ends at this many times the cost of always escalating: steeper lines leave it.
_TOP = 2.2

_RULES = (
    ("always_escalate_cost", "always escalating", "#333333", "--"),
    ("always_implement_cost", "always implementing", "#333333", ":"),
    ("optimal_cost", "optimal policy by condition", "#333333", "-"),
)


def cost_lines(profile: Profile, cost_ratio: float) -> list[CostCurve]:
    """Return the cost curves that are drawn: the baseline's, and of what states a cost.

    Of more than `MAX_LINES`, those that state this cost ratio come first.
    """
    reference = _reference(profile)
    if reference is None:
        return []
    stating = [curve for curve in profile.cost_curves if curve.cost_ratio is not None]
    stating.sort(key=lambda curve: curve.cost_ratio != cost_ratio)  # stable
    return [reference, *stating][:MAX_LINES]


def _reference(profile: Profile) -> CostCurve | None:
    """Return the curve of the headlines' baseline, whose rows the fixed rules are drawn for."""
    baselines = [
        curve
        for curve in profile.cost_curves
        if curve.intervention == "baseline" and curve.has_signal
    ]
    of_headlines = [
        curve
        for curve in baselines
        if curve.reasoning_effort == profile.reasoning_effort
        and curve.is_thinking == profile.is_thinking
        and not curve.is_isolated
    ]
    return next(iter([*of_headlines, *baselines, *profile.cost_curves]), None)


def cost_caption(profile: Profile, cost_ratio: float) -> str:
    """Return the caption of the figure of `cost_curve_svg`."""
    lines = cost_lines(profile, cost_ratio)
    if not lines:
        return ""
    n_stating = sum(curve.cost_ratio is not None for curve in profile.cost_curves)
    n_left = 1 + n_stating - len(lines) - (lines[0].cost_ratio is not None)
    sentences = [
        "Cost per decision, in escalations, when a wrong action costs R escalations. Lower is "
        "better.",
        "A dot marks the R that the prompt stated; elsewhere the same answers are scored at "
        "another R.",
        f"The grey policies use the conditions and dialogues of {label(lines[0])}. The optimal "
        "policy knows the accuracy of those dialogues' predictions by condition, so an "
        "intervention that changes predictions can cost less. Estimates without intervals; "
        "lines that leave the plot at the top continue to rise.",
    ]
    if len({curve.n for curve in lines}) > 1:
        sentences.append(
            "The interventions have different numbers of dialogues, and possibly of conditions: "
            "do not interpret small differences."
        )
    if n_left > 0:
        sentences.append(f"{n_left} more that state a cost are not drawn.")
    return " ".join(sentences)


def cost_curve_svg(profile: Profile, cost_ratio: float, prefix: str) -> str:
    """Return cost against cost ratio as one ``<svg>`` element; empty where nothing is known.

    Parameters
    ----------
    profile : Profile
        The profile of one model.
    cost_ratio : float
        R of the headlines, which is marked.
    prefix : str
        Begins every id in it.
    """
    lines = cost_lines(profile, cost_ratio)
    if not lines:
        return ""
    return element(partial(_draw, lines=lines, cost_ratio=cost_ratio), prefix)


def _draw(figure: Figure, lines: Sequence[CostCurve], cost_ratio: float) -> None:
    axes = figure.add_subplot()
    reference = lines[0]
    handles: list[Any] = []
    for name, words, colour, style in _RULES:
        handles += axes.plot(
            reference.cost_ratios,
            getattr(reference, name),
            color=colour,
            linestyle=style,
            linewidth=1.3,
            alpha=0.75,
            label=words,
        )
    for i, curve in enumerate(lines):
        handles += _draw_line(axes, curve, COLOURS[i % len(COLOURS)])
    at = _nearest(reference, cost_ratio)
    top = _TOP * max(reference.always_escalate_cost[at], reference.realized_cost[at] / 2)
    axes.axvline(cost_ratio, color="#333333", linestyle=":", linewidth=1)
    note(axes, cost_ratio, 0.985, f"R = {ratio(cost_ratio)}", "#333333", cost_ratio > 50)
    axes.set_title("Cost per decision", loc="left", fontsize=11)
    axes.set_xscale("log")
    axes.set_xlim(1, 100)
    axes.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    axes.set_xticks([], minor=True)
    axes.set_ylim(0, top)
    axes.set_xlabel("cost ratio R: cost of a wrong action, in escalations")
    axes.set_ylabel("cost per decision, in escalations")
    plain_axes(axes)
    figure.legend(handles=handles, loc="outside lower left", ncols=2, frameon=False)


def _nearest(curve: CostCurve, cost_ratio: float) -> int:
    """Return the place of the cost ratio that is nearest to this one."""
    return min(range(len(curve.cost_ratios)), key=lambda i: abs(curve.cost_ratios[i] - cost_ratio))


def _draw_line(axes: Axes, curve: CostCurve, colour: str) -> list[Any]:
    ratios, costs, stated = curve.cost_ratios, curve.realized_cost, curve.cost_ratio
    words = f", R = {ratio(stated)} stated" if stated is not None else ", no cost stated"
    if stated is not None:
        at = _nearest(curve, stated)
        axes.plot([ratios[at]], [costs[at]], marker="o", color=colour, markersize=6)
    # A leading underscore would hide the entry from matplotlib's legend.
    name = f" {visible(label(curve))}{words}"
    return list(axes.plot(ratios, costs, color=colour, linewidth=1.8, label=name))
