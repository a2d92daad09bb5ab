"""Completion of recorded decisions: defaults for absent columns, and duplicate rows."""

from __future__ import annotations

import math
from collections.abc import Collection

import pyarrow as pa

from escalometer.recorded.reading import KINDS, RecordedFile
from escalometer.schema import RECORDED
from escalometer.validation import N_SHOWN, ROW, Failure

TEXTS = ("prompt", "prediction_text", "decision_prompt", "decision_text")

#: The columns that identify a dialogue, with `replicate`.
KEY = (
    *("model", "domain", "condition", "intervention", "reasoning_effort", "cost_ratio"),
    *("framing", "is_thinking", "is_isolated", "has_signal", "scenario_id"),
)

_THINKING = ("thinking", "thinking_cost_framing")

#: A shorter file may repeat itself by chance.
_FEWEST_REPEATED = 20


def complete(recorded: RecordedFile) -> None:
    """Convert the rows, and fill in the columns of `schema.RECORDED` that the file lacks.

    A column that is absent is filled in; a value that is missing in a column that is there stays
    missing, for the suite to refuse.
    """
    kinds = {name: KINDS[name] for name in recorded.known}
    kept = [name for name in RECORDED.names if name not in TEXTS]
    recorded.rows.complete(kinds, absent(recorded.known), kept)


def absent(known: Collection[str]) -> list[dict[str, str]]:
    """Return SQL for the columns that are absent, in steps that see those before them."""

    def named(names: tuple[str, ...]) -> str:
        if "intervention" not in known:
            return "false"
        listed = ", ".join(f"'{name}'" for name in names)
        return f"coalesce(intervention in ({listed}), false)"

    first = {
        "is_thinking": named(_THINKING),
        "is_isolated": named(("isolated",)),
        "replicate": "0::bigint",
        "status": "'ok'",
    }
    for field in RECORDED:
        if field.nullable and field.name not in TEXTS:
            first[field.name] = f"null::{sql_type(field.type)}"
    second = {
        "force_answer": "coalesce(status = 'forced', false)",
        # The study's name of each dialogue's intervention, by its other columns.
        "intervention": (
            "case when not coalesce(has_signal, true) then 'no_signal' "
            "when coalesce(is_isolated, false) then 'isolated' "
            "when coalesce(is_thinking, false) and cost_ratio is not null "
            "then 'thinking_cost_framing' "
            "when coalesce(is_thinking, false) then 'thinking' "
            "when cost_ratio is not null then 'cost_framing' else 'baseline' end"
        ),
    }
    steps = (first, second)
    return [{name: sql for name, sql in step.items() if name not in known} for step in steps]


def checked_schema() -> pa.Schema:
    """Return the columns that the suite is about; whole numbers have 64 bits there."""
    fields = [
        pa.field(field.name, pa.int64() if pa.types.is_integer(field.type) else field.type)
        for field in RECORDED
        if field.name not in TEXTS
    ]
    return pa.schema([pa.field(ROW, pa.int64()), *fields])


def sql_type(kind: pa.DataType) -> str:
    """Return DuckDB's name of a type of `schema.RECORDED`, whole numbers with 64 bits."""
    names = {pa.string(): "varchar", pa.float64(): "double", pa.bool_(): "boolean"}
    return names.get(kind, "bigint")


def refuse_some_scenarios(recorded: RecordedFile) -> None:
    """Note rows without a scenario in a file where others have one."""
    n_missing = recorded.rows.n_missing(["scenario_id"])["scenario_id"]
    if 0 < n_missing < recorded.rows.n_rows:
        first = recorded.rows.first_missing("scenario_id", N_SHOWN)
        rule = "must be given in every row, or in none"
        recorded.refuse("scenario_id", rule, n_missing, ((row, "found nothing") for row in first))


def refuse_pasted(recorded: RecordedFile) -> None:
    """Note a file that contains the same rows two or three times.

    Only where no shorter block repeats: rows that recur every few rows follow a pattern, and are no
    second copy.
    """
    rows = recorded.rows
    if rows.n_rows < _FEWEST_REPEATED:
        return
    for times in (2, 3):
        size = rows.n_rows // times
        if rows.n_rows % times or not rows.repeats(size):
            continue
        if not any(rows.repeats(period) for period in _divisors(size) if period < size):
            rule = (
                f"contains the same {size} rows {('twice', 'three times')[times - 2]}, again "
                f"from row {rows.source_row(size)} on: a duplicate paste? Remove the copy"
            )
            recorded.problems.append(Failure(str(recorded.path), "", rule, 0, ()))
        return


def _divisors(size: int) -> list[int]:
    small = [number for number in range(1, math.isqrt(size) + 1) if size % number == 0]
    return sorted({*small, *(size // number for number in small)})


def name_scenarios(recorded: RecordedFile) -> list[str]:
    """Name the scenarios of rows where possible, and return warnings."""
    rows = recorded.rows
    if not rows.n_missing(["scenario_id"])["scenario_id"]:
        return []
    if not rows.has_every("prompt"):
        return [
            "no scenario_id, and no prompt in every row: dialogues on the same scenario cannot "
            "be identified, so there are no paired comparisons and no intervals by scenario, "
            "and duplicate dialogues cannot be detected"
        ]
    warnings = [
        "no scenario_id: dialogues of one domain with the same prompt and label count as the "
        "same scenario, and their repetitions are numbered in the order of the file"
    ]
    n_same = rows.n_same()
    if n_same:
        share = 100 * n_same / rows.n_rows
        warnings.append(
            f"{n_same:,} of {rows.n_rows:,} rows ({share:.1f}%) are identical to an earlier "
            "one in every column: similar cases, or duplicate dialogues"
        )
    rows.number_scenarios(list(KEY))
    return warnings
