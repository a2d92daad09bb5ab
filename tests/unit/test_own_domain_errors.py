"""Messages about a user's domain that does not work: each says what to do."""

from __future__ import annotations

import gzip
import io
import random
import zipfile

import pytest
import yaml

from escalometer.cases.own_domain import build, table_check
from escalometer.config import load_params
from escalometer.errors import DataError, UsageError
from escalometer.operations import check_domain
from escalometer.reporting.domain_check_text import print_check
from tests.conftest import ROOT
from tests.unit.own_tables import HEADER, MINIMAL, as_csv, rows, staged, write


def yaml_with(**changes) -> str:
    return yaml.safe_dump(yaml.load(MINIMAL, yaml.BaseLoader) | changes)  # noqa: S506


LABEL = {"column": "refunded", "outcomes": {"no": "kept", "yes": "refunded"}}

WRONG_YAML = {
    "a misspelt key": (MINIMAL.replace("decider", "decidr"), "Did you mean 'decider'?"),
    "a key that lacks": ("file: t.csv\n", "'scenario' is missing"),
    "an unknown key below": (
        yaml_with(features={"months": {"belw": "under {value}"}}),
        "unknown key 'features.months.belw'. Did you mean 'below'?",
    ),
    "an unknown key of an outcome": (
        yaml_with(label=LABEL | {"outcomes": {"no": {"means": "a", "singal": "b"}, "yes": "c"}}),
        "Did you mean 'signal'?",
    ),
    "no YAML": (MINIMAL.replace('"Ticket', "Ticket: "), "line 5, column"),
    "a text with a colon": (MINIMAL.replace('"Ticket', "Ticket: "), "must be quoted"),
    "a key that stands twice": (MINIMAL + "decider: she\n", "'decider' is duplicate"),
    "nothing": ("", "must have the keys file, decider, label and scenario (found nothing)"),
    "a list": ("- a\n", "found a list"),
    "a label without outcomes": (yaml_with(label="refunded"), "{0: not refunded, 1: refunded}"),
    "outcomes as a list": (
        yaml_with(label={"column": "refunded", "outcomes": ["no", "yes"]}),
        "each value in the file with its meaning",
    ),
    "one outcome": (yaml_with(label=LABEL | {"outcomes": {"no": "x"}}), "at least 2"),
    "27 outcomes": (
        yaml_with(label=LABEL | {"outcomes": {f"v{i}": f"m{i}" for i in range(27)}}),
        "at most 26",
    ),
    "outcomes that mean the same": (
        yaml_with(label=LABEL | {"outcomes": {"no": "x", "yes": "x"}}),
        "two outcomes have the same meaning: x",
    ),
    "an outcome that is a marker": (
        yaml_with(label=LABEL | {"outcomes": {"no": "x", "yes": "PREDICTION: 1"}}),
        "is reserved for the model's answer",
    ),
    "a scenario without columns": (yaml_with(scenario="Ticket"), "it contains no column"),
    "a scenario cut by a comment": (
        "scenario: Ticket #{x}\n" + MINIMAL.rpartition("sc")[0],
        "' #'",
    ),
    "an open brace": (yaml_with(scenario="Ticket {topic"), "unbalanced brace"),
    "a column that is not there": (
        yaml_with(scenario="{topik}"),
        "`scenario` names the column 'topik', which t.csv does not contain. Did you mean 'topic'? "
        "Columns: topic, months, amount, premium, comment, refunded.",
    ),
    "a format in a scenario": (yaml_with(scenario="{amount:.2f}"), "without a format"),
    "no label column": (yaml_with(label=LABEL | {"column": "refund"}), "Did you mean 'refunded'?"),
    "the label in the scenario": (
        yaml_with(scenario="{topic} {refunded}"),
        "The scenario contains the label's column 'refunded'. It reveals the label",
    ),
    "the label as a feature": (yaml_with(features=["refunded"]), "reveals the label"),
    "the label in a condition": (
        yaml_with(conditions=[{"where": "Refunded = 'yes'", "phrase": "x"}]),
        "uses the label's column 'refunded'",
    ),
    "a condition off the text": (
        yaml_with(conditions=[{"where": "comment like 'a%'", "phrase": "x"}]),
        "Add {comment} to `scenario`",
    ),
    "two conditions of one name": (
        yaml_with(conditions=[{"where": "months < 3", "phrase": "x"}] * 2),
        "two conditions have the name x",
    ),
    "a private column in the text": (yaml_with(private=["premium"]), "which is private"),
    "a private column in a condition": (
        yaml_with(private=["comment"], conditions=[{"where": "comment = 'a'", "phrase": "x"}]),
        "uses 'comment', which is private",
    ),
    "a private column that is not there": (yaml_with(private="sex"), "`private` names the column"),
    "a private feature": (yaml_with(private="comment", features=["comment"]), "is private"),
    "a feature off the text": (
        yaml_with(features=["comment", "months"]),
        "Feature 'comment' is not in the scenario. Add {comment} to `scenario`",
    ),
    "a feature of free text": (
        yaml_with(scenario="{comment}", features=["comment"]),
        "Declare `kind: words`",
    ),
    "nothing to learn from": (
        yaml_with(scenario="{comment}"),
        "no columns to learn conditions from",
    ),
    "a phrase without its value": (
        yaml_with(features={"months": {"at_least": "is old"}}),
        "`at_least` must contain {value}",
    ),
    "a phrase of another kind": (
        yaml_with(features={"months": {"is": "is {value}"}}),
        "Feature 'months' contains numbers, for which `is` is not allowed. Allowed are `at_least`",
    ),
    "values that do not come": (
        yaml_with(features={"topic": {"values": {"z": "other"}}}),
        "`values` names 'z'",
    ),
    "a signal without its slots": (yaml_with(signal="In {percent}%."), "must contain {phrase}"),
    "a decimal sign": (yaml_with(decimal=";"), "decimal"),
    "a step of nothing": (yaml_with(features={"months": {"step": 0}}), "features.months.step"),
    "a file that is not there": (yaml_with(file="nope.csv"), "Files there: t.csv."),
    "a spreadsheet": (yaml_with(file="my_tickets.yaml"), "none of .csv, .tsv and .parquet"),
    "a group that is not there": (yaml_with(group="customer"), "`group` names the column"),
    "an id that is not there": (yaml_with(id="customer"), "`id` names the column"),
}


@pytest.mark.parametrize("case", WRONG_YAML)
def test_a_wrong_yaml_file_is_explained(tmp_path, case):
    text, said = WRONG_YAML[case]
    with pytest.raises(UsageError) as error:
        build.load(write(tmp_path, text))
    assert said in str(error.value)
    assert str(tmp_path / "my_tickets.yaml") in str(error.value) or "`file` names" in str(
        error.value
    )


def _changed(row: int, column: str, value: str) -> str:
    table = rows()
    table[row][HEADER.index(column)] = value
    return as_csv(table)


WRONG_DATA = {
    "an undeclared label": (
        _changed(5, "refunded", "pending"),
        "Column 'refunded' has 1 row whose value is none of 'no', 'yes': 'pending' (1) (row 7). "
        "Add their meaning under `label: outcomes`, or list them under `label: leave_out`",
    ),
    "an absent label": (_changed(5, "refunded", ""), "nothing (1) (row 7)"),
    "a number in words": (
        _changed(5, "months", "twelve"),
        "Column 'months' contains numbers, except in row 7 ('twelve'). Correct these rows, or list "
        "such texts under `missing`",
    ),
    "a header alone": (",".join(HEADER) + "\n", "has a header but no rows"),
    "nothing at all": ("", "is empty: it needs a header"),
    "one column": ("refunded\nyes\nno\n", "found only one column"),
    "a name that stands twice": (
        as_csv(rows(), ["topic", *HEADER[1:4], "topic", "refunded"]),
        "contains 'topic' 2 times (columns 1, 5). Rename all but one.",
    ),
    "a row of other length": (
        as_csv([*rows(), ["a", "1", "2", "yes", "one, two", "yes", "no"]]),
        "each row must have 6 values like the header, but 1 does not: row 202 has 8",
    ),
    "an open quote": (as_csv(rows()) + '"x,3\n', "row 202"),
    "Latin-1": (as_csv([*rows(), ["caf\u00e9", *rows(1)[0][1:]]]).encode("latin-1"), "row 202"),
    "UTF-16": (as_csv(rows()).encode("utf-16"), "is UTF-16"),
    "a spreadsheet in disguise": (b"PK\x03\x04" + b"x" * 99, "is a spreadsheet or an archive"),
    "one outcome only": (
        as_csv([[*row[:-1], "yes"] for row in rows()]),
        "No row has the outcome not refunded. At least two outcomes must occur",
    ),
    "an empty column": (
        as_csv([[row[0], "", *row[2:]] for row in rows()]),
        "Column 'months' is empty.",
    ),
}


@pytest.mark.parametrize("case", WRONG_DATA)
def test_wrong_rows_are_explained(tmp_path, case):
    table, said = WRONG_DATA[case]
    with pytest.raises(DataError) as error:
        build.load(write(tmp_path, table=table))
    assert said in str(error.value)


@pytest.mark.parametrize("case", [*WRONG_YAML, *WRONG_DATA])
def test_the_check_says_it_and_never_breaks(tmp_path, case):
    if case in WRONG_YAML:
        text, said = WRONG_YAML[case]
        path, code = write(tmp_path, text), UsageError.exit_code
    else:
        table, said = WRONG_DATA[case]
        path, code = write(tmp_path, table=table), DataError.exit_code
    report = check_domain.run(path, load_params(ROOT / "params.yaml"), tmp_path)
    assert report["exit_code"] == code
    assert said in " ".join(f"{p['says']} {p['remedy']}" for p in report["problems"])
    stream = io.StringIO()
    print_check(report, stream)
    assert "Problems" in stream.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("t.csv.gz", b"no gzip", "cannot be unpacked"),
        ("t.csv.gz", gzip.compress(as_csv(rows()).encode())[:-20], "cannot be unpacked"),
        ("t.zip", b"no zip", "cannot be unpacked"),
        ("t.parquet", b"PAR1 no", "not readable as Parquet"),
    ],
)
def test_damaged_packings_are_explained(tmp_path, name, data, said):
    path = write(tmp_path, MINIMAL.replace("t.csv", name), data, name)
    with pytest.raises(DataError, match=said):
        build.load(path)


def test_a_zip_of_two_tables_is_refused(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.csv", "x")
        archive.writestr("b.csv", "x")
    path = write(tmp_path, MINIMAL.replace("t.csv", "t.zip"), buffer.getvalue(), "t.zip")
    with pytest.raises(DataError, match=r"found 2: a.csv, b.csv"):
        build.load(path)


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    text = yaml_with(scenario="{topic} {refunded} {amuont}", private=["topic"], id="nr")
    with pytest.raises(UsageError) as error:
        build.load(write(tmp_path, text, _changed(3, "refunded", "later")))
    for said in ("'amuont'", "'nr'", "label's column", "'topic', which is private", "'later'"):
        assert said in str(error.value)


def test_a_column_written_after_the_decision_is_refused(tmp_path):
    table = [[*row, "paid" if row[-1] == "yes" else "closed"] for row in rows()]
    text = MINIMAL.replace("{amount}", "{outcome}")
    with pytest.raises(UsageError, match="Column 'outcome' reveals the label"):
        build.load(write(tmp_path, text, as_csv(table, [*HEADER, "outcome"])))


def test_a_number_that_separates_the_outcomes_is_refused(tmp_path):
    table = [[*r, str(100 + i if r[-1] == "yes" else -i)] for i, r in enumerate(rows())]
    text = MINIMAL.replace("{amount}", "{paid}")
    with pytest.raises(UsageError, match="Column 'paid' reveals the label"):
        build.load(write(tmp_path, text, as_csv(table, [*HEADER, "paid"])))


def test_a_column_that_one_outcome_lacks_is_refused(tmp_path):
    table = [[*row, str(i) if row[-1] == "yes" else ""] for i, row in enumerate(rows())]
    text = MINIMAL.replace("{amount}", "{paid}")
    with pytest.raises(UsageError, match="it is empty for one outcome"):
        build.load(write(tmp_path, text, as_csv(table, [*HEADER, "paid"])))


def test_gaps_that_tell_much_are_pointed_out(tmp_path):
    draw = random.Random(3)  # noqa: S311
    table = rows()
    for row in table:
        row[2] = "" if draw.random() < (0.6 if row[-1] == "no" else 0.05) else row[2]
    found = table_check.inspect(write(tmp_path, table=as_csv(table)))
    assert not found.problems
    assert any("'not given' predict the label" in note for note in found.notes)


def test_numbers_with_a_decimal_comma_are_recognized(tmp_path):
    table = as_csv([[v.replace(".", ",") for v in row] for row in rows()], sep=";")
    with pytest.raises(UsageError, match=r'decimal comma: row 2 .* decimal: ","'):
        build.load(write(tmp_path, table=table))
    cases = staged(write(tmp_path, MINIMAL + 'decimal: ","\n', table), tmp_path / "raw")
    assert [case["amount"] for case in cases] == [float(row[2]) for row in rows()]


def test_dates_are_no_features(tmp_path):
    table = [[*row, f"2024-03-{i % 28 + 1:02d}"] for i, row in enumerate(rows())]
    header = [*HEADER, "day"]
    text = MINIMAL.replace("{amount}", "{day}")
    found = table_check.inspect(write(tmp_path, text, as_csv(table, header)))
    assert not found.problems
    assert "No conditions are learned from day (date)." in found.notes
    with pytest.raises(UsageError, match="days since the order"):
        build.load(write(tmp_path, text + "features: [day]\n", as_csv(table, header)))


def test_ids_that_come_twice_name_their_rows(tmp_path):
    table = [[*row, str(i % 150)] for i, row in enumerate(rows())]
    with pytest.raises(DataError, match="'0' in rows 2, 152"):
        build.load(write(tmp_path, MINIMAL + "id: no\n", as_csv(table, [*HEADER, "no"])))


def test_few_rows_are_pointed_out(tmp_path):
    found = table_check.inspect(write(tmp_path, table=as_csv(rows(60))))
    assert not found.problems
    assert any("60 decided cases every percentage is imprecise" in note for note in found.notes)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("My-Tickets.yaml", "lower-case letters, digits and _"),
        ("hmda_mortgages.yaml", "a domain that ships with it"),
        ("decisions.yaml", "a table of the pipeline"),
        ("my_tickets.yml", "<name>.yaml"),
        ("t.csv", "name the YAML file"),
        ("nope.yaml", "does not exist"),
    ],
)
def test_the_files_name_is_the_domains(tmp_path, name, said):
    source = write(tmp_path)
    if name not in ("nope.yaml", "t.csv"):
        source.rename(tmp_path / name)
    with pytest.raises(UsageError, match=said):
        build.load(tmp_path / name)
