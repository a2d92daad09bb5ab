"""Great Expectations suites of a user's table: from its YAML file, and from its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from escalometer.cases.own_domain.columns import Column

Suite = dict[str, Any]

#: The tolerance for later files: this share of the range, and of the rows.
SLACK = 0.5
SHARE_SLACK = 0.1


def _rule(kind: str, description: str, **kwargs: Any) -> Suite:
    return {"type": kind, "kwargs": kwargs, "description": description}


def _suite(name: str, rules: list[Suite], notes: str) -> Suite:
    return {
        "name": name,
        "expectations": rules,
        "meta": {"great_expectations_version": "1.24.1"},
        "notes": notes,
    }


def raw_suite(
    name: str,
    columns: Mapping[str, str],
    label: str,
    labels: Sequence[str],
    unique: str | None,
    may_be_empty: bool,
) -> Suite:
    """Return the raw table's rules that follow from the YAML file alone.

    Parameters
    ----------
    name : str
        The raw table's name.
    columns : mapping of str to str
        Its columns and their types.
    label : str
        The label's column.
    labels : sequence of str
        The values that it may have, as the file writes them.
    unique : str or None
        The column that names a case.
    may_be_empty : bool
        Whether rows without a label are left out on purpose.
    """
    rules = [
        _rule(
            "expect_table_columns_to_match_set",
            "the table must have the columns that the YAML file names",
            column_set=[*columns, "source_row"],
            exact_match=True,
        ),
        _rule(
            "expect_column_values_to_be_in_set",
            f"{label} must be one of {', '.join(labels)}",
            column=label,
            value_set=list(labels),
        ),
    ]
    if not may_be_empty:
        rules.append(
            _rule(
                "expect_column_values_to_not_be_null",
                f"{label} must be given",
                column=label,
                mostly=1.0,
            )
        )
    if unique:
        rules.append(
            _rule("expect_column_values_to_be_unique", f"{unique} must be unique", column=unique)
        )
    return _suite(name, rules, "From the YAML file of the domain.")


def staged_suite(name: str, n_outcomes: int) -> Suite:
    """Return the rules of the staged table that hold for all rows."""
    rules = [
        _rule("expect_column_values_to_be_unique", "case_id must be unique", column="case_id"),
        _rule("expect_column_values_to_not_be_null", "label must be given", column="label"),
        _rule(
            "expect_column_values_to_be_between",
            f"label must be a whole number from 0 to {n_outcomes - 1}",
            column="label",
            min_value=0,
            max_value=n_outcomes - 1,
        ),
        _rule(
            "expect_column_unique_value_count_to_be_between",
            "at least two outcomes must come about",
            column="label",
            min_value=2,
            max_value=n_outcomes,
        ),
        _rule("expect_column_values_to_not_be_null", "text must be given", column="text"),
        _rule(
            "expect_column_values_to_be_in_set",
            "split must be one of signal, train, eval",
            column="split",
            value_set=["signal", "train", "eval"],
        ),
    ]
    return _suite(name, rules, "Of every domain that is made of a table of one's own.")


def inferred_raw(
    base: Suite, columns: Mapping[str, Column], values: Mapping[str, list[Any]]
) -> Suite:
    """Return the raw table's suite with the types, ranges, values and gaps of its rows.

    Parameters
    ----------
    base : dict
        The suite from `raw_suite`.
    columns : mapping of str to Column
        The columns other than the label's, by their names in the raw table.
    values : mapping of str to list
        Their values there.
    """
    n_rows = max((len(column) for column in values.values()), default=0)
    rules = list(base["expectations"])
    rules.append(
        _rule(
            "expect_table_row_count_to_be_between",
            f"the table must have at least {max(1, n_rows // 2):,} rows (half of what it has now)",
            min_value=max(1, n_rows // 2),
        )
    )
    for name, column in columns.items():
        present = [value for value in values[name] if value is not None]
        rules += _gaps(name, len(present), n_rows)
        if column.kind == "number" and column.is_plain and present:
            low, high = float(min(present)), float(max(present))
            slack = SLACK * (high - low)
            low, high = 0.0 if low >= 0 and low < slack else low - slack, high + slack
            rules.append(
                _rule(
                    "expect_column_values_to_be_between",
                    f"{name} must be from {low:g} to {high:g}",
                    column=name,
                    min_value=low,
                    max_value=high,
                )
            )
        elif column.kind in ("category", "boolean") and present:
            seen = sorted({str(value) for value in present})
            rules.append(
                _rule(
                    "expect_column_values_to_be_in_set",
                    f"{name} must be one of {', '.join(seen)}",
                    column=name,
                    value_set=seen,
                )
            )
    return {**base, "expectations": rules, "notes": "Inferred from the rows; edit it freely."}


def _gaps(name: str, n_given: int, n_rows: int) -> list[Suite]:
    if n_given == n_rows:
        rule = _rule("expect_column_values_to_not_be_null", f"{name} must be given", column=name)
        return [rule]
    mostly = round(max(0.0, n_given / n_rows - SHARE_SLACK), 2)
    return [
        _rule(
            "expect_column_values_to_not_be_null",
            f"{name} must be given in at least {mostly:.0%} of the rows",
            column=name,
            mostly=mostly,
        )
    ]


def inferred_staged(base: Suite, shares: Sequence[float]) -> Suite:
    """Return the staged table's suite with the outcomes' balance, where there are two."""
    rules = list(base["expectations"])
    if len(shares) == 2:
        low = round(max(0.0, shares[1] - SHARE_SLACK), 2)
        high = round(min(1.0, shares[1] + SHARE_SLACK), 2)
        rules.append(
            _rule(
                "expect_column_mean_to_be_between",
                f"the share of label 1 must be from {low:.0%} to {high:.0%}",
                column="label",
                min_value=low,
                max_value=high,
            )
        )
    return {**base, "expectations": rules, "notes": "Inferred from the rows; edit it freely."}
