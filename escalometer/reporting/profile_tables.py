"""The tables of a profile's text: domains, interventions, differences, thresholds, conditions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from escalometer.documents import Profile
from escalometer.documents.wording import (
    DASH,
    Estimated,
    count,
    estimate,
    p_value,
    ratio,
    share,
    span,
    visible,
)
from escalometer.reporting.conclusions import missing, status_rows
from escalometer.reporting.headline_variant import HeadlineVariant
from escalometer.reporting.missing_answers import WithBounds, moved
from escalometer.reporting.terminal import Column, plain_table
from escalometer.reporting.threshold_rows import domain_rows, variant_rows
from escalometer.reporting.variants import difference_rows, intervention_rows

BAR_WIDTH = 10
BOUNDS = "{low}–{high}"  # in tables, where columns are scarce
#: First cell of a row with the bounds for missing answers of the row above.
WITH_MISSING = "  bounds, missing"
WITH_MISSING_WORDS = (
    "bounds, missing: range of the number over all possible values of the missing answers; "
    "empty where it cannot change."
)


class Cell(NamedTuple):
    """A number with bounds for missing answers, and its unit."""

    interval: WithBounds | None
    unit: str = "share"

    @property
    def text(self) -> str:
        """The estimate with its interval below."""
        return two_lines(self.interval, self.unit)


def two_lines(interval: Estimated | None, unit: str = "share") -> str:
    """Return the estimate with its interval below; a dash alone where it is undefined."""
    number = estimate(interval, unit).removesuffix(" points")
    bounds = span(interval, unit, _pattern(unit))
    return number if DASH in (number, bounds) else f"{number}\n{bounds}"


def _pattern(unit: str) -> str:
    # Between numbers with signs a dash would be one sign too many.
    return "{low} to {high}" if unit in ("points", "more") else BOUNDS


def _add_moved(table: Table, n_before: int, cells: Sequence[Cell | None], n_missing: int) -> bool:
    """Add a row with the bounds of `cells` for missing answers; return True if there are any.

    Parameters
    ----------
    table : Table
    n_before : int
        How many columns come before the cells, the row's name included.
    cells : sequence of Cell or None
        None leaves its place empty.
    n_missing : int
        How many dialogues lack an answer.
    """
    found = [
        moved(cell.interval, n_missing, cell.unit, _pattern(cell.unit))
        if cell is not None and cell.interval is not None
        else ""
        for cell in cells
    ]
    if any(found):
        table.add_row(WITH_MISSING, *[""] * (n_before - 1), *found, style="dim")
    return any(found)


def statuses(profile: Profile) -> list[RenderableType]:
    """Return the dialogues by how they ended."""
    table = plain_table(
        [Column("status", "left"), "dialogues", "share", Column("meaning", "left")], gap=2
    )
    for row in status_rows(profile):
        table.add_row(row.status, count(row.n), row.share, row.meaning)
    return [table]


def domains(profile: Profile) -> list[RenderableType]:
    """Return a row a domain; nothing where the only one is the model as a whole."""
    rows = domain_rows(profile)
    if len(rows) < 2:
        return []
    table = plain_table(
        [Column("", "left"), "n", "accuracy", "threshold p*", "self-estimated", "bias (points)"]
    )
    is_moved = False
    for row in rows:
        numbers = row.numbers
        accuracy = Cell(numbers.predictive_accuracy)
        threshold = None if row.flag else Cell(row.threshold)
        others = [Cell(numbers.self_estimated_accuracy), Cell(numbers.calibration_bias, "points")]
        table.add_row(
            visible(numbers.domain) + ("" if numbers.is_main else " ²"),
            count(numbers.n),
            accuracy.text,
            row.flag if threshold is None else threshold.text,
            *(cell.text for cell in others),
        )
        is_moved |= _add_moved(table, 2, [accuracy, threshold, *others], missing(profile))
    notes = [
        "unidentified: no threshold. extrapolated: threshold outside of the observed "
        "accuracies. Self-estimated accuracy uses the line over all domains."
    ]
    if any(row.is_at_limit for row in rows):
        notes.append("A self-estimated accuracy of 0 or 100% is clipped.")
    if any(row.numbers.self_estimated_accuracy.estimate is None for row in rows):
        notes.append(f"{DASH} no dialogue without a signal, or no fitted line.")
    if not all(row.numbers.is_main for row in rows):
        notes.append("² Excluded from pooled numbers.")
    if is_moved:
        notes.append(WITH_MISSING_WORDS)
    return [table, *_notes(notes)]


def interventions(profile: Profile, cost_ratio: float) -> list[RenderableType]:
    """Return the interventions at a cost ratio, with notes."""
    rows = intervention_rows(profile, cost_ratio)
    if not rows:
        scored = sorted({row.cost_ratio for row in profile.interventions})
        listed = ", ".join(ratio(r) for r in scored) or "none"
        return [Text(f"Not scored at R = {ratio(cost_ratio)}; cost ratios scored: {listed}.")]
    titles = ("n", "optimal by\naccuracy", "optimal by\nsignal", "coverage", "cost", "regret")
    columns = [Column(title, can_wrap=True) for title in titles]
    table = plain_table([Column("", "left"), *columns])
    is_moved = False
    for row in rows:
        cells = [
            *(
                Cell(scores.escalation_accuracy if scores else None)
                for scores in (row.by_accuracy, row.by_signal)
            ),
            Cell(row.common.coverage),
            Cell(row.common.realized_cost, "cost"),
            Cell((row.by_accuracy or row.common).regret, "cost"),
        ]
        mark = "" if row.common.is_cost_stated else " ¹"
        table.add_row(
            visible(row.label) + mark, count(row.common.n), *(cell.text for cell in cells)
        )
        is_moved |= _add_moved(table, 2, cells, missing(profile))
    notes = [
        "optimal by …: share of actions that are cost-optimal at R given the condition's "
        "measured accuracy, or the accuracy that the signal states. coverage: share of "
        "predictions implemented. cost: per decision, in units of one escalation. regret: cost "
        "above the optimal policy.",
    ]
    if not all(row.common.is_cost_stated for row in rows):
        notes.append(f"¹ The prompt stated no cost; scored at R = {ratio(cost_ratio)}.")
    if any(score.escalation_accuracy.estimate is None for row in rows for score in row.scored):
        notes.append(f"{DASH} no dialogue with both a prediction and an action.")
    if is_moved:
        notes.append(WITH_MISSING_WORDS)
    return [table, *_notes(notes)]


def differences(profile: Profile, cost_ratio: float) -> list[RenderableType]:
    """Return the differences of interventions from the baseline at a cost ratio."""
    rows = difference_rows(profile, cost_ratio)
    if not rows:
        return []
    titles = ("pairs", "optimal by\naccuracy", "p", "optimal by\nsignal", "p", "cost", "threshold")
    table = plain_table([Column("", "left"), *titles])
    for row in rows:
        cells = []
        for difference in (row.by_accuracy, row.by_signal):
            right = difference.escalation_accuracy if difference else None
            cells.append(two_lines(right, "points"))
            cells.append(p_value(difference.p_corrected if difference else None))
        table.add_row(
            visible(row.label) + ("" if row.common.is_cost_stated else " ¹"),
            count(row.common.n) if row.common.is_paired else "not\npaired",
            *cells,
            two_lines(row.common.realized_cost, "more"),
            two_lines(row.common.threshold_shift, "points"),
        )
    notes = [
        "optimal by …: difference in the share of cost-optimal actions from the baseline at the "
        "same effort, in points. p: Holm-corrected over all comparisons of this model. cost: "
        "negative is cheaper. threshold: shift of the implicit threshold, in points; above 0, it "
        "escalates more."
    ]
    if not all(row.common.is_paired for row in rows):
        notes.append(
            "not paired: scenarios are not known to be the same, so dialogues are compared as "
            "independent."
        )
    if not all(row.common.is_cost_stated for row in rows):
        notes.append("¹ The prompt stated no cost.")
    return [table, *_notes(notes)]


def thresholds(profile: Profile) -> list[RenderableType]:
    """Return a row an intervention with a signal; nothing where that is the baseline alone."""
    rows = variant_rows(profile)
    if len(rows) < 2:
        return []
    titles = ("stated R", "conditions", "n", "threshold p*", "interval")
    table = plain_table([Column("", "left"), *titles], gap=2)
    for row in rows:
        number, _, bounds = two_lines(row.threshold).partition("\n")
        table.add_row(
            visible(row.label),
            ratio(row.curve.cost_ratio),
            count(row.curve.n_conditions),
            count(row.curve.n),
            row.flag or number,
            "" if row.flag else bounds,
        )
    note = (
        "unidentified: the escalation rate does not decrease with accuracy. extrapolated: the "
        "threshold is outside of the observed accuracies."
    )
    return [table, *_notes([note] if any(row.flag for row in rows) else [])]


def curve(about: HeadlineVariant) -> list[RenderableType]:
    """Return the escalation rate of a variant by domain and condition, with bars."""
    if not about.points:
        return [Text(f"No condition of the {about.name} has a usable dialogue.")]
    table = plain_table(
        [
            Column("condition", "left", min_width=20),
            *("signal", "accuracy", "escalates", "interval", "n"),
            Column("", "left", can_wrap=False, min_width=BAR_WIDTH),
        ]
    )
    domain = None
    for point in sorted(
        about.points, key=lambda point: (point.domain, point.signal_accuracy, point.condition)
    ):
        if point.domain != domain:
            domain = point.domain
            table.add_row(Text(visible(domain), style="bold"))
        full = round(point.escalation_rate * BAR_WIDTH)
        table.add_row(
            f"  {visible(point.condition)}",
            share(point.signal_accuracy, 0),
            share(point.predictive_accuracy),
            share(point.escalation_rate),
            span(point, pattern=BOUNDS),
            count(point.n),
            "█" * full + "░" * (BAR_WIDTH - full),
        )
    return [table]


def _notes(notes: Iterable[str]) -> list[Text]:
    return [Text(note, style="dim") for note in notes]
