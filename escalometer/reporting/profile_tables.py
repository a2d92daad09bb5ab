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
from escalometer.reporting.missing_answers import WithBounds, moved
from escalometer.reporting.terminal import Column, plain_table
from escalometer.reporting.threshold_rows import domain_rows, variant_rows
from escalometer.reporting.variants import difference_rows, intervention_rows

BAR_WIDTH = 10
BOUNDS = "{low}–{high}"  # in tables, where columns are scarce
#: First cell of a row with the bounds for missing answers of the row above.
WITH_MISSING = "  with the missing"
WITH_MISSING_WORDS = (
    "with the missing: what the number could have been if all missing answers had gone one way; "
    "empty where that changes nothing."
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
        "unidentified, extrapolated: no threshold in the accuracies seen. Self-estimated accuracy "
        "is read off the line of all domains together."
    ]
    if any(row.is_at_limit for row in rows):
        notes.append("A self-estimated accuracy of 0 or 100 % is the limit: it was cut there.")
    if any(row.numbers.self_estimated_accuracy.estimate is None for row in rows):
        notes.append(f"{DASH} no dialogue without signal, or no line to read it off.")
    if not all(row.numbers.is_main for row in rows):
        notes.append("² Left out of every number that pools domains.")
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
    titles = ("n", "right by\naccuracy", "right by\nsignal", "acts alone", "cost", "regret")
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
        "right by …: share of actions that are the cheapest for R, given the condition's accuracy "
        "(or the accuracy that its signal states). acts alone: share not escalated. cost: a "
        "decision, in units of one escalation. regret: cost above the best policy's.",
    ]
    if not all(row.common.is_cost_stated for row in rows):
        notes.append(
            f"¹ The prompt stated no cost; scored at R = {ratio(cost_ratio)} all the same."
        )
    if any(score.escalation_accuracy.estimate is None for row in rows for score in row.scored):
        notes.append(f"{DASH} no dialogue with both a prediction and an action to score.")
    if is_moved:
        notes.append(WITH_MISSING_WORDS)
    return [table, *_notes(notes)]


def differences(profile: Profile, cost_ratio: float) -> list[RenderableType]:
    """Return the differences of interventions from the baseline at a cost ratio."""
    rows = difference_rows(profile, cost_ratio)
    if not rows:
        return []
    titles = ("pairs", "right by\naccuracy", "p", "right by\nsignal", "p", "cost")
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
        )
    notes = [
        "right by …: points more or fewer right actions than the baseline at the same effort. p: "
        "corrected for all comparisons of this model (Holm). cost: below 0 is cheaper."
    ]
    if not all(row.common.is_paired for row in rows):
        notes.append(
            "not paired: it is not known that both were asked about the same scenarios, so their "
            "dialogues are compared as independent."
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
        "unidentified: it does not escalate less where it is more accurate. extrapolated: the "
        "threshold lies outside of the accuracies seen."
    )
    return [table, *_notes([note] if any(row.flag for row in rows) else [])]


def curve(profile: Profile) -> list[RenderableType]:
    """Return the escalation rate of the baseline by domain and condition, with bars."""
    if not profile.curve:
        return [Text("No condition has a usable dialogue of the baseline intervention.")]
    table = plain_table(
        [
            Column("condition", "left", min_width=20),
            *("signal", "accuracy", "escalates", "interval", "n"),
            Column("", "left", can_wrap=False, min_width=BAR_WIDTH),
        ]
    )
    domain = None
    for point in sorted(
        profile.curve, key=lambda point: (point.domain, point.signal_accuracy, point.condition)
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
