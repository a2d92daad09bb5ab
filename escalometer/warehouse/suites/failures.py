"""Rules that a table breaks, in words: of Great Expectations' results and of those of SQL."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: The column that every validated table has: the row's number as messages call it.
ROW = "source_row"


@dataclass(frozen=True)
class Failure:
    """One rule that a table breaks.

    Attributes
    ----------
    file : str
        The file that holds the table.
    column : str
        The column or columns that the rule is about; empty where it is about the whole table.
    rule : str
        The rule in words.
    n_rows : int
        How many rows break it; 0 where it is about the whole table.
    rows : tuple of str
        Up to ten of them, each with its number and what was found.
    """

    file: str
    column: str
    rule: str
    n_rows: int
    rows: tuple[str, ...]

    def __str__(self) -> str:
        column = f", column {self.column}" if self.column else ""
        if not self.n_rows:
            found = "".join(f" ({row})" for row in self.rows)
            return f"{self.file}{column}: {self.rule}{found}"
        more = self.n_rows - len(self.rows)
        lines = [f"  {row}" for row in self.rows] + ([f"  and {more} more"] if more > 0 else [])
        broken = "1 row breaks" if self.n_rows == 1 else f"{self.n_rows} rows break"
        return "\n".join([f"{self.file}{column}: {self.rule}; {broken} this:", *lines])


def columns_of_rule(expectation: Mapping[str, Any]) -> list[str]:
    """Return the columns that an expectation is about; none where it is about the whole table."""
    kwargs = expectation["kwargs"]
    keys = ("column", "column_A", "column_B")
    return list(kwargs.get("column_list") or [kwargs[key] for key in keys if key in kwargs])


def failure(expectation: Mapping[str, Any], file: str, n_rows: int, rows: Sequence[str]) -> Failure:
    """Return an expectation that rows of a file break, in words.

    Parameters
    ----------
    expectation : mapping
        As the suite has it.
    file : str
        The file that holds the table.
    n_rows : int
        How many rows break it; 0 where it is about the whole table.
    rows : sequence of str
        The first of them, or what was found.
    """
    columns = columns_of_rule(expectation)
    rule = expectation.get("description") or expectation["type"].replace("_", " ")
    return Failure(file, ", ".join(columns), rule.rstrip("."), n_rows, tuple(rows))


def row_in_words(row: Mapping[str, Any], shown: Sequence[str]) -> str:
    """Return a row's number and names, and the values of the other columns.

    Parameters
    ----------
    row : mapping
        Values by column.
    shown : sequence of str
        Columns that name a row, `source_row` among them.
    """
    names = "".join(f", {name} {row[name]}" for name in shown if name != ROW)
    values = [f"{key} = {_value(row[key])}" for key in row if key not in shown]
    return f"row {row[ROW]}{names}: found {', '.join(values) or 'it'}"


def _value(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "nothing"
    # pandas holds integers with gaps as floats.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return repr(float(value)) if isinstance(value, float) else repr(value)
