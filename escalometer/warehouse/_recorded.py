"""Reading decisions that others recorded: every value as text first, then converted exactly.

No type is guessed from the rows, so that a value which does not fit is found, and named by its row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import duckdb

from escalometer.errors import DataError
from escalometer.warehouse._raw import first_lines
from escalometer.warehouse._statements import connect
from escalometer.warehouse.table_files import read_csv_header

#: Whole numbers below this are exact as doubles, which is how they are read.
_EXACT = 2**53

#: How people and programs write the two truth values, in lower case; 1.0 is how pandas writes a
#: column of them that has gaps.
_TRUE, _FALSE = ("true", "1", "1.0"), ("false", "0", "0.0")


def recorded_columns(path: Path) -> dict[str, str]:
    """Return the columns of a CSV or Parquet file and their types; VARCHAR is all that CSV has.

    Columns without a name are kept as one column whose name is empty.

    Raises
    ------
    DataError
        If the file is not readable, or two names differ in case at most.
    """
    if path.suffix.lower() == ".parquet":
        try:
            with connect() as connection:
                described = connection.execute(
                    "describe select * from read_parquet($path)", {"path": str(path)}
                ).fetchall()
        except duckdb.Error as error:
            raise DataError(f"{path} is not readable: {first_lines(error)}") from error
        found = [(str(name), str(kind)) for name, kind, *_ in described]
    else:
        found = [(name, "VARCHAR") for name in read_csv_header(path)]
    refuse_twins(path, [name for name, _ in found if name.strip()])
    return {name if name.strip() else "": kind for name, kind in found}


def refuse_twins(path: Path, names: Sequence[str]) -> None:
    """Refuse columns whose names differ in case at most: it would be ambiguous which one is meant.

    Raises
    ------
    DataError
        If there are such.
    """
    folded = Counter(name.casefold() for name in names)
    twins = [name for name in names if folded[name.casefold()] > 1]
    if twins:
        raise DataError(f"{path} has more than one column {', '.join(twins)}: rename or drop one")


def converted(column: str, kind: str) -> str:
    """Return SQL for the value of a text, null where it cannot be converted.

    Parameters
    ----------
    column : str
        SQL for the text.
    kind : str
        ``text``, ``whole``, ``number`` or ``truth``. Truth values convert to 0 and 1 where whole
        numbers are wanted.
    """
    if kind == "text":
        return column
    low = f"lower(trim({column}))"
    truth = f"case when {low} in {_TRUE} then 1 when {low} in {_FALSE} then 0 end"
    if kind == "truth":
        return f"cast({truth} as boolean)"
    number = f"try_cast({column} as double)"
    if kind == "number":
        return f"case when isfinite({number}) then {number} end"
    # A cast alone would round 2.5 to 2 without a word.
    exact = f"{number} = trunc({number}) and abs({number}) < {_EXACT}"
    whole = f"when {exact} then cast({number} as bigint)"
    return f"case when {low} in ('true', 'false') then {truth} {whole} end"
