"""Every suite passes good rows and rejects the bad rows that stand beside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
import yaml

from escalometer import validation, warehouse
from escalometer.cases import catalog
from escalometer.cases.domains import shipped
from escalometer.errors import DataError, MissingExtra
from tests.absent import absent
from tests.conftest import ROOT

BAD_ROWS = Path(__file__).parent / "bad_rows"
RAW = {
    table.name: table
    for name in shipped()
    for edition in catalog.load(name).editions
    for table in edition.raw_tables
}
#: Suites whose broken rows tests/integration/test_validation.py puts into real tables.
#: Those of targets: tests/integration/test_train.py.
ELSEWHERE = {"conditions", "scenarios", "decisions", "targets", "hmda_mortgages_applications"}
SUITES = sorted(path.stem for path in (ROOT / "expectations").glob("*.json"))


def test_every_suite_has_its_bad_rows():
    assert {path.stem for path in BAD_ROWS.glob("*.yaml")} == set(SUITES) - ELSEWHERE


def changed(rows: list[dict[str, str]], bad: dict) -> list[dict[str, str]]:
    rows = [dict(row) for row in rows]
    if "change" in bad:
        change = bad["change"]
        rows[change["row"] - 1][change["column"]] = change["value"]
    elif "drop_column" in bad:
        for row in rows:
            del row[bad["drop_column"]]
    elif "set_all" in bad:
        for row in rows:
            row[bad["set_all"]["column"]] = bad["set_all"]["value"]
    elif "swap_labels" in bad:
        for row in rows:
            row[bad["swap_labels"]] = {"0": "1", "1": "0"}[row[bad["swap_labels"]]]
    elif "duplicate_row" in bad:
        rows.append(dict(rows[bad["duplicate_row"] - 1]))
    else:
        raise AssertionError(f"no such change: {bad}")
    return rows


def loaded(name: str, rows: list[dict[str, str]], folder: Path) -> pa.Table:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    if name not in RAW:  # a staged table, typed by what its values look like
        frame = pd.read_csv(io.StringIO(text.getvalue()), keep_default_na=False, na_values=[""])
        table = pa.Table.from_pandas(frame, preserve_index=False)
        has_rows = validation.ROW in table.column_names
        return validation.flat(table) if has_rows else validation.number_rows(table)
    path = folder / f"{name}.csv"
    path.write_text(text.getvalue(), encoding="utf-8")
    with warehouse.connect() as connection:
        warehouse.read_raw(connection, RAW[name], path)
        return warehouse.spread_rows(connection, name, 10**6)


def rounds(bad: list[dict]) -> Iterator[list[dict]]:
    """Yield bad rows that are put into one table: of each column at most one value is changed."""
    left = list(bad)
    while left:
        chosen: dict[str, dict] = {}
        for one in left:
            if "change" in one:
                chosen.setdefault(one["change"]["column"], one)
        together = list(chosen.values()) or left[:1]
        yield together
        left = [one for one in left if one not in together]


@pytest.mark.parametrize("is_alone", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", [name for name in SUITES if name not in ELSEWHERE])
def test_good_rows_pass_and_bad_rows_are_refused(name, is_alone, tmp_path):
    """Each bad row alone, or, in a third of the time, those of different columns together.

    `check` takes a table for good where SQL confirms it, so that SQL confirms no bad row either.
    Where Great Expectations is not installed, SQL names the same rows in the same words.
    """
    told = yaml.safe_load((BAD_ROWS / f"{name}.yaml").read_text("utf-8"))
    good = list(csv.DictReader(io.StringIO(told["good"]))) * told.get("repeat", 1)
    folder = ROOT / "expectations"

    alike: list[bool] = []

    def messages(rows: list[dict[str, str]]) -> str:
        try:
            table = loaded(name, rows, tmp_path)
        except DataError as error:  # a column that lacks is refused on loading
            return str(error)
        result = validation.check(table, name, Path("file"), folder=folder)
        alike.append(is_same_in_sql(table, name, result))
        return "\n".join(str(failure) for failure in result.failures)

    assert messages(good) == ""
    table, suite = loaded(name, good, tmp_path), validation.read_suite(name, folder)
    assert warehouse.satisfies(table, suite), "SQL does not confirm the good rows"
    assert validation.evaluated(table, suite, name, Path("file")).passed
    assert told["bad"]
    masked = []
    for together in [] if is_alone else rounds(told["bad"]):
        rows = good
        for bad in together:
            rows = changed(rows, bad)
        said = messages(rows)
        masked += [bad for bad in together if bad["says"] not in said]
    for bad in told["bad"] if is_alone else masked:  # one change may hide what another breaks
        assert bad["says"] in messages(changed(good, bad)), bad
    # Only tables in which a column has another type have rules without SQL.
    assert sum(alike) >= 0.7 * len(alike), f"{len(alike) - sum(alike)} tables need the extra"


def is_same_in_sql(table: pa.Table, name: str, expected: validation.Result) -> bool:
    """Compare a result with that of SQL; return whether there is one."""
    try:
        with absent("great_expectations"):
            found = validation.check(table, name, Path("file"), folder=ROOT / "expectations")
    except MissingExtra:
        return False
    assert found == expected
    return True
