"""What a decision costs against the cost ratio, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from escalometer.documents.wording import ratio, visible
from escalometer.reporting.drawing import COLOURS, element, note, plain_axes
from escalometer.reporting.variants import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: More lines of the model than this cannot be told apart.
MAX_LINES = 6
#: The picture ends at this many times what escalating always costs: steeper lines leave it.
_TOP = 2.2

_RULES = (
    ("always_escalate_cost", "always escalating", "#333333", "--"),
    ("always_implement_cost", "always implementing", "#333333", ":"),
    ("optimal_cost", "best possible by condition", "#333333", "-"),
)


def cost_lines(profile: Mapping[str, Any], cost_ratio: float) -> list[Mapping[str, Any]]:
    """Return the cost curves that are drawn: the baseline's, and of what states a cost.

    Of more than `MAX_LINES`, those that state this cost ratio come first. Older profiles have none.
    """
    reference = _reference(profile)
    if reference is None:
        return []
    stating = [row for row in profile["cost_curves"] if row["cost_ratio"] is not None]
    stating.sort(key=lambda row: row["cost_ratio"] != cost_ratio)  # stable
    return [reference, *stating][:MAX_LINES]


def _reference(profile: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the headlines' baseline, whose rows the fixed rules are drawn for."""
    rows = profile.get("cost_curves") or []
    baselines = [row for row in rows if row["intervention"] == "baseline" and row["has_signal"]]
    own = [
        row
        for row in baselines
        if row["reasoning_effort"] == profile.get("reasoning_effort")
        and bool(row["is_thinking"]) == bool(profile.get("is_thinking"))
        and not row["is_isolated"]
    ]
    return next(iter([*own, *baselines, *rows]), None)


def cost_caption(profile: Mapping[str, Any], cost_ratio: float) -> str:
    """Return what has to be said of the picture of `cost_curve_svg`."""
    lines = cost_lines(profile, cost_ratio)
    if not lines:
        return ""
    n_left = 1 + sum(row["cost_ratio"] is not None for row in profile["cost_curves"]) - len(lines)
    n_left -= lines[0]["cost_ratio"] is not None
    said = [
        "Cost of a decision, in escalations, if a wrong action costs R times one. Lower is better.",
        "A dot marks the R that a prompt stated; elsewhere the line shows the same answers at "
        "another price.",
        f"The rules in grey are for the conditions and dialogues of {label(lines[0])}; best "
        "possible: knowing how accurate those dialogues' predictions are under each condition, so "
        "that an intervention which changes predictions may lie below it. Estimates, without "
        "intervals; lines that leave the picture at its top go on rising.",
    ]
    if len({row["n"] for row in lines}) > 1:
        said.append(
            "The interventions have different numbers of dialogues, and maybe of conditions: small "
            "distances between lines mean nothing."
        )
    if n_left > 0:
        said.append(f"{n_left} more that state a cost are not drawn.")
    return " ".join(said)


def cost_curve_svg(profile: Mapping[str, Any], cost_ratio: float, prefix: str) -> str:
    """Return cost against cost ratio as one ``<svg>`` element; empty where nothing is known.

    Parameters
    ----------
    profile : mapping
        The document of ``escalometer profile --json``.
    cost_ratio : float
        R of the headlines, which is marked.
    prefix : str
        Begins every id in it.
    """
    lines = cost_lines(profile, cost_ratio)
    if not lines:
        return ""
    return element(partial(_draw, lines=lines, cost_ratio=cost_ratio), prefix)


def _draw(figure: Figure, lines: Sequence[Mapping[str, Any]], cost_ratio: float) -> None:
    axes = figure.add_subplot()
    reference = lines[0]
    handles: list[Any] = []
    for name, words, colour, style in _RULES:
        handles += axes.plot(
            reference["cost_ratios"],
            reference[name],
            color=colour,
            linestyle=style,
            linewidth=1.3,
            alpha=0.75,
            label=words,
        )
    for i, row in enumerate(lines):
        handles += _draw_line(axes, row, COLOURS[i % len(COLOURS)])
    at = min(range(len(reference["cost_ratios"])), key=lambda i: _off(reference, i, cost_ratio))
    top = _TOP * max(reference["always_escalate_cost"][at], reference["realized_cost"][at] / 2)
    axes.axvline(cost_ratio, color="#333333", linestyle=":", linewidth=1)
    note(axes, cost_ratio, 0.985, f"R = {ratio(cost_ratio)}", "#333333", cost_ratio > 50)
    axes.set_title("What a decision costs", loc="left", fontsize=11)
    axes.set_xscale("log")
    axes.set_xlim(1, 100)
    axes.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    axes.set_xticks([], minor=True)
    axes.set_ylim(0, top)
    axes.set_xlabel("cost ratio R: what a wrong action costs, in escalations")
    axes.set_ylabel("cost of a decision, in escalations")
    plain_axes(axes)
    figure.legend(handles=handles, loc="outside lower left", ncols=2, frameon=False)


def _off(row: Mapping[str, Any], i: int, cost_ratio: float) -> float:
    return abs(float(row["cost_ratios"][i]) - cost_ratio)


def _draw_line(axes: Axes, row: Mapping[str, Any], colour: str) -> list[Any]:
    stated = row["cost_ratio"]
    words = f", R = {ratio(stated)} stated" if stated is not None else ", no cost stated"
    costs = row["realized_cost"]
    if stated is not None and row["cost_ratios"]:
        at = min(range(len(costs)), key=lambda i: _off(row, i, stated))
        axes.plot([row["cost_ratios"][at]], [costs[at]], marker="o", color=colour, markersize=6)
    # A leading underscore would hide the entry from matplotlib's legend.
    name = f" {visible(label(row))}{words}"
    return list(axes.plot(row["cost_ratios"], costs, color=colour, linewidth=1.8, label=name))
