"""A domain made of a user's table: `domains/<name>.yaml` and the file that it names.

The YAML file describes the decision, the decider and the wording (`spec`); the columns' kinds come
from the rows (`table_texts`, `columns`). Both are read whole (`table_check`) before anything is
built, so that one error lists all their problems.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from escalometer.cases.domains import Condition, Domain, Edition, RawTable
from escalometer.cases.own_domain import table_texts
from escalometer.cases.own_domain.columns import Column, Problem, normal
from escalometer.cases.own_domain.inspection import Inspection
from escalometer.cases.own_domain.phrases import feature
from escalometer.cases.own_domain.spec import parts
from escalometer.cases.own_domain.suites import raw_suite, staged_suite
from escalometer.cases.own_domain.table_check import inspect, staged_name
from escalometer.cases.task import Task
from escalometer.errors import DataError, UsageError
from escalometer.runtime.files import replacing
from escalometer.runtime.object_storage import S3Address

EDITION = "own"
NOT_STATED = "not stated"


def load(path: Path) -> Domain:
    """Return the domain that the YAML file `path` describes.

    Raises
    ------
    UsageError
        If the YAML file is wrong.
    DataError
        If the table is.
    """
    inspection = inspect(path)
    if inspection.problems:
        messages = "\n".join(f"{path}: {problem}" for problem in inspection.problems)
        more = f"\n`escalometer domains check {path}` prints details."
        raise (DataError if all(p.is_data for p in inspection.problems) else UsageError)(
            messages + more
        )
    return build(inspection)


def build(inspection: Inspection) -> Domain:
    """Return the domain of an inspection without problems."""
    spec = inspection.spec
    raw_table = _raw_table(inspection)
    outcomes = [outcome for _, outcome in inspection.outcomes]
    features = [
        feature(inspection.columns[name], stated, inspection.values[name])
        for name, stated in inspection.features.items()
    ]
    label, raw_names = spec.label.column, inspection.texts.raw_names
    spellings = [text for text in dict.fromkeys(inspection.values[label]) if text.strip()]
    if inspection.texts.kind == "parquet":  # DuckDB writes 1.0 where Arrow writes 1
        spellings += [f"{text}.0" for text in spellings if text.lstrip("-").isdigit()]
    suites = {
        inspection.raw_name: raw_suite(
            inspection.raw_name,
            raw_table.columns,
            raw_names[label],
            spellings,
            raw_names[spec.id] if spec.id else None,
            any(place is None for place in inspection.labels),
        ),
        inspection.name: staged_suite(inspection.name, len(outcomes)),
    }
    decider = spec.decider
    return Domain(
        name=inspection.name,
        title=spec.title or inspection.name.replace("_", " ").capitalize(),
        task=Task(
            question=spec.question or f"what {decider} decided",
            decider=decider,
            meanings=tuple(outcome.means for outcome in outcomes),
        ),
        editions=(
            Edition(
                name=EDITION,
                raw_tables=(raw_table,),
                provenance=_provenance(inspection),
                bring=partial(_bring, inspection.texts.file, inspection.raw_name),
            ),
        ),
        signal_template=spec.signal,
        outcomes=tuple(o.signal or f"were decided as {o.means}" for o in outcomes),
        render=partial(_render, parts(spec.scenario), inspection.columns),
        conditions=tuple(
            Condition(condition.label, predicate, condition.phrase)
            for condition, predicate in zip(spec.conditions, inspection.predicates, strict=True)
        ),
        features=tuple(f for f in features if not isinstance(f, Problem)),
        private_columns=frozenset(staged_name(name) for name in spec.private),
        stage=partial(_stage, inspection),
        suites=suites,
        warnings=lambda: [str(leak) for leak in inspection.target_leaks],
    )


def _raw_table(inspection: Inspection) -> RawTable:
    raw_names = inspection.texts.raw_names
    kinds = {
        raw_names[name]: "DOUBLE" if column.is_plain and name in inspection.stated else "VARCHAR"
        for name, column in inspection.columns.items()
    }
    columns = {raw_names[inspection.spec.label.column]: "VARCHAR", **kinds}
    # Other texts for a missing value are handled when values are parsed.
    return RawTable(inspection.raw_name, columns, nulls=("",), delimiter=inspection.texts.delimiter)


def _provenance(inspection: Inspection) -> dict[str, str]:
    spec = inspection.spec
    is_stored = isinstance(spec.file, S3Address)
    return {
        "source": spec.source or NOT_STATED,
        "edition": f"the user's own table ({spec.file if is_stored else spec.file.name})",
        "licence": spec.licence or NOT_STATED,
        "citation": spec.citation or NOT_STATED,
        "decisions_of": spec.decisions_of or spec.decider,
        "cases": "A case is one row of the file.",
    }


def _bring(source: Path, raw_name: str, folder: Path) -> None:
    """Copy the file's bytes into `folder`, unless they are there."""
    target = folder / f"{raw_name}{table_texts.ending(source)}"
    if source.resolve() == target.resolve():
        return
    for outdated in folder.glob(f"{raw_name}.*"):
        if outdated != target:
            outdated.unlink()  # a copy of what the YAML file named earlier
    if target.exists() and target.read_bytes() == source.read_bytes():
        return
    with replacing(target) as partial_copy:
        shutil.copyfile(source, partial_copy)


def _render(
    template: Sequence[tuple[str, str | None]],
    columns: Mapping[str, Column],
    row: Mapping[str, Any],
) -> str:
    """Return the scenario's text of one staged row."""
    pieces = []
    for literal, name in template:
        pieces.append(literal)
        if name is not None:
            column = columns[name]
            pieces.append(column.show(row[column.staged]))
    return "".join(pieces)


def _stage(inspection: Inspection, connection: Any) -> pa.Table:
    """Return the staged table of the raw one that `connection` holds."""
    raw = connection.table(inspection.raw_name).order("source_row").to_arrow_table()
    spec, raw_names = inspection.spec, inspection.texts.raw_names
    values = {name: raw.column(name).to_pylist() for name in raw.column_names}
    rows, texts = values.pop("source_row"), values[raw_names[spec.label.column]]
    forms = {text: normal(text or "") for text in set(texts)}
    places: list[int] = []
    labels: list[int] = []
    for place, cells in enumerate(zip(*values.values(), strict=True)):
        if all(cell is None for cell in cells):
            continue  # an empty row is not a case
        form = forms[texts[place]]
        if form not in inspection.outcome_of:
            raise DataError(
                f"{inspection.texts.file}, row {rows[place]}: the label {texts[place]!r} is not "
                f"among the outcomes in {inspection.path}"
            )
        label = inspection.outcome_of[form]
        if label is not None:
            places.append(place)
            labels.append(label)
    rows = [rows[place] for place in places]
    values = {name: [cells[place] for place in places] for name, cells in values.items()}
    columns: dict[str, Any] = {
        "case_id": [f"row-{row:07d}" for row in rows],
        "source_row": rows,
        "label": pa.array(labels, pa.int8()),
    }
    if spec.id:
        columns["case_id"] = [
            str(value).strip().removesuffix(".0") for value in values[raw_names[spec.id]]
        ]
    if spec.group:
        columns["split_key"] = [
            f"row {row}" if group is None else f"group {normal(str(group))}"
            for group, row in zip(values[raw_names[spec.group]], rows, strict=True)
        ]
    for name, column in inspection.columns.items():
        columns[column.staged] = _array(column, column.parse(values[raw_names[name]]))
    return pa.table(columns).sort_by("case_id")


def _array(column: Column, values: Sequence[Any]) -> pa.Array:
    """Return staged values in the type that SQL is to see."""
    if column.kind == "boolean":
        return pa.array(values, pa.bool_())
    if column.kind != "number":
        return pa.array(values, pa.string())
    is_whole = not column.decimals and all(abs(v) < 2**53 for v in values if v is not None)
    return pa.array(values, pa.int64() if is_whole else pa.float64())
