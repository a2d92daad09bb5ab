"""Decisions that others recorded: what is refused, what is filled in, what is said."""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from escalometer import schema
from escalometer.errors import DataError, UsageError
from escalometer.operations import import_decisions, recorded_sources
from tests import command_line
from tests.absent import absent
from tests.command_line import COMMAND, environment
from tests.conftest import ROOT, read_json

Rows = list[dict[str, Any]]


def base_rows(n: int = 12) -> Rows:
    """Dialogues of two models, each about its own case."""
    return [
        {
            "model": f"model {i % 2}",
            "domain": "tickets",
            "condition": f"c{i % 3}",
            "signal_accuracy": (0.6, 0.75, 0.9)[i % 3],
            "has_signal": i % 4 != 3,
            "label": i % 2,
            "prediction": (i // 2) % 2,
            "escalate": (i // 3) % 2,
            "scenario_id": f"s{i}",
        }
        for i in range(n)
    ]


def write_csv(rows: Rows, path: Path, encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(rows: Rows, path: Path) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def write_parquet(rows: Rows, path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


WRITERS = {"csv": write_csv, "jsonl": write_jsonl, "parquet": write_parquet}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with what an import reads."""
    for name in ("expectations", "sql"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*arguments: str) -> tuple[int, str, str]:
    """The exit code of a command, and what it wrote to standard output and error."""
    done = command_line.run(Path(), *arguments)
    return done.returncode, done.stdout, done.stderr


def take(file: Path, root: Path, name: str = "theirs", replace: bool = False) -> dict[str, Any]:
    return import_decisions.run(file, name, root, replace, lambda _: None)


def refusal(file: Path, root: Path) -> str:
    """The message of an import that refuses a file; nothing is left behind.

    It is the same where Great Expectations is not installed.
    """
    with pytest.raises(DataError) as refused:
        take(file, root)
    assert not (root / "data").exists()
    with absent("great_expectations"), pytest.raises(DataError) as in_sql:
        take(file, root)
    assert str(in_sql.value) == str(refused.value)
    return str(refused.value)


def changed(row: int, **values: Any) -> Rows:
    rows = base_rows()
    rows[row].update(values)
    return rows


# --- the three formats -------------------------------------------------------------------------


def test_three_formats_give_the_same_table(root):
    rows = base_rows()
    for i, row in enumerate(rows):
        row |= {"cost_ratio": 4.5 if row["has_signal"] and i % 2 else None, "is_thinking": False}
        row |= {"prompt": f'case "{i}",\nof 1{i}.50 é', "prediction_text": None if i else "odd"}
        row["batch"] = i
    for kind, write in WRITERS.items():
        take(write(rows, root / f"d.{kind}"), root, kind)
    tables = [recorded_sources.load(kind, root) for kind in WRITERS]
    assert tables[0].schema == schema.RECORDED
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
    assert tables[0]["prompt"].to_pylist() == [row["prompt"] for row in rows]
    aside = [
        pq.read_table(root / "data/recorded" / kind / "extra.parquet").to_pylist()
        for kind in WRITERS
    ]
    assert [row["batch"] for row in aside[0]] == [str(i) for i in range(12)]
    assert [aside[k][0]["source_row"] for k in range(3)] == [2, 1, 1]


def test_what_is_left_out_is_filled_in(root):
    rows = base_rows()
    for i, row in enumerate(rows):
        row |= {"is_isolated": i == 0, "is_thinking": i in (1, 2)}
        row["cost_ratio"] = 4 if i in (0, 2, 4) else None
    about = take(write_csv(rows, root / "d.csv"), root)
    table = recorded_sources.load("theirs", root)
    assert table["intervention"].to_pylist()[:6] == [
        *("isolated", "thinking", "thinking_cost_framing", "no_signal", "cost_framing", "baseline")
    ]
    assert set(table["replicate"].to_pylist()) == {0}
    assert set(table["status"].to_pylist()) == {"ok"}
    assert not any(table["force_answer"].to_pylist())
    assert about["statuses"] == {"ok": 12}
    assert about["warnings"] == []


def test_an_intervention_says_whether_there_was_thinking(root):
    rows = base_rows()
    for row in rows:
        row["intervention"] = "thinking" if row["has_signal"] else "no_signal"
    take(write_csv(rows, root / "d.csv"), root)
    table = recorded_sources.load("theirs", root)
    assert table["is_thinking"].to_pylist() == [row["has_signal"] for row in rows]


def test_bom_quoted_newlines_and_numbers_as_pandas_writes_them(root):
    rows = base_rows()
    for row in rows:
        row |= {"label": f"{row['label']}.0", "has_signal": str(row["has_signal"]).upper()}
        row |= {"prompt": f"one\ntwo, {row['scenario_id']}", "escalate": bool(row["escalate"])}
    take(write_csv(rows, root / "d.csv", "utf-8-sig"), root)
    table = recorded_sources.load("theirs", root)
    assert table["label"].to_pylist() == [i % 2 for i in range(12)]
    assert table["prompt"][0].as_py() == "one\ntwo, s0"
    assert table["model"][0].as_py() == "model 0"


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "values", "column", "rule"),
    [
        (3, {"label": 2}, "label", "label must be 0 or 1"),
        (3, {"label": None}, "label", "label must be given"),
        (3, {"label": 300}, "label", "label must be 0 or 1"),
        (3, {"prediction": -1}, "prediction", "prediction must be 0 or 1"),
        (3, {"prediction": None}, "prediction", "prediction must be given where the status is ok"),
        (3, {"escalate": None}, "escalate", "escalate must be given where the status is ok"),
        (3, {"escalate": 3}, "escalate", "escalate must be 0 or 1"),
        (3, {"signal_accuracy": 75.0}, "signal_accuracy", "looks like a percentage: divide by 100"),
        (3, {"signal_accuracy": None}, "signal_accuracy", "signal_accuracy must be given"),
        (3, {"signal_accuracy": -0.25}, "signal_accuracy", "must be a fraction from 0 to 1"),
        (3, {"has_signal": None}, "has_signal", "has_signal must be given"),
        (3, {"model": ""}, "model", "model must be given"),
        (3, {"domain": None}, "domain", "domain must be given"),
        (3, {"condition": ""}, "condition", "condition must be given"),
        (3, {"condition": "c0 "}, "condition", "neither be blank nor begin or end with a space"),
        (3, {"scenario_id": None}, "scenario_id", "must be given in every row, or in none"),
    ],
)
@pytest.mark.parametrize(
    "kind", ["csv", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("jsonl", "parquet"))]
)
def test_a_value_out_of_range_is_named_with_its_row(root, kind, row, values, column, rule):
    said = refusal(WRITERS[kind](changed(row, **values), root / f"d.{kind}"), root)
    assert f"column {column}: " in said
    assert rule in said
    assert f"row {row + (2 if kind == 'csv' else 1)}: found" in said
    assert "1 row breaks this" in said


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_values_out_of_range_are_named_with_their_rows_in_other_formats(root, kind):
    rows = base_rows()
    rows[3]["label"], rows[5]["signal_accuracy"], rows[8]["condition"] = 300, 75.0, "c0 "
    said = refusal(WRITERS[kind](rows, root / f"d.{kind}"), root)
    for row, rule in (
        (4, "column label: label must be 0 or 1; 1 row breaks this"),
        (6, "looks like a percentage: divide by 100; 1 row breaks this"),
        (9, "neither be blank nor begin or end with a space; 1 row breaks this"),
    ):
        assert f"row {row}: found" in said.partition(rule)[2].splitlines()[1]


@pytest.mark.parametrize(
    ("values", "rule", "found"),
    [
        ({"label": "yes"}, "must be a whole number", "found 'yes'"),
        ({"label": "0.5"}, "must be a whole number", "found '0.5'"),
        ({"signal_accuracy": "75%"}, "must be a finite number", "divide by 100"),
        ({"signal_accuracy": "0,75"}, "must be a finite number", "use a decimal point"),
        ({"signal_accuracy": "nan"}, "must be a finite number", "leave missing values empty"),
        ({"has_signal": "2"}, "must be true or false (or 1 or 0)", "found '2'"),
        ({"has_signal": "maybe"}, "must be true or false (or 1 or 0)", "found 'maybe'"),
    ],
)
def test_mixed_types_are_named_with_their_rows(root, values, rule, found):
    said = refusal(write_csv(changed(4, **values), root / "d.csv"), root)
    assert rule in said
    assert "row 6: found" in said
    assert found in said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"label": "1"}, "mixes texts with numbers or truth values"),
        ({"condition": 7}, "mixes texts with numbers or truth values; it must hold texts only"),
        ({"label": [1]}, "must hold single values"),
        ({"model": {"name": "m"}}, "must hold single values"),
    ],
)
def test_mixed_types_in_json_are_named_with_their_lines(root, values, said):
    found = refusal(write_jsonl(changed(4, **values), root / "d.jsonl"), root)
    assert said in found
    assert "row 5: found" in found


def test_lines_that_are_no_objects_are_named(root):
    path = write_jsonl(base_rows(), root / "d.jsonl")
    with path.open("a", encoding="utf-8") as file:
        file.write('\n[1]\n{"model": \n{"label": NaN}\n{"a": 1, "a": 2}\n{"model": "\\ud800"}\n')
    said = refusal(path, root)
    assert "each line must be one JSON object; 4 rows break this" in said
    for piece in ("row 14: found a list", "row 15:", "NaN is not valid JSON", "duplicate key"):
        assert piece in said
    assert "half of a surrogate pair" in said


def test_a_parquet_column_of_lists_is_refused(root):
    rows = base_rows()
    for row in rows:
        row["label"] = [row["label"]]
    said = refusal(write_parquet(rows, root / "d.parquet"), root)
    assert "column label: must hold texts, numbers or truth values, not the type BIGINT[]" in said


def test_types_of_parquet_that_convert_exactly_are_taken(root):
    table = pa.Table.from_pylist([row | {"tags": ["a", "b"]} for row in base_rows()])
    for name, kind in {"signal_accuracy": pa.float32(), "label": pa.bool_()}.items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(kind))
    pq.write_table(table, root / "d.parquet")
    take(root / "d.parquet", root)
    found = recorded_sources.load("theirs", root)
    assert found["signal_accuracy"].to_pylist()[:3] == [0.6, 0.75, 0.9]
    assert found["label"].to_pylist()[:3] == [0, 1, 0]


@pytest.mark.parametrize("kind", WRITERS)
def test_columns_that_lack_are_all_named_with_what_may_be_meant(root, kind):
    rows = [
        {"Label": row.pop("label"), "human": row.pop("prediction"), **row} for row in base_rows()
    ]
    said = refusal(WRITERS[kind](rows, root / f"d.{kind}"), root)
    assert (
        "column label, prediction: are missing (is 'Label' for label meant?); there are: model, "
        "domain, condition, scenario_id, signal_accuracy, has_signal, escalate, Label, human"
    ) in said


def test_other_separators_and_columns_without_a_name_are_said(root):
    path = write_csv(base_rows(), root / "d.csv")
    path.write_text(path.read_text("utf-8").replace(",", ";"), "utf-8")
    assert "values must be separated by commas, not semicolons" in refusal(path, root)
    write_csv([{"": i, **row} for i, row in enumerate(base_rows())], path)
    assert take(path, root)["warnings"] == ["a column without a name is ignored"]


def test_a_column_that_stands_there_twice_is_refused(root):
    path = root / "d.csv"
    path.write_text("model,label,Label\nm,1,0\n", "utf-8")
    assert "more than one column label, Label" in refusal(path, root)


def test_all_problems_are_said_at_once_and_ten_rows_of_each(root):
    rows = base_rows(40)
    for i in range(15):
        rows[i]["label"] = 2
    rows[20]["signal_accuracy"] = 80
    rows[21]["has_signal"] = "perhaps"
    rows[22]["escalate"] = 7
    said = refusal(write_csv(rows, root / "d.csv"), root)
    assert "label must be 0 or 1; 15 rows break this" in said
    assert "and 5 more" in said
    for piece in ("row 22: found signal_accuracy = 80", "row 23: found 'perhaps'", "row 24: found"):
        assert piece in said
    assert "the header is row 1" in said


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"status": "fine"}, "status must be one of ok, forced"),
        ({"status": None}, "status must be given"),
        ({"cost_ratio": 1}, "cost_ratio must be above 1"),
        ({"cost_ratio": 0.25}, "cost_ratio must be above 1"),
        ({"intervention": "baseline", "has_signal": False}, "without one it is no_signal"),
        ({"intervention": "no_signal"}, "has_signal must be false where"),
        ({"intervention": "cost_framing"}, "cost_ratio must be given where"),
        ({"replicate": -1}, "replicate must be 0 or more"),
    ],
)
def test_optional_columns_are_held_to_their_rules(root, values, rule):
    rows = [row | {"has_signal": True, "status": "ok", "replicate": 0} for row in base_rows()]
    rows = [row | {"intervention": "baseline", "cost_ratio": None} for row in rows]
    rows[2] |= values
    said = refusal(write_csv(rows, root / "d.csv"), root)
    assert rule in said
    assert "row 4: found" in said


def test_what_did_not_end_well_may_lack_its_prediction(root):
    rows = [row | {"status": "ok"} for row in base_rows()]
    for row, status in zip(rows, ("unparsed", "truncated", "refused", "error"), strict=False):
        row |= {"status": status, "prediction": None, "escalate": None}
    about = take(write_csv(rows, root / "d.csv"), root)
    assert about["statuses"] == {"error": 1, "ok": 8, "refused": 1, "truncated": 1, "unparsed": 1}


def test_files_that_cannot_be_read(root):
    (root / "empty.csv").write_text("", "utf-8")
    (root / "header.csv").write_text(",".join(base_rows()[0]) + "\n", "utf-8")
    (root / "empty.jsonl").write_text("\n", "utf-8")
    (root / "odd.parquet").write_text("no parquet", "utf-8")
    (root / "latin.csv").write_bytes(b"model\nQu\xe9bec\n")
    for name in ("empty.csv", "header.csv", "empty.jsonl", "odd.parquet", "latin.csv"):
        assert name in refusal(root / name, root)
    (root / "d.xlsx").write_text("x", "utf-8")
    for name in ("d.xlsx", "absent.csv", "expectations"):
        with pytest.raises(UsageError, match=name):
            take(root / name, root)


# --- duplicate rows ---------------------------------------------------------------


@pytest.mark.parametrize("kind", WRITERS)
def test_a_dialogue_that_stands_there_twice_is_refused(root, kind):
    rows = [*base_rows(), base_rows()[4]]
    said = refusal(WRITERS[kind](rows, root / f"d.{kind}"), root)
    assert "a dialogue may stand once: give repeats of it a replicate each; 2 rows" in said
    first = 1 + (kind == "csv")
    assert f"row {first + 4}: found" in said
    assert f"row {first + 12}: found" in said
    rows = [row | {"replicate": 0} for row in rows]
    rows[-1]["replicate"] = 1
    assert take(WRITERS[kind](rows, root / f"d.{kind}"), root)["n_rows"] == 13


def without_ids(n: int, prompts: bool) -> Rows:
    shuffler = random.Random(4)  # noqa: S311
    rows = base_rows(n)
    for i, row in enumerate(rows):
        del row["scenario_id"]
        row |= {"label": shuffler.randrange(2), "escalate": shuffler.randrange(2)}
        row |= {"prompt": f"case {i}"} if prompts else {}
    return rows


@pytest.mark.parametrize("prompts", [True, False])
@pytest.mark.parametrize("times", [2, 3])
def test_a_file_that_was_pasted_again_is_refused(root, prompts, times):
    said = refusal(write_csv(without_ids(30, prompts) * times, root / "d.csv"), root)
    assert (
        f"the same 30 rows {'twice' if times == 2 else 'three times'}, again from row 32 on" in said
    )


def test_rows_that_follow_a_pattern_were_not_pasted(root):
    rows = base_rows(48)
    for row in rows:
        del row["scenario_id"]
    about = take(write_csv(rows, root / "d.csv"), root)
    assert "no scenario_id, and no prompt in every row" in " ".join(about["warnings"])


def test_prompts_name_scenarios_where_nothing_else_does(root):
    rows = without_ids(30, prompts=True)
    rows = [row | {"model": name} for row in rows for name in ("a", "b")] + [
        rows[0] | {"model": "a"}
    ]
    about = take(write_csv(rows, root / "d.csv"), root)
    assert "dialogues of one domain with the same prompt and label" in about["warnings"][0]
    assert "1 of 61 rows (1.6%) are identical to an earlier one" in about["warnings"][1]
    table = recorded_sources.load("theirs", root)
    a, b = (table.filter(pc.field("model") == name) for name in "ab")
    assert a["scenario_id"].to_pylist()[:30] == b["scenario_id"].to_pylist()
    assert a["replicate"].to_pylist() == [0] * 30 + [1]


# --- whether texts belong together -------------------------------------------------------------


def with_texts(n: int = 120) -> Rows:
    shuffler = random.Random(9)  # noqa: S311
    rows = base_rows(n)
    for row in rows:
        score, city = shuffler.randrange(300, 850), shuffler.choice(["Oslo", "Lima", "Turin"])
        row["prompt"] = f"The applicant from {city} has a score of {score} and asks for $5,000."
        row["prediction_text"] = f"A score of {score} in {city} is enough. PREDICTION: 1"
    return rows


def shuffled(rows: Rows, share: float = 1.0) -> Rows:
    """The rows, with prompts shuffled within model and condition."""
    shuffler = random.Random(3)  # noqa: S311
    rows = [dict(row) for row in rows]
    for key in sorted({(row["model"], row["condition"]) for row in rows}):
        own = [row for row in rows if (row["model"], row["condition"]) == key]
        moved = shuffler.sample(own, int(share * len(own)))
        prompts = [row["prompt"] for row in moved]
        for row, prompt in zip(moved, prompts[1:] + prompts[:1], strict=True):
            row["prompt"] = prompt
    return rows


def test_answers_that_belong_to_their_prompts_are_not_warned_of(root):
    about = take(write_csv(with_texts(), root / "d.csv"), root)
    assert about["warnings"] == []
    assert [check["verdict"] for check in about["text_check"]] == ["belong", "belong"]
    assert [check["own_share"] for check in about["text_check"]] == [1.0, 1.0]


@pytest.mark.parametrize(("n", "share", "how"), [(120, 1, "in another one"), (400, 0.3, "about")])
def test_prompts_shuffled_against_their_answers_are_noticed(root, n, share, how):
    write_csv(shuffled(with_texts(n), share), root / "d.csv")
    code, _, err = command("import", "d.csv", "--as", "theirs")
    assert code == 0
    for model in ("model 0", "model 1"):
        [said] = [line for line in err.splitlines() if line.startswith(f"warning: {model}: ")]
        assert "answers do not seem to match their prompts. tickets:" in said
        assert how in said
        assert re.search(
            r"[\d,]+ of [\d,]+ answers with quotations quote something that their prompt", said
        )
        assert re.search(r"e\.g\. rows \d+, \d+, \d+", said)
    code, out, _ = command("profile", "model 0", "--source", "theirs", "--json")
    notes = json.loads(out)["notes"]
    assert any("On reading: model 0: answers do not seem" in note for note in notes)
    assert not any("model 1" in note for note in notes)


def test_a_model_whose_texts_belong_is_not_blamed_for_the_other(root):
    rows = with_texts()
    moved = shuffled([row for row in rows if row["model"] == "model 1"])
    rows = [row for row in rows if row["model"] == "model 0"] + moved
    about = take(write_csv(rows, root / "d.csv"), root)
    assert list(about["model_warnings"]) == ["model 1"]


def test_answers_that_quote_nothing_cannot_be_checked(root):
    rows = [row | {"prediction_text": "It looks fine. PREDICTION: 1"} for row in with_texts()]
    [said, _] = take(write_csv(rows, root / "d.csv"), root)["warnings"]
    assert "model 0: the match of answers and prompts cannot be checked in tickets" in said
    assert "answers quote too few numbers" in said


def _as_file(table: pa.Table, prompts: np.ndarray, path: Path) -> Path:
    place = table.column_names.index("prompt")
    pq.write_table(table.set_column(place, "prompt", pa.array(prompts.tolist())), path)
    return path


@pytest.mark.parametrize(
    ("within", "share"),
    [
        pytest.param((), 0.0, marks=pytest.mark.long),
        pytest.param((), 1.0, marks=pytest.mark.long),
        (("condition",), 0.2),
    ],
)
def test_real_answers_at_their_own_prompts_and_at_others(root, recorded, within, share):
    table = pq.read_table(recorded / "transcripts.parquet")
    prompts = np.array(table["prompt"].to_pylist(), dtype=object)
    rng = np.random.default_rng(11)
    keys = ["model", "domain", "has_signal", *within]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, row in enumerate(table.select(keys).to_pylist()):
        groups.setdefault(tuple(row.values()), []).append(i)
    for members in groups.values():
        moved = rng.permutation(members)[: int(share * len(members))]
        prompts[moved] = prompts[rng.permutation(moved)]
    checks = take(_as_file(table, prompts, root / "t.parquet"), root)["text_check"]
    assert len(checks) == 7
    for check in checks:
        wanted = {0.0: {"belong"}, 0.2: {"some_foreign"}, 1.0: {"as_chance"}}[share]
        assert check["verdict"] in wanted, check


# --- what is kept ------------------------------------------------------------------------------


def test_importing_again(root):
    write_csv(base_rows(), root / "d.csv")
    assert command("import", "d.csv", "--as", "theirs")[0] == 0
    before = read_json(root / "data/recorded/theirs/about.json")
    code, out, _ = command("import", "d.csv", "--as", "theirs")
    assert code == 0
    assert out.startswith("already imported: d.csv as theirs, 12 rows")
    assert read_json(root / "data/recorded/theirs/about.json") == before
    write_csv(base_rows(24), root / "d.csv")
    code, out, err = command("import", "d.csv", "--as", "theirs")
    assert (code, out) == (3, "")
    assert "exists already, imported from another file" in err
    assert "--replace" in err
    (root / "data/recorded/theirs/report").mkdir()
    assert command("import", "d.csv", "--as", "theirs", "--replace")[0] == 0
    assert recorded_sources.load("theirs", root).num_rows == 24
    assert sorted(p.name for p in (root / "data/recorded").iterdir()) == ["theirs"]
    assert sorted(p.name for p in (root / "data/recorded/theirs").iterdir()) == [
        "about.json",
        "decisions.parquet",
    ]


def test_a_refused_replacement_leaves_what_there_was(root):
    take(write_csv(base_rows(), root / "d.csv"), root)
    with pytest.raises(DataError):
        take(write_csv(changed(1, label=2), root / "e.csv"), root, replace=True)
    assert recorded_sources.load("theirs", root).num_rows == 12


@pytest.mark.parametrize("name", ["pipeline", "Theirs", "../theirs", "", "a b", ".hidden"])
def test_a_source_needs_a_name_that_can_be_one(root, name):
    file = write_csv(base_rows(), root / "d.csv")
    with pytest.raises(UsageError, match="--as takes a name"):
        take(file, root, name)


def test_an_import_that_was_stopped_leaves_nothing_half_written(root):
    take(write_csv(base_rows(), root / "d.csv"), root)
    folder = root / "data" / "recorded"
    # As a kill leaves it: half of a new one, and the old one set aside for it.
    (folder / ".theirs.partial").mkdir()
    (folder / ".theirs.partial" / "decisions.parquet.partial").write_text("half", "utf-8")
    (folder / "theirs").rename(folder / ".theirs.before.partial")
    assert recorded_sources.names(root) == ["theirs"]
    assert recorded_sources.load("theirs", root).num_rows == 12
    take(write_csv(base_rows(24), root / "d.csv"), root, replace=True)
    assert [path.name for path in folder.iterdir()] == ["theirs"]


@pytest.mark.slow
def test_a_killed_import_can_be_done_again(root):
    write_csv(with_texts(2000), root / "d.csv")
    arguments = ("import", "d.csv", "--as", "theirs")
    for wait in (1.0, 4.0):
        process = subprocess.Popen([*COMMAND, *arguments], cwd=root, env=environment())
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert recorded_sources.names(root) in ([], ["theirs"])
    assert command(*arguments)[0] == 0
    assert recorded_sources.load("theirs", root).num_rows == 2000


# --- commands ----------------------------------------------------------------------------------


def test_import_prints_what_came_in_and_what_to_do_next(root):
    rows = [row | {"batch": 1, "note": "=1+1"} for row in base_rows()]
    write_csv(rows, root / "d.csv")
    code, out, err = command("import", "d.csv", "--as", "theirs")
    assert code == 0
    assert "imported: d.csv as theirs, 12 rows" in out
    assert "models: model 0 (6), model 1 (6)" in out
    assert "interventions: baseline (9), no_signal (3)" in out
    assert "escalometer profile 'model 0' --source theirs" in out
    assert "warning: unknown columns are stored in extra.parquet: batch, note" in err
    code, out, _ = command("import", "d.csv", "--as", "theirs", "--json")
    about = json.loads(out)
    assert code == 0
    assert about["unknown_columns"] == ["batch", "note"]
    assert about["is_new"] is False


def test_a_refusal_exits_4_and_prints_nothing_on_standard_output(root):
    write_csv(changed(1, label="\x1b[31mred"), root / "d.csv")
    code, out, err = command("import", "d.csv", "--as", "theirs", "--json")
    assert (code, out) == (4, "")
    assert "row 3: found" in err
    assert "\x1b" not in err


def test_hostile_cells_are_shown_and_never_run(root):
    hostile = "<script>alert(1)</script>\x1b[2J =cmd|' /C calc'!A0 \u202eevil"
    rows = [row | {"model": hostile, "prompt": hostile, "x\x1b[31m": 1} for row in with_texts()]
    write_csv(rows, root / "d.csv")
    code, out, err = command("import", "d.csv", "--as", "theirs")
    assert code == 0
    assert "\x1b" not in out + err
    assert "\u202e" not in out + err
    assert "⟨U+001B⟩" in out
    code, out, _ = command("report", "--source", "theirs")
    assert code == 0
    page = Path(out.strip()).read_text("utf-8")
    assert "<script>" not in page
    assert "\x1b" not in page
    code, out, _ = command("profile", hostile, "--source", "theirs")
    assert code == 0
    assert "\x1b" not in out


def test_profile_of_a_source_names_what_there_is(root):
    take(write_csv(base_rows(), root / "d.csv"), root)
    wanted = {
        ("profile", "nope", "--source", "theirs"): "unknown model 'nope'. There are: model 0, mod",
        ("profile", "m", "--source", "others"): "unknown source 'others'. Did you mean 'theirs'?",
        ("report", "--source", "nope"): "There are: pipeline, theirs.",
        ("profile", "model 0", "--source", "theirs", "--domains", "x"): "There are: tickets.",
    }
    for arguments, message in wanted.items():
        code, out, err = command(*arguments)
        assert (code, out) == (3, "")
        assert message in err
    code, out, _ = command(
        *("profile", "model 0", "--source", "theirs", "--domains", "tickets", "--json")
    )
    assert code == 0
    assert json.loads(out)["source"] == "theirs"
    assert json.loads(out)["n_decisions"] == 6
    code, out, _ = command(
        *("profile", "model 0", "--source", "theirs", "--pool-isolated", "--json")
    )
    assert code == 0
    assert any("as in the study" in note for note in json.loads(out)["notes"])


def test_the_report_of_a_source_says_where_its_rows_are_from(root):
    about = take(write_csv(shuffled(with_texts()), root / "d.csv"), root)
    code, out, _ = command("report", "--source", "theirs", "--out", "page")
    assert code == 0
    page = (root / "page" / "index.html").read_text("utf-8")
    assert out.strip() == str(root / "page" / "index.html")
    for piece in (about["sha256"], "d.csv", "model 0", "model 1", "answers do not seem to match"):
        assert piece in page
    assert 'id="conditions"' not in page
    assert "Sample dialogues" in page


def test_recorded_decisions_of_the_paper_come_in(root, recorded):
    about = take(recorded / "decisions.parquet", root)
    assert about["n_rows"] == 118_304
    assert recorded_sources.models_of("theirs", root) == ["Qwen3.5-4B", "Qwen3.5-9B", "gpt-5-mini"]


def test_cleaning_up_keeps_what_was_imported():
    recipe = (ROOT / "Makefile").read_text("utf-8").split("clean:", 1)[1]
    assert "recorded" not in recipe
    assert "data/ " not in recipe
