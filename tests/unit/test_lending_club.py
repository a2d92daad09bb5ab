import csv
import re
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from escalometer import validation, warehouse
from escalometer.cases import catalog, form_leaks, learned_conditions, raw_files
from escalometer.cases.staging import stage_cases
from escalometer.errors import DataError
from escalometer.runtime.files import digest
from escalometer.warehouse import RawFile
from escalometer.warehouse.table_files import opened
from tests.conftest import ROOT, SHARED

DOMAIN = catalog.load("lending_club")
RAW, DERIVED = DOMAIN.editions
ACCEPTED, REJECTED = RAW.raw_tables
(APPLICATIONS,) = DERIVED.raw_tables
SQL = ROOT / "sql"
REAL = SHARED / "data" / "lending_club"
ABSENT = "../shared/data is not there: the applications are not part of this project"
REAL_FILES = {
    "raw": [(ACCEPTED, "accepted_sample_5k.csv.gz"), (REJECTED, "rejected_sample_5k.csv.gz")],
    "derived": [(APPLICATIONS, "derived_applications.parquet")],
}

#: Made-up applications.
LOAN = {
    "id": "101",
    "loan_amnt": "9600.0",
    "purpose": "debt_consolidation",
    "emp_length": "10+ years",
    "dti": "17.14",
    "fico_range_low": "720.0",
    "fico_range_high": "724.0",
}
REQUEST = {
    "Amount Requested": "5000.0",
    "Loan Title": "Please consolidate my bills",
    "Risk_Score": "617.0",
    "Debt-To-Income Ratio": "44%",
    "Employment Length": "< 1 year",
}
PROMPTED = {
    "loan_amnt": "9600",
    "purpose": "debt_consolidation",
    "emp_length": "10+ years",
    "dti": "17.1",
    "fico": "720",
    "accepted": "1",
}
FEATURES = [feature.column for feature in DOMAIN.features]


def write(path: Path, template: dict[str, str], *changes: dict[str, str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, template)
        writer.writeheader()
        writer.writerows(template | change for change in changes or ({},))
    return path


def load(connection, files):
    for raw_table, path in files:
        warehouse.load_raw(connection, raw_table, RawFile(path))


def staged(edition, files):
    with warehouse.connect() as connection:
        load(connection, files)
        return stage_cases(connection, DOMAIN, edition, {})


def raw_cases(folder: Path, accepted=({},), rejected=({},)):
    files = [
        (ACCEPTED, write(folder / "accepted_x.csv", LOAN, *accepted)),
        (REJECTED, write(folder / "rejected_x.csv", REQUEST, *rejected)),
    ]
    return staged("raw", files).to_pylist()


def rejected_cases(folder: Path, *changes: dict[str, str]):
    # As many accepted ones, so that every one is drawn.
    cases = raw_cases(folder, [{"id": str(i)} for i in range(len(changes))], changes)
    return [case for case in cases if case["label"] == 0]


@pytest.fixture(scope="module", params=["raw", "derived"])
def real(request):
    if not REAL.exists():
        pytest.skip(ABSENT)
    files = [(table, REAL / name) for table, name in REAL_FILES[request.param]]
    return request.param, staged(request.param, files)


def test_an_accepted_and_a_rejected_application_become_cases(tmp_path):
    accepted, rejected = raw_cases(tmp_path)
    assert (accepted["case_id"], accepted["label"]) == ("accepted-00000002", 1)
    assert (rejected["case_id"], rejected["label"]) == ("rejected-00000002", 0)
    assert DOMAIN.render(accepted) == (
        "Application for a personal loan of $9,500.\n"
        "Purpose: debt consolidation.\n"
        "Years employed (10 for any more): 10.\n"
        "Debt-to-income ratio: 17.1%. Credit score: 720."
    )
    assert DOMAIN.render(rejected) == (
        "Application for a personal loan of $5,000.\n"
        "Purpose: debt consolidation.\n"
        "Years employed (10 for any more): 0.\n"
        "Debt-to-income ratio: 44.0%. Credit score: 615."
    )


def test_both_editions_give_the_same_cases(tmp_path):
    raw = raw_cases(tmp_path)
    path = write(
        tmp_path / "derived_applications.csv",
        PROMPTED,
        {},
        {
            "loan_amnt": "5000",
            "purpose": "Please consolidate my bills",
            "emp_length": "< 1 year",
            "dti": "44.0",
            "fico": "617",
            "accepted": "0",
        },
        {"emp_length": "nan"},
    )
    derived = staged("derived", [(APPLICATIONS, path)]).to_pylist()
    assert list(raw[0]) == list(derived[0])
    same = [*FEATURES, "label"]
    assert [[case[name] for name in same] for case in raw] == [
        [case[name] for name in same] for case in derived
    ]
    assert [type(value) for value in raw[0].values()] == [type(v) for v in derived[0].values()]


@pytest.mark.parametrize(
    ("title", "purpose"),
    [
        ("debt_consolidation", "debt consolidation"),
        ("Debt consolidation", "debt consolidation"),
        ("  PAY-OFF of old debts ", "debt consolidation"),
        ("Credit card refinancing", "credit card"),
        ("pay off credit cards", "credit card"),
        ("Home improvement", "home improvement"),
        ("home_improvement", "home improvement"),
        ("Major purchase", "major purchase"),
        ("Business Loan", "small business"),
        ("small_business", "small business"),
        ("Car financing", "car financing"),
        ("car", "car financing"),
        ("Medical expenses", "medical expenses"),
        ("pay off medical bills", "medical expenses"),
        ("Moving and relocation", "moving expenses"),
        ("Vacation", "vacation expenses"),
        ("Home buying", "home buying"),
        ("house", "home buying"),
        ("wedding", "wedding expenses"),
        ("Green loan", "renewable energy"),
        ("renewable_energy", "renewable energy"),
        ("educational", "educational expenses"),
        ("Learning and training", "educational expenses"),
        ("Other", "other purpose"),
        ("someone00", None),
        ("cardinal77", None),
        ("brotherhood", None),
        (" ", None),
        ("", None),
        ("DECISION: 0", None),
    ],
)
def test_a_title_in_any_spelling_gives_a_purpose_or_none(tmp_path, title, purpose):
    cases = rejected_cases(tmp_path, {"Loan Title": title})
    assert [case["purpose"] for case in cases] == ([purpose] if purpose else [])


def test_all_accepted_purposes_are_known(tmp_path):
    suite = validation.read_suite(ACCEPTED.name, ROOT / "expectations")
    (codes,) = (
        rule["kwargs"]["value_set"]
        for rule in suite["expectations"]
        if rule["type"].endswith("in_set") and rule["kwargs"]["column"] == "purpose"
    )
    assert len(codes) == 14
    accepted = [{"id": str(i), "purpose": code} for i, code in enumerate(codes)]
    cases = raw_cases(tmp_path, accepted, [{}] * len(codes))
    purposes = [case["purpose"] for case in cases if case["label"] == 1]
    assert len(set(purposes)) == len(codes)
    assert all(re.fullmatch("[a-z]+ [a-z]+", purpose) for purpose in purposes)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("Risk_Score", ""),
        ("Risk_Score", "0"),
        ("Risk_Score", "885"),
        ("Employment Length", ""),
        ("Employment Length", "n/a"),
        ("Debt-To-Income Ratio", "-1%"),
        ("Debt-To-Income Ratio", "100%"),
        ("Debt-To-Income Ratio", "9999%"),
        ("Amount Requested", "500"),
        ("Amount Requested", "100000"),
    ],
)
def test_what_is_a_code_or_lacks_leaves_the_application_out(tmp_path, column, value):
    assert rejected_cases(tmp_path, {column: value}) == []


@pytest.mark.parametrize(
    ("stated", "years"), [("< 1 year", 0), ("1 year", 1), ("9 years", 9), ("10+ years", 10)]
)
def test_employment_is_a_number_of_years(tmp_path, stated, years):
    (case,) = rejected_cases(tmp_path, {"Employment Length": stated})
    assert case["employment_years"] == years


def test_edges_of_the_scales(tmp_path):
    low, high = rejected_cases(
        tmp_path,
        {"Risk_Score": "304", "Debt-To-Income Ratio": "0%", "Amount Requested": "1000"},
        {"Risk_Score": "850", "Debt-To-Income Ratio": "193.04%", "Amount Requested": "40000"},
    )
    shown = ("credit_score", "debt_to_income", "loan_amount")
    assert [low[name] for name in shown] == [300, 0.0, 1000]
    assert [high[name] for name in shown] == [850, 193.0, 40000]


def test_lines_that_sum_up_a_quarter_are_no_cases(tmp_path):
    footer = dict.fromkeys(LOAN, "") | {"id": "Total amount funded in policy code 1: 96000"}
    cases = raw_cases(tmp_path, [{}, footer, footer], [{}])
    assert [case["case_id"] for case in cases] == ["accepted-00000002", "rejected-00000002"]


def test_equally_many_of_both_are_drawn_and_no_more_than_100_000():
    with warehouse.connect() as connection:
        connection.execute(
            "create table lending_club_accepted as select i as source_row, i % 40 * 1000.0 as "
            "loan_amnt, 'car' as purpose, '1 year' as emp_length, 20.0 as dti, 700.0 as "
            "fico_range_low from range(150000) as t (i)"
        )
        connection.execute(
            'create table lending_club_rejected as select i as source_row, 5000.0 as "Amount '
            "Requested\", 'car' as \"Loan Title\", '1 year' as \"Employment Length\", '20%' as "
            '"Debt-To-Income Ratio", 640.0 as "Risk_Score" from range(400000) as t (i)'
        )
        source = (SQL / "staging" / "lending_club__raw.sql").read_text("utf-8")
        counted = connection.sql(
            f"select label, count(*), avg(amount) from ({source}) group by label order by label"
        ).fetchall()
    for _, n, _ in counted:
        assert n == pytest.approx(100_000, rel=0.01)
    # The draw is blind to what a row holds.
    assert counted[1][2] == pytest.approx(19_500, rel=0.01)


def test_accepted_put_in_place_of_rejected_is_named(tmp_path):
    write(tmp_path / "accepted_x.csv", REQUEST)
    write(tmp_path / "rejected_x.csv", LOAN)
    found = raw_files.present(DOMAIN, tmp_path)
    assert found is not None
    with (
        warehouse.connect() as connection,
        pytest.raises(DataError, match=r"accepted_x\.csv, row 1: lacks the columns id, loan_amnt"),
    ):
        warehouse.load_raw(connection, ACCEPTED, found.files[ACCEPTED.name])


@pytest.mark.parametrize(
    ("names", "edition"),
    [
        (("accepted_2007_to_2018Q4.csv", "rejected_2007_to_2018Q4.csv"), "raw"),
        (("lending_club_accepted.csv", "lending_club_rejected.csv"), "raw"),
        (("derived_applications.csv",), "derived"),
    ],
)
def test_files_are_found_under_their_published_names(tmp_path, names, edition):
    for name in names:
        (tmp_path / name).write_text("a\n1\n", encoding="utf-8")
    found = raw_files.present(DOMAIN, tmp_path)
    assert found is not None
    assert found.edition.name == edition


def test_one_of_two_files_is_not_enough(tmp_path):
    write(tmp_path / "accepted_x.csv", LOAN)
    with pytest.raises(DataError, match=r"rejected_\*\.csv .* is missing"):
        raw_files.present(DOMAIN, tmp_path)
    assert "kaggle.com/datasets/wordsforthewise/lending-club" in RAW.instructions
    assert "data/raw/lending_club/" in RAW.instructions


def test_where_somebody_lives_is_not_even_read():
    columns = {
        name for edition in DOMAIN.editions for t in edition.raw_tables for name in t.columns
    }
    assert not any(re.search("zip|state|emp_title|issue|date", name.lower()) for name in columns)


def percentages(cases):
    labels = cases.column("label").to_numpy()
    members = warehouse.members(
        cases.drop(["label", "source_row"]), {c.name: c.predicate for c in DOMAIN.conditions}
    )
    return {name: (100 * labels[holds].mean(), int(holds.sum())) for name, holds in members.items()}


def test_percentages_are_near_the_published_ones(real):
    edition, cases = real
    published = {condition.name: condition.published for condition in DOMAIN.conditions}
    assert list(published.values()) == [51, 53, 64, 67, 75, 83, 90, 91, 92, 93]
    computed = percentages(cases)
    # The derived applications were drawn condition by condition: they are no sample of all.
    within, n_large = {"raw": (3, 8), "derived": (7, 4)}[edition]
    for name, (percent, _) in computed.items():
        assert percent == pytest.approx(published[name], abs=within), name
    assert sum(n >= 800 for _, n in computed.values()) == n_large


def test_the_real_files_are_those_we_know():
    if not REAL.exists():
        pytest.skip(ABSENT)
    for edition in DOMAIN.editions:
        for _, name in REAL_FILES[edition.name]:
            with opened(RawFile(REAL / name)) as path:
                assert digest(path) in edition.releases


def test_every_text_has_one_form(real):
    _, cases = real
    texts = [DOMAIN.render(case) for case in cases.to_pylist()]
    shapes = {re.sub(r"\d[\d,]*(\.\d)?", r"9\1", text) for text in texts}
    shapes = {re.sub(r"\.\d", ".9", re.sub("[a-z]+", "a", shape)) for shape in shapes}
    assert len(shapes) == 1
    assert max(map(len, texts)) < 200
    found = form_leaks.estimate_leak(texts, cases.column("label").to_pylist())
    assert not found.is_leak, found


def test_last_digits_do_not_tell_the_decision(real):
    """The leak test masks numbers: their last digits are looked at here."""
    _, cases = real
    label = cases.column("label").to_numpy()
    score = cases.column("credit_score").to_numpy()
    amount = cases.column("loan_amount").to_numpy()
    tenths = np.rint(10 * cases.column("debt_to_income").to_numpy()).astype(int)
    assert not (score % 5).any()
    assert not (amount % 500).any()
    # 0 as a whole is content; its last digit is not looked at.
    for ends, looked_at in (
        (score % 10, score > 0),
        (amount % 1000, amount > 0),
        (tenths % 10, tenths > 0),
    ):
        shares = [
            np.array([(ends[looked_at & (label == y)] == end).mean() for end in np.unique(ends)])
            for y in (0, 1)
        ]
        # Half the sum is the most that a guess from these digits can gain over none.
        assert np.abs(shares[0] - shares[1]).sum() / 2 < 0.07


def test_conditions_can_be_learned(real):
    _, cases = real
    columns = {name: cases.column(name).to_pylist() for name in FEATURES}
    labels = cases.column("label").to_pylist()
    learned = learned_conditions.learn(
        columns, labels, DOMAIN.features, n_leaves=10, min_cases=60, seed=1
    )
    assert len(learned) >= 5
    assert any("credit score is" in condition.phrase for condition in learned)


@pytest.mark.parametrize("edition", ["raw", "derived"])
def test_the_suites_pass_the_real_rows_and_refuse_swapped_labels(edition):
    if not REAL.exists():
        pytest.skip(ABSENT)
    files = [(table, REAL / name) for table, name in REAL_FILES[edition]]
    folder = ROOT / "expectations"
    with warehouse.connect() as connection:
        load(connection, files)
        for raw_table, path in files:
            table = connection.sql(f'from "{raw_table.name}"').to_arrow_table()
            result = validation.check(table, raw_table.name, path, folder=folder)
            assert result.passed, [str(failure) for failure in result.failures]
    if edition == "derived":
        swapped = pc.cast(pc.subtract(1, table.column("accepted")), "int8")
        place = table.schema.get_field_index("accepted")
        table = table.set_column(place, "accepted", swapped)
        result = validation.check(table, APPLICATIONS.name, path, folder=folder)
        assert all("are the labels swapped?" in str(failure) for failure in result.failures)
        assert len(result.failures) == 2
