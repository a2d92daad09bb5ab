"""Expectations as SQL: which rows count, which of them break the rule, when the rule holds.

Only what means the same in Great Expectations on a pandas frame is compiled. Everything else raises
`UncompiledError`: another type of expectation, another argument, a column of another type.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from escalometer.warehouse.suites.columns import Column, UncompiledError, number, one_of
from escalometer.warehouse.suites.conditions import condition
from escalometer.warehouse.suites.regexes import Translation, UntranslatableError, translate

#: A mean this close to its bound, relative to its values, is left to the sum that pandas makes.
_MEAN_MARGIN = 1e-9

Kwargs = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """An expectation in SQL.

    Attributes
    ----------
    considered : str
        Predicate of the rows that count; never null.
    broken : str
        Predicate of those of them that break the rule, never null; empty where no single row does.
    key : tuple of str
        Expressions that no two considered rows may share; empty where the rule is another.
    mostly : float
        The share of considered rows that must satisfy the rule.
    needs_rows : bool
        Whether Great Expectations cannot evaluate the rule where no row is considered.
    is_exact : bool
        Whether rows that break it in SQL break it for certain.
    aggregates : tuple of str
        SQL over all rows, for a rule about the whole table.
    holds : callable
        Takes their values.
    """

    considered: str = "true"
    broken: str = ""
    key: tuple[str, ...] = ()
    mostly: float = 1.0
    needs_rows: bool = False
    is_exact: bool = True
    aggregates: tuple[str, ...] = ()
    holds: Callable[..., bool] = field(default=lambda: True)

    @property
    def is_by_row(self) -> bool:
        """True if single rows break it for certain, alone or together with others."""
        return bool(self.broken or self.key) and self.is_exact


def compiled(expectation: Mapping[str, Any], columns: Mapping[str, Column]) -> Rule:
    """Return the SQL of an expectation over a table with these columns.

    Raises
    ------
    UncompiledError
        If there is none that is certain to mean the same.
    """
    if not set(expectation) <= {"type", "kwargs", "description", "meta", "notes"}:
        raise UncompiledError("an attribute of the expectation")
    compiler = _COMPILERS.get(expectation["type"])
    kwargs = expectation.get("kwargs")
    if compiler is None or not isinstance(kwargs, dict):
        raise UncompiledError(f"the type {expectation['type']!r}")
    rule, names = compiler(_Domain(kwargs, columns))
    if not set(kwargs) <= {*names, "row_condition"}:
        raise UncompiledError("an argument of the expectation")
    return rule


def is_within(kwargs: Kwargs, value: float) -> bool:
    """Return whether a value is within the bounds of an expectation that has SQL."""
    return _Domain(kwargs, {}).is_within(value)


@dataclass(frozen=True)
class _Domain:
    """Arguments of an expectation, and the rows that it selects."""

    kwargs: Kwargs
    columns: Mapping[str, Column]

    @property
    def rows(self) -> str:
        if "row_condition" not in self.kwargs:
            return "true"
        return condition(self.kwargs["row_condition"], self.columns)

    def column(self, key: str = "column") -> Column:
        name = self.kwargs.get(key)
        if not isinstance(name, str) or name not in self.columns:
            raise UncompiledError("an absent column")
        return self.columns[name]

    def mostly(self) -> float:
        mostly = self.kwargs.get("mostly", 1)
        if isinstance(mostly, bool) or not isinstance(mostly, int | float):
            raise UncompiledError("mostly")
        if not 0 <= mostly <= 1:
            raise UncompiledError("mostly")
        return float(mostly)

    def flag(self, key: str) -> bool:
        value = self.kwargs.get(key, False)
        if not isinstance(value, bool):
            raise UncompiledError(key)
        return value

    def bounds(self) -> tuple[float, float]:
        """Return the least and the most; infinite where only one is given."""
        given = {key: self.kwargs[key] for key in ("min_value", "max_value") if key in self.kwargs}
        for key in ("min", "max"):
            if self.flag(f"strict_{key}") and f"{key}_value" not in given:
                raise UncompiledError("strict without a bound")
        for value in given.values():
            number(value)
        low, high = given.get("min_value", -math.inf), given.get("max_value", math.inf)
        if not given or low > high:
            raise UncompiledError("bounds")
        return low, high

    def between(self, value: str) -> str:
        """Return SQL that is true where a double is within the bounds."""
        low, high = self.bounds()
        parts = []
        if low != -math.inf:
            parts.append(f"{value} {'>' if self.flag('strict_min') else '>='} {number(low)}")
        if high != math.inf:
            parts.append(f"{value} {'<' if self.flag('strict_max') else '<='} {number(high)}")
        return " and ".join(parts)

    def is_within(self, value: float, margin: float = 0.0) -> bool:
        """Return true if a value is within the bounds, and not closer to them than the margin."""
        low, high = self.bounds()
        above = value - margin > low if self.flag("strict_min") or margin else value >= low
        below = value + margin < high if self.flag("strict_max") or margin else value <= high
        return above and below


_BOUNDS = ("min_value", "max_value", "strict_min", "strict_max")
Compiled = tuple[Rule, tuple[str, ...]]


def _by_value(domain: _Domain, of: Column, holds: str, *names: str) -> Compiled:
    """Return a rule about each value that is not missing."""
    considered = f"({domain.rows} and {of.sql} is not null)"
    broken = f"({considered} and not coalesce({holds}, false))"
    return Rule(considered, broken, mostly=domain.mostly()), ("column", "mostly", *names)


def _not_null(domain: _Domain) -> Compiled:
    broken = f"({domain.rows} and {domain.column().sql} is null)"
    return Rule(domain.rows, broken, mostly=domain.mostly()), ("column", "mostly")


def _null(domain: _Domain) -> Compiled:
    broken = f"({domain.rows} and {domain.column().sql} is not null)"
    return Rule(domain.rows, broken, mostly=domain.mostly()), ("column", "mostly")


def _between(domain: _Domain) -> Compiled:
    of = _numeric(domain.column())
    return _by_value(domain, of, domain.between(of.double), *_BOUNDS)


def _in_set(domain: _Domain) -> Compiled:
    of = domain.column()
    return _by_value(domain, of, one_of(of, domain.kwargs.get("value_set")), "value_set")


def _lengths(domain: _Domain) -> Compiled:
    of = _textual(domain.column())
    length = f"cast(length({of.sql}) as double)"
    return _by_value(domain, of, domain.between(length), *_BOUNDS)


def _regex(domain: _Domain) -> Compiled:
    of = _textual(domain.column())
    found = _translated(domain.kwargs.get("regex"), is_wide=False)
    matches = f"regexp_matches({of.sql}, {_quoted(found.pattern)})"
    if found.is_ascii_only:
        matches += f" and not regexp_matches({of.sql}, '[^\\x00-\\x7f]')"
    rule, names = _by_value(domain, of, matches, "regex")
    return replace(rule, is_exact=found.is_exact), names


def _not_regex(domain: _Domain) -> Compiled:
    of = _textual(domain.column())
    found = _translated(domain.kwargs.get("regex"), is_wide=True)
    misses = f"not regexp_matches({of.sql}, {_quoted(found.pattern)})"
    rule, names = _by_value(domain, of, misses, "regex")
    return replace(rule, is_exact=found.is_exact), names


def _translated(pattern: Any, is_wide: bool) -> Translation:
    if not isinstance(pattern, str):
        raise UncompiledError("a regular expression")
    try:
        return translate(pattern, is_wide)
    except UntranslatableError as error:
        raise UncompiledError(str(error)) from error


def _quoted(pattern: str) -> str:
    return "'" + pattern + "'"  # written by `translate`, without quotation marks


def _numeric(of: Column) -> Column:
    if not of.is_numeric:
        raise UncompiledError(f"numbers of a column of kind {of.kind}")
    return of


def _textual(of: Column) -> Column:
    if of.kind != "text":
        raise UncompiledError(f"texts of a column of kind {of.kind}")
    return of


def _comparable(of: Column) -> Column:
    """Return a column whose values can be told apart in both."""
    if of.kind == "other":
        raise UncompiledError("values of another type")
    return of


def _pair(domain: _Domain, holds: str, *names: str) -> Compiled:
    """Return a rule about two columns."""
    a, b = domain.column("column_A").sql, domain.column("column_B").sql
    ignored = domain.kwargs.get("ignore_row_if", "both_values_are_missing")
    counted = {
        "both_values_are_missing": f"({a} is not null or {b} is not null)",
        "either_value_is_missing": f"({a} is not null and {b} is not null)",
        "neither": "true",
    }
    if ignored not in counted:
        raise UncompiledError("ignore_row_if")
    considered = f"({domain.rows} and {counted[ignored]})"
    broken = f"({considered} and not coalesce({holds}, false))"
    kwargs = ("column_A", "column_B", "ignore_row_if", "mostly", *names)
    return Rule(considered, broken, mostly=domain.mostly()), kwargs


def _sides(domain: _Domain) -> tuple[str, str]:
    """Return the two values of a pair as SQL that compares them as pandas does."""
    a, b = domain.column("column_A"), domain.column("column_B")
    if a.is_numeric and b.is_numeric:
        is_exact = a.kind == b.kind == "whole" and not a.has_gaps and not b.has_gaps
        return (a.sql, b.sql) if is_exact else (a.double, b.double)
    is_plain = a.kind == "text" or (a.kind == "truth" and not a.has_gaps and not b.has_gaps)
    if a.kind != b.kind or not is_plain:
        raise UncompiledError("two kinds of values")
    return a.sql, b.sql


def _pair_equal(domain: _Domain) -> Compiled:
    a, b = _sides(domain)
    return _pair(domain, f"{a} = {b}")


def _pair_greater(domain: _Domain) -> Compiled:
    _numeric(domain.column("column_A"))
    _numeric(domain.column("column_B"))
    a, b = _sides(domain)
    return _pair(domain, f"{a} {'>=' if domain.flag('or_equal') else '>'} {b}", "or_equal")


def _pair_in_set(domain: _Domain) -> Compiled:
    a, b = domain.column("column_A"), domain.column("column_B")
    pairs = domain.kwargs.get("value_pairs_set")
    if not isinstance(pairs, list) or not pairs:
        raise UncompiledError("pairs")
    if any(not isinstance(pair, list) or len(pair) != 2 for pair in pairs):
        raise UncompiledError("pairs")
    found = (f"({one_of(a, [left])} and {one_of(b, [right])})" for left, right in pairs)
    rule, names = _pair(domain, f"({' or '.join(found)})", "value_pairs_set")
    return replace(rule, needs_rows=True), names


def _unique(domain: _Domain) -> Compiled:
    of = _comparable(domain.column())
    considered = f"({domain.rows} and {of.sql} is not null)"
    return Rule(considered, key=(of.sql,), mostly=domain.mostly()), ("column", "mostly")


def _compound_unique(domain: _Domain) -> Compiled:
    names = domain.kwargs.get("column_list")
    if not isinstance(names, list) or len(names) < 2 or len({*names}) < len(names):
        raise UncompiledError("a list of columns")
    if any(not isinstance(name, str) or name not in domain.columns for name in names):
        raise UncompiledError("an absent column")
    key = tuple(_comparable(domain.columns[name]).sql for name in names)
    present = [f"{one} is not null" for one in key]
    counted = {
        "all_values_are_missing": f"({' or '.join(present)})",
        "any_value_is_missing": f"({' and '.join(present)})",
        "never": "true",
    }
    ignored = domain.kwargs.get("ignore_row_if", "all_values_are_missing")
    if ignored not in counted:
        raise UncompiledError("ignore_row_if")
    considered = f"({domain.rows} and {counted[ignored]})"
    rule = Rule(considered, key=key, mostly=domain.mostly())
    return rule, ("column_list", "ignore_row_if", "mostly")


def _mean(domain: _Domain) -> Compiled:
    of = _numeric(domain.column())
    domain.bounds()
    chosen = f"filter (where {domain.rows})"
    aggregates = (f"favg({of.double}) {chosen}", f"max(abs({of.double})) {chosen}")

    def holds(mean: float | None, largest: float | None) -> bool:
        if mean is None or largest is None or not math.isfinite(mean + largest):
            return False
        return domain.is_within(mean, _MEAN_MARGIN * max(largest, 1e-300))

    return Rule(aggregates=aggregates, holds=holds), ("column", *_BOUNDS)


def _n_distinct(domain: _Domain) -> Compiled:
    of = _comparable(domain.column())
    domain.bounds()
    aggregate = f"count(distinct {of.sql}) filter (where {domain.rows})"
    return Rule(aggregates=(aggregate,), holds=domain.is_within), ("column", *_BOUNDS)


def _distinct_contain(domain: _Domain) -> Compiled:
    of = domain.column()
    if of.kind == "truth":
        raise UncompiledError("truth values")
    values = domain.kwargs.get("value_set")
    found = one_of(of, values)
    wanted = len(set(values or ()))
    aggregate = f"count(distinct {of.sql}) filter (where {domain.rows} and {found})"
    rule = Rule(aggregates=(aggregate,), holds=lambda n: bool(n == wanted))
    return rule, ("column", "value_set")


def _n_rows(domain: _Domain) -> Compiled:
    if "row_condition" in domain.kwargs:
        raise UncompiledError("rows of a part")
    domain.bounds()
    return Rule(aggregates=("count(*)",), holds=domain.is_within), _BOUNDS


def _column_set(domain: _Domain) -> Compiled:
    names = domain.kwargs.get("column_set")
    if not isinstance(names, list) or not names or domain.kwargs.get("exact_match") is not True:
        raise UncompiledError("a set of columns")
    if "row_condition" in domain.kwargs or set(names) != set(domain.columns):
        raise UncompiledError("other columns")
    return Rule(), ("column_set", "exact_match")


_COMPILERS: dict[str, Callable[[_Domain], Compiled]] = {
    "expect_column_values_to_not_be_null": _not_null,
    "expect_column_values_to_be_null": _null,
    "expect_column_values_to_be_between": _between,
    "expect_column_values_to_be_in_set": _in_set,
    "expect_column_value_lengths_to_be_between": _lengths,
    "expect_column_values_to_match_regex": _regex,
    "expect_column_values_to_not_match_regex": _not_regex,
    "expect_column_values_to_be_unique": _unique,
    "expect_compound_columns_to_be_unique": _compound_unique,
    "expect_column_pair_values_to_be_equal": _pair_equal,
    "expect_column_pair_values_a_to_be_greater_than_b": _pair_greater,
    "expect_column_pair_values_to_be_in_set": _pair_in_set,
    "expect_column_mean_to_be_between": _mean,
    "expect_column_unique_value_count_to_be_between": _n_distinct,
    "expect_column_distinct_values_to_contain_set": _distinct_contain,
    "expect_table_row_count_to_be_between": _n_rows,
    "expect_table_columns_to_match_set": _column_set,
}
