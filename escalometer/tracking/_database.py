"""The database of a new local MLflow, ready: see `escalometer.runtime.ready_database`.

`python -m escalometer.tracking._database` writes mlflow_database.sql anew, when the locked version
changes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from escalometer.runtime import ready_database
from escalometer.tracking._library import mlflow

STATEMENTS = Path(__file__).with_name("mlflow_database.sql")


def create(database: Path) -> None:
    """Make the database of a new local MLflow, unless it is of another version."""
    ready_database.create(database, STATEMENTS, f"MLflow {mlflow.__version__}")


def migrated(folder: Path) -> str:
    """Return the statements for the database that this version's migrations make in a folder."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path = folder / "mlflow.db"
    SqlAlchemyStore(f"sqlite:///{path}", str(folder / "artifacts")).engine.dispose()
    maker = "python -m escalometer.tracking._database"
    filled = ("alembic_version", "workspaces")
    return ready_database.statements_of(path, f"MLflow {mlflow.__version__}", maker, filled)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        STATEMENTS.write_text(migrated(Path(name)), "utf-8")
    print(STATEMENTS, file=sys.stderr)
