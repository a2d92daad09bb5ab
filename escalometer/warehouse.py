"""The only door to DuckDB: reading raw files, running the statements under sql/."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

SQL_FOLDER = Path("sql")


def connect(n_threads: int = 2) -> duckdb.DuckDBPyConnection:
    """Return a connection to a fresh in-memory database that never reaches for the network."""
    connection = duckdb.connect(config={"threads": n_threads})
    connection.execute("set autoinstall_known_extensions = false")
    connection.execute("set autoload_known_extensions = false")
    return connection


def run_file(
    connection: duckdb.DuckDBPyConnection, path: Path, values: Mapping[str, Any] | None = None
) -> pa.Table:
    """Return what the one statement in `path` selects.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Holds the tables that the statement reads.
    path : Path
        A file with one statement.
    values : mapping, optional
        Values to bind by name; those that the statement does not name are left aside.
    """
    statements = connection.extract_statements(path.read_text(encoding="utf-8"))
    if len(statements) != 1:
        raise ValueError(f"{path} must hold one statement, not {len(statements)}")
    wanted = statements[0].named_parameters
    bound = {name: value for name, value in (values or {}).items() if name in wanted}
    return connection.sql(statements[0].query, params=bound).to_arrow_table()
