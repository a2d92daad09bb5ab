"""Decisions in a database: grouped and counted there, so that only the counts are transferred.

The only door to Ibis. Statements are written for DuckDB, and SQLGlot translates them.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import duckdb
import pyarrow as pa

from escalometer.errors import DataError, EscalometerError, Outage, UsageError
from escalometer.runtime import extras
from escalometer.warehouse._raw import identifier
from escalometer.warehouse._statements import connect

if TYPE_CHECKING:
    from sqlglot import exp

#: Databases that Ibis connects to and that are tested, by the scheme of their addresses; others
#: need their driver: pip install 'ibis-framework[NAME]'.
TESTED = ("duckdb", "postgres", "postgresql")
SCHEMES = (
    *TESTED,
    *("bigquery", "clickhouse", "databricks", "exasol", "materialize", "mssql", "mysql", "oracle"),
    *("risingwave", "snowflake", "trino"),
)

#: How a column's text is read as 0 or 1, or true or false, by what is wanted and what is there.
_READ = {
    ("text", "text"): "{0}",
    ("text", "whole"): "cast({0} as varchar)",
    ("whole", "whole"): "cast({0} as bigint)",
    ("whole", "truth"): "case when {0} then 1 when not {0} then 0 end",
    ("number", "number"): "cast({0} as double)",
    ("number", "whole"): "cast({0} as double)",
    ("truth", "truth"): "{0}",
    ("truth", "whole"): "case when {0} = 1 then true when {0} = 0 then false end",
}


def is_database(text: str) -> bool:
    """Return whether a text is the address of a database."""
    return text.partition("://")[0] in SCHEMES and "://" in text


@dataclass(frozen=True)
class DatabaseTable:
    """A table or view of a database.

    Attributes
    ----------
    url : str
        The database, as Ibis takes it: ``postgresql://USER@HOST/DATABASE``. It may contain a
        password, so it is not printed.
    table : str
        Its name, after those of its schema and catalog, with dots.
    """

    url: str
    table: str

    def __repr__(self) -> str:
        return f"DatabaseTable({self})"

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        host = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
        return f"{parts.scheme}://{host}{parts.path}, table {self.table}"

    @property
    def name(self) -> str:
        """The last part of the table's name."""
        return self.table.rpartition(".")[2]


class Database:
    """A connection to the database of a table; `opened` returns it."""

    def __init__(self, table: DatabaseTable, backend: Any, schema: Mapping[str, str]) -> None:
        self._table, self._backend = table, backend
        self.kinds = schema  #: What each column holds: text, whole, number, truth or another type.

    def projection(
        self,
        wanted: Mapping[str, str],
        columns: Mapping[str, str],
        steps: Sequence[Mapping[str, str]],
    ) -> str:
        """Return a query for the decisions, in DuckDB's SQL.

        Parameters
        ----------
        wanted : mapping of str to str
            What our columns hold: text, whole, number or truth.
        columns : mapping of str to str
            The table's columns that are read, by our names.
        steps : sequence of mapping of str to str
            SQL for the columns that the table lacks; each step sees those before it.

        Raises
        ------
        DataError
            If a column has another type.
        """
        values = []
        for name, column in columns.items():
            there = self.kinds[column]
            read = _READ.get((wanted[name], there))
            if read is None:
                raise DataError(
                    f"{self._table}, column {column}: must hold {_HELD[wanted[name]]}, and has the "
                    f"type {there}"
                )
            values.append(f"{read.format(identifier(column))} as {identifier(name)}")
        table = ".".join(identifier(part) for part in self._table.table.split("."))
        query = f"select {', '.join(values)} from {table} as given"  # noqa: S608 (names are quoted)
        for step in steps:
            added = ", ".join(f"{sql} as {identifier(name)}" for name, sql in step.items())
            if added:
                query = f"select *, {added} from ({query}) as given"  # noqa: S608
        return query

    def run_file(self, path: Traversable, decisions: str, schema: pa.Schema) -> pa.Table:
        """Return what the one statement in a file selects from the decisions, ordered by all.

        Parameters
        ----------
        path : Traversable
            A statement that reads `decisions`.
        decisions : str
            A query for these, as `projection` returns it.
        schema : pyarrow.Schema
            The columns of the result.

        Raises
        ------
        DataError, UsageError, Outage
            As `opened`.
        """
        return self._selected(path.read_text(encoding="utf-8"), decisions, schema)

    def distinct(self, decisions: str, schema: pa.Schema) -> pa.Table:
        """Return the different rows of decisions, in the columns of a schema; as `run_file`."""
        names = ", ".join(identifier(name) for name in schema.names)
        return self._selected(f"select distinct {names} from decisions", decisions, schema)  # noqa: S608

    def _selected(self, statement: str, decisions: str, schema: pa.Schema) -> pa.Table:
        import ibis

        query = _portable(statement, decisions).sql(dialect=self._backend.dialect)
        with _named(self._table):
            found = self._backend.sql(query, schema=ibis.Schema.from_pyarrow(schema)).to_pyarrow()
        # A database orders texts by its own rules, and the metrics read the rows in ours.
        with connect() as connection:
            rows = connection.from_arrow(found.cast(schema)).order("all").to_arrow_table()
        return rows.cast(schema)


_HELD = {
    "text": "texts or whole numbers",
    "whole": "whole numbers or truth values",
    "number": "numbers",
    "truth": "truth values, or 0 and 1",
}


def _portable(statement: str, decisions: str) -> exp.Select:
    """Return a statement over a query as SQL that other databases have, its names quoted."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.optimizer.qualify_columns import quote_identifiers

    found = sqlglot.parse_one(statement, read="duckdb", into=exp.Select)
    found.set("order", None)
    group = found.args.get("group")
    if group is not None and group.args.get("all"):
        keys = [one.unalias() for one in found.selects if not one.find(exp.AggFunc)]
        found.set("group", exp.Group(expressions=[key.copy() for key in keys]))
    for node in found.walk():
        node.comments = None  # they name DuckDB's own files
    given = sqlglot.parse_one(decisions, read="duckdb", into=exp.Select)
    whole: exp.Select = found.with_("decisions", as_=given)
    return quote_identifiers(whole, dialect="duckdb", identify=True)


@contextlib.contextmanager
def opened(table: DatabaseTable) -> Iterator[Database]:
    """Yield a connection while the block runs; it only reads.

    Raises
    ------
    UsageError
        If there is no such database or table, or the credentials are refused.
    Outage
        If the database cannot be reached.
    MissingExtra
        With the command that installs the extra.
    """
    extras.need("warehouse", f"{table}: reading a database")
    import ibis

    scheme = table.url.partition("://")[0]
    with _named(table):
        try:
            if scheme == "duckdb":
                backend = ibis.duckdb.connect(table.url.partition("://")[2], read_only=True)
            elif scheme in TESTED:
                backend = ibis.connect(
                    table.url,
                    connect_timeout=10,
                    options="-c default_transaction_read_only=on",
                )
            else:
                backend = ibis.connect(table.url)
        except ImportError as error:
            raise UsageError(
                f"{table}: the driver is not installed: pip install 'ibis-framework[{scheme}]'"
            ) from error
    try:
        *place, name = table.table.split(".")
        with _named(table):
            there = backend.table(name, database=tuple(place) or None).schema()
        kinds = {column: _kind(dtype) for column, dtype in there.items()}
        yield Database(table, backend, kinds)
    finally:
        backend.disconnect()


def _kind(dtype: Any) -> str:
    """Return what a column holds: one of our kinds, or the name of its type."""
    if dtype.is_boolean():
        return "truth"
    if dtype.is_integer() or (dtype.is_decimal() and dtype.scale == 0):
        return "whole"
    if dtype.is_numeric():
        return "number"
    return "text" if dtype.is_string() else str(dtype)


@contextlib.contextmanager
def _named(table: DatabaseTable) -> Iterator[None]:
    """Turn what Ibis and drivers raise into an error that says what to do, without a password."""
    from ibis.common.exceptions import IbisError, TableNotFound

    drivers = [sys.modules[name].Error for name in ("psycopg",) if name in sys.modules]
    try:
        yield
    except EscalometerError:
        raise
    except TableNotFound as error:
        raise UsageError(f"{table}: there is no such table or view") from error
    except (IbisError, OSError, duckdb.Error, *drivers) as error:
        raise _described(table, error) from error


def _described(table: DatabaseTable, error: Exception) -> EscalometerError:
    text = " ".join(str(error).split())
    if password := urlsplit(table.url).password:
        text = text.replace(password, "…")
    lowered = text.lower()
    if "password" in lowered or "authentication" in lowered:
        return UsageError(
            f"{table}: the database refuses the credentials; set PGUSER and PGPASSWORD, or add the "
            "password to ~/.pgpass"
        )
    if "permission denied" in lowered:
        return UsageError(f"{table}: the user has no permission to read it")
    if "does not exist" in lowered or isinstance(error, duckdb.Error):
        return UsageError(f"{table} cannot be read: {text[:300]}")
    if type(error).__name__ in ("OperationalError", "ConnectionTimeout") or isinstance(
        error, OSError
    ):
        return Outage(f"{table}: the database cannot be reached: {text[:300]}")
    return DataError(f"{table} cannot be read: {text[:300]}")
