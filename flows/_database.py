"""The database of Prefect's history, ready: see `escalometer.runtime.ready_database`.

`python -m flows._database` writes flows/prefect_database.sql anew, when the locked version changes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from escalometer.runtime import ready_database

STATEMENTS = Path(__file__).with_name("prefect_database.sql")


def _library() -> str:
    import prefect

    return f"Prefect {prefect.__version__}"


def create(database: Path) -> None:
    """Make the database of a new history, unless it is of another version of Prefect."""
    ready_database.create(database, STATEMENTS, _library())


def migrated(folder: Path) -> str:
    """Return the statements for the database that this version's migrations make in a folder."""
    from flows import _server

    with _server.served(folder, is_prepared=False):
        pass
    maker = "python -m flows._database"
    return ready_database.statements_of(folder / _server.DATABASE, _library(), maker)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        STATEMENTS.write_text(migrated(Path(name)), "utf-8")
    print(STATEMENTS, file=sys.stderr)
