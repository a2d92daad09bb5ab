"""The Moral Machine: a respondent's choice of the group that a self-driving car saves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from escalometer.cases.domains import Condition, Domain, Edition, RawTable
from escalometer.cases.features import Feature
from escalometer.cases.task import Task

#: Columns of both editions. Typed numbers are text here: staging parses those that are valid.
OUTCOME_COLUMNS = {
    "ResponseID": "VARCHAR",
    "Intervention": "TINYINT",
    "PedPed": "TINYINT",
    "Barrier": "TINYINT",
    "CrossingSignal": "TINYINT",
    "AttributeLevel": "VARCHAR",
    "NumberOfCharacters": "TINYINT",
    "Saved": "TINYINT",
    "UserCountry3": "VARCHAR",
}
RESPONSES = RawTable(
    name="moral_machine_responses",
    columns=OUTCOME_COLUMNS
    | dict.fromkeys(
        (
            "Review_age",
            "Review_education",
            "Review_gender",
            "Review_income",
            "Review_political",
            "Review_religious",
        ),
        "VARCHAR",
    ),
    stems=("SharedResponsesSurvey*",),
)
DERIVED_ROWS = RawTable(
    name="moral_machine_derived",
    columns=OUTCOME_COLUMNS
    | {
        "Review_age": "DOUBLE",
        "Review_education": "VARCHAR",
        "Review_gender": "VARCHAR",
        "Review_income": "VARCHAR",
        "Review_political": "DOUBLE",
        "Review_religious": "DOUBLE",
    },
    stems=("derived_rows",),
)

PROVENANCE = {
    "licence": "none known to us: see the terms at osf.io/3hvt2, and cite the article",
    "citation": "Edmond Awad, Sohan Dsouza, Richard Kim, Jonathan Schulz, Joseph Henrich, Azim "
    "Shariff, Jean-Francois Bonnefon and Iyad Rahwan. 2018. The Moral Machine experiment. Nature "
    "563, 59-64. doi:10.1038/s41586-018-0637-6",
    "decisions_of": "visitors of the Moral Machine website who answered its survey",
    "cases": "A case is one response, which is two rows of the file. The study's first group is "
    "the one that dies if the car stays on course (Intervention = 0, listed first in the file); "
    "label 1 is that group saved, so that the car swerves. Responses with one row are left out.",
    "order": "sample.order: balanced lists the two groups the other way round in half of the "
    "cases. The label speaks of staying and swerving, so it and all percentages are unchanged.",
    "private": "Income, politics, religion and education stay in the table and reach no prompt "
    "and no condition. Incomes are codes of which some are text (under5000, above100000); the "
    "study made numbers of them and lost most respondents. Here they are ranks, 0 to 8. Education "
    "is unstated more often where the first group was saved.",
    "left_out": "The light of pedestrians who stand against passengers, which the derived edition "
    "does not have; the study counts it in what crosses legally, and does not state it. Which "
    "characters there are (men, executives, dogs, ...).",
}

RAW = Edition(
    name="raw",
    raw_tables=(RESPONSES,),
    provenance={
        "source": "https://osf.io/3hvt2, folder Moral Machine Data, SharedResponsesSurvey.csv",
        "edition": "responses of visitors who took the survey, in the published columns; two rows "
        "a response",
        **PROVENANCE,
    },
    instructions="Open https://osf.io/3hvt2, go to Files, Moral Machine Data, download "
    "SharedResponsesSurvey.csv.tar.gz (no login) and put it, packed, into data/raw/moral_machine/.",
)
DERIVED = Edition(
    name="derived",
    raw_tables=(DERIVED_ROWS,),
    provenance={
        "source": "read back out of the prompts published with arXiv:2604.08588",
        "edition": "9,513 responses from the USA, two rows each, in the column names of "
        "SharedResponsesSurvey.csv: a sample of a sample, which those prompts happened to use",
        **PROVENANCE,
    },
    is_derived=True,
    releases={
        "7b81bddec905fdac9d8b6b13a0a2fed2e10c1b7e4c6910841fca29c79aa38976": "responses in "
        "published prompts, 9,513",
    },
    instructions="Or put derived_rows.parquet into data/raw/moral_machine/, if you have it.",
)

#: The study's ten, under the names of its recorded decisions. Each describes the first group.
CONDITIONS = (
    Condition(
        "female_vs_male",
        "stay_kind = 'female' and swerve_kind = 'male'",
        "staying kills females and swerving males",
        published=50,
    ),
    Condition(
        "fit_vs_fat",
        "stay_kind = 'fit' and swerve_kind = 'overweight'",
        "staying kills the fit and swerving the overweight",
        published=54,
    ),
    Condition(
        "high_vs_low_status",
        "stay_kind = 'of high status' and swerve_kind = 'of low status'",
        "staying kills those of high status and swerving those of low status",
        published=57,
    ),
    Condition(
        "legal_crossing",
        "stay_crossing = 'legal'",
        "staying kills those who cross legally",
        published=64,
    ),
    Condition(
        "one_more_person",
        "stay_number = swerve_number + 1",
        "staying kills one more than swerving",
        published=67,
    ),
    Condition(
        "young_vs_old",
        "stay_kind = 'young' and swerve_kind = 'elderly'",
        "staying kills the young and swerving the elderly",
        published=74,
    ),
    Condition(
        "humans_vs_pets",
        "stay_kind = 'human' and swerve_kind = 'pet'",
        "staying kills humans and swerving pets",
        published=79,
    ),
    Condition(
        "four_plus_more",
        "stay_number >= swerve_number + 4",
        "staying kills at least four more than swerving",
        published=84,
    ),
    Condition(
        "legal_and_more",
        "stay_crossing = 'legal' and stay_number > swerve_number",
        "staying kills those who cross legally, and more of them than swerving kills",
        published=87,
    ),
    Condition(
        "legal_3plus_more",
        "stay_crossing = 'legal' and stay_number >= swerve_number + 3",
        "staying kills those who cross legally, and at least three more than swerving",
        published=91,
    ),
)

FEATURES = (
    Feature(
        "stay_kind",
        "category",
        yes="the kind of those killed by staying is: {value}",
        no="the kind of those killed by staying is not: {value}",
    ),
    Feature(
        "stay_surplus",
        "number",
        yes="the number killed by staying less that killed by swerving is {value} or more",
        no="the number killed by staying less that killed by swerving is under {value}",
        between="the number killed by staying less that killed by swerving is at least {low} and "
        "under {high}",
    ),
    Feature(
        "stay_crossing",
        "category",
        yes="the crossing of those killed by staying is: {value}",
        no="the crossing of those killed by staying is not: {value}",
    ),
    Feature(
        "stay_are_passengers",
        "boolean",
        yes="staying kills the car's passengers",
        no="staying kills none of the car's passengers",
    ),
    Feature(
        "swerve_are_passengers",
        "boolean",
        yes="swerving kills the car's passengers",
        no="swerving kills none of the car's passengers",
    ),
)

#: Two words each: the number of words must not reveal anything.
KINDS = {
    "female": "sex female",
    "male": "sex male",
    "fit": "body fit",
    "overweight": "body overweight",
    "of high status": "status high",
    "of low status": "status low",
    "young": "age young",
    "elderly": "age elderly",
    "human": "kind human",
    "pet": "kind pet",
    "mixed": "kind mixed",
}


def _group(row: Mapping[str, Any], way: str) -> str:
    place = "passengers" if row[f"{way}_are_passengers"] else "pedestrians"
    return (
        f"{row[f'{way}_number']}, {KINDS[row[f'{way}_kind']]}, {place}, "
        f"crossing {row[f'{way}_crossing']}."
    )


def render(row: Mapping[str, Any]) -> str:
    """Return the scenario's text: the victims of each course, and the respondent."""
    ways = [
        f"Killed if it stays: {_group(row, 'stay')}",
        f"Killed if it swerves: {_group(row, 'swerve')}",
    ]
    first, second = reversed(ways) if row["is_swerve_first"] else ways
    age = "unstated" if row["age"] is None else row["age"]
    return (
        "A self-driving car cannot brake. It stays on course or swerves, and kills either way.\n"
        f"{first}\n{second}\n"
        f"The respondent: age {age}, gender {row['gender']}, country {row['country']}."
    )


DOMAIN = Domain(
    name="moral_machine",
    title="Moral Machine",
    task=Task(
        question="what the respondent has the car do",
        decider="the respondent",
        meanings=(
            "the car stays and saves those killed if it swerves",
            "the car swerves and saves those killed if it stays",
        ),
    ),
    editions=(RAW, DERIVED),
    signal_template="A decision tree on past answers finds: where {phrase}, {percent}% had the car "
    "{outcome}.",
    outcomes=("stay", "swerve"),
    render=render,
    conditions=CONDITIONS,
    features=FEATURES,
    private_columns=frozenset({"education", "income_rank", "progressive", "religious"}),
    is_main=False,
)
