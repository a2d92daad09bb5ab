"""Row conditions of expectations as SQL, with the meaning of `DataFrame.query`."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from typing import Any

from escalometer.warehouse.suites.columns import Column, UncompiledError, number, one_of, text

#: Texts that `DataFrame.query` reads as they are written.
_PLAIN = re.compile(r"[\w ,.:;/+-]*", re.ASCII)
#: Names that have another meaning there.
_TAKEN = {"index", "level_0", "ilevel_0", "columns"}


def condition(given: Any, columns: Mapping[str, Column]) -> str:
    """Return SQL, never null, for the rows that a condition selects.

    Raises
    ------
    UncompiledError
        If it is not one of those that mean the same in both.
    """
    if not isinstance(given, Mapping):
        raise UncompiledError("a query of pandas")
    keys, kind = set(given), given.get("type")
    if kind == "and" and keys == {"type", "conditions"} and given["conditions"]:
        return "(" + " and ".join(condition(one, columns) for one in given["conditions"]) + ")"
    if kind == "nullity" and keys == {"type", "column", "is_null"}:
        nothing = {True: "is null", False: "is not null"}
        if not isinstance(given["is_null"], bool):
            raise UncompiledError("nullity")
        return f"({_named(given['column'], columns).sql} {nothing[given['is_null']]})"
    if kind == "comparison" and keys == {"type", "column", "operator", "parameter"}:
        return _comparison(
            _named(given["column"], columns), str(given["operator"]), given["parameter"]
        )
    raise UncompiledError(f"a condition of type {kind!r}")


def _named(given: Any, columns: Mapping[str, Column]) -> Column:
    name = given.get("name") if isinstance(given, Mapping) and len(given) == 1 else None
    if not isinstance(name, str) or name not in columns:
        raise UncompiledError("an absent column")
    if not name.isidentifier() or keyword.iskeyword(name) or name in _TAKEN:
        raise UncompiledError(f"the name {name!r}")
    return columns[name]


def _comparison(of: Column, operator: str, parameter: Any) -> str:
    values = parameter if isinstance(parameter, list) else [parameter]
    if any(isinstance(value, str) and not _PLAIN.fullmatch(value) for value in values):
        raise UncompiledError("a text with marks")
    if operator in ("IN", "NOT_IN"):
        if of.kind == "truth" or not isinstance(parameter, list):
            raise UncompiledError("a set")
        found = f"coalesce({one_of(of, parameter)}, false)"
        return found if operator == "IN" else f"(not {found})"
    if of.kind == "text":
        left, right = of.sql, text(parameter)
    elif of.is_numeric:
        left, right = of.double, number(parameter)
    elif of.kind == "truth" and not of.has_gaps and isinstance(parameter, bool):
        if operator not in ("==", "!="):
            raise UncompiledError("an order of truth values")
        left, right = of.sql, str(parameter).lower()
    else:
        raise UncompiledError(f"a comparison of kind {of.kind}")
    if operator == "!=":  # true in pandas where the value is missing
        return f"({left} is distinct from {right})"
    signs = {"==": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
    if operator not in signs:
        raise UncompiledError(f"the operator {operator!r}")
    return f"coalesce({left} {signs[operator]} {right}, false)"
