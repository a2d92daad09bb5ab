"""Decisions and outcomes of a ledger from a file: JSON lines, CSV or Parquet."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from escalometer.errors import DataError
from escalometer.ledger import DecidedCase, Outcome, in_utc
from escalometer.recorded.column_map import listed
from escalometer.validation import N_SHOWN

_TRUTH = {"true": True, "false": False, "1": True, "0": False}

Row = TypeVar("Row", DecidedCase, Outcome)
Convert = Callable[[Any], Any]


def read_decisions(path: Path) -> list[tuple[int, DecidedCase]]:
    """Return the decisions in a file with their row numbers.

    Parameters
    ----------
    path : Path
        A `.jsonl`, `.csv` or `.parquet` file. The columns are the fields of `DecidedCase`.

    Raises
    ------
    DataError
        If it cannot be read, lacks a column, or values do not fit; the message lists rows.
    """
    return _read(path, DecidedCase, _DECISION)


def read_outcomes(path: Path) -> list[tuple[int, Outcome]]:
    """Return the outcomes in a file with their row numbers; parameters as of `read_decisions`."""
    return _read(path, Outcome, _OUTCOME)


def refused(path: Path | str, problems: Sequence[tuple[int, str]]) -> DataError:
    """Return the error that lists refused rows, the first of them where there are many.

    Parameters
    ----------
    path : Path or str
        What messages call the file.
    problems : sequence of tuple of (int, str)
        Row number, and what is wrong.
    """
    shown = [f"  row {row}: {words}" for row, words in problems[:N_SHOWN]]
    more = len(problems) - len(shown)
    shown += [f"  and {more} more"] if more else []
    rows = "row" if len(problems) == 1 else "rows"
    return DataError(
        "\n".join([f"{path}: {len(problems)} invalid {rows}; nothing was written", *shown])
    )


def _read(path: Path, kind: type[Row], converts: Mapping[str, Convert]) -> list[tuple[int, Row]]:
    rows: list[tuple[int, dict[str, Any]]] = []
    problems: list[tuple[int, str]] = []
    needed = [name for name in kind._fields if name not in kind._field_defaults]
    number: int
    found: dict[str, Any]
    for number, found in _raw(path):
        absent = [name for name in needed if found.get(name) in (None, "")]
        if absent:
            problems.append((number, f"{', '.join(absent)} missing; there are: {listed([*found])}"))
            continue
        values: dict[str, Any] = {}
        for name, convert in converts.items():
            value = found.get(name)
            try:
                values[name] = None if value in (None, "") else convert(value)
            except (TypeError, ValueError) as error:
                problems.append((number, f"{name}: {error}"))
        rows.append((number, values))
    if problems:
        raise refused(path, problems)
    if not rows:
        raise DataError(f"{path} has no rows")
    return [(number, kind(**values)) for number, values in rows]


def _raw(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield rows as they are, numbered as `recorded.reading` numbers them."""
    try:
        if path.suffix == ".parquet":
            yield from enumerate(pq.ParquetFile(path).read().to_pylist(), 1)
        elif path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                yield from enumerate(csv.DictReader(file), 2)
        else:
            with path.open(encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield number, _object(path, number, line)
    except (UnicodeDecodeError, csv.Error, pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise refused(path, [(number, f"no JSON: {error}")]) from error
    if not isinstance(found, dict):
        raise refused(path, [(number, "each line must be one JSON object")])
    return found


def _text(value: Any) -> str:
    if isinstance(value, (dict, list, float, bool)):
        raise TypeError(f"must be a text, found {value!r}")
    return str(value)


def _whole(value: Any) -> int:
    number = float(value)
    if isinstance(value, bool) or not number.is_integer():
        raise ValueError(f"must be a whole number, found {value!r}")
    return int(number)


def _number(value: Any) -> float:
    number = float(value)
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError(f"must be a finite number, found {value!r}")
    return number


def _truth(value: Any) -> bool:
    found = _TRUTH.get(str(value).strip().lower())
    if found is None:
        raise ValueError(f"must be true or false, found {value!r}")
    return found


def _time(value: Any) -> str:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    if moment.tzinfo is None:
        raise ValueError(f"must have a time zone, found {str(value)!r}")
    return in_utc(moment.astimezone(UTC))


_DECISION: dict[str, Convert] = {
    **dict.fromkeys(("case_id", "policy", "model", "domain", "condition", "decision"), _text),
    **dict.fromkeys(("reason", "resolved_model", "own_action"), _text),
    **dict.fromkeys(("propensity", "signal_accuracy", "confidence"), _number),
    **dict.fromkeys(("is_audited", "has_signal"), _truth),
    "prediction": _whole,
    "time": _time,
}
_OUTCOME: dict[str, Convert] = {"case_id": _text, "label": _whole, "time": _time, "source": _text}
