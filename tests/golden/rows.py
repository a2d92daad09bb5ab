"""One made-up case a domain: no row of any data set, and no person's words."""

from __future__ import annotations

from typing import Any

#: Staged rows, with the columns that the domain's text states.
ROWS: dict[str, dict[str, Any]] = {
    "hmda_mortgages": {
        "payments_percent": 31.5,
        "housing_percent": 24.0,
        "loan_percent": 92.5,
        "consumer_credit": "no slow payments",
        "mortgage_credit": "no late payments",
        "has_public_bad_credit": False,
        "is_self_employed": True,
        "is_condominium": False,
    },
    "hotel_bookings": {
        "hotel": "city",
        "arrival_date": "2031-05-17",
        "lead_time_days": 44,
        "channel": "online",
        "weekend_nights": 2,
        "week_nights": 1,
        "adults": 2,
        "children": 1,
        "babies": 0,
        "deposit": "none",
        "special_requests": 1,
        "is_repeated_guest": False,
        "previous_cancellations": 0,
        "previous_kept": 3,
    },
    "lending_club": {
        "loan_amount": 12_000,
        "purpose": "home improvement",
        "employment_years": 6,
        "debt_to_income": 18.4,
        "credit_score": 668,
    },
    "moral_machine": {
        "stay_number": 2,
        "stay_kind": "young",
        "stay_are_passengers": False,
        "stay_crossing": "legal",
        "swerve_number": 3,
        "swerve_kind": "elderly",
        "swerve_are_passengers": False,
        "swerve_crossing": "illegal",
        "is_swerve_first": True,
        "age": 34,
        "gender": "female",
        "country": "Utopia",
    },
    "movielens": {
        "first_title": "The Glass Harbour",
        "first_year": 1988,
        "first_genres": "Drama, Mystery",
        "first_average": 3.91,
        "first_n_ratings": 1_240,
        "second_title": "Robots of the Reef",
        "second_year": 2004,
        "second_genres": "Action, Sci-Fi",
        "second_average": 3.18,
        "second_n_ratings": 96,
        "favorites": ["The Clockmaker", "A Winter on Foot"],
    },
    "triage": {
        "topic": "a late delivery",
        "hours_waited": 30.0,
        "order_value": 54.0,
        "photo_attached": False,
    },
    "wikipedia_toxicity": {
        "shown": 'Please read the page on "sources" before you revert me again, thank you.',
        "n_characters": 68,
    },
}
