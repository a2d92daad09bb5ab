"""Holding the YAML file of a domain of one's own against the table that it names."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from escalometer.cases import domains
from escalometer.cases.own_domain import table_texts
from escalometer.cases.own_domain.columns import BOOLEANS, MISSING, Problem, infer, normal
from escalometer.cases.own_domain.inspection import Inspection, named_columns
from escalometer.cases.own_domain.label_hints import giveaways, hints, unquoted
from escalometer.cases.own_domain.phrases import condition_columns, feature, is_counter
from escalometer.cases.own_domain.spec import Feature, Spec, parts, read
from escalometer.errors import UsageError
from escalometer.layout import raw_folder

#: Tables that every domain has; a suite of that name speaks of them.
TABLES = ("conditions", "decisions", "scenarios")

_NAME = re.compile(r"[a-z][a-z0-9_]*")

#: Names of the staged table and of what is put beside it.
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
    """Return what there is to say of the YAML file `path` and the table that it names.

    Raises
    ------
    UsageError
        If the YAML file does not say what it must.
    DataError
        If the table cannot be read at all.
    """
    _check_name(path)
    spec = read(path)
    found = Inspection(path, spec, table_texts.read(_source(path, spec), named_columns(spec)))
    found.notes += found.texts.notes
    unsaid = [k for k in ("source", "licence", "decisions_of") if getattr(spec, k) is None]
    if unsaid:
        listed = ", ".join(f"`{key}`" for key in unsaid)
        found.notes.append(f"The YAML file does not say {listed}; reports will say so.")
    if _check_columns(found):
        _read_outcomes(found)
        _read_conditions(found)
        _read_columns(found)
        _read_features(found)
        _check_use(found)
        if not found.problems:
            values = {n: found.columns[n].parse(found.values[n]) for n in found.stated}
            outcomes = [outcome for _, outcome in found.outcomes]
            found.problems += giveaways(found.columns, values, found.labels, found.stated)
            found.notes += hints(found.columns, values, found.labels, found.stated, outcomes)
            found.notes += unquoted(found.columns, parts(spec.scenario))
    return found


def _check_name(path: Path) -> None:
    if path.suffix in (".csv", ".tsv", ".parquet", ".gz", ".zip"):
        raise UsageError(
            f"{path} is a table; this takes the YAML file that describes it. README.md, section "
            "'Your own decisions', has an example to begin with"
        )
    if path.suffix != ".yaml":
        raise UsageError(f"{path} must be called <name>.yaml: the name is the domain's")
    if not _NAME.fullmatch(path.stem):
        raise UsageError(
            f"{path}: {path.stem!r} cannot be a domain's name: small letters, digits and _, a "
            "letter first. Rename the file"
        )
    if path.stem in (*domains.shipped(), *TABLES):
        what = "a table of the pipeline" if path.stem in TABLES else "a domain that ships with it"
        raise UsageError(f"{path}: {path.stem} is {what}: the project needs the name. Rename it")


def _source(path: Path, spec: Spec) -> Path:
    """Return the file that holds the rows; where only DVC brought a copy of it, that copy."""
    named = path.parent / spec.file.expanduser()
    if not named.exists():
        folder = raw_folder(path.stem, path.resolve().parent.parent)
        copies = sorted(folder.glob(f"{path.stem}_rows.*"))
        if len(copies) == 1:
            return copies[0]
    return named


def _check_columns(found: Inspection) -> bool:
    """Note columns that are not there; return whether the label's is."""
    spec, names = found.spec, found.texts.names
    roles = {spec.label.column: "`label`"}
    roles |= dict.fromkeys(spec.private, "`private`")
    roles |= dict.fromkeys(spec.features or (), "`features`")
    roles |= dict.fromkeys(found.stated, "`scenario`")
    roles |= {name: role for name, role in ((spec.group, "`group`"), (spec.id, "`id`")) if name}
    roles[spec.label.column] = "`label`"
    for name, role in roles.items():
        if name in found.texts.table.column_names:
            continue
        listed = ", ".join(n for n in names if n)
        if names.count(name) > 1:
            places = ", ".join(str(i + 1) for i, n in enumerate(names) if n == name)
            found.problems.append(
                Problem(
                    f"The header of {found.texts.file.name} names {name!r} {names.count(name)} "
                    f"times (columns {places}).",
                    "Rename all but one.",
                    is_data=True,
                )
            )
        elif name in names:
            found.problems.append(
                Problem(f"Column {name!r} holds lists or bytes.", "Give it as text or numbers.")
            )
        else:
            lowered = {n.casefold(): n for n in names}
            near = difflib.get_close_matches(name.casefold(), lowered, n=1)
            hint = f" Did you mean {lowered[near[0]]!r}?" if near else ""
            what = f"{role} names the column {name!r}, which {found.texts.file.name} lacks."
            if re.search(r"[:!]|\[|\.\d", name) and role == "`scenario`":
                hint += " Between braces stands a column's name alone, without a format."
            found.problems.append(Problem(f"{what}{hint}", f"It has: {listed}."))
    return spec.label.column in found.texts.table.column_names


def _read_outcomes(found: Inspection) -> None:
    """Work out which label each text of the label's column stands for."""
    label = found.spec.label
    declared = {normal(value): place for place, (value, _) in enumerate(found.outcomes)}
    if len(declared) < len(found.outcomes):
        found.problems.append(
            Problem("Two of the label's outcomes are the same value.", "Leave one out.")
        )
    signs = {BOOLEANS.get(form): place for form, place in declared.items()}
    left_out = {normal(value) for value in label.leave_out}
    unknown: list[str] = []
    texts = found.values[label.column]
    for text in dict.fromkeys(texts):
        form = normal(text)
        if form in declared:
            found.outcome_of[form] = declared[form]
        elif form in left_out:
            found.outcome_of[form] = None
        elif set(signs) == {True, False} and len(declared) == 2 and form in BOOLEANS:
            found.outcome_of[form] = signs[BOOLEANS[form]]
        else:
            unknown.append(text)
    empty = found.is_empty
    strange = set(unknown)
    odd = [(i, t) for i, t in enumerate(texts) if t in strange and not empty[i]]
    if odd:
        found.problems.append(_unknown_labels(found, odd))
    n_empty = sum(empty)
    if n_empty:
        found.notes.append(f"{n_empty} empty row{'s are' if n_empty > 1 else ' is'} passed over.")
    out = {text for text in set(texts) if normal(text) in left_out}
    n_out = sum(t in out and not e for t, e in zip(texts, empty, strict=True))
    if n_out:
        found.notes.append(
            f"{n_out} row{'s are' if n_out > 1 else ' is'} left out, as `leave_out` says."
        )


def _unknown_labels(found: Inspection, odd: Sequence[tuple[int, str]]) -> Problem:
    label = found.spec.label
    rows = found.texts.rows.to_pylist()
    counts = Counter(text.strip() for _, text in odd)
    said = [f"{text!r} ({n})" if text else f"nothing ({n})" for text, n in counts.most_common(8)]
    more = f" and {len(counts) - 8} other values" if len(counts) > 8 else ""
    where = ", ".join(str(rows[i]) for i, _ in odd[:5])
    where += f" and {len(odd) - 5} more" if len(odd) > 5 else ""
    known = ", ".join(repr(value) for value, _ in found.outcomes)
    remedy = (
        "Say what they mean under `label: outcomes`, or list them under `label: leave_out` "
        "('' stands for nothing)."
    )
    if len(counts) > 26:
        remedy = (
            "A label is one of 2 to 26 named choices: name another column, or add one to the "
            "file that says which choice was made."
        )
    return Problem(
        f"Column {label.column!r} has {len(odd)} row{'s' * (len(odd) > 1)} whose value is none of "
        f"{known}: {', '.join(said)}{more} (row{'s' * (len(odd) > 1)} {where}).",
        remedy,
        is_data=True,
    )


def _read_conditions(found: Inspection) -> None:
    """Put the conditions' SQL into the staged table's names, and note what it may not name."""
    spec = found.spec
    for condition in spec.conditions:
        sql, mentioned = condition_columns(condition.where, found.texts.names, staged_name)
        found.predicates.append(sql)
        for name in mentioned:
            if name == spec.label.column:
                says = f"Condition {condition.label!r} uses the label's column {name!r}."
                found.problems.append(Problem(says, "That gives the answer away: take it out."))
            elif name in spec.private:
                says = f"Condition {condition.label!r} uses {name!r}, which is private."
                found.problems.append(Problem(says, "Take it out of one of the two."))
            elif name not in found.stated:
                says = f"Condition {condition.label!r} uses {name!r}, which the scenario lacks."
                remedy = f"Put {{{name}}} into `scenario`: the text must show what a case is."
                found.problems.append(Problem(says, remedy))


def staged_name(name: str) -> str:
    """Return a column's name in the staged table, some of whose names are taken."""
    return f"{name}_" if name.casefold() in RESERVED else name


def _read_columns(found: Inspection) -> None:
    """Work out what each used column holds."""
    spec = found.spec
    missing = frozenset({*MISSING, *(normal(text) for text in spec.missing)})
    used = [n for n in named_columns(spec) if n != spec.label.column and n in found.values]
    twice = [n for n, k in Counter(staged_name(n).casefold() for n in used).items() if k > 1]
    if twice:
        found.problems.append(
            Problem(
                f"Columns must differ in more than upper and lower case: {', '.join(twice)}.",
                "Rename one of each.",
                is_data=True,
            )
        )
    rows = found.texts.rows.to_pylist()
    for name in used:
        # Empty lines at a file's end are no missing values.
        kept = [place for place, is_empty in enumerate(found.is_empty) if not is_empty]
        column, problems, notes = infer(
            name,
            staged_name(name),
            [found.values[name][place] for place in kept],
            [rows[place] for place in kept],
            (spec.features or {}).get(name),
            missing,
            spec.decimal,
        )
        found.columns[name] = column
        if name in found.stated or name in (spec.features or ()):
            found.problems += problems
            found.notes += notes
    rounded = [n for n in found.stated if n in found.columns and found.columns[n].is_rounded]
    if rounded:
        several = f"s {', '.join(rounded)} are" if len(rounded) > 1 else f" {rounded[0]!r} is"
        found.notes.append(
            f"Column{several} rounded, in texts and conditions alike: to 2 decimals, or 4 where "
            "all numbers are small. `decimals` of a feature says another number."
        )


def _read_features(found: Inspection) -> None:
    """Choose the features: those that the file names, else what the scenario states."""
    spec = found.spec
    taken = {spec.label.column, spec.id, spec.group, *spec.private}
    if spec.features is not None:
        found.features = {n: f for n, f in spec.features.items() if n in found.columns}
        return
    passed = []
    for name in found.stated:
        column = found.columns.get(name)
        if column is None or name in taken:
            continue
        if column.kind in ("text", "date") or is_counter(column, found.values[name]):
            passed.append(f"{name} ({'a counter' if column.kind == 'number' else column.kind})")
        else:
            found.features[name] = Feature()
    if passed and not spec.conditions:
        found.notes.append(f"No conditions are learned from {', '.join(passed)}.")


def _check_use(found: Inspection) -> None:
    """Note columns that stand where they may not, and features that nothing can be learned from."""
    spec = found.spec
    label = spec.label.column
    for name in found.stated:
        if name == label:
            says = f"The scenario states the label's column {name!r}."
            found.problems.append(Problem(says, "That gives the answer away: take it out."))
        if name in spec.private:
            says = f"The scenario states {name!r}, which is private."
            found.problems.append(Problem(says, "Take it out of one of the two."))
    for name in spec.features or ():
        if name == label:
            says = f"The label's column {name!r} is among the features."
            found.problems.append(Problem(says, "That gives the answer away: take it out."))
        elif name in spec.private:
            says = f"Feature {name!r} is private."
            found.problems.append(Problem(says, "Take it out of one of the two."))
        elif name in found.columns and name not in found.stated:
            says = f"Feature {name!r} is not in the scenario."
            remedy = f"Put {{{name}}} into `scenario`: the text must show what a case is."
            found.problems.append(Problem(says, remedy))
    if not spec.conditions and not found.features and not found.problems:
        says = "There is nothing to learn conditions from."
        remedy = "State columns in the scenario that hold numbers, yes or no, or a few words."
        found.problems.append(Problem(says, remedy))
    for name, said in found.features.items():
        if name in found.columns and name != label:
            made = feature(found.columns[name], said, found.values[name])
            found.problems += [made] if isinstance(made, Problem) else []
    _check_ids(found)
    counts = Counter(place for place in found.labels if place is not None)
    absent = [o.means for i, (_, o) in enumerate(found.outcomes) if not counts[i]]
    if absent and not found.problems:
        says = f"No row is decided as {', '.join(absent)}."
        if len(counts) < 2:
            remedy = "At least two outcomes must come about: is the label's column the right one?"
            found.problems.append(Problem(says, remedy, is_data=True))
        else:
            found.notes.append(says)


def _check_ids(found: Inspection) -> None:
    name = found.spec.id
    if name is None or name not in found.values:
        return
    pairs = zip(found.values[name], found.texts.rows.to_pylist(), found.is_empty, strict=True)
    rows: dict[str, list[int]] = {}
    for value, row, is_empty in pairs:
        if not is_empty:
            rows.setdefault(value.strip(), []).append(row)
    bad = {v: r for v, r in rows.items() if len(r) > 1 or not v}
    if bad:
        shown = "; ".join(
            f"{v!r} in rows {', '.join(map(str, r[:4]))}" for v, r in list(bad.items())[:4]
        )
        more = f" and {len(bad) - 4} more" if len(bad) > 4 else ""
        found.problems.append(
            Problem(
                f"Column {name!r} is the `id` and must be given and unique: {shown}{more}.",
                "Mend the rows, or leave `id` out: then the row's number names a case.",
                is_data=True,
            )
        )
