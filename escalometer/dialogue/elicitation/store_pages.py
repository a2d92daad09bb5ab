"""All rows of a completion store, some at a time, and those of other stores added to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from escalometer.dialogue.elicitation.store_rows import (
    ANSWERS,
    BATCH_COLUMNS,
    ENTRY_COLUMNS,
    LISTED,
    StoreRows,
    Transaction,
)
from escalometer.dialogue.elicitation.store_texts import completion_of, differ

#: Rows that are transferred at once, so that memory is bounded.
_PAGE = 2000
Page = Sequence[Sequence[Any]]
#: The table of each kind of row, its columns, and the column that orders it.
_TABLES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "completion": ("completions", ENTRY_COLUMNS, "key"),
    "superseded": ("superseded", ENTRY_COLUMNS, "rowid"),
    "batch": ("batches", BATCH_COLUMNS, "rowid"),
}


@dataclass(frozen=True)
class Conflict:
    """A request that two stores have different answers to.

    Attributes
    ----------
    key : str
        The request's key.
    model : str
        The model, as its provider names it.
    stored, other : str
        The answer that stays, and the one that was not added.
    """

    key: str
    model: str
    stored: str
    other: str


class StorePages(StoreRows):
    """A completion store that gives its rows to others and takes theirs."""

    def pages(self, kind: str) -> Iterator[Page]:
        """Yield all rows of a kind, some at a time.

        Parameters
        ----------
        kind : str
            ``completion`` or ``superseded`` (rows of `ENTRY_COLUMNS`), or ``batch`` (rows of
            `BATCH_COLUMNS`).
        """
        table, names, by = _TABLES[kind]
        last: Any = "" if by == "key" else -1
        query = (
            f"select {', '.join(names)}, {by} from {table} where {by} > ? "  # noqa: S608
            f"order by {by} limit {_PAGE}"
        )
        while rows := self._read(query, (last,)):
            last = rows[-1][-1]
            yield [row[:-1] for row in rows]

    def add_answers(self, page: Page) -> tuple[int, int, list[Conflict]]:
        """Add answers of another store, whose superseded answers this one has already.

        Parameters
        ----------
        page : sequence of rows of `ENTRY_COLUMNS`

        Returns
        -------
        tuple of int, int, list of Conflict
            Numbers of answers that were new and that replaced one which they superseded elsewhere,
            and requests with different answers.
        """
        rows = sorted(page, key=lambda row: str(row[0]))

        def work(transaction: Transaction) -> tuple[int, int, list[Conflict]]:
            keys = [row[0] for row in rows]
            there = dict(self._by_key(ANSWERS, keys, transaction=transaction))
            differing = [row for row in rows if there.get(row[0], row[4]) != row[4]]
            earlier: dict[str, set[str]] = {}
            query = "select key, completion from superseded where"
            different_keys = [row[0] for row in differing]
            for key, text in self._by_key(query, different_keys, transaction=transaction):
                earlier.setdefault(key, set()).add(text)
            replaced, conflicts = [], []
            for key, _, identity, _, text, _, _ in differing:
                texts = earlier.get(key, set())
                if text in texts:
                    continue  # it was replaced here
                if there[key] in texts:
                    replaced.append((key, there[key]))
                elif differ(there[key], text):
                    model = str(json.loads(identity).get("model", ""))
                    answers = completion_of(there[key]).text, completion_of(text).text
                    conflicts.append(Conflict(key, model, *answers))
            transaction.executemany(
                "delete from completions where key = ? and completion = ?", replaced
            )
            n_inserted = self._insert(transaction, rows)
            return n_inserted - len(replaced), len(replaced), conflicts

        return self._write(work)

    def add_superseded(self, page: Page) -> int:
        """Add superseded answers of another store; return the number of new ones."""

        def work(transaction: Transaction) -> int:
            keys = sorted({row[0] for row in page})
            query = f"select {LISTED} from superseded where"  # noqa: S608
            found = self._by_key(query, keys, transaction=transaction)
            there = {(row[0], row[4], row[5]) for row in found}
            new = [row for row in page if (row[0], row[4], row[5]) not in there]
            transaction.executemany(
                f"insert into superseded ({LISTED}) values (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                new,
            )
            return len(new)

        return self._write(work)

    def add_batches(self, page: Page) -> int:
        """Add batches of another store; return the number of new ones.

        A batch is closed if either store has all of its answers.
        """

        def work(transaction: Transaction) -> int:
            n_before = transaction.execute("select count(*) from batches").fetchone()[0]
            transaction.executemany(
                "insert into batches (id, identity, run, keys, is_open) values (?, ?, ?, ?, ?) "
                "on conflict (id) do update set is_open = excluded.is_open "
                "where excluded.is_open < batches.is_open",
                page,
            )
            n_after = transaction.execute("select count(*) from batches").fetchone()[0]
            return int(n_after - n_before)

        return self._write(work)
