"""Decisions in a database: counts made there, and the profile that is computed from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg import sql

from escalometer import warehouse
from escalometer.errors import DataError
from escalometer.operations.database_profiles import COUNTS, read_counts
from escalometer.resources import resource
from escalometer.warehouse.databases import DatabaseTable
from tests.absent import absent
from tests.command_line import run
from tests.postgresql_server import PASSWORD, QUOTED, USER, Server

NOWHERE = Path("no-suites")
INTERVENTIONS = ("baseline", "no_signal", "cost_framing", "thinking", "isolated")


def generated(seed: int, n: int = 3_000) -> pa.Table:
    """Dialogues with all columns that are counted, some of them unanswered; none has a scenario."""
    draw = np.random.default_rng(seed)
    intervention = draw.integers(0, len(INTERVENTIONS), n)
    condition = draw.integers(0, 8, n)
    accuracy = 0.5 + 0.06 * condition
    label = draw.integers(0, 2, n)
    is_right = draw.random(n) < accuracy
    escalates = draw.random(n) < 0.9 - 0.8 * (accuracy - 0.5) / 0.42
    status = np.where(draw.random(n) < 0.05, "unparsed", "ok")
    is_answered = status == "ok"
    return pa.table(
        {
            "model": np.array(["model-a", "Modell Ä"])[draw.integers(0, 2, n)],
            "domain": np.array(["claims", "loans", "Tickets"])[draw.integers(0, 3, n)],
            "condition": np.char.add("condition ", condition.astype(str)),
            "intervention": np.array(INTERVENTIONS)[intervention],
            "signal_accuracy": accuracy,
            "has_signal": intervention != 1,
            "is_thinking": intervention == 3,
            "is_isolated": intervention == 4,
            "cost_ratio": pa.array(
                [4.0 if one == 2 else None for one in intervention], pa.float64()
            ),
            "framing": pa.array(["words" if one == 2 else None for one in intervention]),
            "label": label.astype("int16"),
            "prediction": pa.array(np.where(is_right, label, 1 - label), mask=~is_answered),
            "escalate": pa.array(escalates.astype(int), mask=~is_answered),
            "status": status,
        }
    )


@pytest.fixture(scope="module")
def postgresql(postgresql: Server) -> str:
    """The address of a server."""
    return postgresql.address()


_TYPES = {
    pa.string(): "text",
    pa.float64(): "double precision",
    pa.bool_(): "boolean",
    pa.int16(): "smallint",
    pa.int64(): "bigint",
}


def in_postgresql(address: str, rows: pa.Table, name: str) -> DatabaseTable:
    """Write rows to a new table of a schema, and return it."""
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(field.name), sql.SQL(_TYPES[field.type]))
        for field in rows.schema
    )
    schema, table = name.split(".")
    target = sql.SQL("{}.{}").format(sql.Identifier(schema), sql.Identifier(table))
    with psycopg.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))
        cursor.execute(sql.SQL("drop table if exists {}").format(target))
        cursor.execute(sql.SQL("create table {} ({})").format(target, columns))
        with cursor.copy(sql.SQL("copy {} from stdin").format(target)) as copy:
            for row in zip(*(column.to_pylist() for column in rows.columns), strict=True):
                copy.write_row(row)
    return DatabaseTable(address, name)


def in_duckdb(file: Path, rows: pa.Table, name: str = "decisions") -> DatabaseTable:
    """Write rows to a table of a new database file, and return it."""
    with duckdb.connect(str(file)) as connection:
        connection.from_arrow(rows).create(name)
    return DatabaseTable(f"duckdb://{file}", name)


def counted_here(rows: pa.Table) -> pa.Table:
    """The counts of the statement itself, over the same rows."""
    absent_columns = {"reasoning_effort": pa.string()}
    for name, kind in absent_columns.items():
        if name not in rows.column_names:
            rows = rows.append_column(name, pa.nulls(rows.num_rows, kind))
    with warehouse.connect() as connection:
        warehouse.add_table(connection, "decisions", rows)
        found = warehouse.run_file(connection, resource("sql", "metrics", "outcome_counts.sql"))
    return found.cast(COUNTS)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_postgresql_and_duckdb_count_the_same_outcomes(postgresql, tmp_path, seed):
    rows = generated(seed)
    expected = counted_here(rows)
    assert expected.column("n").to_pylist() and expected.num_rows > 400
    there = in_postgresql(postgresql, rows, f"risk.decisions_{seed}")
    file = in_duckdb(tmp_path / "d.duckdb", rows)
    for table in (there, file):
        _, counts = read_counts(table, NOWHERE, {})
        assert counts.equals(expected), table


def test_a_table_of_other_names_and_types_is_counted(postgresql, tmp_path):
    rows = generated(4)
    expected = counted_here(rows)
    renamed = {"label": "outcome", "model": "Model", "escalate": 'odd "name"; drop table x'}
    other = rows.rename_columns([renamed.get(name, name) for name in rows.column_names])
    place = other.column_names.index("has_signal")
    other = other.set_column(place, "has_signal", other.column("has_signal").cast(pa.int16()))
    place = other.column_names.index("outcome")
    other = other.set_column(place, "outcome", other.column("outcome").cast(pa.bool_()))
    mapping = {"label": "outcome", "escalate": renamed["escalate"]}
    there = in_postgresql(postgresql, other, 'risk.odd "table" name')
    for table in (there, in_duckdb(tmp_path / "d.duckdb", other)):
        _, counts = read_counts(table, NOWHERE, mapping)
        assert counts.equals(expected), table


def test_columns_that_lack_are_completed_as_in_a_file(postgresql, tmp_path):
    dropped = ["intervention", "status", "is_thinking", "is_isolated", "framing"]
    rows = generated(5)
    answered = rows.filter(pa.compute.equal(rows.column("status"), "ok")).drop_columns(dropped)
    _, counts = read_counts(in_postgresql(postgresql, answered, "risk.few"), NOWHERE, {})
    assert set(counts.column("intervention").to_pylist()) == {
        *("baseline", "no_signal", "cost_framing"),
    }
    assert set(counts.column("status").to_pylist()) == {"ok"}
    assert sum(counts.column("n").to_pylist()) == answered.num_rows


@pytest.mark.parametrize("domains", [(), ("--domains", "claims,loans")])
def test_the_profile_from_counts_is_that_of_the_rows(postgresql, tmp_path, domains):
    rows = generated(6)
    file = tmp_path / "decisions.parquet"
    pq.write_table(rows, file)
    table = in_postgresql(postgresql, rows, "risk.decisions")
    arguments = ("--model", "model-a", "--json", *domains)
    local = run(tmp_path, "profile", str(file), *arguments)
    found = run(tmp_path, "profile", postgresql, "--table", "risk.decisions", *arguments)
    assert found.returncode == 0, found.stderr
    assert PASSWORD not in found.stdout + found.stderr
    first, second = json.loads(local.stdout), json.loads(found.stdout)
    assert (first.pop("source"), second.pop("source")) == ("decisions.parquet", "decisions")
    notes = [note for note in first.pop("notes") if not note.startswith("On reading: ")]
    assert second.pop("notes")[: len(notes)] == notes
    assert second == first
    assert str(table) == f"{postgresql.replace(f'{USER}:{QUOTED}@', '')}, table risk.decisions"


def refused(tmp_path: Path, url: str, table: str, *arguments: str) -> tuple[int, str]:
    found = run(tmp_path, "profile", url, "--table", table, *arguments)
    assert found.stdout == ""
    assert PASSWORD not in found.stderr
    assert "wrong-password" not in found.stderr
    return found.returncode, found.stderr


def test_what_cannot_be_read_is_named_without_the_password(postgresql, tmp_path, monkeypatch):
    in_postgresql(postgresql, generated(7, 500), "risk.decisions")
    code, text = refused(tmp_path, postgresql, "risk.none")
    assert code == 3 and "there is no such table or view" in text
    code, text = refused(tmp_path, postgresql.replace(QUOTED, "wrong-password"), "risk.decisions")
    assert code == 3 and "set PGUSER and PGPASSWORD" in text
    code, text = refused(tmp_path, f"{postgresql}-none", "risk.decisions")
    assert code == 3 and "does not exist" in text
    code, text = refused(tmp_path, f"postgresql://u:{QUOTED}@127.0.0.1:9/none", "risk.decisions")
    assert code == 5 and "cannot be reached" in text
    code, text = refused(tmp_path, postgresql, "risk.decisions")
    assert code == 3 and "has 2 models: Modell Ä, model-a. Name one: --model" in text
    code, text = refused(tmp_path, postgresql, "risk.decisions", "--model", "x")
    assert code == 3 and "unknown model 'x'" in text
    code, text = refused(tmp_path, postgresql, "risk.decisions", "--pool-isolated")
    assert code == 3 and "--pool-isolated does not apply to a database" in text
    with absent("ibis"):
        code, text = refused(tmp_path, postgresql, "risk.decisions")
    assert code == 3 and "pip install 'escalometer[warehouse]'" in text
    found = run(tmp_path, "compare", postgresql, postgresql)
    assert found.returncode == 3 and PASSWORD not in found.stderr
    assert run(tmp_path, "profile", postgresql).returncode == 3
    assert run(tmp_path, "profile", "x.csv", "--table", "t").returncode == 3


def test_a_role_that_may_only_read_is_enough(postgresql, tmp_path):
    in_postgresql(postgresql, generated(8, 500), "risk.readable")
    in_postgresql(postgresql, generated(8, 500), "hidden.decisions")
    with psycopg.connect(postgresql) as connection:
        connection.execute("create role reader login password 'only reads'")
        connection.execute("revoke temporary on database postgres from public")
        connection.execute("grant usage on schema risk to reader")
        connection.execute("grant select on risk.readable to reader")
    url = postgresql.replace(f"{USER}:{QUOTED}", "reader:only%20reads")
    found = run(tmp_path, "profile", url, "--table", "risk.readable", "--model", "model-a")
    assert found.returncode == 0, found.stderr
    without = url.replace(":only%20reads", "")
    variable = {"PGPASSWORD": "only reads"}  # as libpq reads it
    again = run(
        tmp_path,
        *("profile", without, "--table", "risk.readable", "--model", "model-a"),
        **variable,
    )
    assert (again.returncode, again.stdout) == (0, found.stdout)
    code, text = refused(tmp_path, without, "risk.readable")
    assert code == 3 and "set PGUSER and PGPASSWORD" in text
    code, text = refused(tmp_path, url, "hidden.decisions")
    assert code == 3, text
    assert "only reads" not in text


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("label", [7], "label"),
        ("signal_accuracy", [1.5], "signal_accuracy"),
        ("status", ["done"], "status"),
        ("prediction", [None], "prediction"),
    ],
)
def test_rules_of_recorded_decisions_hold_in_a_database(postgresql, name, values, said):
    rows = generated(9, 200)
    rows = rows.filter(pa.compute.equal(rows.column("status"), "ok"))
    place = rows.column_names.index(name)
    changed: list[Any] = [*values, *rows.column(name).to_pylist()[1:]]
    rows = rows.set_column(place, name, pa.array(changed, rows.schema.field(name).type))
    table = in_postgresql(postgresql, rows, "risk.bad")
    with pytest.raises(DataError, match=f"table risk.bad: invalid decisions(.|\n)*{said}"):
        read_counts(table, NOWHERE, {})


def test_a_column_of_another_type_and_a_missing_one_are_named(postgresql):
    rows = generated(10, 200)
    as_text = rows.set_column(
        rows.column_names.index("label"), "label", rows.column("label").cast(pa.string())
    )
    with pytest.raises(DataError, match="column label: must hold whole numbers or truth values"):
        read_counts(in_postgresql(postgresql, as_text, "risk.text"), NOWHERE, {})
    lacking = rows.rename_columns(
        ["outcome" if name == "label" else name for name in rows.column_names]
    )
    with pytest.raises(DataError, match=r"lacks the column label; .* --map label=outcome"):
        read_counts(in_postgresql(postgresql, lacking, "risk.lacking"), NOWHERE, {})
    with pytest.raises(DataError, match="has no rows"):
        read_counts(in_postgresql(postgresql, rows.slice(0, 0), "risk.empty"), NOWHERE, {})
