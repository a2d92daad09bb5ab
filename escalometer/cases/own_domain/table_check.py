"""Checks of a user's YAML file against the table that it names."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from escalometer.cases.domains import shipped
from escalometer.cases.own_domain import stored_table, table_texts
from escalometer.cases.own_domain.columns import BOOLEANS, MISSING, Problem, infer, normal
from escalometer.cases.own_domain.inspection import Inspection, named_columns
from escalometer.cases.own_domain.label_hints import hints, revealing_columns, unquoted_texts
from escalometer.cases.own_domain.phrases import condition_columns, feature, is_counter
from escalometer.cases.own_domain.spec import Feature, Spec, parts, read_spec
from escalometer.errors import UsageError
from escalometer.layout import raw_folder
from escalometer.resources import is_clone
from escalometer.runtime.object_storage import S3Address

#: Tables that every domain has, each with a suite of that name.
TABLES = ("conditions", "decisions", "scenarios")

_NAME = re.compile(r"[a-z][a-z0-9_]*")

#: Column names of the staged table and of the tables made from it.
RESERVED = frozenset(
    (
        "case_id",
        "source_row",
        "label",
        "split_key",
        "expected_label",
        "text",
        "scenario_id",
        "split",
    )
)


def inspect(path: Path) -> Inspection:
    """Return the inspection of the YAML file `path` and the table that it names.

    Raises
    ------
    UsageError
        If the YAML file is wrong.
    DataError
        If the table cannot be read at all.
    """
    _check_name(path)
    spec = read_spec(path)
    inspection = Inspection(path, spec, table_texts.read(_source(path, spec), named_columns(spec)))
    inspection.notes += inspection.texts.notes
    unsaid = [k for k in ("source", "licence", "decisions_of") if getattr(spec, k) is None]
    if unsaid:
        listed = ", ".join(f"`{key}`" for key in unsaid)
        inspection.notes.append(f"The YAML file does not state {listed}; reports will say so.")
    if _check_columns(inspection):
        _read_outcomes(inspection)
        _read_conditions(inspection)
        _read_columns(inspection)
        _read_features(inspection)
        _check_use(inspection)
        if not inspection.problems:
            values = {
                n: inspection.columns[n].parse(inspection.values[n]) for n in inspection.stated
            }
            outcomes = [outcome for _, outcome in inspection.outcomes]
            inspection.problems += revealing_columns(
                inspection.columns, values, inspection.labels, inspection.stated
            )
            inspection.notes += hints(values, inspection.labels, inspection.stated, outcomes)
            inspection.notes += unquoted_texts(inspection.columns, parts(spec.scenario))
    return inspection


def _check_name(path: Path) -> None:
    if path.suffix in (".csv", ".tsv", ".parquet", ".gz", ".zip"):
        raise UsageError(
            f"{path} is a table; name the YAML file that describes it. "
            "docs/tutorials/own-decisions.md has an example"
        )
    if path.suffix != ".yaml":
        raise UsageError(f"{path} must be named <name>.yaml: the name is that of the domain")
    if not _NAME.fullmatch(path.stem):
        raise UsageError(
            f"{path}: {path.stem!r} is not a valid name of a domain: use lower-case letters, "
            "digits and _, starting with a letter"
        )
    # In a clone, a domain's suites and statements are in the project's own folders.
    if path.stem in (*(shipped() if is_clone() else ()), *TABLES):
        what = "a table of the pipeline" if path.stem in TABLES else "a domain that ships with it"
        raise UsageError(f"{path}: {path.stem} is reserved ({what}): rename the file")


def _source(path: Path, spec: Spec) -> Path:
    """Return the file that holds the rows, or DVC's copy of it where only that is present.

    Of a table on object storage, that is its copy, which is made where there is none.
    """
    address = None
    if isinstance(spec.file, S3Address):
        address, named = spec.file, stored_table.copy_of(path, spec.file)
        if stored_table.is_current(path, spec.file):
            return named
        is_absent = not named.parent.exists()
    else:
        named = path.parent / spec.file.expanduser()
        is_absent = not named.exists()
    if is_absent:
        folder = raw_folder(path.stem, path.resolve().parent.parent)
        copies = sorted(folder.glob(f"{path.stem}_rows.*"))
        if len(copies) == 1:
            return copies[0]
    return named if address is None else stored_table.fetch(path, address)


def _check_columns(inspection: Inspection) -> bool:
    """Note columns that the table lacks; return true if it has the label's."""
    spec, names = inspection.spec, inspection.texts.names
    roles = {spec.label.column: "`label`"}
    roles |= dict.fromkeys(spec.private, "`private`")
    roles |= dict.fromkeys(spec.features or (), "`features`")
    roles |= dict.fromkeys(inspection.stated, "`scenario`")
    roles |= {name: role for name, role in ((spec.group, "`group`"), (spec.id, "`id`")) if name}
    roles[spec.label.column] = "`label`"
    for name, role in roles.items():
        if name in inspection.texts.table.column_names:
            continue
        listed = ", ".join(n for n in names if n)
        if names.count(name) > 1:
            places = ", ".join(str(i + 1) for i, n in enumerate(names) if n == name)
            inspection.problems.append(
                Problem(
                    f"The header of {inspection.texts.file.name} contains {name!r} "
                    f"{names.count(name)} times (columns {places}).",
                    "Rename all but one.",
                    is_data=True,
                )
            )
        elif name in names:
            inspection.problems.append(
                Problem(
                    f"Column {name!r} contains lists or bytes.", "Convert it to text or numbers."
                )
            )
        else:
            lowered = {n.casefold(): n for n in names}
            near = difflib.get_close_matches(name.casefold(), lowered, n=1)
            hint = f" Did you mean {lowered[near[0]]!r}?" if near else ""
            what = (
                f"{role} names the column {name!r}, which {inspection.texts.file.name} does "
                "not contain."
            )
            if re.search(r"[:!]|\[|\.\d", name) and role == "`scenario`":
                hint += " Braces contain a column's name only, without a format."
            inspection.problems.append(Problem(f"{what}{hint}", f"Columns: {listed}."))
    return spec.label.column in inspection.texts.table.column_names


def _read_outcomes(inspection: Inspection) -> None:
    """Assign a label to each text of the label's column."""
    label = inspection.spec.label
    declared = {normal(value): place for place, (value, _) in enumerate(inspection.outcomes)}
    if len(declared) < len(inspection.outcomes):
        inspection.problems.append(
            Problem("Remove one.", "Two of the label's outcomes are the same value.")
        )
    signs = {BOOLEANS.get(form): place for form, place in declared.items()}
    left_out = {normal(value) for value in label.leave_out}
    unknown: list[str] = []
    texts = inspection.values[label.column]
    for text in dict.fromkeys(texts):
        form = normal(text)
        if form in declared:
            inspection.outcome_of[form] = declared[form]
        elif form in left_out:
            inspection.outcome_of[form] = None
        elif set(signs) == {True, False} and len(declared) == 2 and form in BOOLEANS:
            inspection.outcome_of[form] = signs[BOOLEANS[form]]
        else:
            unknown.append(text)
    empty = inspection.is_empty
    strange = set(unknown)
    odd = [(i, t) for i, t in enumerate(texts) if t in strange and not empty[i]]
    if odd:
        inspection.problems.append(_unknown_labels(inspection, odd))
    n_empty = sum(empty)
    if n_empty:
        inspection.notes.append(f"{n_empty} empty row{'s are' if n_empty > 1 else ' is'} skipped.")
    out = {text for text in set(texts) if normal(text) in left_out}
    n_out = sum(t in out and not e for t, e in zip(texts, empty, strict=True))
    if n_out:
        inspection.notes.append(
            f"{n_out} row{'s are' if n_out > 1 else ' is'} excluded by `leave_out`."
        )


def _unknown_labels(inspection: Inspection, odd: Sequence[tuple[int, str]]) -> Problem:
    label = inspection.spec.label
    rows = inspection.texts.rows.to_pylist()
    counts = Counter(text.strip() for _, text in odd)
    values = [f"{text!r} ({n})" if text else f"nothing ({n})" for text, n in counts.most_common(8)]
    more = f" and {len(counts) - 8} other values" if len(counts) > 8 else ""
    where = ", ".join(str(rows[i]) for i, _ in odd[:5])
    where += f" and {len(odd) - 5} more" if len(odd) > 5 else ""
    expected = ", ".join(repr(value) for value, _ in inspection.outcomes)
    remedy = (
        "Add their meaning under `label: outcomes`, or list them under `label: leave_out` ('' "
        "stands for empty)."
    )
    if len(counts) > 26:
        remedy = (
            "A label is one of 2 to 26 named choices: name another column, or add one to the "
            "file with the choice made."
        )
    return Problem(
        f"Column {label.column!r} has {len(odd)} row{'s' * (len(odd) > 1)} whose value is none of "
        f"{expected}: {', '.join(values)}{more} (row{'s' * (len(odd) > 1)} {where}).",
        remedy,
        is_data=True,
    )


def _read_conditions(inspection: Inspection) -> None:
    """Translate the conditions' SQL to staged names, and note columns that it may not use."""
    spec = inspection.spec
    for condition in spec.conditions:
        sql, mentioned = condition_columns(condition.where, inspection.texts.names, staged_name)
        inspection.predicates.append(sql)
        for name in mentioned:
            if name == spec.label.column:
                message = f"Condition {condition.label!r} uses the label's column {name!r}."
                inspection.problems.append(Problem(message, "It reveals the label: remove it."))
            elif name in spec.private:
                message = f"Condition {condition.label!r} uses {name!r}, which is private."
                inspection.problems.append(Problem(message, "Remove it from one of the two."))
            elif name not in inspection.stated:
                message = (
                    f"Condition {condition.label!r} uses {name!r}, which the scenario "
                    "does not contain."
                )
                remedy = (
                    f"Add {{{name}}} to `scenario`: the text must show everything that defines a "
                    "case."
                )
                inspection.problems.append(Problem(message, remedy))


def staged_name(name: str) -> str:
    """Return a column's name in the staged table, some of whose names are taken."""
    return f"{name}_" if name.casefold() in RESERVED else name


def _read_columns(inspection: Inspection) -> None:
    """Infer the kind of each used column."""
    spec = inspection.spec
    missing = frozenset({*MISSING, *(normal(text) for text in spec.missing)})
    used = [n for n in named_columns(spec) if n != spec.label.column and n in inspection.values]
    duplicates = [n for n, k in Counter(staged_name(n).casefold() for n in used).items() if k > 1]
    if duplicates:
        inspection.problems.append(
            Problem(
                "Column names must differ in more than upper and lower case: "
                f"{', '.join(duplicates)}.",
                "Rename one of each.",
                is_data=True,
            )
        )
    rows = inspection.texts.rows.to_pylist()
    for name in used:
        # Empty lines at a file's end are not missing values.
        places = [place for place, is_empty in enumerate(inspection.is_empty) if not is_empty]
        column, problems, notes = infer(
            name,
            staged_name(name),
            [inspection.values[name][place] for place in places],
            [rows[place] for place in places],
            (spec.features or {}).get(name),
            missing,
            spec.decimal,
        )
        inspection.columns[name] = column
        if name in inspection.stated or name in (spec.features or ()):
            inspection.problems += problems
            inspection.notes += notes
    rounded = [
        n for n in inspection.stated if n in inspection.columns and inspection.columns[n].is_rounded
    ]
    if rounded:
        several = f"s {', '.join(rounded)} are" if len(rounded) > 1 else f" {rounded[0]!r} is"
        inspection.notes.append(
            f"Column{several} rounded, in texts and conditions alike: to 2 decimals, or 4 if "
            "all numbers are small. `decimals` of a feature sets another number."
        )


def _read_features(inspection: Inspection) -> None:
    """Choose the features: those that the file names, else the scenario's columns."""
    spec = inspection.spec
    excluded = {spec.label.column, spec.id, spec.group, *spec.private}
    if spec.features is not None:
        inspection.features = {n: f for n, f in spec.features.items() if n in inspection.columns}
        return
    passed = []
    for name in inspection.stated:
        column = inspection.columns.get(name)
        if column is None or name in excluded:
            continue
        if column.kind in ("text", "date") or is_counter(column, inspection.values[name]):
            passed.append(f"{name} ({'a counter' if column.kind == 'number' else column.kind})")
        else:
            inspection.features[name] = Feature()
    if passed and not spec.conditions:
        inspection.notes.append(f"No conditions are learned from {', '.join(passed)}.")


def _check_use(inspection: Inspection) -> None:
    """Note columns in roles that they may not have, and features that cannot be learned from."""
    spec = inspection.spec
    label = spec.label.column
    for name in inspection.stated:
        if name == label:
            message = f"The scenario contains the label's column {name!r}."
            inspection.problems.append(Problem(message, "It reveals the label: remove it."))
        if name in spec.private:
            message = f"The scenario contains {name!r}, which is private."
            inspection.problems.append(Problem(message, "Remove it from one of the two."))
    for name in spec.features or ():
        if name == label:
            message = f"The label's column {name!r} is among the features."
            inspection.problems.append(Problem(message, "It reveals the label: remove it."))
        elif name in spec.private:
            message = f"Feature {name!r} is private."
            inspection.problems.append(Problem(message, "Remove it from one of the two."))
        elif name in inspection.columns and name not in inspection.stated:
            message = f"Feature {name!r} is not in the scenario."
            remedy = (
                f"Add {{{name}}} to `scenario`: the text must show everything that defines a case."
            )
            inspection.problems.append(Problem(message, remedy))
    if not spec.conditions and not inspection.features and not inspection.problems:
        message = "There are no columns to learn conditions from."
        remedy = "Add columns to the scenario that contain numbers, yes or no, or a few words."
        inspection.problems.append(Problem(message, remedy))
    for name, stated in inspection.features.items():
        if name in inspection.columns and name != label:
            feature_or_problem = feature(inspection.columns[name], stated, inspection.values[name])
            inspection.problems += (
                [feature_or_problem] if isinstance(feature_or_problem, Problem) else []
            )
    _check_ids(inspection)
    counts = Counter(place for place in inspection.labels if place is not None)
    absent = [o.means for i, (_, o) in enumerate(inspection.outcomes) if not counts[i]]
    if absent and not inspection.problems:
        message = f"No row has the outcome {', '.join(absent)}."
        if len(counts) < 2:
            remedy = "At least two outcomes must occur: is the label's column the right one?"
            inspection.problems.append(Problem(message, remedy, is_data=True))
        else:
            inspection.notes.append(message)


def _check_ids(inspection: Inspection) -> None:
    name = inspection.spec.id
    if name is None or name not in inspection.values:
        return
    pairs = zip(
        inspection.values[name], inspection.texts.rows.to_pylist(), inspection.is_empty, strict=True
    )
    rows: dict[str, list[int]] = {}
    for value, row, is_empty in pairs:
        if not is_empty:
            rows.setdefault(value.strip(), []).append(row)
    invalid = {v: r for v, r in rows.items() if len(r) > 1 or not v}
    if invalid:
        shown = "; ".join(
            f"{v!r} in rows {', '.join(map(str, r[:4]))}" for v, r in list(invalid.items())[:4]
        )
        more = f" and {len(invalid) - 4} more" if len(invalid) > 4 else ""
        inspection.problems.append(
            Problem(
                f"Column {name!r} is the `id` and must be given and unique: {shown}{more}.",
                "Correct the rows, or remove `id`: then the row's number identifies a case.",
                is_data=True,
            )
        )
