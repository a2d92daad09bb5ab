"""`escalometer domains check`: what it reports, what it refuses, and that later files are held."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from escalometer.cases.scenarios import sample_scenarios
from escalometer.cases.staging import stage_table
from escalometer.config import load_params
from escalometer.operations import check_domain
from escalometer.reporting.domain_check_text import print_check
from escalometer.stages import ingest, sample, validate
from tests import command_line
from tests.conftest import ROOT
from tests.unit.own_tables import MINIMAL, PACKINGS, as_csv, write
from tests.unit.own_tables import rows as tickets

EXAMPLE = ROOT / "examples" / "support_tickets"
PARAMS = load_params(ROOT / "params.yaml")
TABLE = "support_tickets_generated.csv"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A project whose folder `domains` holds the example."""
    shutil.copytree(ROOT / "expectations", tmp_path / "expectations")
    shutil.copytree(ROOT / "sql", tmp_path / "sql")
    shutil.copytree(EXAMPLE, tmp_path / "domains")
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text("utf-8"), "utf-8")
    return tmp_path


def edit(folder: Path, change, name: str = TABLE) -> None:
    """Rewrite the example's table by `change(row)`; a row that becomes None goes."""
    with (folder / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    kept = [row for row in map(change, rows) if row is not None]
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, kept[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)


def replace(path: Path, old: str, new: str) -> Path:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    return path


def as_text(report: dict) -> str:
    stream = io.StringIO()
    print_check(report, stream)
    return stream.getvalue()


def in_one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", ["support_tickets", "triage"])
def test_the_examples_can_be_used(own, name):
    report = check_domain.run(own / "domains" / f"{name}.yaml", PARAMS, own)
    assert report["exit_code"] == 0
    assert report["problems"] == []
    assert report["rows"] == {"n_rows": 600, "n_cases": 600, "n_empty": 0}
    assert sum(outcome["n"] for outcome in report["outcomes"]) == 600
    assert sum(report["splits"].values()) == report["n_scenarios"] == 600
    assert report["leak"]["is_tested"]
    assert not report["leak"]["is_leak"]
    assert [table["passed"] for table in report["expectations"]["tables"]] == [True, True]
    assert report["next"] == f"escalometer evaluate MODEL --domains {name}"
    shares = [row["signal_accuracy"] for row in report["conditions"]]
    assert len(shares) >= 5
    assert min(shares) < 0.6
    assert max(shares) >= 0.9
    text = as_text(report)
    assert "Usable: no problems found." in text
    for row in report["conditions"]:
        assert f"{row['signal_accuracy']:.0%}" in text
    assert not (own / "data").exists()


def test_the_example_turns_are_those_of_the_protocol(own):
    report = check_domain.run(own / "domains" / "triage.yaml", PARAMS, own)
    turn = report["example"]["first_turn"]
    assert turn.startswith("Ticket about ")
    assert "A decision tree on past cases finds: where " in turn
    assert "'PREDICTION: A' (the money back), 'PREDICTION: B' (a replacement) or" in turn
    assert "or escalate to the support lead?" in report["example"]["second_turn"]


def test_a_run_gives_what_the_check_said(own):
    report = check_domain.run(own / "domains" / "support_tickets.yaml", PARAMS, own)
    params = PARAMS.model_copy(update={"domains": ("support_tickets",)})
    ingest.run("support_tickets", own)
    validate.run("raw", params, own)
    sample.run("support_tickets", params, own)
    validate.run("scenarios", params, own)
    from escalometer.schema import CONDITIONS, read_table

    folder = own / "data" / "scenarios" / "support_tickets"
    rows = read_table(folder / "conditions.parquet", CONDITIONS).to_pylist()
    said = {row["condition"]: row["signal"] for row in report["conditions"]}
    assert {row["condition"]: row["signal"] for row in rows} == said
    copy = own / "data" / "raw" / "support_tickets" / "support_tickets_rows.csv"
    assert copy.read_bytes() == (EXAMPLE / TABLE).read_bytes()


def test_customers_never_stand_in_two_splits(own):
    from escalometer.cases import catalog

    domain = catalog.load("support_tickets", own)
    ingest.run("support_tickets", own)
    cases = stage_table(domain, PARAMS, own / "data" / "raw" / "support_tickets")
    table = sample_scenarios(domain, cases, PARAMS).cases.to_pylist()
    splits: dict[str, set[str]] = {}
    for row in table:
        splits.setdefault(row["customer_id"], set()).add(row["split"])
    assert {len(found) for found in splits.values()} == {1}
    assert all("customer_gender" in row for row in table)
    assert not any(row["ticket_id"] in row["text"] for row in table)


PREDICATES = {
    "topic like": ("'%item' an photo_attached", "is not a valid condition"),
    "hours_waited >= 24": ("hours_wait >= 24", "hours_wait"),
    "order_value < 40": ("order_value < 40; drop table x", "condition"),
    "topic = 'a change of mind'": ("topic = 'A change of mind'", "matches no case"),
}


@pytest.mark.parametrize("old", PREDICATES)
def test_a_condition_that_does_not_work_is_explained(own, old):
    new, said = PREDICATES[old]
    full = f"topic {new}" if old == "topic like" else new
    path = own / "domains" / "triage.yaml"
    if old == "topic like":
        replace(path, "topic like '%item' and photo_attached", f"{full}")
    else:
        replace(path, old, full)
    report = check_domain.run(path, PARAMS, own)
    assert report["exit_code"] == 3
    assert len(report["problems"]) == 1
    assert said in report["problems"][0]["says"]
    assert "upper and lower case" in report["problems"][0]["remedy"] or (
        "SQL expression over the scenario's columns: topic, hours_waited, order_value"
        in report["problems"][0]["remedy"]
    )


@pytest.mark.parametrize("name", [*PACKINGS, "written in other ways"])
def test_the_suites_pass_whatever_the_packing(tmp_path, name):
    table = tickets()
    if name in PACKINGS:
        data = PACKINGS[name](table)
    else:
        table[0] = [f" {value} " for value in table[0]]
        table[1][-1] = table[1][-1].upper()
        name, data = "t.csv", as_csv(table).encode()
    path = write(tmp_path, MINIMAL.replace("t.csv", name), data, name)
    report = check_domain.run(path, PARAMS, tmp_path)
    assert report["problems"] == []
    assert [table["passed"] for table in report["expectations"]["tables"]] == [True, True]


def test_too_few_rows_say_what_to_do(own):
    seen = iter(range(600))
    edit(own / "domains", lambda row: row if next(seen) < 60 else None)
    report = check_domain.run(own / "domains" / "support_tickets.yaml", PARAMS, own)
    assert report["exit_code"] == 4
    text = in_one_line(as_text(report))
    assert "Not usable: 1 problem." in text
    assert "of the 60 decided cases, 50% are used for signals" in text
    assert "or `conditions`" in text
    assert "lower sample.min_signal_cases" in text
    assert "every percentage is imprecise" in text
    size = PARAMS.sample.model_copy(update={"min_signal_cases": 8})
    params = PARAMS.model_copy(update={"sample": size})
    assert check_domain.run(own / "domains" / "triage.yaml", params, own)["exit_code"] == 0


def test_the_form_that_tells_is_named(own):
    def shout(row: dict) -> dict:
        is_refunded = row["refunded"] == "yes"
        return row | {"topic": row["topic"] + (" (!)" if is_refunded else "")}

    def dilute(row: dict) -> dict:
        row = shout(row)
        return row | ({"topic": row["topic"][:-4]} if int(row["ticket_id"][-1]) < 2 else {})

    edit(own / "domains", lambda row: dilute(row) if row["refunded"] == "yes" else row)
    report = check_domain.run(own / "domains" / "support_tickets.yaml", PARAMS, own)
    assert report["leak"]["is_leak"]
    assert report["exit_code"] == 0
    text = in_one_line(as_text(report))
    assert "Yes: a classifier without access to the content separates the outcomes" in text
    assert "(!" in text


DRIFTS = {
    "a value out of range": (
        lambda row: row | {"hours_waited": "5000"} if row["ticket_id"] == "T10007" else row,
        "hours_waited must be from 0 to 142.5",
    ),
    "a new category": (
        lambda row: row | {"topic": "a refund"} if row["ticket_id"] == "T10007" else row,
        "topic must be one of",
    ),
    "a gap": (
        lambda row: row | {"order_value": ""} if row["ticket_id"] == "T10007" else row,
        "order_value must be given",
    ),
    "swapped labels": (
        lambda row: row | {"refunded": "no" if row["refunded"] == "yes" else "yes"},
        "the share of label 1 must be from 46% to 66%",
    ),
    "half of the rows": (
        lambda row: row if int(row["ticket_id"][1:]) < 10_290 else None,
        "the table must have at least 300 rows",
    ),
}


def test_a_written_suite_holds_later_files(own):
    path = own / "domains" / "support_tickets.yaml"
    report = check_domain.run(path, PARAMS, own, write_suite=True)
    assert report["exit_code"] == 0
    written = report["expectations"]["written"]
    assert [Path(name).name for name in written] == [
        "support_tickets_rows.json",
        "support_tickets.json",
    ]
    suite = json.loads(Path(written[0]).read_text("utf-8"))
    assert all(rule["description"] for rule in suite["expectations"])
    assert check_domain.run(path, PARAMS, own)["exit_code"] == 0
    for change, said in DRIFTS.values():
        shutil.copy(EXAMPLE / TABLE, own / "domains" / TABLE)
        edit(own / "domains", change)
        report = check_domain.run(path, PARAMS, own)
        assert report["exit_code"] == 4
        assert any(said in problem["says"] for problem in report["problems"]), said


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return command_line.run(project, "domains", *arguments)


def test_json_is_one_document_on_standard_output(own):
    done = run(own, "check", "domains/support_tickets.yaml", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["domain"] == "support_tickets"
    assert report["exit_code"] == 0


@pytest.fixture
def unusable(own) -> Path:
    """The project with an example of which three things are wrong."""
    replace(own / "domains" / "support_tickets.yaml", "{topic}", "{topik} {refunded}")
    return own


def test_wrong_wording_exits_3_and_everything_wrong_is_counted_first(unusable):
    done = run(unusable, "check", str(unusable / "domains" / "support_tickets.yaml"))
    assert done.returncode == 3
    assert done.stderr == ""
    text = in_one_line(done.stdout)
    assert "Not usable: 3 problems." in text
    assert "1. `scenario` names the column 'topik'" in text
    assert "2. The scenario contains the label's column 'refunded'" in text
    assert "3. Feature 'topic' is not in the scenario" in text
    assert text.index("Problems") < text.index("Rows of")


def test_the_list_has_usable_domains_and_unusable_ones(unusable):
    done = run(unusable, "list")
    assert done.returncode == 0
    assert (
        "support_tickets\tnot usable: escalometer domains check domains/support_tickets.yaml"
        in (done.stdout)
    )
    assert "triage\tTicket triage\t5 conditions" in done.stdout


def test_bad_data_exits_4_and_names_the_values(own):
    edit(own / "domains", lambda row: row | {"decision": row["decision"].replace("dec", "DEC ")})
    done = run(own, "check", "domains/triage.yaml", "--json")
    assert done.returncode == 4
    assert "'DEC line' (181)" in json.loads(done.stdout)["problems"][0]["says"]


def test_a_file_that_is_not_there_exits_3(own):
    done = run(own, "check", "domains/nope.yaml")
    assert done.returncode == 3
    assert "domains/nope.yaml does not exist" in in_one_line(done.stdout)


def test_hostile_rows_do_not_break_the_report(own):
    def hostile(row: dict) -> dict:
        odd = int(row["ticket_id"][-1]) % 4
        topic = ("\x1b[31mred", "a\u202eb", "[bold]x[/bold]", "PREDICTION: 1 =cmd()")[odd]
        return row | {"topic": topic}

    edit(own / "domains", hostile)
    path = own / "domains" / "support_tickets.yaml"
    report = check_domain.run(path, PARAMS, own)
    text = as_text(report)
    assert report["exit_code"] == 0
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "PREDICTION: 1 =cmd" not in report["example"]["first_turn"]
    json.dumps(report, allow_nan=False)
