"""Commands on a file of decisions, in a folder that is no project: results, messages, leftovers."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from escalometer.schema import RECORDED
from tests.command_line import COMMAND, environment, run
from tests.conftest import ROOT
from tests.releases import release

Rows = list[dict[str, Any]]

COLUMNS = (
    *("model", "domain", "condition", "scenario_id", "signal_accuracy"),
    *("has_signal", "label", "prediction", "escalate"),
)


def dialogues(model: str, n: int = 30, **about: Any) -> Rows:
    rows = release(model, n=n, domains=("claims",), **about)
    return [{name: row[name] for name in COLUMNS} for row in rows]


OLD, NEW = dialogues("old"), dialogues("new", skill=-0.2)


def as_csv(rows: Rows) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_jsonl(rows: Rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_parquet(rows: Rows) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


FORMATS = {"csv": as_csv, "jsonl": as_jsonl, "parquet": as_parquet}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in; home and temporary files are next to it."""
    for name in ("work", "home", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return tmp_path / "work"


def found_in(folder: Path) -> set[str]:
    """The files below the folder, its home and the folder of temporary files."""
    root = folder.parent
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}


def profile_of(folder: Path, *arguments: str) -> dict[str, Any]:
    done = run(folder, "profile", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def pipe(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


# --- the same result from every file -----------------------------------------------------------


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The profile of the old release, from a Parquet file."""
    folder = tmp_path_factory.mktemp("expected")
    (folder / "d.parquet").write_bytes(as_parquet(OLD))
    found = profile_of(folder, "d.parquet")
    assert found.pop("source") == "d.parquet"
    return found


@pytest.mark.parametrize(
    ("name", "kind", "is_packed"),
    [
        ("d.csv", "csv", False),
        ("d.jsonl", "jsonl", False),
        ("D.CSV.gz", "csv", True),
        ("d.jsonl.gz", "jsonl", True),
        ('my "décisions" o\'brien ß.parquet', "parquet", False),
        ("[1]*?.csv", "csv", False),
    ],
)
def test_every_format_and_name_gives_the_same_profile(folder, expected, name, kind, is_packed):
    data = FORMATS[kind](OLD)
    (folder / name).write_bytes(gzip.compress(data) if is_packed else data)
    (folder / "1xy.csv").write_bytes(as_csv(NEW))  # matches the name with wildcards
    before = found_in(folder)
    found = profile_of(folder, name)
    assert found.pop("source") == name
    assert found == expected
    assert found_in(folder) == before


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("is_packed", [False, True])
def test_standard_input_is_recognized(folder, expected, monkeypatch, kind, is_packed):
    data = FORMATS[kind](OLD)
    pipe(gzip.compress(data) if is_packed else data, monkeypatch)
    found = profile_of(folder, "-")
    assert found.pop("source") == "standard input"
    assert found == expected
    assert found_in(folder) == set()


def test_a_format_that_is_named_counts(folder, expected):
    (folder / "decisions").write_bytes(as_csv(OLD))
    found = profile_of(folder, "decisions", "--format", "csv")
    assert found.pop("source") == "decisions"
    assert found == expected


def test_a_table_of_the_pipeline_is_a_file_of_decisions(tmp_path, expected):
    from tests.releases import store

    store(release("old", n=30, domains=("claims",)), tmp_path)
    done = run(tmp_path, "profile", "data/decisions/old/claims.parquet", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["curve"] == expected["curve"]


# --- the same as an import ----------------------------------------------------------------------


@pytest.fixture
def project(folder: Path) -> Path:
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, folder)
    return folder


def test_a_file_and_its_import_give_the_same_documents(project):
    rows = [{**row, "note": "x"} for row in [*OLD, *NEW]]
    (project / "d.csv").write_bytes(as_csv(rows))
    assert run(project, "import", "d.csv", "--as", "d.csv").returncode == 0
    for name in ("old", "new"):
        of_source = profile_of(project, name, "--source", "d.csv")
        of_file = profile_of(project, "d.csv", "--model", name)
        notes = [document.pop("notes") for document in (of_source, of_file)]
        assert of_source == of_file
        assert notes[0][:-1] == notes[1][:-1]
        assert notes[0][-1] == "On reading: unknown columns are stored in extra.parquet: note"
        assert notes[1][-1] == "On reading: unknown columns are not read: note"
    commands = (("compare", "old", "new"), ("gate", "new", "--against", "old"))
    for command, first, *rest in commands:
        of_source = run(project, command, first, *rest, "--source", "d.csv", "--json")
        file = ("d.csv", first) if command == "compare" else ("d.csv", "--model", first)
        intervention = () if command == "compare" else ("--intervention", "cost_framing")
        if command == "gate":  # as params.yaml says; the file has none of it
            refused = run(project, command, *file, *rest, *intervention)
            assert refused.returncode == 3
            assert "unknown intervention 'cost_framing'. There are: baseline." in refused.stderr
            intervention = ("--intervention", "baseline")
            of_source = run(
                project, command, first, *rest, "--source", "d.csv", "--json", *intervention
            )
        of_file = run(project, command, *file, *rest, *intervention, "--json")
        documents = [json.loads(done.stdout) for done in (of_source, of_file)]
        for document in documents:
            document.pop("files", None)
            document.pop("judged_at", None)
        assert documents[0] == documents[1]


def test_bad_rows_are_refused_as_by_an_import(project):
    rows = [dict(row) for row in OLD]
    rows[3]["label"], rows[5]["signal_accuracy"] = 2, 75
    (project / "d.csv").write_bytes(as_csv(rows))
    imported = run(project, "import", "d.csv", "--as", "theirs")
    found = run(project, "profile", "d.csv")
    assert (imported.returncode, found.returncode) == (4, 4)
    assert found.stderr.startswith("error: invalid decisions (rows: the header is row 1, as in a ")
    said = [done.stderr.partition("spreadsheet).\n")[2] for done in (imported, found)]
    assert said[0] == said[1]
    assert "row 5: found label = 2" in said[1]
    assert not (project / "data").exists()


# --- columns of other names ---------------------------------------------------------------------


def renamed(**names: str) -> Rows:
    return [{names.get(name, name): value for name, value in row.items()} for row in OLD]


@pytest.mark.parametrize("kind", FORMATS)
def test_columns_are_mapped(folder, expected, kind):
    rows = renamed(label="outcome, final", escalate="label")
    (folder / f"d.{kind}").write_bytes(FORMATS[kind](rows))
    maps = ("--map", "label=outcome, final", "--map", "escalate=label")
    found = profile_of(folder, f"d.{kind}", *maps)
    assert found.pop("source") == f"d.{kind}"
    assert found == expected


def test_a_column_whose_name_is_taken_is_not_read(folder, expected):
    rows = [{**row, "outcome": row["label"], "label": "yes"} for row in OLD]
    (folder / "d.csv").write_bytes(as_csv(rows))
    done = run(folder, "profile", "d.csv", "--map", "label=outcome", "--json")
    assert done.returncode == 0, done.stderr
    assert "warning: d.csv: unknown columns are not read: label (not read)" in done.stderr
    assert json.loads(done.stdout)["curve"] == expected["curve"]


def test_an_import_takes_a_map_and_remembers_it(project):
    (project / "d.csv").write_bytes(as_csv(renamed(label="outcome")))
    arguments = ("import", "d.csv", "--as", "theirs")
    done = run(project, *arguments, "--map", "label=outcome", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["mapping"] == {"label": "outcome"}
    again = run(project, *arguments, "--map", "label=outcome")
    assert "already imported" in again.stdout
    other = run(project, *arguments, "--map", "label=prediction")
    assert other.returncode == 3
    assert "imported from the same file with another --map" in other.stderr


def test_columns_that_lack_are_named_with_a_map(folder):
    rows = renamed(label="outcome", escalate="Escalated", domain="x")
    (folder / "d.csv").write_bytes(as_csv(rows))
    done = run(folder, "profile", "d.csv")
    assert done.returncode == 4
    assert (
        "d.csv, column domain, label, escalate: are missing (is 'outcome' for label, 'Escalated' "
        "for escalate meant?); there are: model, condition, scenario_id, signal_accuracy, "
        "has_signal, prediction, x, outcome, Escalated; columns of other names are mapped by "
        "--map label=outcome --map escalate=Escalated"
    ) in done.stderr


def test_messages_name_both_names_of_a_column(folder):
    rows = renamed(label="outcome")
    rows[1]["outcome"] = 7
    (folder / "d.csv").write_bytes(as_csv(rows))
    done = run(folder, "profile", "d.csv", "--map", "label=outcome")
    assert done.returncode == 4
    assert "d.csv, column label ('outcome' in the file): label must be 0 or 1" in done.stderr


# --- wrong usage --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("profile gone.csv", "gone.csv does not exist"),
        ("profile old.csv --map lable=label", "unknown column 'lable'. Did you mean 'label'?"),
        ("profile old.csv --map label=lab", "old.csv has no column 'lab'. Did you mean 'label'?"),
        ("profile old.csv --map label=lab", "old.csv has: model, domain, condition, scenario_id,"),
        ("profile old.csv --map label", "--map takes NAME=COLUMN"),
        ("profile old.csv --map label=a --map label=b", "--map label is given twice: a and b"),
        (
            "profile old.csv --map label=escalate --map prediction=escalate",
            "label and prediction cannot both be the column 'escalate'",
        ),
        ("profile both.csv", "both.csv has 2 models: new (240 rows), old (240 rows)"),
        ("profile both.csv --model newest", "unknown model 'newest'"),
        ("profile old.csv --domains tickets", "unknown domain 'tickets'. There are: claims."),
        ("profile old.csv --cost-ratio 1", "'--cost-ratio': 1.0 is not in the range"),
        ("profile text", "text: unknown kind of file; its name must end in .parquet, .csv, "),
        ("compare old.csv", "compare takes two files, or a file and two of its models"),
        ("compare old.csv new", "compare takes two files, or a file and two of its models"),
        ("compare both.csv old old", "old cannot be compared with itself"),
        ("compare both.csv old new --model old", "here the models are named"),
        ("compare old.csv new.csv --out differ.txt", "must end in .csv or .parquet"),
        ("compare - -", "standard input can be read once"),
        ("gate new.csv --against used", "unknown model 'used'. There are: new."),
        ("gate new.csv --intervention thinking", "unknown intervention 'thinking'"),
        ("report old.csv --source theirs", "name one of them"),
        ("import old.csv", "--as NAME, the name of the source in this project, or --out FILE"),
        ("import old.csv --out d.csv", "its name must end in .parquet"),
    ],
)
def test_wrong_usage_says_what_is_right_and_leaves_nothing(folder, arguments, said):
    files = {"old.csv": OLD, "new.csv": NEW, "both.csv": [*OLD, *NEW], "text": OLD}
    for name, rows in files.items():
        (folder / name).write_bytes(as_csv(rows))
    before = found_in(folder)
    done = run(folder, *arguments.split())
    assert done.returncode == 3, done.stderr
    assert said in done.stderr
    assert done.stdout == ""
    assert found_in(folder) == before


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("d.csv.gz", b"\x1f\x8b broken", "d.csv.gz cannot be unpacked"),
        ("d.parquet", b"no", "d.parquet is not readable"),
        ("d.csv", b"", "d.csv is empty"),
        ("d.csv", b"model,label\n", "d.csv has a header but no rows"),
        ("-", b"", "standard input is empty"),
        ("-", b"[1, 2]", "each line must be one JSON object"),
        ("-", b"PAR1", "standard input is not readable"),
        ("-", b"\x1f\x8b broken", "standard input cannot be unpacked"),
    ],
)
def test_files_that_hold_no_decisions_are_said(folder, monkeypatch, name, data, said):
    if name == "-":
        pipe(data, monkeypatch)
    else:
        (folder / name).write_bytes(data)
    before = found_in(folder)
    done = run(folder, "profile", name)
    assert done.returncode == 4, done.stderr
    assert said in done.stderr
    assert str(folder.parent / "temporary") not in done.stderr
    assert found_in(folder) == before


def test_options_of_a_file_are_refused_for_a_model(project):
    for arguments in (
        ("profile", "m", "--map", "label=outcome"),
        ("gate", "m", "--format", "csv"),
        ("compare", "m", "n", "--cost-ratio", "4"),
        ("report", "--map", "label=outcome"),
    ):
        done = run(project, *arguments)
        assert done.returncode == 3
        assert f"belongs to a file of decisions: escalometer {arguments[0]} FILE" in done.stderr


# --- two models ---------------------------------------------------------------------------------


def test_models_of_one_file_and_of_two_are_compared(folder):
    files = {"old.csv": OLD, "new.csv": NEW, "both.csv": [*OLD, *NEW]}
    for name, rows in files.items():
        (folder / name).write_bytes(as_csv(rows))
    found = []
    for given in (("old.csv", "new.csv"), ("both.csv", "old", "new")):
        done = run(folder, "compare", *given, "--json", "--out", "differ.csv")
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
        with (folder / "differ.csv").open(newline="") as file:
            assert len(list(csv.DictReader(file))) == found[-1]["disagreements"]["n"]
    assert found[0].pop("source") == "old.csv, new.csv"
    assert found[1].pop("source") == "both.csv"
    assert found[0] == found[1]
    assert found[0]["models"] == ["old", "new"]
    assert found[0]["n_paired"] == 240


def test_a_format_is_about_the_file_without_an_ending(folder):
    (folder / "old.csv").write_bytes(as_csv(OLD))
    (folder / "new").write_bytes(as_jsonl(NEW))
    done = run(folder, "compare", "old.csv", "new", "--format", "jsonl", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n_paired"] == 240


def test_a_model_before_and_after_a_change_is_called_by_the_files(folder):
    (folder / "before.csv").write_bytes(as_csv(OLD))
    (folder / "after.jsonl").write_bytes(as_jsonl([{**row, "model": "old"} for row in NEW]))
    done = run(folder, "compare", "before.csv", "after.jsonl", "--json")
    found = json.loads(done.stdout)
    assert found["models"] == ["before.csv", "after.jsonl"]
    assert "Both sides are decisions of old; they are called by their tables." in found["notes"]
    for name in ("a", "b"):
        (folder / name).mkdir()
    (folder / "a" / "d.csv").write_bytes(as_csv([*OLD, *NEW]))
    (folder / "b" / "d.csv").write_bytes(as_csv([*OLD, *NEW]))
    done = run(folder, "compare", "a/d.csv", "b/d.csv", "--model", "new", "--json")
    found = json.loads(done.stdout)
    assert found["models"] == ["a/d.csv", "b/d.csv"]
    assert found["disagreements"]["n"] == 0
    done = run(folder, "gate", "a/d.csv", "--model", "new", "--against", "b/d.csv", "--json")
    found = json.loads(done.stdout)
    assert (found["model"], found["against"]) == ("a/d.csv", "b/d.csv")


def test_the_gate_judges_a_file_against_another(folder):
    (folder / "old.csv").write_bytes(as_csv(OLD))
    (folder / "new.csv").write_bytes(as_csv(NEW))
    arguments = ("new.csv", "--against", "old.csv", "--cost-ratio", "4", "--junit", "gate.xml")
    done = run(folder, "gate", *arguments, "--json")
    assert done.returncode == 1, done.stderr
    verdict = json.loads(done.stdout)
    assert (verdict["model"], verdict["against"], verdict["cost_ratio"]) == ("new", "old", 4)
    assert verdict["deployed"]["intervention"] == "baseline"
    assert set(verdict["files"]) == {"old.csv", "new.csv"}
    assert ET.parse(folder / "gate.xml").getroot().get("failures") != "0"  # noqa: S314
    assert found_in(folder) == {"work/old.csv", "work/new.csv", "work/gate.xml"}
    refused = run(folder, "gate", "gone.csv", "--junit", "gone.xml")
    assert refused.returncode == 3
    assert ET.parse(folder / "gone.xml").getroot().get("errors") == "1"  # noqa: S314


def test_an_intervention_is_named_where_several_can_be_deployed(folder):
    rows = [{**row, "cost_ratio": ratio} for row in OLD for ratio in (4, "")]
    for row in rows:
        row["is_thinking"] = row["cost_ratio"] == ""
    (folder / "d.csv").write_bytes(as_csv(rows))
    thinking = [row for row in rows if row["is_thinking"]]
    (folder / "one.csv").write_bytes(as_csv(thinking))
    done = run(folder, "gate", "one.csv", "--json")
    assert json.loads(done.stdout)["deployed"]["intervention"] == "thinking"
    done = run(folder, "gate", "d.csv", "--intervention", "thinking", "--json")
    assert json.loads(done.stdout)["deployed"]["intervention"] == "thinking"


# --- nothing is left behind ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ("profile both.csv --model old --full", set()),
        ("compare both.csv old new", set()),
        ("gate both.csv --model new --against old", set()),
        ("report both.csv", {"work/escalometer-report/index.html"}),
        ("report both.csv --out page", {"work/page/index.html"}),
        ("import both.csv --out checked.parquet", {"work/checked.parquet"}),
        ("power --difference 0.05", set()),
        (f"domains check {ROOT}/examples/support_tickets/support_tickets.yaml", set()),
    ],
)
def test_a_command_leaves_what_it_was_asked_to_write(folder, arguments, written):
    (folder / "both.csv").write_bytes(as_csv([*OLD, *NEW]))
    cache = str(folder.parent.parent / "cache")  # of matplotlib's fonts
    done = run(folder, *arguments.split(), ESCALOMETER_CACHE=cache)
    assert done.returncode in (0, 1), done.stderr
    assert found_in(folder) == {"work/both.csv", *written}
    if "checked.parquet" in arguments:
        assert pq.ParquetFile(folder / "checked.parquet").schema_arrow.names == RECORDED.names
        again = profile_of(folder, "checked.parquet", "--model", "old")
        assert again["n_decisions"] == len(OLD)


def test_commands_that_need_a_project_say_so(folder):
    (folder / "d.csv").write_bytes(as_csv(OLD))
    (folder / "params.yaml").write_text("lr: 0.1\n")  # of another program: it does not count
    (folder / "domains").mkdir()
    (folder / "domains" / "example.yml").write_text("a: 1\n")  # neither does this one
    assert run(folder, "profile", "d.csv").returncode == 0
    shutil.rmtree(folder / "domains")
    (folder / "params.yaml").unlink()
    for arguments in (
        ("import", "d.csv", "--as", "theirs"),
        ("profile", "old"),
        ("compare", "old", "new"),
        ("gate", "old"),
        ("report",),
    ):
        done = run(folder, *arguments)
        assert done.returncode == 3
        assert "error: no project in" in done.stderr
        assert done.stderr.count("\n") == 1
        assert found_in(folder) == {"work/d.csv"}


def test_files_are_those_of_the_folder_of_the_call(project):
    below = project / "reviews" / "2026"
    below.mkdir(parents=True)
    (below / "d.csv").write_bytes(as_csv([*OLD, *NEW]))
    found = profile_of(below, "d.csv", "--model", "old")
    assert found["source"] == "d.csv"
    for arguments in (
        ("compare", "d.csv", "old", "new", "--out", "differ.csv"),
        ("gate", "d.csv", "--model", "old", "--junit", "gate.xml"),
        ("import", "d.csv", "--out", "checked.parquet"),
    ):
        done = run(below, *arguments)
        assert done.returncode in (0, 2), done.stderr
    assert {path.name for path in below.iterdir()} == {
        *("d.csv", "differ.csv", "gate.xml", "checked.parquet")
    }
    done = run(below, "profile", "gone.csv")
    assert f"{below}/gone.csv does not exist" in done.stderr


def test_a_release_in_use_of_the_project_must_be_in_the_file(project):
    (project / "d.csv").write_bytes(as_csv(OLD))
    params = project / "params.yaml"
    text = params.read_text("utf-8")
    params.write_text(text.replace("against: null", "against: deployed"), "utf-8")
    done = run(project, "gate", "d.csv")
    assert done.returncode == 3
    assert "gate.against in params.yaml is deployed, of which d.csv has no decisions" in done.stderr


def test_a_full_disk_is_said(folder):
    """A limit of the size of files, which a process meets as it does a full disk."""
    command = f"ulimit -f 4; exec {shlex.join(COMMAND)} profile -"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(TMPDIR=os.environ["TMPDIR"]),
        input=as_csv(OLD),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert b"cannot be written: File too large. Free disk space, or set TMPDIR" in done.stderr
    assert found_in(folder) == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_leaves_nothing(folder, number):
    environ = environment(TMPDIR=os.environ["TMPDIR"])
    process = subprocess.Popen(
        [*COMMAND, "profile", "-"],
        cwd=folder,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stderr is not None
    process.stdin.write(as_csv(OLD))
    process.stdin.flush()
    deadline = time.monotonic() + 60
    while not found_in(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found_in(folder)
    process.send_signal(number)
    assert process.wait(timeout=60) == 130
    process.stdin.close()
    assert b"interrupted" in process.stderr.read()
    process.stderr.close()
    assert found_in(folder) == set()
