"""A library's SQLite database, made at once as the library's own migrations would make it.

Prefect and MLflow make a new database by dozens of migrations, in seconds. A file of statements has
what they end with, for one version of the library; of any other version, and of a database that
exists, the migrations are left to the library.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path


def create(database: Path, statements: Path, library: str) -> None:
    """Make a database from a file of statements, unless there is one.

    Parameters
    ----------
    database : Path
        Where it is made, whole or not at all.
    statements : Path
        As `statements_of` returned them.
    library : str
        Name and version, such as ``"Prefect 3.8.8"``. Nothing is made for another version.
    """
    if database.exists() or not statements.exists():
        return
    text = statements.read_text("utf-8")
    if text.splitlines()[0] != _first_line(library):
        return
    partial = database.with_name(f"{database.name}.partial")
    partial.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(partial)) as connection:
        connection.executescript(f"begin;\n{text}\ncommit;")
    partial.rename(database)


def statements_of(
    database: Path, library: str, maker: str, filled: Sequence[str] = ("alembic_version",)
) -> str:
    """Return the statements that make an empty database like that of a library.

    Parameters
    ----------
    database : Path
        As the library's migrations have made it.
    library : str
        Name and version.
    maker : str
        The command that writes the file.
    filled : sequence of str
        Tables whose rows the migrations insert.
    """
    with contextlib.closing(sqlite3.connect(database)) as connection:
        made = connection.execute(
            "select sql from sqlite_master where sql is not null and name not like 'sqlite_%' "
            "order by case type when 'table' then 0 else 1 end, name"
        ).fetchall()
        rows = [row for table in filled for row in _rows(connection, table)]
    lines = [_first_line(library), f"-- Made by `{maker}`; do not edit."]
    lines += [f"{' '.join(sql.split())};" for (sql,) in made]
    return "\n".join([*lines, *rows, ""])


def _rows(connection: sqlite3.Connection, table: str) -> list[str]:
    """Return the statements that insert a table's rows."""
    columns = [name for _, name, *_ in connection.execute(f"pragma table_info({table})")]
    quoted = ", ".join(f'quote("{name}")' for name in columns)
    found = connection.execute(f"select {quoted} from {table}").fetchall()  # noqa: S608 - ours
    return [f"insert into {table} values ({', '.join(row)});" for row in found]  # noqa: S608


def _first_line(library: str) -> str:
    return f"-- The database of {library} after its migrations."
