"""Answers from one completion store to another: joined stores, and Parquet files.

Both may be repeated: what the receiving store has is not added again. Superseded answers come
first, since they decide which of two answers to a request is the newer one. Reservations are not
transferred: they belong to runs that are under way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from escalometer.dialogue.elicitation.store import CompletionStore
from escalometer.dialogue.elicitation.store_pages import Conflict, Page
from escalometer.dialogue.elicitation.store_rows import (
    BATCH_COLUMNS,
    ENTRY_COLUMNS,
    VERSION,
    check_version,
)
from escalometer.dialogue.elicitation.store_texts import completion_of
from escalometer.errors import DataError, UsageError
from escalometer.runtime.files import replacing

_KINDS = ("superseded", "completion", "batch")
_COLUMNS = ("kind", *ENTRY_COLUMNS, *(name for name in BATCH_COLUMNS if name not in ENTRY_COLUMNS))
_TYPES = {"cost_usd": pa.float64(), "is_open": pa.int64()}
_VERSION_KEY = b"escalometer_store"
_SCHEMA = pa.schema(
    [(name, _TYPES.get(name, pa.string())) for name in _COLUMNS],
    metadata={_VERSION_KEY: str(VERSION).encode()},
)


@dataclass
class Transferred:
    """Counts of what was added to a store.

    Attributes
    ----------
    n_read : int
        Answers that were read, without superseded ones.
    n_added, n_replaced, n_superseded, n_batches : int
        Answers that were new; that took the place of an answer which they had superseded elsewhere;
        superseded answers and batches that were new.
    conflicts : list of Conflict
        Requests that both have different answers to; the receiving store's answer stays.
    """

    n_read: int = 0
    n_added: int = 0
    n_replaced: int = 0
    n_superseded: int = 0
    n_batches: int = 0
    conflicts: list[Conflict] = field(default_factory=list)

    def take(self, store: CompletionStore, kind: str, page: Page) -> None:
        """Add a page of rows to a store."""
        if kind == "superseded":
            self.n_superseded += store.add_superseded(page)
        elif kind == "batch":
            self.n_batches += store.add_batches(page)
        else:
            self.n_read += len(page)
            n_added, n_replaced, conflicts = store.add_answers(page)
            self.n_added += n_added
            self.n_replaced += n_replaced
            self.conflicts += conflicts

    def as_json(self) -> dict[str, Any]:
        """Return the counts and the conflicts as a JSON document."""
        counts = {name: value for name, value in vars(self).items() if name != "conflicts"}
        conflicts = [vars(conflict) for conflict in self.conflicts]
        return {**counts, "n_conflicts": len(conflicts), "conflicts": conflicts}


def copy(source: CompletionStore, store: CompletionStore) -> Transferred:
    """Add all answers of one store to another, and return what was new."""
    done = Transferred()
    for kind in _KINDS:
        for page in source.pages(kind):
            done.take(store, kind, page)
    return done


def write_parquet(store: CompletionStore, path: Path) -> dict[str, int]:
    """Write a store as one Parquet file, whole or not at all; return its rows by kind.

    Raises
    ------
    UsageError
        If the file cannot be written.
    """
    n = dict.fromkeys(_KINDS, 0)
    try:
        with (
            replacing(path) as partial,
            pq.ParquetWriter(partial, _SCHEMA, compression="zstd") as writer,
        ):
            for kind in _KINDS:
                names = BATCH_COLUMNS if kind == "batch" else ENTRY_COLUMNS
                for page in store.pages(kind):
                    columns = dict(zip(names, zip(*page, strict=True), strict=True))
                    columns["kind"] = (kind,) * len(page)
                    nothing = (None,) * len(page)
                    content = {name: columns.get(name, nothing) for name in _COLUMNS}
                    writer.write_table(pa.table(content, _SCHEMA))
                    n[kind] += len(page)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error}. Free disk space or name another file."
        ) from error
    return n


def read_parquet(path: Path, store: CompletionStore) -> Transferred:
    """Add the answers of a file of `write_parquet` to a store, and return what was new.

    Raises
    ------
    DataError
        If the file is no such export, or is damaged.
    UsageError
        If the file cannot be read, or is from a newer version.
    """
    done = Transferred()
    for kind, page in _pages(path):
        done.take(store, kind, page)
    return done


def _pages(path: Path) -> Iterator[tuple[str, Page]]:
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as Parquet: {_line(error)}") from error
    with file:
        version = (file.schema_arrow.metadata or {}).get(_VERSION_KEY, b"")
        if not version.isdigit():
            raise DataError(
                f"{path} is not the export of a completion store: write it with "
                "`escalometer store export`"
            )
        check_version(int(version), path)
        if not set(_COLUMNS) <= set(file.schema_arrow.names):
            raise DataError(f"{path} lacks columns of an export: export the store again")
        n_before = 0
        try:
            for batch in file.iter_batches(2000, columns=list(_COLUMNS)):
                rows = batch.to_pylist()
                for kind in _KINDS:
                    names = BATCH_COLUMNS if kind == "batch" else ENTRY_COLUMNS
                    of_kind = [row for row in rows if row["kind"] == kind]
                    page = [tuple(row[name] for name in names) for row in of_kind]
                    _check(page, kind, path, n_before)
                    if page:
                        yield kind, page
                n_before += len(rows)
        except (OSError, pa.ArrowException) as error:
            raise DataError(
                f"{path} is damaged: {_line(error)}. Export the store again."
            ) from error


def _check(page: Page, kind: str, path: Path, n_before: int) -> None:
    """Raise DataError if a row is not what a store writes."""
    for row in page:
        try:
            if any(value is None for value in row):
                raise ValueError("a value is missing")
            if kind == "batch":
                json.loads(row[3])
            else:
                json.loads(row[2]), json.loads(row[3]), completion_of(row[4])
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{path}, after row {n_before}: {kind} {row[0]!r} is damaged ({error}). Export the "
                "store again."
            ) from error


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
