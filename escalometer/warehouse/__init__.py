"""The only door to DuckDB: reading raw files, running the statements under sql/."""

from escalometer.warehouse._raw import load_raw, read_raw
from escalometer.warehouse._recorded import (
    convert_recorded,
    count_same,
    number_scenarios,
    read_recorded,
    recorded_columns,
    refuse_twins,
)
from escalometer.warehouse._statements import (
    Connection,
    add_table,
    add_view,
    connect,
    dependents,
    load_macros,
    members,
    metric_files,
    run_file,
    run_metrics,
    spread_rows,
    view_decisions,
)
from escalometer.warehouse.table_files import RawFile, RawTable

__all__ = [
    "Connection",
    "RawFile",
    "RawTable",
    "add_table",
    "add_view",
    "connect",
    "convert_recorded",
    "count_same",
    "dependents",
    "load_macros",
    "load_raw",
    "members",
    "metric_files",
    "number_scenarios",
    "read_raw",
    "read_recorded",
    "recorded_columns",
    "refuse_twins",
    "run_file",
    "run_metrics",
    "spread_rows",
    "view_decisions",
]
