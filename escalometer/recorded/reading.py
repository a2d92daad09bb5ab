"""Reading a file of recorded decisions: every value as text, every row numbered."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from escalometer import warehouse
from escalometer.errors import DataError, UsageError
from escalometer.recorded.column_map import listed, names_by_map, suggestion
from escalometer.recorded.json_lines import ColumnKinds, JsonLines, shown
from escalometer.schema import RECORDED
from escalometer.validation import N_SHOWN, ROW, Failure
from escalometer.warehouse import RecordedRows

#: What the endings of files say that they are, and what a row's number counts there.
FORMATS = {
    ".parquet": "row 1 is the first",
    ".csv": "the header is row 1, as in a spreadsheet",
    ".jsonl": "rows are lines",
}

REQUIRED = (
    *("model", "domain", "condition", "signal_accuracy", "has_signal"),
    *("label", "prediction", "escalate"),
)

_TYPES = {pa.string(): "text", pa.int8(): "whole", pa.int64(): "whole"}
_TYPES |= {pa.float64(): "number", pa.bool_(): "truth"}

#: What each column that we know holds: text, whole, number or truth.
KINDS = {name: _TYPES[RECORDED.field(name).type] for name in RECORDED.names}

_RULES = {
    "whole": "must be a whole number",
    "number": "must be a finite number",
    "truth": "must be true or false (or 1 or 0)",
}
_NESTED = re.compile(r"\[\d*\]$|^(STRUCT|MAP|UNION|BLOB|BIT)\b")


@dataclass
class RecordedFile:
    """A file of recorded decisions as texts, with the problems found so far.

    Attributes
    ----------
    path : Path
        The file.
    rows : RecordedRows
        The file's rows, every value as text.
    problems : list of Failure
        What does not fit, so far.
    has_unnamed : bool
        Whether there are columns without a name, which are left out.
    mapping : mapping of str to str
        Columns of the file by the names of ours that they have got.
    """

    path: Path
    rows: RecordedRows
    problems: list[Failure] = field(default_factory=list)
    has_unnamed: bool = False
    mapping: Mapping[str, str] = field(default_factory=dict)

    @property
    def known(self) -> list[str]:
        """The columns that stand in `schema.RECORDED`, in its order."""
        return [name for name in KINDS if name in self.rows.names]

    @property
    def unknown(self) -> list[str]:
        """The columns that we know nothing of, in the file's order."""
        return [name for name in self.rows.names if name not in KINDS]

    def refuse(self, column: str, rule: str, n_rows: int, first: Iterable[tuple[int, str]]) -> None:
        """Note a rule that rows break, if any, and the first of them with what was found."""
        if n_rows:
            shown = tuple(f"row {row}: {found}" for row, found in first)
            self.problems.append(Failure(str(self.path), column, rule, n_rows, shown))


def read(path: Path, rows: RecordedRows, mapping: Mapping[str, str] | None = None) -> RecordedFile:
    """Read a file of recorded decisions into `rows`, as text.

    Parameters
    ----------
    path : Path
        A `.parquet`, `.csv` (UTF-8, with a header, commas) or `.jsonl` file.
    rows : RecordedRows
        Without rows.
    mapping : mapping of str to str, optional
        Columns of the file by the names of ours that they get.

    Raises
    ------
    UsageError
        If there is no such file, its ending is none of these, or the mapping does not fit it.
    DataError
        If it cannot be read at all.
    """
    mapping = {name: column for name, column in (mapping or {}).items() if name != column}
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: unknown kind of file; its name must end in {', '.join(FORMATS)}")
    if not path.is_file():
        raise UsageError(f"{path} does not exist" if not path.exists() else f"{path} is not a file")
    if path.suffix.lower() == ".jsonl":
        return _read_jsonl(path, rows, mapping)
    columns = warehouse.recorded_columns(path)
    has_unnamed = columns.pop("", None) is not None
    if ROW in columns:
        raise DataError(f"{path} has a column {ROW!r}, a name reserved for the row's number")
    if not columns:
        raise DataError(f"{path} is empty: it needs named columns, and at least one row")
    names = names_by_map(str(path), list(columns), mapping, KINDS)
    rows.load(path, columns)
    rows.rename(names)
    recorded = RecordedFile(path, rows, has_unnamed=has_unnamed, mapping=mapping)
    types = {names.get(name, name): kind for name, kind in columns.items()}
    for name in recorded.known:
        if _NESTED.search(types[name]):
            rule = f"must hold texts, numbers or truth values, not the type {types[name]}"
            recorded.problems.append(Failure(str(path), name, rule, 0, ()))
    return recorded


def _read_jsonl(path: Path, rows: RecordedRows, mapping: Mapping[str, str]) -> RecordedFile:
    recorded = RecordedFile(path, rows, mapping=mapping)
    lines = JsonLines(path, rows)
    lines.read()
    recorded.refuse(
        "", "each line must be one JSON object", lines.broken.n_rows, lines.broken.first
    )
    if not rows.n_rows:
        none = f"{path} is empty: it needs one JSON object per line"
        raise DataError(str(recorded.problems[0]) if recorded.problems else none)
    names = names_by_map(str(path), list(lines.kinds), mapping, KINDS)
    rows.rename(names)
    for key, kinds in lines.kinds.items():
        name = names.get(key, key)
        if name in KINDS:
            _refuse_kinds(recorded, name, kinds)
        rule = "must be text: half of a surrogate pair is none"
        recorded.refuse(name, rule, kinds.surrogates.n_rows, kinds.surrogates.first)
    return recorded


def _refuse_kinds(recorded: RecordedFile, name: str, kinds: ColumnKinds) -> None:
    """Refuse nested values, and text among numbers: one column holds one kind of value."""
    recorded.refuse(name, "must hold single values", kinds.nested.n_rows, kinds.nested.first)
    if kinds.texts.n_rows and kinds.others.n_rows:
        wants_text = KINDS[name] == "text"
        odd = kinds.others if wants_text else kinds.texts
        rule = "mixes texts with numbers or truth values; it must hold " + (
            "texts only" if wants_text else "no texts"
        )
        recorded.refuse(name, rule, odd.n_rows, odd.first)


def refuse_missing(recorded: RecordedFile) -> None:
    """Note the required columns that a file lacks, and what may be meant by them."""
    lacking = [name for name in REQUIRED if name not in recorded.rows.names]
    if not lacking:
        return
    near: dict[str, str] = {}
    for name in lacking:
        columns = [column for column in recorded.unknown if column not in near.values()]
        if (column := suggestion(name, columns)) is not None:
            near[name] = column
    meant = ", ".join(f"{column!r} for {name}" for name, column in near.items())
    hint = f" (is {meant} meant?)" if meant else ""
    there = listed([*recorded.known, *recorded.unknown])
    maps = near or {lacking[0]: "COLUMN"}
    advice = " ".join(f"--map {shlex.quote(f'{name}={column}')}" for name, column in maps.items())
    marks = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
    names = recorded.rows.names
    mark = next((marks[m] for m in marks if len(names) == 1 and m in names[0]), None)
    remedy = (
        f"values must be separated by commas, not {mark}"
        if mark
        else f"columns of other names are mapped by {advice}"
    )
    verb = "is" if len(lacking) == 1 else "are"
    rule = f"{verb} missing{hint}; there are: {there}; {remedy}"
    recorded.problems.append(Failure(str(recorded.path), ", ".join(lacking), rule, 0, ()))


def refuse_unfit(recorded: RecordedFile) -> None:
    """Note the values that do not fit the types of their columns.

    Whole numbers may have 64 bits, whatever the schema says, so that 300 is out of range and not
    unreadable.
    """
    kinds = {name: KINDS[name] for name in recorded.known}
    for name, (n_unfit, first) in recorded.rows.unfit(kinds, N_SHOWN).items():
        found = ((row, f"found {shown(text)}{_hint(text)}") for row, text in first)
        recorded.refuse(name, _RULES[kinds[name]], n_unfit, found)


def _hint(text: str) -> str:
    if re.fullmatch(r"\s*\d+([.,]\d+)?\s*%\s*", text):
        return ", which looks like a percentage: divide by 100 and leave the sign out"
    if re.fullmatch(r"\s*\d+,\d+\s*", text):
        return ", use a decimal point"
    if text.strip().casefold() in ("na", "nan", "null", "none", "n/a", "-"):
        return "; leave missing values empty"
    return ""
