"""Recorded decisions in a database file: any number of rows, in bounded memory.

Three steps: `given`, every value as text; `completed`, the values that the texts convert to and the
columns that the file lacks; and a Parquet file. Texts of prompts and answers stay in `given` until
they are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import duckdb
import pyarrow as pa

from escalometer.errors import DataError, UsageError
from escalometer.warehouse._raw import first_lines, identifier, read_raw
from escalometer.warehouse._recorded import converted
from escalometer.warehouse._statements import open_file
from escalometer.warehouse.table_files import RawTable

#: Rows that are compared at once; a first look takes fewer.
_CHUNK, _FIRST_LOOK = 100_000, 1_000

#: A group of rows of the Parquet file takes so many at most, and so many bytes of texts.
_ROW_GROUP, _ROW_GROUP_BYTES = 122_880, 1 << 25


class RecordedRows:
    """Recorded decisions, from texts to a file.

    Attributes
    ----------
    names : list of str
        The file's columns, in its order.
    n_rows : int
        Its rows.
    connection : duckdb.DuckDBPyConnection
        Holds the tables `given` and `completed`.
    """

    def __init__(self, folder: Path) -> None:
        self.names: list[str] = []
        self.n_rows = 0
        self._folder = folder
        self.connection = open_file(folder)
        self._source_row = "source_row"
        self._kept: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        self.connection.close()
        if isinstance(error, duckdb.OutOfMemoryException | duckdb.IOException):
            raise UsageError(
                f"no room for the rows while they are imported: {first_lines(error)}. Free disk "
                f"space and memory, about the file's size in {self._folder.parent}; nothing was "
                "imported"
            ) from error

    def load(self, path: Path, columns: Mapping[str, str]) -> None:
        """Load `columns` of a CSV or Parquet file as text; an empty text counts as nothing.

        Raises
        ------
        DataError
            If the file is not readable or has no rows.
        """
        self.names = list(columns)
        if path.suffix.lower() == ".parquet":
            self._source_row = "rowid + 1"
            texts = ", ".join(
                f"nullif(cast({identifier(name)} as varchar), '') as {_place(place)}"
                for place, name in enumerate(columns)
            )
            query = f"create table given as select {texts} from read_parquet($path)"  # noqa: S608
            try:
                self.connection.execute(query, {"path": str(path)})
            except duckdb.Error as error:
                raise DataError(f"{path} is not readable: {first_lines(error)}") from error
        else:
            raw_table = RawTable("given", dict.fromkeys(columns, "VARCHAR"), nulls=("",))
            read_raw(self.connection, raw_table, path, is_numbered=False)
            loaded = self.connection.table("given").columns
            self._source_row = "source_row" if "source_row" in loaded else "rowid + 2"
            for place, name in enumerate(columns):
                rename = f"{identifier(name)} to {_place(place)}"
                self.connection.execute(f"alter table given rename column {rename}")
        self.n_rows = self._value("select count(*) from given")
        if not self.n_rows:
            raise DataError(f"{path} has no rows")

    def rename(self, names: Mapping[str, str]) -> None:
        """Call columns otherwise, once all rows are loaded; new names by those they have."""
        self.names = [names.get(name, name) for name in self.names]

    def append(self, texts: pa.Table) -> None:
        """Append rows of texts, with `source_row`; columns that are new are missing before."""
        if not self.n_rows:
            self.connection.execute("create table given (source_row bigint)")
        for name in texts.column_names:
            if name not in ("source_row", *self.names):
                self.names.append(name)
                added = f"add column {self._text(name)} varchar"
                self.connection.execute(f"alter table given {added}")
        names = [
            n if n == "source_row" else f"{_PREFIX}{self.names.index(n)}"
            for n in texts.schema.names
        ]
        self.connection.register("appended", texts.rename_columns(names))
        self.connection.execute("insert into given by name select * from appended")
        self.connection.unregister("appended")
        self.n_rows += texts.num_rows

    def repeats(self, period: int) -> bool:
        """Return whether every row is like the one `period` rows before it, in all columns."""
        size = _FIRST_LOOK
        start = 0
        while self.names and start < self.n_rows - period:
            stop = min(start + size, self.n_rows - period)
            if not self._texts(start, stop).equals(self._texts(start + period, stop + period)):
                return False
            start, size = stop, _CHUNK
        return True

    def _texts(self, start: int, stop: int) -> pa.Table:
        names = ", ".join(self._text(name) for name in self.names)
        query = (
            f"select {names} from given where rowid >= $start and rowid < $stop "  # noqa: S608
            "order by rowid"
        )
        bound = {"start": start, "stop": stop}
        return self.connection.sql(query, params=bound).to_arrow_table().combine_chunks()

    def source_row(self, place: int) -> int:
        """Return the number of the row at a place from 0."""
        query = f"select {self._source_row} from given where rowid = $place"  # noqa: S608
        return int(self.connection.execute(query, {"place": place}).fetchall()[0][0])

    def n_same(self) -> int:
        """Return how many rows are like an earlier one in every column, by a hash of 64 bits."""
        names = ", ".join(self._text(name) for name in self.names)
        return self.n_rows - self._value(f"select count(distinct hash({names})) from given")  # noqa: S608

    def unfit(
        self, kinds: Mapping[str, str], most: int
    ) -> dict[str, tuple[int, list[tuple[int, str]]]]:
        """Return of each column how many texts do not convert, and the first rows with these."""
        conditions = self._is_unfit(kinds)
        if not conditions:
            return {}
        counts = ", ".join(f"count_if({is_unfit})" for is_unfit in conditions.values())
        [found] = self.connection.execute(f"select {counts} from given").fetchall()  # noqa: S608
        unfit = {}
        for (name, is_unfit), n_unfit in zip(conditions.items(), found, strict=True):
            if n_unfit:
                query = (
                    f"select {self._source_row}, {self._text(name)} from given "  # noqa: S608
                    f"where {is_unfit} order by 1 limit {int(most)}"
                )
                rows = self.connection.execute(query).fetchall()
                unfit[name] = (int(n_unfit), [(int(row), str(text)) for row, text in rows])
        return unfit

    def _text(self, name: str) -> str:
        """Return a column of `given` as SQL: by its place, since its name may be `rowid`."""
        return _place(self.names.index(name))

    def _is_unfit(self, kinds: Mapping[str, str]) -> dict[str, str]:
        """Return SQL that is true where a text does not convert."""
        return {
            name: f"({text} is not null and {converted(text, kind)} is null)"
            for name, kind in kinds.items()
            if kind != "text"
            for text in [self._text(name)]
        }

    def complete(
        self,
        kinds: Mapping[str, str],
        steps: Sequence[Mapping[str, str]],
        names: Sequence[str],
    ) -> None:
        """Make the table `completed`: `source_row`, `is_bad` where a text is unfit, and `names`.

        Parameters
        ----------
        kinds : mapping of str to str
            The file's columns to convert: ``text``, ``whole``, ``number`` or ``truth``.
        steps : sequence of mapping of str to str
            SQL for the columns that the file lacks; each step sees those before it.
        names : sequence of str
            The columns to keep.
        """
        self._kept = {"source_row", *names}
        is_bad = self._is_unfit(kinds).values()
        values = [
            f"{converted(self._text(name), kind)} as {identifier(name)}"
            for name, kind in kinds.items()
        ]
        query = (
            f"select {self._source_row} as source_row, "  # noqa: S608 (names are quoted)
            f"{' or '.join(is_bad) or 'false'} as is_bad, {', '.join(values)} from given"
        )
        for step in steps:
            added = ", ".join(f"{sql} as {identifier(name)}" for name, sql in step.items())
            if added:
                query = f"select *, {added} from ({query})"  # noqa: S608
        kept = ", ".join(identifier(name) for name in names)
        self.connection.execute(
            f"create table completed as select source_row, is_bad, {kept} from ({query})"  # noqa: S608
        )
        self._view_readable()

    def _view_readable(self) -> None:
        readable = "select * exclude (is_bad) from completed where not is_bad"
        self.connection.execute(f"create view readable as {readable}")

    def n_missing(self, names: Iterable[str], relation: str = "completed") -> dict[str, int]:
        """Return how many values are missing in each column; nothing where there are no rows."""
        listed = list(names)
        counts = ", ".join(f"count(*) - count({identifier(name)})" for name in listed)
        [found] = self.connection.execute(f"select {counts} from {relation}").fetchall()  # noqa: S608
        return dict(zip(listed, (int(n) for n in found), strict=True))

    def n_readable(self) -> int:
        """Return the number of rows in which every text converts."""
        return self._value("select count(*) from readable")

    def has_every(self, name: str) -> bool:
        """Return whether the file has a text in every row of a column."""
        if name not in self.names:
            return False
        return self._value(f"select count({self._text(name)}) from given") == self.n_rows  # noqa: S608

    def first_missing(self, name: str, most: int) -> list[int]:
        """Return the first rows without a value."""
        query = (
            "select source_row from completed "  # noqa: S608 (the name is quoted)
            f"where {identifier(name)} is null order by source_row limit {int(most)}"
        )
        return [int(row) for (row,) in self.connection.execute(query).fetchall()]

    def number_scenarios(self, key: Sequence[str]) -> None:
        """Name scenarios by what they say, and number repeats as they stand.

        Parameters
        ----------
        key : sequence of str
            What tells dialogues apart beside `replicate`, `scenario_id` among it; every row of the
            file has a prompt.
        """
        # As in our own runs: a scenario is a distinct text with its label.
        label = converted(self._text("label"), "whole")
        self.connection.execute(
            "create table named as "  # noqa: S608
            "select completed.* replace (named.scenario_id as scenario_id) from completed "
            f"positional join (select sha256({self._text('prompt')} || chr(0) || {label})[:16] "
            "as scenario_id from given) as named"
        )
        # Of the key a hash, of 64 bits as the scenario: a window keeps what it sorts in memory.
        keys = ", ".join(identifier(name) for name in key)
        self.connection.execute(
            "create table counted as select source_row, "  # noqa: S608
            "row_number() over (partition by key order by replicate, source_row) - 1 as number "
            f"from (select source_row, replicate, hash({keys}) as key from named) "
            "order by source_row"
        )
        self.connection.execute("drop view readable")
        self.connection.execute("drop table completed")
        self.connection.execute(
            "create table completed as select named.* replace (counted.number as replicate) "
            "from named positional join counted"
        )
        self.connection.execute("drop table named")
        self.connection.execute("drop table counted")
        self._view_readable()

    def counts(self, name: str) -> dict[str, int]:
        """Return how many rows each value of a column has."""
        column = identifier(name)
        query = f"select {column}, count(*) from completed group by 1"  # noqa: S608
        return {value: int(n) for value, n in self.connection.execute(query).fetchall()}

    def pairs(self, most: int) -> Iterable[tuple[str, str, int, list[tuple[Any, ...]]]]:
        """Yield of each model and domain the answers that have a prompt.

        Yields
        ------
        tuple
            Model, domain, their number, and an even sample of at most `most` of them: source_row,
            condition, has_signal, prompt and answer.
        """
        if not {"prompt", "prediction_text"} <= set(self.names):
            return
        prompt, answer = self._text("prompt"), self._text("prediction_text")
        self.connection.execute(
            "create table paired as "  # noqa: S608
            "select source_row, model, domain, condition, has_signal, place, "
            "count(*) over (partition by model, domain) as n_pairs, "
            "row_number() over (partition by model, domain order by source_row) - 1 as number "
            f"from completed positional join (select rowid as place, {prompt} is not null and "
            f"{answer} is not null as is_pair from given) where is_pair"
        )
        self.connection.execute(
            "create table looked_at as "  # noqa: S608
            f"select paired.*, {prompt} as prompt, {answer} as answer "
            "from paired join given on given.rowid = paired.place "
            f"where number % ((n_pairs + {int(most)} - 1) // {int(most)}) = 0"
        )
        groups = "select model, domain, any_value(n_pairs) from paired group by all"
        for model, domain, n_pairs in sorted(self.connection.execute(groups).fetchall()):
            rows = self.connection.execute(
                "select source_row, condition, has_signal, prompt, answer from looked_at "
                "where model = $model and domain = $domain order by source_row",
                {"model": model, "domain": domain},
            ).fetchall()
            yield model, domain, int(n_pairs), rows

    def write(self, columns: Mapping[str, str], path: Path) -> None:
        """Write a Parquet file with these columns, in the order of the file.

        Parameters
        ----------
        columns : mapping of str to str
            The columns, with their types in DuckDB; from `completed`, or else from `given`.
        path : Path
            The file to write.

        Raises
        ------
        DataError
            If a value does not fit its column.
        """
        values = []
        texts = []
        for name, kind in columns.items():
            if name in self._kept:
                source = f"completed.{identifier(name)}"
            elif name in self.names:
                source = f"given.{self._text(name)}"
                texts.append(self._text(name))
            else:
                source = "null"
            values.append(f"cast({source} as {kind}) as {identifier(name)}")
        source = "completed positional join given" if texts else "completed"
        size = self._rows_of_a_group(texts)
        try:
            self.connection.execute(
                f"copy (select {', '.join(values)} from {source}) to $path "  # noqa: S608
                f"(format parquet, compression snappy, row_group_size {size})",
                {"path": str(path)},
            )
        except duckdb.ConversionException as error:
            raise DataError(f"{path}: rows do not fit: {first_lines(error)}") from error

    def _rows_of_a_group(self, texts: Sequence[str]) -> int:
        if not texts:
            return _ROW_GROUP
        lengths = " + ".join(f"coalesce(strlen({text}), 0)" for text in texts)
        mean = self._value(f"select coalesce(avg({lengths}), 0)::bigint from given")  # noqa: S608
        return max(2048, min(_ROW_GROUP, _ROW_GROUP_BYTES // max(1, mean)))

    def _value(self, query: str) -> int:
        return int(self.connection.execute(query).fetchall()[0][0])


#: Names of the columns of `given`, in the file's order.
_PREFIX = "text of column "


def _place(place: int) -> str:
    return identifier(f"{_PREFIX}{place}")
