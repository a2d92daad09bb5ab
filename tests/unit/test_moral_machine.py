import csv
import io
import re
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from escalometer import validation, warehouse
from escalometer.cases import catalog, form_leaks, learned_conditions, raw_files
from escalometer.cases.raw_files import RawFile
from escalometer.cases.staging import stage_cases
from escalometer.runtime.files import digest
from tests.conftest import ROOT, SHARED

DOMAIN = catalog.load("moral_machine")
RAW, DERIVED = DOMAIN.editions
REAL = SHARED / "data" / "moral_machine" / "derived_rows.parquet"

#: What the published file has beside the columns that are used.
UNUSED = {
    "ExtendedSessionID": "1_2.0",
    "UserID": "2.0",
    "ScenarioOrder": 7,
    "ScenarioType": "Random",
    "Template": "Desktop",
    "LeftHand": 1,
}
RESPONDENT = {
    "UserCountry3": "USA",
    "Review_age": 34,
    "Review_education": "bachelor",
    "Review_gender": "female",
    "Review_income": "under5000",
    "Review_political": 0.25,
    "Review_religious": 0.5,
}


def response(name, stay, swerve, saved_stay, signals=(0, 0), places=(0, 0), **respondent):
    """Two made-up rows, as the published file has them: `stay` and `swerve` are (level, number)."""
    return [
        {
            "ResponseID": name,
            "Intervention": way,
            "PedPed": int(places == (0, 0)),
            "Barrier": places[way],
            "CrossingSignal": signals[way],
            "AttributeLevel": level,
            "NumberOfCharacters": number,
            "Saved": saved_stay if way == 0 else 1 - saved_stay,
            **RESPONDENT,
            **respondent,
        }
        for way, (level, number) in enumerate((stay, swerve))
    ]


ROWS = [
    *response("a1", ("Female", 2), ("Male", 2), 1, (1, 2)),
    *response("b2", ("Old", 1), ("Young", 1), 0, (0, 2), (1, 0), Review_income="above100000"),
    *response("c3", ("More", 5), ("Less", 1), 1, Review_gender="others", Review_income="5000"),
    *response("d4", ("Rand", 3), ("Rand", 2), 0, (2, 1), UserCountry3="DEU"),
    *response("e5", ("High", 4), ("Low", 4), 0, (1, 0), (0, 1), Review_age=17),
    *response("f6", ("Hoomans", 1), ("Pets", 1), 1, Review_gender="male"),
    *response("g7", ("Fat", 1), ("Fit", 1), 0, Review_gender="default"),
]


def write_raw(folder: Path, rows=ROWS) -> Path:
    """The published columns in a .tar.gz, rows in any order."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*UNUSED, *ROWS[0]])
    writer.writeheader()
    writer.writerows(UNUSED | row for row in reversed(rows))
    content = text.getvalue().encode()
    path = folder / "SharedResponsesSurvey.csv.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("SharedResponsesSurvey.csv")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return path


def write_derived(folder: Path, rows=ROWS) -> Path:
    """The same responses as they were read out of prompts: less is known of them."""
    derived = [
        row
        | {"CrossingSignal": row["CrossingSignal"] if row["PedPed"] else None}
        | ({"AttributeLevel": None} if row["AttributeLevel"] in ("More", "Less", "Rand") else {})
        for row in rows
    ]
    path = folder / "derived_rows.parquet"
    pq.write_table(pa.Table.from_pylist(derived), path)
    return path


def staged(folder: Path, *, is_balanced=False):
    found = raw_files.present(DOMAIN, folder)
    assert found is not None
    with warehouse.connect() as connection:
        for table in found.edition.raw_tables:
            warehouse.load_raw(connection, table, found.files[table.name])
        values = {"is_balanced": is_balanced}
        return stage_cases(connection, DOMAIN, found.edition.name, values)


@pytest.fixture
def raw(tmp_path):
    write_raw(tmp_path)
    return staged(tmp_path)


@pytest.fixture(scope="module")
def real() -> Path:
    if not REAL.exists():
        pytest.skip("../shared/data is not there: responses are not part of this project")
    return REAL.parent


@pytest.fixture(scope="module")
def cases(real):
    return staged(real)


def shares(cases) -> dict[str, tuple[int, float]]:
    """For each condition its cases and the per cent of label 1."""
    labels = cases.column("label").to_numpy()
    hidden = {"label", "source_row", *DOMAIN.private_columns}
    shown = cases.select([name for name in cases.column_names if name not in hidden])
    members = warehouse.members(shown, {c.name: c.predicate for c in DOMAIN.conditions})
    return {
        name: (int(holds.sum()), 100 * float(labels[holds].mean()))
        for name, holds in members.items()
    }


def test_both_editions_give_equal_cases(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "derived").mkdir()
    write_raw(tmp_path / "raw")
    write_derived(tmp_path / "derived")
    for is_balanced in (False, True):
        one = staged(tmp_path / "raw", is_balanced=is_balanced).drop(["source_row"])
        other = staged(tmp_path / "derived", is_balanced=is_balanced).drop(["source_row"])
        assert one.schema == other.schema
        assert one.to_pylist() == other.to_pylist()


def test_a_response_becomes_a_case(raw):
    case = raw.to_pylist()[0]
    assert (case["case_id"], case["label"]) == ("a1", 1)
    assert DOMAIN.render(case) == (
        "A self-driving car cannot brake. It stays on course or swerves, and kills either way.\n"
        "Killed if it stays: 2, sex female, pedestrians, crossing legal.\n"
        "Killed if it swerves: 2, sex male, pedestrians, crossing illegal.\n"
        "The respondent: age 34, gender woman, country USA."
    )


def test_the_label_is_the_first_group_saved_whatever_the_order_of_rows(raw):
    wanted = {row["ResponseID"]: row["Saved"] for row in ROWS if row["Intervention"] == 0}
    assert {case["case_id"]: case["label"] for case in raw.to_pylist()} == wanted


def test_incomes_are_ranks_and_none_is_lost(raw):
    ranks = {case["case_id"]: case["income_rank"] for case in raw.to_pylist()}
    assert (ranks["a1"], ranks["b2"], ranks["c3"]) == (0, 8, 1)
    assert "income_rank" in DOMAIN.private_columns


def test_what_a_respondent_did_not_say_is_unstated(tmp_path):
    blank = {"Review_age": "", "UserCountry3": "", "Review_gender": "default"}
    write_raw(tmp_path, response("a1", ("Fit", 1), ("Fat", 1), 1, **blank))
    (case,) = staged(tmp_path).to_pylist()
    assert DOMAIN.render(case).endswith("age unstated, gender unstated, country unstated.")


@pytest.mark.parametrize("age", ["-4", "1e9", "old", "NaN"])
def test_an_age_that_is_none_is_unstated(tmp_path, age):
    write_raw(tmp_path, response("a1", ("Fit", 1), ("Fat", 1), 1, Review_age=age))
    assert staged(tmp_path).column("age").to_pylist() == [None]


def test_a_response_without_its_counterpart_is_left_out(tmp_path):
    write_raw(tmp_path, ROWS[1:])
    assert "a1" not in staged(tmp_path).column("case_id").to_pylist()
    assert staged(tmp_path).num_rows == 6


def test_a_response_that_saves_both_has_no_label(tmp_path):
    first, second = response("a1", ("Fit", 1), ("Fat", 1), 1)
    write_raw(tmp_path, [first, second | {"Saved": 1}])
    assert staged(tmp_path).column("label").to_pylist() == [None]


def test_private_facts_reach_no_text_condition_or_feature(raw):
    private = DOMAIN.private_columns
    assert private >= {"income_rank", "progressive", "religious", "education"}
    for case in raw.drop([*private, "label", "source_row"]).to_pylist():
        DOMAIN.render(case)
    assert not private & {feature.column for feature in DOMAIN.features}
    assert not any(name in c.predicate for name in private for c in DOMAIN.conditions)


def test_the_derived_file_is_the_one_we_know(real):
    assert digest(REAL) in DERIVED.releases
    assert DERIVED.is_derived
    assert not RAW.is_derived


def test_percentages_beside_the_published_ones(cases):
    computed = {name: (n, round(percent, 1)) for name, (n, percent) in shares(cases).items()}
    published = [condition.published for condition in DOMAIN.conditions]
    assert cases.num_rows == 9513
    assert published == [50, 54, 57, 64, 67, 74, 79, 84, 87, 91]
    assert computed == {
        "female_vs_male": (844, 48.0),
        "fit_vs_fat": (704, 52.0),
        "high_vs_low_status": (87, 42.5),  # so few: its 95% interval goes from 32.7 to 53.0
        "legal_crossing": (840, 66.1),
        "one_more_person": (330, 71.5),
        "young_vs_old": (770, 72.6),
        "humans_vs_pets": (817, 82.0),
        "four_plus_more": (253, 85.0),
        "legal_and_more": (74, 90.5),
        "legal_3plus_more": (43, 95.3),
    }


def test_a_balanced_order_keeps_every_label_and_percentage(real, cases):
    balanced = staged(real, is_balanced=True)
    assert balanced.drop(["is_swerve_first"]).equals(cases.drop(["is_swerve_first"]))
    assert shares(balanced) == shares(cases)
    swapped = balanced.column("is_swerve_first").to_numpy(zero_copy_only=False)
    assert not any(cases.column("is_swerve_first").to_pylist())
    assert 0.48 < swapped.mean() < 0.52
    texts = [DOMAIN.render(case) for case in balanced.to_pylist()]
    listed_first = [text.split("\n")[1].startswith("Killed if it swerves") for text in texts]
    assert listed_first == swapped.tolist()
    labels = balanced.column("label").to_numpy()
    assert abs(labels[swapped].mean() - labels[~swapped].mean()) < 0.03
    # What reads alike reads alike in either order, so that it stays one scenario.
    assert len(set(texts)) == len({DOMAIN.render(case) for case in cases.to_pylist()})


@pytest.mark.parametrize("is_balanced", [False, True])
def test_how_a_text_is_written_does_not_give_the_label_away(real, is_balanced):
    rows = staged(real, is_balanced=is_balanced).to_pylist()
    texts = [DOMAIN.render(row) for row in rows]
    found = form_leaks.estimate_leak(texts, [row["label"] for row in rows], max_rows=3000)
    assert not found.is_leak, found


def test_every_text_has_the_same_sentences(cases):
    texts = [DOMAIN.render(case) for case in cases.to_pylist()]
    assert len({re.sub(r"[a-z]+|[0-9]+", "_", text) for text in texts}) == 1
    assert np.mean([len(text) for text in texts]) < 300


def test_conditions_can_be_learned(cases):
    columns = {f.column: cases.column(f.column).to_pylist() for f in DOMAIN.features}
    labels = cases.column("label").to_pylist()
    learned = learned_conditions.learn(
        columns, labels, DOMAIN.features, n_leaves=8, min_cases=60, seed=1
    )
    assert len(learned) >= 5
    assert any("human" in condition.phrase for condition in learned)


@pytest.mark.parametrize("is_swapped", [False, True])
def test_the_suite_refuses_swapped_labels(real, tmp_path, is_swapped):
    table = pq.read_table(REAL)
    if is_swapped:
        place = table.column_names.index("Saved")
        saved = pa.array([1 - value for value in table.column("Saved").to_pylist()])
        table = table.set_column(place, "Saved", saved)
    path = tmp_path / REAL.name
    pq.write_table(table, path)
    (raw_table,) = DERIVED.raw_tables
    with warehouse.connect() as connection:
        warehouse.load_raw(connection, raw_table, RawFile(path))
        rows = connection.sql(f'from "{raw_table.name}"').to_arrow_table()
    result = validation.check(rows, raw_table.name, path, folder=ROOT / "expectations")
    assert result.passed != is_swapped
    if is_swapped:
        assert [failure.column for failure in result.failures] == ["Saved"]
        assert "else labels are swapped" in result.failures[0].rule
