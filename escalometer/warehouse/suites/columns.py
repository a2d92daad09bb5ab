"""Columns and values of suites as SQL: with the meaning that they have in a pandas frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from escalometer.warehouse._raw import identifier

#: Whole numbers up to this are exact as doubles. Bounds and values beyond it are not compiled.
_EXACT = 2**53

_WHOLE = (
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
    *(pa.uint8(), pa.uint16(), pa.uint32()),
)


class UncompiledError(ValueError):
    """The rule has no SQL of which it is certain that it means the same."""


@dataclass(frozen=True)
class Column:
    """A column of a table that is held against a suite.

    Attributes
    ----------
    sql : str
        Its value as pandas has it: NaN is null, whole numbers with gaps are doubles.
    kind : str
        ``text``, ``whole``, ``number``, ``truth`` or ``other``.
    has_gaps : bool
        Whether values may be missing.
    """

    sql: str
    kind: str
    has_gaps: bool

    @property
    def is_numeric(self) -> bool:
        """True if its values are numbers."""
        return self.kind in ("whole", "number")

    @property
    def double(self) -> str:
        """SQL for its value as a double."""
        return f"cast({self.sql} as double)"


def column(name: str, kind: pa.DataType, has_gaps: bool) -> Column:
    """Return a column by its name and its type in Arrow."""
    quoted = identifier(name)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return Column(quoted, "text", has_gaps)
    if kind in _WHOLE:
        return Column(f"cast({quoted} as double)" if has_gaps else quoted, "whole", has_gaps)
    if kind == pa.float64():
        return Column(f"nullif({quoted}, 'nan'::double)", "number", has_gaps)
    return Column(quoted, "truth" if kind == pa.bool_() else "other", has_gaps)


def columns_of(schema: pa.Schema, with_gaps: Iterable[str]) -> Mapping[str, Column]:
    """Return the columns of a schema; those in `with_gaps` have missing values."""
    gaps = set(with_gaps)
    if len(set(schema.names)) < len(schema.names):
        raise UncompiledError("two columns of one name")
    return {field.name: column(field.name, field.type, field.name in gaps) for field in schema}


def number(value: Any) -> str:
    """Return a number of a suite as SQL."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or abs(value) >= _EXACT:
        raise UncompiledError(f"the number {value!r}")
    return f"cast('{float(value)!r}' as double)"


def text(value: Any) -> str:
    """Return a text of a suite as SQL."""
    if (
        not isinstance(value, str)
        or "\0" in value
        or any(0xD800 <= ord(letter) <= 0xDFFF for letter in value)
    ):
        raise UncompiledError(f"the text {value!r}")
    escaped = str(value).replace("'", "''")
    return f"'{escaped}'"


def one_of(of: Column, values: Any) -> str:
    """Return SQL that is true where a column has one of some values of its own kind."""
    if not isinstance(values, list) or not values:
        raise UncompiledError("no values")
    if of.kind == "text":
        return f"{of.sql} in ({', '.join(text(value) for value in values)})"
    if of.is_numeric:
        return f"{of.double} in ({', '.join(number(value) for value in values)})"
    if of.kind == "truth" and all(isinstance(value, bool) for value in values):
        return f"{of.sql} in ({', '.join(str(value).lower() for value in values)})"
    raise UncompiledError(f"values of a column of kind {of.kind}")
