"""Completion of recorded decisions: defaults for absent columns, and duplicate rows."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from escalometer import warehouse
from escalometer.recorded.reading import Given
from escalometer.schema import RECORDED
from escalometer.validation import ROW, Failure

TEXTS = ("prompt", "prediction_text", "decision_prompt", "decision_text")

#: The columns that identify a dialogue, with `replicate`.
KEY = (
    *("model", "domain", "condition", "intervention", "reasoning_effort", "cost_ratio"),
    *("framing", "is_thinking", "is_isolated", "has_signal", "scenario_id"),
)

_THINKING = ("thinking", "thinking_cost_framing")

#: A shorter file may repeat itself by chance.
_FEWEST_REPEATED = 20


def complete(table: pa.Table) -> pa.Table:
    """Return rows with every column of `schema.RECORDED`, in its order, after `source_row`.

    A column that is absent is filled in; a value that is missing in a column that is there stays
    missing, for the suite to refuse.
    """
    columns = {name: table.column(name) for name in table.column_names}
    n = table.num_rows

    def absent(name: str) -> bool:
        return name not in columns

    def same(value: object, kind: pa.DataType) -> pa.Array:
        return pa.repeat(pa.scalar(value, kind), n)

    def named(names: tuple[str, ...]) -> pa.Array:
        if absent("intervention"):
            return same(False, pa.bool_())
        return pc.is_in(columns["intervention"], pa.array(names))

    if absent("is_thinking"):
        columns["is_thinking"] = named(_THINKING)
    if absent("is_isolated"):
        columns["is_isolated"] = named(("isolated",))
    if absent("replicate"):
        columns["replicate"] = same(0, pa.int64())
    if absent("status"):
        columns["status"] = same("ok", pa.string())
    if absent("force_answer"):
        columns["force_answer"] = pc.fill_null(pc.equal(columns["status"], "forced"), False)
    for field in RECORDED:
        if absent(field.name) and field.nullable:
            columns[field.name] = pa.nulls(n, field.type)
    if absent("intervention"):
        columns["intervention"] = _interventions(columns)
    return pa.table({name: columns[name] for name in (ROW, *RECORDED.names)})


def _interventions(columns: dict[str, pa.ChunkedArray]) -> pa.Array:
    """Return the study's name of each dialogue's intervention, by its other columns."""
    states_cost = pc.is_valid(columns["cost_ratio"])
    is_thinking = pc.fill_null(columns["is_thinking"], False)
    cases = {
        "no_signal": pc.invert(pc.fill_null(columns["has_signal"], True)),
        "isolated": pc.fill_null(columns["is_isolated"], False),
        "thinking_cost_framing": pc.and_(is_thinking, states_cost),
        "thinking": is_thinking,
        "cost_framing": states_cost,
    }
    conditions = [pc.cast(case, pa.bool_()) for case in cases.values()]
    flat = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in conditions]
    return pc.case_when(pa.StructArray.from_arrays(flat, list(cases)), *cases, "baseline")


def refuse_some_scenarios(given: Given, table: pa.Table) -> None:
    """Note rows without a scenario in a file where others have one."""
    scenarios = table.column("scenario_id")
    if 0 < scenarios.null_count < table.num_rows:
        rows = table.column(ROW).filter(pc.is_null(scenarios)).to_pylist()
        rule = "must be given in every row, or in none"
        given.refuse("scenario_id", rule, ((row, "found nothing") for row in rows))


def refuse_pasted(given: Given) -> None:
    """Note a file that contains the same rows two or three times.

    Only where no shorter block repeats: rows that recur every few rows follow a pattern, and are no
    second copy.
    """
    content = given.texts.drop_columns([ROW])
    n = content.num_rows
    if n < _FEWEST_REPEATED:
        return
    for times in (2, 3):
        size = n // times
        if n % times or not _repeats(content, size):
            continue
        if not any(_repeats(content, p) for p in range(1, size // 2 + 1) if size % p == 0):
            first = given.texts.column(ROW)[size].as_py()
            rule = (
                f"holds the same {size} rows {('twice', 'three times')[times - 2]}, from row "
                f"{first} on again: pasted once more? Remove the copy"
            )
            given.problems.append(Failure(str(given.path), "", rule, 0, ()))
        return


def _repeats(content: pa.Table, period: int) -> bool:
    return bool(content.slice(0, content.num_rows - period).equals(content.slice(period)))


def name_scenarios(given: Given, table: pa.Table) -> tuple[pa.Table, list[str]]:
    """Return rows with their scenarios named where possible, and warnings."""
    if not table.column("scenario_id").null_count:
        return table, []
    if table.column("prompt").null_count:
        return table, [
            "no scenario_id, nor a prompt in every row: which dialogues are about the same case is "
            "not known, so there are no paired comparisons and no intervals by scenario, and a row "
            "that stands there twice cannot be told from two cases that are alike"
        ]
    warnings = [
        "no scenario_id: dialogues of one domain with the same prompt and label count as about the "
        "same case, and repeats of them are numbered as they stand in the file"
    ]
    n_same = warehouse.count_same(given.texts)
    if n_same:
        share = 100 * n_same / table.num_rows
        warnings.append(
            f"{n_same:,} of {table.num_rows:,} rows ({share:.1f} %) are like an earlier one in "
            "every column: that may be so, since cases can read alike, or they stand there twice"
        )
    return warehouse.number_scenarios(table, list(KEY)), warnings
