"""The Python interface: on tables of pandas, Arrow and DuckDB, and the same as the commands."""

from __future__ import annotations

import csv
import gc
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

import escalometer
from escalometer import api
from escalometer.documents import Comparison, Profile, SampleSizes, Verdict
from escalometer.errors import DataError, UsageError
from escalometer.schema import RECORDED
from tests.command_line import run
from tests.conftest import ROOT
from tests.releases import release

COLUMNS = (
    *("model", "domain", "condition", "scenario_id", "signal_accuracy"),
    *("has_signal", "label", "prediction", "escalate"),
)


def dialogues(model: str, **about: Any) -> list[dict[str, Any]]:
    rows = release(model, n=30, domains=("claims",), **about)
    return [{name: row[name] for name in COLUMNS} for row in rows]


OLD, NEW = dialogues("old"), dialogues("new", skill=-0.2)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; temporary files are next to it."""
    (tmp_path / "work").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def temporary(folder: Path) -> Path:
    return folder.parent / "temporary"


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A data frame with an index that is no column."""
    return pd.DataFrame(rows).set_index(pd.Index(range(7, 7 + len(rows)), name="number"))


def test_every_kind_of_table_gives_the_same_profile(folder, temporary):
    table = pa.Table.from_pylist(OLD)
    with duckdb.connect() as connection:
        relation = connection.from_arrow(table)
        tables = [frame(OLD), table, table.to_reader(), relation, escalometer.read(table)]
        found = [escalometer.profile(one) for one in tables]
    assert all(isinstance(one, Profile) for one in found)
    assert all(one == found[0] for one in found)
    assert found[0].source == "table"
    assert found[0].n_decisions == len(OLD)
    del tables
    gc.collect()
    assert list(temporary.iterdir()) == []


def test_documents_equal_those_of_the_commands(folder):
    frame([*OLD, *NEW]).to_csv("d.csv", index=False)
    decisions = escalometer.read("d.csv")
    commands = {
        ("profile", "d.csv", "--model", "new", "--cost-ratio", "10"): escalometer.profile(
            decisions, "new", cost_ratio=10
        ),
        ("compare", "d.csv", "old", "new"): escalometer.compare(decisions, models=("old", "new")),
        ("gate", "d.csv", "--model", "new", "--against", "old"): escalometer.gate(
            "d.csv", "new", against="old"
        ),
        ("power", "--difference", "0.05"): escalometer.power(0.05),
    }
    kinds = (Profile, Comparison, Verdict, SampleSizes)
    for (arguments, document), kind in zip(commands.items(), kinds, strict=True):
        assert isinstance(document, kind)
        found = json.loads(run(folder, *arguments, "--json").stdout)
        expected = document.as_json()
        for key in ("judged_at",):
            found.pop(key, None), expected.pop(key, None)
        assert found == expected
        text = run(folder, *arguments).stdout
        assert escalometer.summary(document).split() == text.split()


def test_decisions_are_read_once(folder, temporary):
    with escalometer.read(frame([*OLD, *NEW]), name="claims 2026") as decisions:
        assert decisions.models == {"new": len(NEW), "old": len(OLD)}
        assert escalometer.models(decisions) == decisions.models
        assert (decisions.n_rows, decisions.domains) == (480, {"claims": 480})
        assert decisions.interventions == {"baseline": 480}
        assert decisions.warnings == ()
        table = decisions.to_arrow()
        assert table.schema == RECORDED
        assert table["label"].to_pylist() == [row["label"] for row in [*OLD, *NEW]]
        assert escalometer.profile(decisions, "old").source == "claims 2026"
        assert len(list(temporary.iterdir())) == 1
    assert list(temporary.iterdir()) == []
    with pytest.raises(UsageError, match="are closed"):
        escalometer.profile(decisions, "old")


def test_a_column_of_another_name_is_mapped(folder):
    expected = escalometer.profile(frame(OLD))
    renamed = frame(OLD).rename(columns={"label": "outcome"})
    assert escalometer.profile(renamed, mapping={"label": "outcome"}) == expected
    with pytest.raises(DataError, match=r"column label: is missing .is 'outcome' for label meant"):
        escalometer.profile(renamed)
    with pytest.raises(UsageError, match=r"table has no column 'outcme'. Did you mean 'outcome'"):
        escalometer.profile(renamed, mapping={"label": "outcme"})
    with pytest.raises(UsageError, match="are read already"):
        escalometer.profile(escalometer.read(frame(OLD)), mapping={"label": "outcome"})


def test_missing_values_of_a_data_frame_are_missing(folder):
    unanswered = frame(OLD).assign(status="ok")
    unanswered.loc[unanswered.index[:5], ["prediction", "escalate"]] = None
    unanswered.loc[unanswered.index[:5], "status"] = "unparsed"
    assert escalometer.profile(unanswered).statuses.unparsed == 5
    unanswered["status"] = "ok"
    with pytest.raises(DataError, match="prediction must be given where the status is ok") as error:
        escalometer.profile(unanswered)
    assert "row 5: found" in str(error.value)
    assert "row 6: found" not in str(error.value)


@pytest.mark.parametrize(
    ("table", "error", "said"),
    [
        (OLD, UsageError, "a pandas or Arrow table or a DuckDB relation, not 'list'"),
        (None, UsageError, "not 'NoneType'"),
        ("gone.csv", UsageError, "gone.csv does not exist"),
        (frame(OLD).iloc[:0], DataError, "table has no rows"),
        (pd.DataFrame(), DataError, "table has no columns"),
        (frame(OLD).assign(label="yes"), DataError, "row 1: found 'yes'"),
        (frame(OLD).assign(label=[1] * 239 + ["x"]), DataError, "column label with type object"),
        (
            pd.concat([frame(OLD), frame(OLD)["label"]], axis=1),
            DataError,
            "Duplicate column names",
        ),
    ],
)
def test_what_is_no_table_of_decisions_is_refused(folder, temporary, table, error, said):
    with pytest.raises(error) as refused:
        escalometer.profile(table)
    assert said in str(refused.value)
    assert str(temporary) not in str(refused.value)
    assert list(temporary.iterdir()) == []


def test_two_tables_are_compared_and_gated(folder):
    old, new = frame(OLD), frame(NEW)
    comparison = escalometer.compare(old, new)
    assert comparison.models == ("old", "new")
    assert comparison.n_paired == len(OLD)
    assert escalometer.disagreements(old, new).num_rows == comparison.disagreements.n
    same = escalometer.compare(old, old)
    assert same.models == ("first", "second")
    assert same.disagreements.n == 0
    verdict = escalometer.gate(new, against=old, cost_ratio=4)
    assert (verdict.verdict, verdict.against) == ("fail", "old")
    assert ET.fromstring(escalometer.junit(verdict)).get("errors") == "0"  # noqa: S314


def test_parameters_are_the_built_in_ones_with_changes(folder):
    usual = escalometer.parameters()
    changed = escalometer.parameters(
        seed=3, cost_ratios=(10,), n_bootstrap=100, gate={"max_regret": None}
    )
    assert changed.analyze.human_error_rate == usual.analyze.human_error_rate
    assert (changed.seed, changed.analyze.cost_ratios) == (3, (10.0,))
    verdict = escalometer.gate(frame(OLD), params=changed)
    assert (verdict.seed, verdict.n_bootstrap) == (3, 100)
    assert "regret" not in {rule.rule for rule in verdict.rules}
    (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text("utf-8"), "utf-8")
    assert escalometer.parameters("params.yaml") == usual
    for wrong, said in (
        ({"n_botstrap": 3}, "unknown key 'analyze.n_botstrap'. Did you mean 'n_bootstrap'"),
        ({"gate": {"max_regrets": 3}}, "unknown key 'gate.max_regrets'"),
        ({"file": "gone.yaml"}, "no project in"),
    ):
        with pytest.raises(UsageError, match=said):
            escalometer.parameters(**wrong)
    with pytest.raises(UsageError, match="cost ratio must be above 1"):
        escalometer.gate(frame(OLD), cost_ratio=1)


def test_a_report_is_written_where_it_is_asked_for(folder, temporary):
    page = escalometer.report(frame(OLD), "page")
    assert page == Path("page/index.html")
    assert "old" in page.read_text("utf-8")
    assert [path.name for path in folder.iterdir()] == ["page"]
    assert list(temporary.iterdir()) == []


def test_the_package_has_the_names_of_the_interface():
    assert set(api.__all__) == set(escalometer.__all__) - {"__version__"}
    assert set(api.__all__) <= set(dir(escalometer))
    stub = (ROOT / "escalometer" / "__init__.pyi").read_text("utf-8")
    assert set(re.findall(r"import (\w+) as \1$", stub, re.M)) == set(api.__all__)
    for name in api.__all__:
        assert getattr(escalometer, name) is getattr(api, name)
        assert getattr(api, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'profil'"):
        _ = escalometer.profil  # type: ignore[attr-defined]


SCRIPT = """
import sys
import escalometer
assert "pyarrow" not in sys.modules and "pydantic" not in sys.modules
from pyarrow import csv
decisions = escalometer.read(csv.read_csv("survey.csv"), mapping={"label": "human decision"})
print(decisions.models)
profile = escalometer.profile(decisions, "old", cost_ratio=10)
print(escalometer.summary(profile))
print(profile.implicit_threshold.linear.estimate)
verdict = escalometer.gate(decisions, "new", against="old")
print(verdict.verdict)
escalometer.report(decisions, "page")
heavy = ("pandas", "mlflow", "dvc", "prefect", "torch", "great_expectations", "scipy.stats")
print("imported:", [name for name in heavy if name in sys.modules])
"""


def test_a_script_on_a_table_that_was_never_seen(folder):
    rows = [
        {("human decision" if name == "label" else name): value for name, value in row.items()}
        for row in [*OLD, *NEW]
    ]
    with Path("survey.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(folder.parent / "temporary"),
    }
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Escalation profile of old" in done.stdout
    assert done.stdout.rstrip().endswith("fail\nimported: []"), done.stdout[-300:]
    assert "Warning" not in done.stderr
    left = {path.name for path in folder.iterdir()}
    assert left == {"survey.csv", "page"}
    assert list((folder.parent / "temporary").iterdir()) == []
