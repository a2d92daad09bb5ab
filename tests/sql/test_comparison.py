"""Every statement in sql/comparison against the given/expect cases of its YAML file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from escalometer import warehouse
from escalometer.resources import folder_path
from tests.sql._tables import assert_same, decisions

HERE = Path(__file__).parent / "comparison"
FOLDER = folder_path("sql", "comparison")
STATEMENTS = sorted(path.stem for path in FOLDER.glob("*.sql"))


def _cases() -> list[Any]:
    found = []
    for path in sorted(HERE.glob("*.yaml")):
        for name, case in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            found.append(pytest.param(path.stem, case, id=f"{path.stem}-{name}"))
    return found


def test_every_statement_has_its_cases_and_a_header() -> None:
    assert STATEMENTS
    assert sorted(path.stem for path in HERE.glob("*.yaml")) == STATEMENTS
    for name in STATEMENTS:
        first, second, third = (FOLDER / f"{name}.sql").read_text("utf-8").splitlines()[:3]
        assert first.startswith("-- metric: ")
        assert re.match(r"-- grain: one row per \(.+\)", second)
        assert third.startswith("-- source: ")


@pytest.mark.parametrize(("statement", "case"), _cases())
def test_statement(statement: str, case: dict[str, Any]) -> None:
    values = {"first": "a", "second": "b"}
    with warehouse.connect(1) as connection:
        warehouse.add_table(connection, "decisions", decisions(case["given"]))
        found = warehouse.run_file(connection, FOLDER / "paired_dialogues.sql", values)
        if statement != "paired_dialogues":
            warehouse.add_table(connection, "paired_dialogues", found)
            found = warehouse.run_file(connection, FOLDER / f"{statement}.sql", values)
    assert_same(found.to_pylist(), case["expect"], tolerance=5e-7)
