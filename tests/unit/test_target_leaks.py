"""Columns that were probably filled in after the decision are named, and no others."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from escalometer import layout
from escalometer.cases.own_domain.table_check import inspect
from escalometer.config import Params
from escalometer.operations import check_domain
from escalometer.reporting.domain_check_text import print_check
from escalometer.runtime.files import read_json
from escalometer.stages import ingest, sample

YAML = """\
file: cards.csv
decider: the bank
label:
  column: card
  outcomes: {{no: denied, yes: approved}}
scenario: >
  Age {{age}}, income {{income}}. Home owner: {{owner}}.
  {extra}
features: [age, income, owner]
source: made up
licence: none
decisions_of: nobody
"""
PARAMS = Params(seed=1, models=("m",), domains=("cards",))


def _table(n: int = 800) -> dict[str, list[Any]]:
    rng = np.random.default_rng(3)
    income, age, owner = rng.gamma(3, 1.2, n), rng.integers(20, 70, n), rng.random(n) < 0.4
    approved = rng.random(n) < 1 / (1 + np.exp(1.5 - 0.5 * income - 0.6 * owner))
    spent = np.where(approved & (rng.random(n) < 0.98), rng.gamma(1, 200, n) + 0.01, 0)
    day = rng.integers(1, 28, n)
    closed_by = np.where(approved, "sales", "risk")
    closed_by[rng.random(n) < 0.02] = "other"
    return {
        "application": list(range(5000, 5000 + n)),
        "token": [f"A{i:05d}x" for i in rng.permutation(n)],
        "card": ["yes" if x else "no" for x in approved],
        "age": age.tolist(),
        "income": [f"{x:.2f}" for x in income],
        "owner": ["yes" if x else "no" for x in owner],
        "spent": [f"{x:.2f}" for x in spent],
        "closed_by": closed_by.tolist(),
        "reason": ["too young" if not x and rng.random() < 0.97 else "" for x in approved],
        "opened": [f"2024-01-{d:02d}" for d in day],
        "closed": [f"2024-02-{d:02d}" for d in day],
    }


def _domain(folder: Path, extra: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    columns = _table()
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    (folder / "cards.csv").write_text(text.getvalue(), "utf-8")
    path = folder / "cards.yaml"
    path.write_text(YAML.format(extra=extra), "utf-8")
    return path


def test_columns_known_before_the_decision_are_no_leaks(tmp_path: Path) -> None:
    assert inspect(_domain(tmp_path, "")).target_leaks == []


@pytest.mark.parametrize("column", ["spent", "closed_by", "reason"])
def test_a_column_that_decides_the_label_is_named_with_its_line(
    tmp_path: Path, column: str
) -> None:
    (leak,) = inspect(_domain(tmp_path, f"Later: {{{column}}}.")).target_leaks
    assert leak.column == column
    assert f"Column {column!r} alone predicts the label of 9" in leak.finding
    assert "Was it known before the decision?" in leak.finding
    assert "accuracies are too high" in leak.effect
    assert f"delete {{{column}}} from line 8 of the YAML file: Later: {{{column}}}." in leak.remedy


@pytest.mark.parametrize("column", ["application", "token"])
def test_an_identifier_is_named(tmp_path: Path, column: str) -> None:
    leaks = inspect(_domain(tmp_path, f"Number {{{column}}}.")).target_leaks
    assert [leak.column for leak in leaks] == [column]
    assert "identifies the case" in leaks[0].finding


def test_a_date_after_another_one_is_named(tmp_path: Path) -> None:
    (leak,) = inspect(_domain(tmp_path, "From {opened} to {closed}.")).target_leaks
    assert leak.column == "closed"
    assert "later than that in 'opened' in 100% of the cases" in leak.finding


def test_leaks_stand_at_the_top_of_the_check_and_in_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _domain(tmp_path / "domains", "Spent {spent}, closed by {closed_by} ({reason}).")
    report = check_domain.run(path, PARAMS, tmp_path)
    assert report["exit_code"] == 0
    found = [leak["column"] for leak in report["target_leaks"]]
    assert sorted(found) == ["closed_by", "reason", "spent"]
    out = io.StringIO()
    print_check(report, out)
    # The path before it decides where lines break: compare words, not lines.
    top = " ".join(out.getvalue().split())
    assert "Usable, but check these columns first (target leakage): '" in top
    assert (
        top.index("Usable, but")
        < top.index(" Target leakage ")
        < top.index("of them decided cases")
    )
    ingest.run("cards", tmp_path)
    capsys.readouterr()
    sample.run("cards", PARAMS, tmp_path)
    assert "warning: cards: Column 'spent' alone predicts the label" in capsys.readouterr().err
    warnings = read_json(layout.domain_file("cards", tmp_path))["warnings"]
    assert len(warnings) == 3
