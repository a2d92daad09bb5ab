"""The only door to DuckDB: reading raw files, running the statements under sql/, suites in SQL."""

from escalometer.warehouse._raw import load_raw, read_raw
from escalometer.warehouse._recorded import recorded_columns, refuse_twins
from escalometer.warehouse._recorded_rows import RecordedRows
from escalometer.warehouse._rows import (
    choose_rows,
    count_rows,
    count_rows_of,
    distinct_rows,
    has_values,
    measured_rows,
    read_rows,
    sample_rows,
)
from escalometer.warehouse._statements import (
    Connection,
    add_table,
    add_view,
    connect,
    dependents,
    fetch_file,
    load_macros,
    members,
    metric_files,
    run_file,
    run_metrics,
    spread_rows,
    view_decisions,
)
from escalometer.warehouse.suites import Verdict, broken_rows, judge, satisfies
from escalometer.warehouse.suites.columns import UncompiledError
from escalometer.warehouse.suites.failures import ROW, Failure, failure, row_in_words
from escalometer.warehouse.suites.findings import findings
from escalometer.warehouse.table_files import RawFile, RawTable

__all__ = [
    "ROW",
    "Connection",
    "Failure",
    "RawFile",
    "RawTable",
    "RecordedRows",
    "UncompiledError",
    "Verdict",
    "add_table",
    "add_view",
    "broken_rows",
    "choose_rows",
    "connect",
    "count_rows",
    "count_rows_of",
    "dependents",
    "distinct_rows",
    "failure",
    "fetch_file",
    "findings",
    "has_values",
    "judge",
    "load_macros",
    "load_raw",
    "measured_rows",
    "members",
    "metric_files",
    "read_raw",
    "read_rows",
    "recorded_columns",
    "refuse_twins",
    "row_in_words",
    "run_file",
    "run_metrics",
    "sample_rows",
    "satisfies",
    "spread_rows",
    "view_decisions",
]
