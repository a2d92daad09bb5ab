"""Every statement in sql/metrics against the given/expect cases of its YAML file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from escalometer import warehouse
from escalometer.resources import files, resource, stem
from tests.sql._tables import assert_same, decisions, measure

HERE = Path(__file__).parent
METRICS = [stem(path) for path in files(resource("sql", "metrics"), ".sql")]


def _cases() -> list[Any]:
    found = []
    for path in sorted(HERE.glob("*.yaml")):
        for name, case in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            found.append(pytest.param(path.stem, case, id=f"{path.stem}-{name}"))
    return found


def test_every_metric_has_its_cases_and_the_other_way_round() -> None:
    assert METRICS
    assert sorted(path.stem for path in HERE.glob("*.yaml")) == METRICS


@pytest.mark.parametrize("metric", METRICS)
def test_header_has_three_lines(metric: str) -> None:
    path = resource("sql", "metrics", f"{metric}.sql")
    first, second, third = path.read_text(encoding="utf-8").splitlines()[:3]
    assert first.startswith("-- metric: ")
    assert re.match(r"-- grain: one row per \(.+\)", second)
    assert third.startswith("-- source: ")


@pytest.mark.parametrize(("metric", "case"), _cases())
def test_metric(metric: str, case: dict[str, Any]) -> None:
    table = measure(decisions(case["given"] or []), case.get("values"))[metric]
    assert_same(table.to_pylist(), case["expect"] or [], tolerance=5e-7)


def test_metrics_that_read_each_other_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("-- source: b\nselect 1", encoding="utf-8")
    (tmp_path / "b.sql").write_text("-- source: a\nselect 1", encoding="utf-8")
    with pytest.raises(ValueError, match="cycle"):
        list(warehouse.metric_files(tmp_path))


def test_a_metric_must_name_its_source(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("select 1", encoding="utf-8")
    with pytest.raises(ValueError, match="-- source"):
        list(warehouse.metric_files(tmp_path))
