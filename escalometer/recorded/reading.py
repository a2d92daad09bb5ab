"""Reading a file of recorded decisions: every value as text, every row numbered."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from escalometer import warehouse
from escalometer.errors import DataError, UsageError
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

#: Of a file that lacks columns, messages list so many of those that it has.
MOST_NAMES = 40


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
    """

    path: Path
    rows: RecordedRows
    problems: list[Failure] = field(default_factory=list)
    has_unnamed: bool = False

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


def read(path: Path, rows: RecordedRows) -> RecordedFile:
    """Read a file of recorded decisions into `rows`, as text.

    Parameters
    ----------
    path : Path
        A `.parquet`, `.csv` (UTF-8, with a header, commas) or `.jsonl` file.
    rows : RecordedRows
        Without rows.

    Raises
    ------
    UsageError
        If there is no such file, or its ending is none of these.
    DataError
        If it cannot be read at all.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: unknown kind of file; its name must end in {', '.join(FORMATS)}")
    if not path.is_file():
        raise UsageError(f"{path} does not exist" if not path.exists() else f"{path} is not a file")
    if path.suffix.lower() == ".jsonl":
        return _read_jsonl(path, rows)
    columns = warehouse.recorded_columns(path)
    has_unnamed = columns.pop("", None) is not None
    if ROW in columns:
        raise DataError(f"{path} has a column {ROW!r}, a name reserved for the row's number")
    if not columns:
        raise DataError(f"{path} is empty: it needs named columns, and at least one row")
    rows.load(path, columns)
    recorded = RecordedFile(path, rows, has_unnamed=has_unnamed)
    for name in recorded.known:
        if _NESTED.search(columns[name]):
            rule = f"must hold texts, numbers or truth values, not the type {columns[name]}"
            recorded.problems.append(Failure(str(path), name, rule, 0, ()))
    return recorded


def _read_jsonl(path: Path, rows: RecordedRows) -> RecordedFile:
    recorded = RecordedFile(path, rows)
    lines = JsonLines(path, rows)
    lines.read()
    recorded.refuse(
        "", "each line must be one JSON object", lines.broken.n_rows, lines.broken.first
    )
    if not rows.n_rows:
        none = f"{path} is empty: it needs one JSON object per line"
        raise DataError(str(recorded.problems[0]) if recorded.problems else none)
    for name, kinds in lines.kinds.items():
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
    folded = {name.casefold().replace(" ", "_"): name for name in recorded.unknown}
    meant = []
    for name in lacking:
        near = difflib.get_close_matches(name, folded, n=1, cutoff=0.7)
        meant += [f"{folded[near[0]]!r} for {name}"] if near else []
    hint = f" (is {', '.join(meant)} meant?)" if meant else ""
    there = [*recorded.known, *recorded.unknown]
    listed = ", ".join(there[:MOST_NAMES]) + (" and more" if len(there) > MOST_NAMES else "")
    marks = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
    found = next((marks[m] for m in marks if len(there) == 1 and m in there[0]), None)
    apart = f"; values must be separated by commas, not {found}" if found else ""
    verb = "is" if len(lacking) == 1 else "are"
    rule = f"{verb} missing{hint}; there are: {listed}{apart}"
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
