"""Every statement in sql/probes against the given/expect cases of its YAML file, and its oracle."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from escalometer.resources import folder_path
from escalometer.training.chains import MISTAKES
from escalometer.training.probe_results import STATEMENTS, measure
from tests.sql._probed import probed
from tests.sql._tables import assert_same
from tests.sql.probe_oracles import ORACLES

HERE = Path(__file__).parent / "probes"
FOLDER = folder_path("sql", "probes")


def _cases() -> list[Any]:
    found = []
    for path in sorted(HERE.glob("*.yaml")):
        for name, case in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            found.append(pytest.param(path.stem, case, id=f"{path.stem}-{name}"))
    return found


def test_every_statement_has_its_cases_an_oracle_and_a_header() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.sql")) == sorted(STATEMENTS)
    assert sorted(path.stem for path in HERE.glob("*.yaml")) == sorted(STATEMENTS)
    assert set(ORACLES) == set(STATEMENTS)
    for name in STATEMENTS:
        first, second, third = (FOLDER / f"{name}.sql").read_text("utf-8").splitlines()[:3]
        assert first.startswith("-- metric: ")
        assert re.match(r"-- grain: one row per \(.+\)", second)
        assert third == "-- source: probed"


@pytest.mark.parametrize(("statement", "case"), _cases())
def test_statement(statement: str, case: dict[str, Any]) -> None:
    found = measure(probed(case["given"] or []))[statement]
    assert_same(found.to_pylist(), case["expect"] or [], tolerance=5e-7)


@st.composite
def _row(draw: st.DrawFn) -> dict[str, Any]:
    escalate = draw(st.sampled_from([0, 1, None]))
    label = draw(st.integers(0, 1))
    prompt = draw(st.sampled_from("pqr"))
    role = draw(st.sampled_from(["base", "tuned"]))
    return {
        "probe": draw(st.sampled_from(["held_out_domain", "no_signal", "wrong_signal"])),
        "model_role": role,
        "domain": draw(st.sampled_from(["movielens", "lending_club"])),
        "condition": draw(st.sampled_from("ab")),
        "is_plain": draw(st.booleans()),
        "has_signal": draw(st.booleans()),
        # Ties of the ratios below, and what lies beside them.
        "percent": draw(st.sampled_from([50, 74, 75, 94, 95, 98, 99])),
        "domain_percent": draw(st.sampled_from([75, 95, 97])),
        "cost_ratio": draw(st.sampled_from([2.0, 4.0, 20.0, 50.0])),
        "framing": draw(st.sampled_from(["ratio", "words"])),
        "label": label,
        # A first turn has one answer, as the same prompt is asked once.
        "prediction": {"p": 1, "q": 0, "r": None if role == "base" else 1}[prompt],
        "prompt": prompt,
        "escalate": escalate,
        "status": "unparsed" if escalate is None else draw(st.sampled_from(["ok", "forced"])),
        "mistake": draw(st.none() | st.sampled_from(MISTAKES)),
        "times": draw(st.integers(1, 3)),
    }


def _ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = [
        *("probe", "model_role", "scored_against", "mistake"),
        *("domain", "condition", "cost_ratio", "framing"),
    ]
    return sorted(rows, key=lambda row: [str(row.get(name)) for name in names])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(_row(), max_size=20))
@example(rows=[])
def test_statements_equal_their_oracles(rows: list[dict[str, Any]]) -> None:
    table = probed(rows)
    for name, found in measure(table).items():
        expected = ORACLES[name](table.to_pylist())
        assert_same(_ordered(found.to_pylist()), _ordered(expected), tolerance=1e-7)
