"""Imports in parts: what one part breaks, or two parts together, is found with its rows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from escalometer import validation, warehouse
from escalometer.errors import DataError, UsageError
from escalometer.operations import import_decisions, recorded_sources
from escalometer.recorded import json_lines
from escalometer.warehouse import _statements
from tests.absent import absent
from tests.conftest import ROOT

#: Three groups of rows of a table in DuckDB, and a part of a fourth.
N_ROWS = 400_000


def dialogues(n_rows: int = N_ROWS) -> dict[str, Any]:
    place = np.arange(n_rows)
    draws = np.random.default_rng(5)
    return {
        "model": np.array(["a", "b"])[place % 2],
        "domain": np.array(["tickets", "claims", "loans"])[place // 2 % 3],
        "condition": np.array(["c0", "c1"])[place // 6 % 2],
        "signal_accuracy": np.array([0.6, 0.9])[place // 6 % 2],
        "has_signal": np.ones(n_rows, bool),
        "label": draws.integers(0, 2, n_rows),
        "prediction": draws.integers(0, 2, n_rows),
        "escalate": draws.integers(0, 2, n_rows),
        "scenario_id": np.char.add("s", place.astype(str)),
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "expectations", tmp_path / "expectations")
    return tmp_path


def take(columns: dict[str, Any], root: Path, ending: str = "parquet") -> dict[str, Any]:
    path = root / f"d.{ending}"
    table = pa.table(columns)
    if ending == "parquet":
        pq.write_table(table, path, row_group_size=100_000)
    elif ending == "csv":
        pa_csv.write_csv(table, path)
    else:
        lines = (json.dumps(row) + "\n" for row in table.to_pylist())
        path.write_text("".join(lines), "utf-8")
    return import_decisions.run(path, "theirs", root, False, lambda _: None)


def refusal(columns: dict[str, Any], root: Path, ending: str = "parquet") -> str:
    with pytest.raises(DataError) as refused:
        take(columns, root, ending)
    assert not (root / "data").exists()
    with absent("great_expectations"), pytest.raises(DataError) as in_sql:
        take(columns, root, ending)
    assert str(in_sql.value) == str(refused.value)
    return str(refused.value)


def lines_after(rule: str, message: str) -> list[str]:
    return [line.strip() for line in message.partition(rule)[2].splitlines()[1:11]]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_bad_row_in_the_last_part_is_named(root, ending):
    columns = dialogues()
    columns["label"][-1] = 2
    columns["escalate"][-3:] = 5
    message = refusal(columns, root, ending)
    last = N_ROWS + (ending == "csv")
    assert lines_after("label must be 0 or 1; 1 row breaks this:", message)[0] == (
        f"row {last}: found label = 2"
    )
    assert lines_after("escalate must be 0 or 1; 3 rows break this:", message)[:3] == [
        f"row {last - 2 + k}: found escalate = 5" for k in range(3)
    ]


def test_a_duplicate_whose_twin_is_in_another_part_is_named_with_both_rows(root):
    columns = {name: values.copy() for name, values in dialogues().items()}
    for name in ("model", "domain", "condition", "signal_accuracy", "scenario_id"):
        columns[name][N_ROWS - 2] = columns[name][4]
    rule = "a dialogue may stand once: give repeats of it a replicate each; 2 rows break this:"
    found = lines_after(rule, refusal(columns, root))
    assert found[0].startswith("row 5: found")
    assert found[1].startswith(f"row {N_ROWS - 1}: found")


def test_an_unreadable_value_and_a_missing_scenario_in_the_last_part_are_named(root):
    columns = dialogues()
    texts = columns["label"].astype(str).astype(object)
    texts[-2] = "perhaps"
    ids = columns["scenario_id"].astype(object)
    ids[-1] = None
    message = refusal(columns | {"label": texts, "scenario_id": ids}, root, "csv")
    assert "column label: must be a whole number; 1 row breaks this" in message
    assert f"row {N_ROWS}: found 'perhaps'" in message
    assert "must be given in every row, or in none; 1 row breaks this" in message
    assert f"row {N_ROWS + 1}: found nothing" in message


def test_a_second_copy_of_many_rows_is_refused(root):
    columns = {name: np.tile(values, 2) for name, values in dialogues(150_000).items()}
    del columns["scenario_id"]
    message = refusal(columns, root)
    assert "contains the same 150000 rows twice, again from row 150001 on" in message


def test_rows_stay_in_their_order_in_little_memory(root, monkeypatch):
    monkeypatch.setattr(_statements, "MEMORY_LIMIT", "100MB")
    columns = dialogues()
    columns["batch"] = np.arange(N_ROWS)
    columns["prompt"] = np.char.add("case ", columns["scenario_id"])
    del columns["scenario_id"]
    columns["model"][:] = "a"
    about = take(columns, root)
    assert about["n_rows"] == N_ROWS
    table = recorded_sources.load("theirs", root)
    assert table["prompt"].to_pylist() == columns["prompt"].tolist()
    assert table["label"].to_pylist() == columns["label"].tolist()
    assert len(set(table["scenario_id"].to_pylist())) == N_ROWS
    extra = pq.read_table(root / "data" / "recorded" / "theirs" / "extra.parquet")
    assert extra["batch"].to_pylist() == [str(i) for i in range(N_ROWS)]
    assert extra["source_row"].to_pylist() == list(range(1, N_ROWS + 1))


def test_parts_of_json_lines_make_one_table(root, monkeypatch):
    monkeypatch.setattr(json_lines, "_MOST_OBJECTS", 7)
    columns = dialogues(60)
    path = root / "d.jsonl"
    rows = pa.table(columns).to_pylist()
    for row in rows[40:]:
        row["rowid"] = "late"  # a key that begins in a later part, with a name of DuckDB's
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    about = import_decisions.run(path, "theirs", root, False, lambda _: None)
    assert about["unknown_columns"] == ["rowid"]
    extra = pq.read_table(root / "data" / "recorded" / "theirs" / "extra.parquet").to_pylist()
    assert [row["rowid"] for row in extra] == [None] * 40 + ["late"] * 20
    assert recorded_sources.load("theirs", root)["scenario_id"].to_pylist() == [
        f"s{place}" for place in range(60)
    ]


def test_kinds_and_names_of_json_values_are_compared_across_parts(root, monkeypatch):
    monkeypatch.setattr(json_lines, "_MOST_OBJECTS", 7)
    rows = pa.table(dialogues(60)).to_pylist()
    rows[50]["label"] = "1"
    path = root / "d.jsonl"

    def message() -> str:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        with pytest.raises(DataError) as refused:
            import_decisions.run(path, "theirs", root, False, lambda _: None)
        return str(refused.value)

    assert "mixes texts with numbers or truth values; it must hold no texts; 1 row" in message()
    assert "row 51: found '1'" in message()
    rows[55]["Label"] = 1
    assert "has more than one column label, Label" in message()


def broken_table() -> pa.Table:
    """Rows that break most rules of recorded decisions, some of them more than ten times."""
    draws = np.random.default_rng(2)
    n = 500

    def drawn(*values: Any) -> list[Any]:
        return [values[place] for place in draws.integers(0, len(values), n)]

    return pa.table(
        {
            "source_row": pa.array(range(2, n + 2), pa.int64()),
            "model": drawn("a", "b", "b ", None),
            "domain": drawn("d"),
            "condition": drawn("c0", "c1", ""),
            "scenario_id": drawn("s0", "s1", "s2", None),
            "intervention": drawn("baseline", "no_signal", "thinking", "cost_framing"),
            "replicate": pa.array(drawn(0, 1, -1), pa.int64()),
            "signal_accuracy": drawn(0.5, 70.0, None, -0.1),
            "has_signal": drawn(True, False, None),
            "is_thinking": drawn(True, False),
            "is_isolated": drawn(True, False),
            "reasoning_effort": pa.nulls(n, pa.string()),
            "cost_ratio": drawn(None, 4.0, 1.0),
            "framing": pa.nulls(n, pa.string()),
            "force_answer": drawn(True, False),
            "label": pa.array(drawn(0, 1, 2), pa.int64()),
            "prediction": pa.array(drawn(0, 1, None), pa.int64()),
            "escalate": pa.array(drawn(0, 1, 7), pa.int64()),
            "status": drawn("ok", "forced", "fine", "error"),
        }
    )


def test_messages_are_those_of_all_rows(root):
    """Great Expectations sees few rows of a large table, and writes what it writes of all."""
    table = broken_table()
    suite = validation.read_suite("recorded", root / "expectations")
    rules = [
        rule
        for rule in suite["expectations"]
        if set(rule["kwargs"].get("column_list", [])) <= set(table.column_names)
        and rule["kwargs"].get("column", "model") in table.column_names
        and "column_set" not in rule["kwargs"]
    ]
    mostly = {"column": "label", "max_value": 1, "mostly": 0.9}
    rule = {"type": "expect_column_values_to_be_between", "description": "label is mostly small"}
    rules.append({**rule, "kwargs": mostly})
    (root / "expectations" / "t.json").write_text(
        json.dumps({"name": "t", "expectations": rules}), "utf-8"
    )
    file = Path("file")
    whole = validation.check(table, "t", file, folder=root / "expectations")
    with warehouse.connect() as connection:
        connection.register("rows", table)
        found = validation.check_rows(
            connection, "rows", table.schema, "t", file, root / "expectations"
        )
        with absent("great_expectations"):
            in_sql = validation.check_rows(
                connection, "rows", table.schema, "t", file, root / "expectations"
            )
    assert in_sql == whole
    assert len(whole.failures) > 15
    assert {str(failure) for failure in found.failures} == {
        str(failure) for failure in whole.failures
    }
    assert found.n_expectations == whole.n_expectations
    assert [f.rule for f in found.failures] == [f.rule for f in whole.failures]


def test_rules_about_the_whole_table_see_all_rows(root):
    table = validation.number_rows(pa.table({"a": [float(n) for n in range(100)]}))
    kwargs = {"column": "a", "max_value": 3}
    rule = {"type": "expect_column_mean_to_be_between", "kwargs": kwargs, "description": "small"}
    (root / "expectations" / "t.json").write_text(
        json.dumps({"name": "t", "expectations": [rule]}), "utf-8"
    )
    with warehouse.connect() as connection:
        connection.register("rows", table)
        found = validation.check_rows(
            connection, "rows", table.schema, "t", Path("f"), root / "expectations"
        )
        with absent("great_expectations"):
            in_sql = validation.check_rows(
                connection, "rows", table.schema, "t", Path("f"), root / "expectations"
            )
    assert [str(failure) for failure in found.failures] == ["f, column a: small (found 49.5)"]
    assert in_sql == found


def test_no_room_for_the_rows_is_an_error_that_says_so(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match=r"no room for the rows while they are imported"),
        warehouse.RecordedRows(tmp_path) as rows,
    ):
        rows.connection.execute("set memory_limit = '20MB'")
        rows.connection.execute("set max_temp_directory_size = '1KB'")
        rows.connection.execute(
            "select sha256(i::varchar) as t from range(3e6::int) r(i) order by t"
        )
