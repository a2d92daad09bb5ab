"""Reading a file of recorded decisions: every value as text, every row numbered."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from escalometer import warehouse
from escalometer.errors import DataError, UsageError
from escalometer.schema import RECORDED
from escalometer.validation import N_SHOWN, ROW, Failure
from escalometer.warehouse.table_files import decoded_lines, not_utf8

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
_LONGEST = 60

#: Of a file that lacks columns, messages list so many of those that it has.
MOST_NAMES = 40


@dataclass
class RecordedFile:
    """A file of recorded decisions as texts, with the problems found so far.

    Attributes
    ----------
    path : Path
        The file.
    texts : Table
        `source_row`, and every column as text.
    problems : list of Failure
        What does not fit, so far.
    has_unnamed : bool
        Whether there are columns without a name, which are left out.
    """

    path: Path
    texts: pa.Table
    problems: list[Failure] = field(default_factory=list)
    has_unnamed: bool = False

    @property
    def known(self) -> list[str]:
        """The columns that stand in `schema.RECORDED`, in its order."""
        return [name for name in KINDS if name in self.texts.column_names]

    @property
    def unknown(self) -> list[str]:
        """The columns that we know nothing of, in the file's order."""
        return [name for name in self.texts.column_names if name not in (*KINDS, ROW)]

    def refuse(self, column: str, rule: str, rows: Iterable[tuple[int, str]]) -> None:
        """Note a rule that rows break, each with its number and what was found."""
        broken = list(rows)
        if broken:
            shown = tuple(f"row {row}: {found}" for row, found in broken[:N_SHOWN])
            self.problems.append(Failure(str(self.path), column, rule, len(broken), shown))


def read(path: Path) -> RecordedFile:
    """Return what a file of recorded decisions holds, as text.

    Parameters
    ----------
    path : Path
        A `.parquet`, `.csv` (UTF-8, with a header, commas) or `.jsonl` file.

    Raises
    ------
    UsageError
        If there is no such file, or its ending is none of these.
    DataError
        If it cannot be read at all.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(
            f"{path}: what kind of file is it? Its name must end in {', '.join(FORMATS)}"
        )
    if not path.is_file():
        raise UsageError(f"{path} does not exist" if not path.exists() else f"{path} is no file")
    if path.suffix.lower() == ".jsonl":
        return _read_jsonl(path)
    columns = warehouse.recorded_columns(path)
    has_unnamed = columns.pop("", None) is not None
    if ROW in columns:
        raise DataError(f"{path} has a column {ROW!r}, which is our name for a row's number")
    if not columns:
        raise DataError(f"{path} is empty: it needs named columns, and at least one row")
    recorded = RecordedFile(path, warehouse.read_recorded(path, columns), has_unnamed=has_unnamed)
    for name in recorded.known:
        if _NESTED.search(columns[name]):
            rule = f"must hold texts, numbers or truth values, not the type {columns[name]}"
            recorded.problems.append(Failure(str(path), name, rule, 0, ()))
    return recorded


def _read_jsonl(path: Path) -> RecordedFile:
    recorded = RecordedFile(path, pa.table({ROW: pa.array([], pa.int64())}))
    rows: list[int] = []
    objects: list[dict[str, Any]] = []
    broken = []
    for number, line in _lines(path):
        try:
            value = json.loads(line, parse_constant=_refuse, object_pairs_hook=_pairs)
            if not isinstance(value, dict):
                raise ValueError(f"found {_said(value)}")
        except (ValueError, RecursionError) as error:
            broken.append((number, f"{error}"[:200]))
            continue
        rows.append(number)
        objects.append(value)
    recorded.refuse("", "each line must be one JSON object", broken)
    if not objects:
        none = f"{path} is empty: it needs one JSON object a line"
        raise DataError(str(recorded.problems[0]) if broken else none)
    names = list(dict.fromkeys(name for value in objects for name in value))
    warehouse.refuse_twins(path, names)
    if ROW in names:
        raise DataError(f"{path} has a key {ROW!r}, which is our name for a row's number")
    columns: dict[str, pa.Array] = {ROW: pa.array(rows, pa.int64())}
    for name in names:
        values = [value.get(name) for value in objects]
        if name in KINDS:
            _check_kinds(recorded, name, rows, values)
        columns[name] = _texts(recorded, name, rows, values)
    recorded.texts = pa.table(columns)
    return recorded


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold anything, with their numbers from 1."""
    number = 0
    try:
        for number, line in enumerate(decoded_lines(path), 1):
            if text := line.strip():
                yield number, text
    except UnicodeDecodeError as error:
        raise not_utf8(path, number + 1, error) from error


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no value in JSON: write null where there is none")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key stands in it twice")
    return members


def _said(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value"}
    return names.get(type(value), "a number" if value is not None else "null")


def _check_kinds(
    recorded: RecordedFile, name: str, rows: Sequence[int], values: Sequence[Any]
) -> None:
    """Refuse nested values, and text among numbers: one column holds one kind of value."""
    pairs = [(row, value) for row, value in zip(rows, values, strict=True) if value is not None]
    nested = [(row, f"found {_said(v)}") for row, v in pairs if isinstance(v, dict | list)]
    recorded.refuse(name, "must hold single values", nested)
    texts = [(row, v) for row, v in pairs if isinstance(v, str)]
    others = [(row, v) for row, v in pairs if not isinstance(v, str | dict | list)]
    if texts and others:
        wants_text = KINDS[name] == "text"
        odd = others if wants_text else texts
        rule = "mixes texts with numbers or truth values; it must hold " + (
            "texts only" if wants_text else "no texts"
        )
        recorded.refuse(name, rule, ((row, f"found {_shown(v)}") for row, v in odd))


def _texts(
    recorded: RecordedFile, name: str, rows: Sequence[int], values: Sequence[Any]
) -> pa.Array:
    texts = [_text(value) for value in values]
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        lone = [i for i, text in enumerate(texts) if text and not _is_encodable(text)]
        recorded.refuse(
            name,
            "must be text: half of a surrogate pair is none",
            ((rows[i], f"found {_shown(texts[i])}") for i in lone),
        )
        for i in lone:
            texts[i] = None
        return pa.array(texts, pa.string())


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value)
    return repr(value).lower()  # true, 4, 0.75: the shortest that reads back as the same number


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: Any) -> str:
    written = repr(value)
    return written if len(written) <= _LONGEST else f"{written[:_LONGEST]}…"


def refuse_missing(recorded: RecordedFile) -> None:
    """Note the required columns that a file lacks, and what may be meant by them."""
    lacking = [name for name in REQUIRED if name not in recorded.texts.column_names]
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


def convert(recorded: RecordedFile) -> tuple[pa.Table, pa.Array]:
    """Return the known columns in their types, and which rows hold a value that does not fit.

    Values that do not fit are noted in `given.problems` and null in the table. Whole numbers come
    as 64 bits, whatever the schema says, so that 300 is out of range and not unreadable.
    """
    kinds = {name: KINDS[name] for name in recorded.known}
    table = warehouse.convert_recorded(recorded.texts, kinds)
    is_bad = pa.array([False] * table.num_rows)
    for name, kind in kinds.items():
        if kind == "text":
            continue
        column = recorded.texts.column(name)
        unfit = pc.and_(pc.is_valid(column), pc.is_null(table.column(name)))
        if pc.any(unfit).as_py():
            is_bad = pc.or_(is_bad, unfit)
            rows = recorded.texts.column(ROW).filter(unfit).to_pylist()
            found = column.filter(unfit).to_pylist()
            recorded.refuse(
                name,
                _RULES[kind],
                ((r, f"found {_shown(f)}{_hint(f)}") for r, f in zip(rows, found, strict=True)),
            )
    return table, is_bad


def _hint(text: str) -> str:
    if re.fullmatch(r"\s*\d+([.,]\d+)?\s*%\s*", text):
        return ", which looks like a percentage: divide by 100 and leave the sign out"
    if re.fullmatch(r"\s*\d+,\d+\s*", text):
        return ", where a decimal point is wanted"
    if text.strip().casefold() in ("na", "nan", "null", "none", "n/a", "-"):
        return "; where there is no value, leave it empty"
    return ""
