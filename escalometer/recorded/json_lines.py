"""Reading recorded decisions as JSON lines: in parts, so that memory stays bounded."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from escalometer import warehouse
from escalometer.errors import DataError
from escalometer.validation import N_SHOWN, ROW
from escalometer.warehouse import RecordedRows
from escalometer.warehouse.table_files import decoded_lines, not_utf8

#: A part ends with so many objects, or so many characters.
_MOST_OBJECTS, _MOST_CHARACTERS = 50_000, 1 << 24


@dataclass
class Found:
    """Rows in which something was found: their number, and the first of them.

    Attributes
    ----------
    n_rows : int
        How many.
    first : list of tuple of int and str
        The first rows, each with what was found.
    """

    n_rows: int = 0
    first: list[tuple[int, str]] = field(default_factory=list)

    def note(self, row: int, value: Any, described: Callable[[Any], str]) -> None:
        """Add a row, and what was found if it is among the first."""
        self.n_rows += 1
        if len(self.first) < N_SHOWN:
            self.first.append((row, described(value)))


@dataclass
class ColumnKinds:
    """The rows of a column by what their values are."""

    nested: Found = field(default_factory=Found)
    texts: Found = field(default_factory=Found)
    others: Found = field(default_factory=Found)
    surrogates: Found = field(default_factory=Found)


class JsonLines:
    """A file of JSON objects, one a line.

    Attributes
    ----------
    broken : Found
        Lines that are none.
    kinds : dict of str to ColumnKinds
        Of each key, in the order of the file.
    """

    def __init__(self, path: Path, rows: RecordedRows) -> None:
        self.broken = Found()
        self.kinds: defaultdict[str, ColumnKinds] = defaultdict(ColumnKinds)
        self._path, self._rows = path, rows
        self._names: dict[str, str] = {}
        self._can_store = True

    def read(self) -> None:
        """Read all lines into the rows.

        Raises
        ------
        DataError
            If the file is not UTF-8, or its keys cannot be columns.
        """
        numbers: list[int] = []
        objects: list[dict[str, Any]] = []
        n_characters = 0
        for number, line in _lines(self._path):
            try:
                value = json.loads(line, parse_constant=_refuse, object_pairs_hook=_pairs)
                if not isinstance(value, dict):
                    raise ValueError(_found_kind(value))
            except (ValueError, RecursionError) as error:
                self.broken.note(number, error, lambda found: str(found)[:200])
                continue
            numbers.append(number)
            objects.append(value)
            n_characters += len(line)
            if len(objects) >= _MOST_OBJECTS or n_characters >= _MOST_CHARACTERS:
                self._store(numbers, objects)
                numbers, objects, n_characters = [], [], 0
        self._store(numbers, objects)
        warehouse.refuse_twins(self._path, list(self.kinds))
        if ROW in self.kinds:
            raise DataError(f"{self._path} has a key {ROW!r}, a name reserved for the row's number")

    def _store(self, numbers: list[int], objects: list[dict[str, Any]]) -> None:
        names = dict.fromkeys(name for value in objects for name in value)
        columns: dict[str, pa.Array] = {ROW: pa.array(numbers, pa.int64())}
        for name in names:
            if self._names.setdefault(name.casefold(), name) != name or name == ROW:
                self._can_store = False  # the file is refused when all its keys are known
            columns[name] = self._column(name, numbers, [value.get(name) for value in objects])
        if objects and self._can_store:
            self._rows.append(pa.table(columns))

    def _column(self, name: str, numbers: list[int], values: list[Any]) -> pa.Array:
        kinds = self.kinds[name]
        for number, value in zip(numbers, values, strict=True):
            if isinstance(value, dict | list):
                kinds.nested.note(number, value, _found_kind)
            elif isinstance(value, str):
                kinds.texts.note(number, value, _found)
            elif value is not None:
                kinds.others.note(number, value, _found)
        texts = [_text(value) for value in values]
        try:
            return pa.array(texts, pa.string())
        except UnicodeEncodeError:
            for place, text in enumerate(texts):
                if text and not _is_encodable(text):
                    kinds.surrogates.note(numbers[place], text, _found)
                    texts[place] = None
            return pa.array(texts, pa.string())


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
    raise ValueError(f"{constant} is not valid JSON: write null for a missing value")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("duplicate key")
    return members


def _found_kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value"}
    return f"found {names.get(type(value), 'a number' if value is not None else 'null')}"


def _found(value: Any) -> str:
    return f"found {shown(value)}"


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


#: Of a value, messages show so many characters.
_LONGEST = 60


def shown(value: Any) -> str:
    """Return a value as messages show it."""
    written = repr(value)
    return written if len(written) <= _LONGEST else f"{written[:_LONGEST]}…"
