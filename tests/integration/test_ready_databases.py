"""Databases that are ready are those that the migrations of Prefect and MLflow make."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from escalometer.tracking import _database as of_mlflow
from flows import _database, _server
from tests.command_line import environment

pytestmark = [pytest.mark.timeout(240)]


def words(statements: str) -> list[list[str]]:
    """The words of each statement, sorted: migrations set a table's constraints in any order."""
    return [sorted(line.replace(",", " ").split()) for line in statements.splitlines()]


def test_the_file_is_what_the_locked_prefect_migrates_to(tmp_path: Path) -> None:
    shipped = _database.STATEMENTS.read_text("utf-8")
    # In a process of its own: Prefect keeps the database of the first server that a process has.
    code = "import sys, pathlib, flows._database as d; print(d.migrated(pathlib.Path(sys.argv[1])))"
    made = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "home")],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.removesuffix("\n")
    assert words(shipped) == words(made), "Prefect has changed: run `python -m flows._database`"


def test_so_is_that_of_mlflow(tmp_path: Path) -> None:
    shipped, made = of_mlflow.STATEMENTS.read_text("utf-8"), of_mlflow.migrated(tmp_path)
    remedy = "MLflow has changed: run `python -m escalometer.tracking._database`"
    assert words(shipped) == words(made), remedy


def test_a_database_that_exists_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / _server.DATABASE
    _database.create(path)
    with sqlite3.connect(path) as connection:
        connection.execute("delete from alembic_version")
    before = path.read_bytes()
    _database.create(path)
    assert path.read_bytes() == before


def test_another_version_of_prefect_is_left_to_its_migrations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import prefect

    monkeypatch.setattr(prefect, "__version__", "4.0.0")
    _database.create(tmp_path / _server.DATABASE)
    assert not (tmp_path / _server.DATABASE).exists()
