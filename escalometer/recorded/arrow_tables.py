"""Tables in memory as files of decisions: whatever gives its rows as a stream of Arrow."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa
import pyarrow.parquet as pq

from escalometer.errors import DataError, UsageError
from escalometer.recorded.given_file import no_room


@runtime_checkable
class ArrowTable(Protocol):
    """A table of pandas, Arrow, DuckDB, Polars or another library that has Arrow's C stream."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a PyCapsule of the stream."""


def write_parquet(table: object, path: Path, name: str) -> None:
    """Write a table as Parquet, batch by batch; an index of pandas is left out.

    Parameters
    ----------
    table : ArrowTable
    path : Path
        The file to write.
    name : str
        The table as messages call it.

    Raises
    ------
    UsageError
        If it is no table, or there is no room for the file.
    DataError
        If a column cannot be converted to Arrow or Parquet: it mixes types, or its name is there
        twice.
    """
    if not isinstance(table, ArrowTable):
        raise UsageError(
            f"{name} must be the path of a file, a pandas or Arrow table or a DuckDB relation, not "
            f"{type(table).__name__!r}"
        )
    try:
        reader = pa.RecordBatchReader.from_stream(_without_index(table))
        if not reader.schema.names:
            raise DataError(f"{name} has no columns")
        with pq.ParquetWriter(path, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
    except OSError as error:
        raise no_room(path.parent, error) from error
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"{name} cannot be read as a table: {reason}") from error


def _without_index(table: ArrowTable) -> Any:
    # Its user has imported it: without pandas there is no such table.
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(table, pandas.DataFrame):
        return pa.Table.from_pandas(table, preserve_index=False)
    return table
