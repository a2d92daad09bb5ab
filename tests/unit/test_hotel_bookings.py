import csv
import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from escalometer import validation, warehouse
from escalometer.cases import catalog, form_leaks, learned_conditions, raw_files, sampling
from escalometer.cases.staging import stage_cases
from escalometer.errors import DataError
from escalometer.runtime.files import digest
from escalometer.warehouse import RawFile
from escalometer.warehouse.table_files import opened
from tests.conftest import ROOT, SHARED

DOMAIN = catalog.load("hotel_bookings")
(TABLE,) = DOMAIN.editions[0].raw_tables
REAL = SHARED / "data" / "hotel_bookings" / "hotel_bookings.csv.gz"

#: A made-up booking.
BOOKING = {
    "hotel": "City Hotel",
    "is_canceled": "0",
    "lead_time": "29",
    "arrival_date_year": "2016",
    "arrival_date_month": "July",
    "arrival_date_day_of_month": "4",
    "stays_in_weekend_nights": "2",
    "stays_in_week_nights": "3",
    "adults": "2",
    "children": "1",
    "babies": "0",
    "country": "FRA",
    "market_segment": "Offline TA/TO",
    "is_repeated_guest": "1",
    "previous_cancellations": "0",
    "previous_bookings_not_canceled": "4",
    "deposit_type": "Non Refund",
    "agent": "NULL",
    "total_of_special_requests": "1",
    "reservation_status": "Check-Out",
}


def write(path: Path, *changes: dict[str, str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, BOOKING)
        writer.writeheader()
        writer.writerows({**BOOKING, **change} for change in changes or ({},))
    return path


def staged(path: Path):
    with warehouse.connect() as connection:
        warehouse.load_raw(connection, TABLE, RawFile(path))
        return stage_cases(connection, DOMAIN, "raw", {"is_balanced": False})


@pytest.fixture(scope="module")
def cases():
    if not REAL.exists():
        pytest.skip("../shared/data is not there: the bookings are not part of this project")
    return staged(REAL)


@pytest.mark.parametrize(
    "name", ["hotel_bookings.csv", "hotels.csv", "hotel_bookings_bookings.csv"]
)
def test_the_file_is_found_under_its_published_names(tmp_path, name):
    write(tmp_path / name)
    found = raw_files.present(DOMAIN, tmp_path)
    assert found is not None
    assert found.files[TABLE.name].path.name == name


def test_a_booking_becomes_a_case(tmp_path):
    (case,) = staged(write(tmp_path / "hotels.csv")).to_pylist()
    assert case["case_id"] == "booking-00000002"
    assert case["label"] == 1
    assert DOMAIN.render(case) == (
        "Booking of a city hotel, arrival 2016-07-04, made 29 days ahead, channel: offline.\n"
        "Nights: 2 weekend, 3 week. Party: 2 adults, 1 children, 0 babies.\n"
        "Deposit: nonrefundable. Special requests: 1.\n"
        "Repeated guest: yes. Bookings before: 0 cancelled, 4 kept."
    )


@pytest.mark.parametrize("missing", ["", "NA", "NULL"])
def test_missing_children_read_as_none(tmp_path, missing):
    (case,) = staged(write(tmp_path / "hotels.csv", {"children": missing})).to_pylist()
    assert case["children"] == 0


def test_a_cancelled_booking_and_a_no_show_are_label_0(tmp_path):
    path = write(
        tmp_path / "hotels.csv",
        {"is_canceled": "1", "reservation_status": "Canceled"},
        {"is_canceled": "1", "reservation_status": "No-Show"},
    )
    assert staged(path).column("label").to_pylist() == [0, 0]


def test_a_day_that_does_not_exist_is_null_and_not_a_crash(tmp_path):
    path = write(tmp_path / "hotels.csv", {"arrival_date_day_of_month": "31"}, {})
    path.write_text(path.read_text("utf-8").replace("July,31", "June,31"), encoding="utf-8")
    assert staged(path).column("arrival_date").to_pylist() == [None, "2016-07-04"]


def test_what_is_known_after_the_decision_is_not_loaded():
    late = {
        "assigned_room_type",
        "booking_changes",
        "days_in_waiting_list",
        "required_car_parking_spaces",
        "reservation_status_date",
        "adr",
        "country",
    }
    assert not late & set(TABLE.columns)
    for name in (*late, "reservation_status"):
        assert name in DOMAIN.editions[0].provenance["left_out"] or name.endswith("_date")


def test_the_outcome_reaches_no_text_condition_or_feature(tmp_path):
    assert "final_status" in DOMAIN.private_columns
    (case,) = staged(write(tmp_path / "hotels.csv")).drop(["final_status", "label"]).to_pylist()
    DOMAIN.render(case)
    assert "final_status" not in {feature.column for feature in DOMAIN.features}
    assert not any("final_status" in condition.predicate for condition in DOMAIN.conditions)


def test_a_missing_column_is_named(tmp_path):
    path = tmp_path / "hotels.csv"
    path.write_text("hotel,is_canceled\nCity Hotel,0\n", encoding="utf-8")
    with pytest.raises(DataError, match="lacks the columns lead_time, "):
        staged(path)


def test_all_ten_percentages_are_the_published_ones(cases):
    labels = cases.column("label").to_numpy()
    members = warehouse.members(
        cases.drop(["label", "final_status", "source_row"]),
        {condition.name: condition.predicate for condition in DOMAIN.conditions},
    )
    computed = {
        name: sampling.whole_percent(int(labels[holds].sum()), int(holds.sum()))
        for name, holds in members.items()
    }
    published = {condition.name: condition.published for condition in DOMAIN.conditions}
    assert list(published.values()) == [52, 55, 62, 66, 72, 78, 82, 87, 91, 95]
    assert computed == published


def test_the_whole_file_is_staged(cases):
    assert cases.num_rows == 119_390
    assert sum(cases.column("label").to_pylist()) == 75_166
    assert all(not cases.column(name).null_count for name in cases.column_names)


def test_the_file_is_the_one_we_know():
    if not REAL.exists():
        pytest.skip("../shared/data is not there: the bookings are not part of this project")
    with opened(RawFile(REAL)) as path:
        assert digest(path) in DOMAIN.editions[0].releases


def test_every_text_has_the_same_sentences(cases):
    shapes = {re.sub(r"[a-z]+|[0-9]+", "_", DOMAIN.render(case)) for case in sample(cases)}
    assert len(shapes) == 1


def sample(cases, n=3000):
    places = np.random.default_rng(5).choice(cases.num_rows, n, replace=False)
    return cases.take(np.sort(places)).to_pylist()


def test_how_a_text_is_written_does_not_give_the_label_away(cases):
    rows = sample(cases)
    texts = [DOMAIN.render(row) for row in rows]
    found = form_leaks.estimate_leak(texts, [row["label"] for row in rows])
    assert not found.is_leak, found


def test_conditions_can_be_learned(cases):
    rows = sample(cases)
    columns = {f.column: [row[f.column] for row in rows] for f in DOMAIN.features}
    labels = [row["label"] for row in rows]
    learned = learned_conditions.learn(
        columns, labels, DOMAIN.features, n_leaves=8, min_cases=60, seed=1
    )
    assert len(learned) >= 5
    assert any("nonrefundable" in condition.phrase for condition in learned)


@pytest.mark.parametrize("is_swapped", [False, True])
def test_the_suite_refuses_swapped_labels(tmp_path, is_swapped):
    if not REAL.exists():
        pytest.skip("../shared/data is not there: the bookings are not part of this project")
    with gzip.open(REAL, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[30_000:60_000:10]
    if is_swapped:
        rows = [row | {"is_canceled": str(1 - int(row["is_canceled"]))} for row in rows]
    path = tmp_path / "hotels.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with warehouse.connect() as connection:
        warehouse.read_raw(connection, TABLE, path)
        table = connection.sql(f'from "{TABLE.name}"').to_arrow_table()
    result = validation.check(table, TABLE.name, path, folder=ROOT / "expectations")
    assert result.passed != is_swapped
    if is_swapped:
        assert "else labels are swapped; 3000 rows break this" in str(result.failures[0])
