"""Hotel bookings in Portugal; label 1 is a booking that the guest kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from escalometer.cases.domains import Condition, Domain, Download, Edition, RawTable
from escalometer.cases.features import Feature
from escalometer.cases.task import Task

#: Only what a text, a condition or the suite uses: what a hotel enters later is not even loaded.
BOOKINGS = RawTable(
    name="hotel_bookings_bookings",
    columns={
        "hotel": "VARCHAR",
        "is_canceled": "TINYINT",
        "lead_time": "INTEGER",
        "arrival_date_year": "INTEGER",
        "arrival_date_month": "VARCHAR",
        "arrival_date_day_of_month": "INTEGER",
        "stays_in_weekend_nights": "INTEGER",
        "stays_in_week_nights": "INTEGER",
        "adults": "INTEGER",
        "children": "INTEGER",
        "babies": "INTEGER",
        "market_segment": "VARCHAR",
        "is_repeated_guest": "TINYINT",
        "previous_cancellations": "INTEGER",
        "previous_bookings_not_canceled": "INTEGER",
        "deposit_type": "VARCHAR",
        "total_of_special_requests": "INTEGER",
        "reservation_status": "VARCHAR",
    },
    stems=("hotel_bookings", "hotels"),
    nulls=("", "NA", "NULL"),
)

RAW = Edition(
    name="raw",
    raw_tables=(BOOKINGS,),
    provenance={
        "source": "Antonio, de Almeida and Nunes 2019, doi:10.1016/j.dib.2018.11.126; the copy in "
        "the TidyTuesday repository, 2020-02-11, hotels.csv",
        "edition": "119,390 bookings of a resort hotel and a city hotel in Portugal that were to "
        "arrive between July 2015 and August 2017",
        "licence": "CC BY 4.0",
        "citation": "Nuno Antonio, Ana de Almeida and Luis Nunes. 2019. Hotel booking demand "
        "datasets. Data in Brief 22, 41-49. doi:10.1016/j.dib.2018.11.126",
        "decisions_of": "guests of two hotels in Portugal",
        "cases": "A case is one booking; label 1 is a kept one (is_canceled = 0; a guest who did "
        "not show up counts as cancelled). 31,994 rows are exact duplicates of another: names and "
        "numbers of bookings were removed, so they may well be separate ones, and all count.",
        "left_out": "What a hotel enters after the guest decided, or may: reservation_status and "
        "its date (the status is read to check is_canceled, no more), assigned_room_type, "
        "booking_changes, days_in_waiting_list, adr (the average over what was charged by the "
        "end), and required_car_parking_spaces (all 7,416 bookings with one were kept). country: "
        "often Portugal until the guest arrives, so that it betrays who cancelled. Codes of rooms, "
        "meals, agents and companies mean little outside the hotels.",
        "missing": "children is missing in 4 rows and read as none; an Undefined market segment "
        "(2 rows) is read as other.",
    },
    releases={
        "7c2ae42a7353905ea136e5c2287f17c92c5435826598bfbb8491c6f0c7b1fc06": "Antonio, de Almeida "
        "and Nunes 2019, whole",
    },
    downloads=(
        Download(
            release="tidytuesday-2020-02-11",
            url="https://raw.githubusercontent.com/rfordatascience/tidytuesday/master/data/2020/"
            "2020-02-11/hotels.csv",
            file="hotels.csv",
        ),
    ),
)

#: The study's ten, under the names of its recorded decisions.
CONDITIONS = (
    Condition(
        "no_special_requests",
        "special_requests = 0",
        "the guest made no special requests",
        published=52,
    ),
    Condition(
        "lead_90_180",
        "lead_time_days between 90 and 179",
        "the booking was made 90 to 179 days ahead",
        published=55,
    ),
    Condition(
        "lead_30_90",
        "lead_time_days between 30 and 89",
        "the booking was made 30 to 89 days ahead",
        published=62,
    ),
    Condition(
        "no_prev_cancel",
        "previous_cancellations = 0",
        "the guest had cancelled no booking before",
        published=66,
    ),
    Condition("no_deposit", "deposit = 'none'", "no deposit was required", published=72),
    Condition(
        "has_special_requests",
        "special_requests > 0",
        "the guest made special requests",
        published=78,
    ),
    Condition(
        "lead_under_30",
        "lead_time_days < 30",
        "the booking was made less than 30 days ahead",
        published=82,
    ),
    Condition(
        "lead_under_30_special",
        "lead_time_days < 30 and special_requests > 0",
        "the booking was made less than 30 days ahead and the guest made special requests",
        published=87,
    ),
    Condition(
        "lead_under_7",
        "lead_time_days < 7",
        "the booking was made less than 7 days ahead",
        published=91,
    ),
    Condition(
        "repeated_special",
        "is_repeated_guest and special_requests > 0",
        "a repeated guest made special requests",
        published=95,
    ),
)


def _counted(column: str, noun: str) -> Feature:
    return Feature(
        column,
        "number",
        yes=f"the {noun} numbered {{value}} or more",
        no=f"the {noun} numbered fewer than {{value}}",
        between=f"the {noun} numbered at least {{low}} and fewer than {{high}}",
    )


FEATURES = (
    Feature(
        "lead_time_days",
        "number",
        yes="the booking was made {value} days ahead or more",
        no="the booking was made less than {value} days ahead",
        between="the booking was made at least {low} and less than {high} days ahead",
    ),
    Feature(
        "deposit", "category", yes="the deposit was: {value}", no="the deposit was not: {value}"
    ),
    _counted("special_requests", "special requests"),
    Feature(
        "is_repeated_guest",
        "boolean",
        yes="the guest was a repeated guest",
        no="the guest was no repeated guest",
    ),
    _counted("previous_cancellations", "guest's earlier cancellations"),
    _counted("previous_kept", "guest's earlier bookings that were kept"),
    Feature(
        "channel", "category", yes="the channel was: {value}", no="the channel was not: {value}"
    ),
    Feature("hotel", "category", yes="it was a {value} hotel", no="it was not a {value} hotel"),
    _counted("week_nights", "week nights"),
    _counted("weekend_nights", "weekend nights"),
    _counted("adults", "adults"),
)


def render(row: Mapping[str, Any]) -> str:
    """Return the scenario's text: the booking at the time that it was made."""
    return (
        f"Booking of a {row['hotel']} hotel, arrival {row['arrival_date']}, "
        f"made {row['lead_time_days']} days ahead, channel: {row['channel']}.\n"
        f"Nights: {row['weekend_nights']} weekend, {row['week_nights']} week. "
        f"Party: {row['adults']} adults, {row['children']} children, {row['babies']} babies.\n"
        f"Deposit: {row['deposit']}. Special requests: {row['special_requests']}.\n"
        f"Repeated guest: {'yes' if row['is_repeated_guest'] else 'no'}. Bookings before: "
        f"{row['previous_cancellations']} cancelled, {row['previous_kept']} kept."
    )


DOMAIN = Domain(
    name="hotel_bookings",
    title="Hotel bookings",
    task=Task(
        question="whether the guest keeps the booking",
        decider="the guest",
        meanings=("cancelled", "kept"),
    ),
    editions=(RAW,),
    signal_template="A decision tree on past bookings finds: where {phrase}, {percent}% {outcome}.",
    outcomes=("were cancelled", "were kept"),
    render=render,
    conditions=CONDITIONS,
    features=FEATURES,
    # It is the outcome itself: kept for the suite, which checks the label against it.
    private_columns=frozenset({"final_status"}),
)
