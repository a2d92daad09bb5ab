import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from escalometer import validation, warehouse
from escalometer.cases import raw_files
from escalometer.cases.domains import RawTable
from escalometer.config import Params, SampleParams
from escalometer.errors import DataError
from escalometer.schema import CONDITIONS, DECISIONS, SCENARIOS, read_table, write_table
from escalometer.stages import ingest, sample, validate
from tests.absent import absent
from tests.conftest import ROOT

DOMAIN = "hmda_mortgages"
RAW = Path("data/raw/hmda_mortgages/hmda_mortgages_applications.csv")
PARAMS = Params(
    seed=1, models=("some-model",), domains=(DOMAIN,), sample=SampleParams(n_per_condition=5)
)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory) -> str:
    root = tmp_path_factory.mktemp("embedded")
    ingest.run(DOMAIN, root)
    return (root / RAW).read_text(encoding="utf-8")


def supply(root: Path, text: str | bytes) -> Path:
    path = root / RAW
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def sampled(text: str, root: Path) -> None:
    supply(root, text)
    ingest.run(DOMAIN, root)
    sample.run(DOMAIN, PARAMS, root)


def replaced(text: str, row: int, column: str, value: str) -> str:
    lines = text.splitlines()
    values = lines[row - 1].split(",")
    values[lines[0].split(",").index(column)] = value
    lines[row - 1] = ",".join(values)
    return "\n".join(lines) + "\n"


def refusal(root: Path, what: str = "raw") -> str:
    with pytest.raises(DataError) as caught:
        validate.run(what, PARAMS, root)
    assert caught.value.exit_code == 4
    assert not (root / "data" / "validation" / f"{what}.json").exists()
    with absent("great_expectations"), pytest.raises(DataError) as in_sql:
        validate.run(what, PARAMS, root)
    assert str(in_sql.value) == str(caught.value)
    return str(caught.value)


def test_good_rows_pass(embedded, tmp_path):
    supply(tmp_path, embedded)
    validate.run("raw", PARAMS, tmp_path)
    record = json.loads((tmp_path / "data/validation/raw.json").read_text())
    assert record["tables"] == [
        {
            "table": "hmda_mortgages_applications",
            "file": RAW.as_posix(),
            "n_rows": 2380,
            "n_expectations": 29,
            "success": True,
        }
    ]


def test_an_invalid_label_names_file_row_and_rule(embedded, tmp_path):
    supply(tmp_path, replaced(replaced(embedded, 17, "deny", "maybe"), 40, "deny", "perhaps"))
    message = refusal(tmp_path)
    assert str(tmp_path / RAW) in message
    assert "column deny: deny must be yes or no; 2 rows break this" in message
    assert "row 17: found deny = 'maybe'" in message
    assert "row 40: found deny = 'perhaps'" in message


def test_a_changed_file_fails_after_an_earlier_success(embedded, tmp_path):
    supply(tmp_path, embedded)
    validate.run("raw", PARAMS, tmp_path)
    supply(tmp_path, replaced(embedded, 2, "chist", "9"))
    assert "a code from 1 (best) to 6" in refusal(tmp_path)


def test_all_broken_rules_are_reported_together(embedded, tmp_path):
    text = replaced(replaced(embedded, 5, "lvrat", "-1"), 6, "afam", "")
    supply(tmp_path, text)
    message = refusal(tmp_path)
    assert "row 5: found lvrat = -1" in message
    assert "afam must be given" in message
    assert "row 6: found afam = nothing" in message


def test_offending_rows_that_are_not_listed_are_counted(embedded, tmp_path):
    supply(tmp_path, embedded.replace("\nno,", "\nnope,"))
    message = refusal(tmp_path)
    assert "2095 rows break this" in message
    assert "and 2085 more" in message


def test_a_missing_column_is_reported_with_the_present_columns(embedded, tmp_path):
    supply(tmp_path, embedded.replace("lvrat", "loan_to_value", 1))
    message = refusal(tmp_path)
    assert f"{tmp_path / RAW}, row 1: lacks the column lvrat; it has deny, pirat" in message
    for stage in (
        lambda: ingest.run(DOMAIN, tmp_path),
        lambda: sample.run(DOMAIN, PARAMS, tmp_path),
    ):
        with pytest.raises(DataError, match="lacks the column lvrat"):
            stage()


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_file_is_refused(text, tmp_path):
    supply(tmp_path, text)
    assert "is empty: it needs a header row" in refusal(tmp_path)


def test_a_file_with_only_a_header_is_refused(embedded, tmp_path):
    supply(tmp_path, embedded.splitlines()[0] + "\n")
    assert "has a header but no rows" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("chist", "two", "a whole number"),
        ("chist", "2.5", "a whole number"),
        ("pirat", "a third", "a finite number"),
        ("pirat", "nan", "a finite number"),
    ],
)
def test_a_value_of_a_wrong_type_names_row_and_column(embedded, tmp_path, column, value, rule):
    supply(tmp_path, replaced(embedded, 33, column, value))
    message = refusal(tmp_path)
    assert (
        f"{tmp_path / RAW}, row 33: column {column!r} must be {rule} (found {value!r})" in message
    )


def test_a_row_with_too_many_values_is_refused(embedded, tmp_path):
    lines = embedded.splitlines()
    lines[8] += ",yes,yes"
    path = supply(tmp_path, "\n".join(lines) + "\n")
    message = refusal(tmp_path)
    assert f"{path} is not readable" in message
    assert "9" in message


def test_a_file_that_is_not_text_is_refused(embedded, tmp_path):
    path = supply(tmp_path, embedded.encode() + b"\xff\xfe\x00\n")
    assert str(path) in refusal(tmp_path)


def test_additional_columns_are_ignored(embedded, tmp_path):
    lines = [
        line + (",source_row" if i == 0 else ",x") for i, line in enumerate(embedded.splitlines())
    ]
    # Spreadsheets write a byte order mark and these line ends.
    supply(tmp_path, "\ufeff" + "\r\n".join(lines) + "\r\n")
    validate.run("raw", PARAMS, tmp_path)


def test_the_error_for_a_missing_file_states_how_to_get_it(tmp_path):
    assert "escalometer stage ingest" in refusal(tmp_path)


def test_parquet_is_accepted_in_place_of_csv(tmp_path):
    raw = RawTable("t", {"n": "INTEGER", "name": "VARCHAR"})
    table = pa.table({"name": ["a", "b"], "n": [1.0, 2.0], "other": [0, 0]})
    write_table(table, table.schema, tmp_path / "t.parquet")
    connection = warehouse.connect()
    assert warehouse.load_raw(connection, raw, raw_files.table_file(raw, tmp_path)) == 2
    assert connection.table("t").fetchall() == [(1, 1, "a"), (2, 2, "b")]
    (tmp_path / "u.parquet").write_bytes(b"PAR1 no PAR1")
    with pytest.raises(DataError, match=r"u\.parquet is not readable"):
        warehouse.read_raw(connection, raw, tmp_path / "u.parquet")


def test_scenarios_pass_and_a_drawn_scenario_outside_eval_fails(embedded, tmp_path):
    sampled(embedded, tmp_path)
    validate.run("scenarios", PARAMS, tmp_path)
    record = json.loads((tmp_path / "data/validation/scenarios.json").read_text())
    assert [table["table"] for table in record["tables"]] == [DOMAIN, "conditions", "scenarios"]
    path = tmp_path / "data" / "scenarios" / DOMAIN / "scenarios.parquet"
    rows = read_table(path, SCENARIOS).to_pylist()
    place = next(i for i, row in enumerate(rows) if row["split"] == "signal" and row["conditions"])
    rows[place]["drawn_for"] = rows[place]["conditions"]
    rows[0]["label"] = 26
    write_table(rows, SCENARIOS, path)
    message = refusal(tmp_path, "scenarios")
    assert "empty outside the eval split" in message
    assert f"row {place + 1}, scenario_id {rows[place]['scenario_id']}" in message
    assert "label must be a whole number from 0 to 25" in message


def test_a_label_outside_the_domain_is_refused(embedded, tmp_path):
    sampled(embedded, tmp_path)
    path = tmp_path / "data" / "scenarios" / DOMAIN / "table.parquet"
    table = pq.read_table(path)
    place = table.column_names.index("label")
    labels = pa.array([2, *table.column("label").to_pylist()[1:]], table.schema.field(place).type)
    changed = table.set_column(place, table.schema.field(place), labels)
    write_table(changed, changed.schema, path)
    message = refusal(tmp_path, "scenarios")
    assert f"{path}, column label" in message
    assert "found label = 2" in message


def test_a_text_in_two_splits_is_refused(embedded, tmp_path):
    sampled(embedded, tmp_path)
    path = tmp_path / "data" / "scenarios" / DOMAIN / "scenarios.parquet"
    rows = read_table(path, SCENARIOS).to_pylist()
    signal, train = (
        next(row for row in rows if row["split"] == split and row["n_cases"] == 1)
        for split in ("signal", "train")
    )
    train["text"] = signal["text"]
    write_table(rows, SCENARIOS, path)
    message = refusal(tmp_path, "scenarios")
    assert "a text must stand in one split alone; 2 rows break this" in message
    assert f"scenario_id {signal['scenario_id']}" in message
    assert f"scenario_id {train['scenario_id']}" in message


def test_a_signal_percentage_that_differs_from_its_rows_is_refused(embedded, tmp_path):
    sampled(embedded, tmp_path)
    path = tmp_path / "data" / "scenarios" / DOMAIN / "conditions.parquet"
    rows = read_table(path, CONDITIONS).to_pylist()
    first = rows[0]
    percent = round(100 * first["signal_accuracy"])
    first["signal_accuracy"] = (percent + 1) / 100
    first["signal"] = first["signal"].replace(f" {percent}%", f" {percent + 1}%")
    write_table(rows, CONDITIONS, path)
    message = refusal(tmp_path, "scenarios")
    assert "must be the one computed from the signal split's rows; 1 row breaks this" in message
    assert f"condition {first['condition']}" in message


def decision(**changes) -> dict:
    return {
        "model": "some-model", "domain": DOMAIN, "edition": "e", "condition": "c",
        "scenario_id": "0" * 16,
        "intervention": "baseline", "replicate": 0, "signal_accuracy": 0.7, "has_signal": True,
        "is_thinking": False, "is_isolated": False, "reasoning_effort": None, "cost_ratio": None,
        "framing": None, "force_answer": False, "label": 1, "prediction": 1, "escalate": 0,
        "status": "ok", "detail": None, "stated_confidence": None, "prediction_probability": None,
        "escalate_probability": None, "resolved_model": None, "prompt": "p",
        "prediction_text": "t", "decision_prompt": "d", "decision_text": "t",
        "prediction_thinking": None, "decision_thinking": None,
        "n_prompt_tokens": 1, "n_completion_tokens": 1, "cost_usd": 0.0,
        "latency_s": 0.1, **changes,
    }  # fmt: skip


def decide(root: Path, *rows: dict) -> None:
    path = root / "data" / "decisions" / "some-model" / f"{DOMAIN}.parquet"
    write_table(list(rows), DECISIONS, path)


def test_decisions_pass_with_every_status(tmp_path):
    decide(
        tmp_path,
        decision(),
        decision(intervention="cost_framing", cost_ratio=4.0, framing="ratio"),
        decision(intervention="length_control", framing="words"),
        decision(intervention="length_control", framing="ratio"),
        decision(scenario_id="1" * 16, status="forced", force_answer=True, escalate=1),
        decision(scenario_id="2" * 16, status="unparsed", escalate=None, detail="turn 2: empty"),
        decision(scenario_id="3" * 16, status="error", detail="turn 1: error: cut off",
                 prediction=None, escalate=None,
                 prediction_text=None, decision_text=None, decision_prompt=None),
    )  # fmt: skip
    validate.run("decisions", PARAMS, tmp_path)
    record = json.loads((tmp_path / "data/validation/decisions.json").read_text())
    assert record["tables"][0]["n_rows"] == 7


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"escalate": None}, "escalate must be given where the status is ok or forced"),
        ({"prediction": None}, "prediction must be given where the status is ok or forced"),
        ({"status": "unparsed"}, "escalate must be empty unless the status is ok or forced"),
        ({"status": "fine"}, "status must be one of ok, forced"),
        ({"status": "refused", "escalate": None}, "detail must say why"),
        ({"detail": "turn 2: empty"}, "detail must be empty where the status is ok or forced"),
        ({"stated_confidence": 70.0}, "stated_confidence must be between 0 and 1"),
        ({"escalate_probability": -0.1}, "escalate_probability must be between 0 and 1"),
        ({"label": 26}, "label must be a whole number from 0 to 25"),
        ({"prediction": -1}, "prediction must be a whole number from 0 to 25"),
        ({"signal_accuracy": 70.0}, "signal_accuracy must be between 0 and 1"),
        ({"cost_ratio": 4.0}, "framing must be given where cost_ratio is"),
        ({"framing": "words"}, "framing must be empty where neither a cost nor a filler"),
        ({"status": "forced"}, "force_answer must be true where the status is forced"),
    ],
)
def test_decisions_that_break_a_rule_are_reported(tmp_path, changes, rule):
    decide(tmp_path, decision(), decision(scenario_id="f" * 16, **changes))
    message = refusal(tmp_path, "decisions")
    assert rule in message
    assert f"row 2, scenario_id {'f' * 16}, intervention baseline" in message


def test_tables_that_pass_are_validated_without_great_expectations(embedded, tmp_path):
    sampled(embedded, tmp_path)
    decide(tmp_path, decision(), decision(scenario_id="1" * 16, status="forced", force_answer=True))
    script = f"""
import sys
from pathlib import Path
from tests.integration.test_validation import PARAMS
from escalometer.stages import validate
for kind in ("raw", "scenarios", "decisions"):
    validate.run(kind, PARAMS, Path({str(tmp_path)!r}))
assert "escalometer.warehouse.suites" in sys.modules
assert "great_expectations" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_sql_confirms_every_status_and_great_expectations_agrees(tmp_path):
    rows = [decision(), decision(scenario_id="2" * 16, status="refused", escalate=None, detail="d")]
    table = validation.number_rows(pa.Table.from_pylist(rows, schema=DECISIONS))
    suite = validation.read_suite("decisions", ROOT / "expectations")
    assert warehouse.satisfies(table, suite)
    assert validation.evaluated(table, suite, "decisions", Path("d")).passed


def test_a_duplicate_dialogue_is_refused(tmp_path):
    decide(tmp_path, decision(), decision())
    assert "a dialogue may stand once; 2 rows break this" in refusal(tmp_path, "decisions")


def test_an_empty_table_of_decisions_is_refused(tmp_path):
    decide(tmp_path)
    assert "the table must have rows" in refusal(tmp_path, "decisions")


def test_an_expectation_that_cannot_be_evaluated_fails(tmp_path):
    suite = {
        "name": "t",
        "expectations": [
            {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "absent"}}
        ],
    }
    (tmp_path / "t.json").write_text(json.dumps(suite))
    table = validation.number_rows(pa.table({"a": [1]}))
    result = validation.check(table, "t", Path("t.csv"), folder=tmp_path)
    assert not result.passed
    assert "not evaluated" in str(result.failures[0])
    assert "absent" in str(result.failures[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"name": "t", "expectations": []}', "has no expectations"),
        ('{"name": "t"}', "has no expectations"),
        ("{", "is not JSON"),
        (
            '{"name": "t", "expectations": [{"type": "expect_luck", "kwargs": {}}]}',
            "unknown to Great Expectations: expect_luck",
        ),
    ],
)
def test_an_empty_suite_is_an_error(tmp_path, content, message):
    (tmp_path / "t.json").write_text(content)
    table = validation.number_rows(pa.table({"a": [1]}))
    with pytest.raises(DataError, match=message):
        validation.check(table, "t", Path("t.csv"), folder=tmp_path)


def test_the_suite_of_a_domain_is_used_if_there_is_no_file(tmp_path):
    def rule(least):
        kwargs = {"column": "a", "min_value": least}
        expectation = {"type": "expect_column_values_to_be_between", "kwargs": kwargs}
        return {"name": "t", "expectations": [expectation]}

    table = validation.number_rows(pa.table({"a": [1]}))
    given = (table, "t", Path("t.csv"), (), rule(2))
    assert not validation.check(*given, folder=tmp_path).passed
    (tmp_path / "t.json").write_text(json.dumps(rule(0)))  # a file with that name takes precedence
    assert validation.check(*given, folder=tmp_path).passed


def test_a_table_without_a_suite_is_an_error(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        validation.check(pa.table({"source_row": [1]}), "t", Path("t.csv"), folder=tmp_path)
