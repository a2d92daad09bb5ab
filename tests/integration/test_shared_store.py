"""A completion store in PostgreSQL: outages, wrong addresses, passwords, and the commands."""

from __future__ import annotations

import json
import logging
import multiprocessing
import threading
import time
import uuid
from pathlib import Path

import pytest

from escalometer.config import DatabaseAddress, Workspace, store_place
from escalometer.dialogue.elicitation import postgresql_store, transfer
from escalometer.dialogue.elicitation.engine import Engine
from escalometer.dialogue.elicitation.keys import request_key
from escalometer.dialogue.elicitation.rows import Answering
from escalometer.dialogue.elicitation.store import Entry, open_store
from escalometer.dialogue.elicitation.store_rows import StoreUnavailable
from escalometer.dialogue.elicitation.writer import Writer
from escalometer.dialogue.interventions import Costs
from escalometer.dialogue.providers import Completion, Request, connect
from escalometer.errors import UsageError
from escalometer.operations import run_folder
from tests.absent import absent
from tests.command_line import run
from tests.conftest import workspace
from tests.integration._remote import KEY, PRICE, card
from tests.integration._server import running
from tests.integration._weather import dialogues
from tests.postgresql_server import PASSWORD, Server, serving

pytestmark = pytest.mark.slow
IDENTITY = {"provider": "openai", "model": "m", "base_url": "http://h/v1"}
SPAWN = multiprocessing.get_context("spawn")


def entry(i: int, text: str = "") -> Entry:
    asked = Request((("user", f"Cloud number {i}. Rain?"),), "PREDICTION:", 16)
    answer = Completion(text or f"answer {i}", "stop", 1, 1, 0.1)
    return Entry(request_key(IDENTITY, asked), IDENTITY, asked, {}, answer, "r", 0.5)


@pytest.fixture
def place(postgresql: Server) -> DatabaseAddress:
    schema = f"s{uuid.uuid4().hex}"
    postgresql.execute(f"create schema {schema}")
    found = store_place(postgresql.address(schema=schema))
    assert isinstance(found, DatabaseAddress)
    return found


@pytest.fixture
def own_server() -> Server:
    """A server that a test may stop."""
    with serving() as server:
        yield server


def test_a_server_that_is_away_for_seconds_loses_nothing(own_server, tmp_path, capsys):
    """Answers are asked for once, while the server of the store is restarted."""
    place = store_place(own_server.address())
    store = open_store(place)

    def outage() -> None:
        time.sleep(0.3)
        own_server.stop()
        time.sleep(3)
        own_server.start()

    fault = {"kind": "late", "seconds": 0.3, "times": 40}
    with running(faults=[fault]) as model, store.asking("m"):
        provider = connect(card(model.url), workspace(tmp_path, THE_KEY=KEY))
        engine = Engine(provider, store, Answering(64, False, "last", price=PRICE), run="r")
        away = threading.Thread(target=outage)
        away.start()
        costs = Costs(ratios=(4.0,), framings=("ratio",))
        asked = dialogues(60, ("baseline", "no_signal", "cost_framing"), costs)
        rows = engine.hold(engine.plan(asked), lambda *_: None)
        away.join()
        assert {row["status"] for row in rows} == {"ok"}
        assert set(model.asked.values()) == {1}
        assert len(store) == model.n_asked
        assert store.spent("r")[0] == model.n_asked
    store.close()
    assert PASSWORD not in capsys.readouterr().err


def test_reads_and_writes_wait_for_the_server(own_server, capsys):
    store = open_store(store_place(own_server.address()))
    store.put_all([entry(1)])
    own_server.stop()
    back = threading.Timer(1.5, own_server.start)
    back.start()
    assert list(store.get([entry(1).key])) == [entry(1).key]
    back.join()
    own_server.stop()
    back = threading.Timer(1.0, own_server.start)
    back.start()
    assert store.reserve("r", "a", 1, 0.1, max_requests=2, max_cost_usd=None)
    back.join()
    assert capsys.readouterr().err.count("waiting for the server") == 2
    store.close()


def test_a_server_that_stays_away_is_a_clear_error_and_nothing_is_lost(
    own_server, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".escalometer").mkdir()
    store = open_store(store_place(own_server.address()))
    writer = Writer(store, patience_s=1.0)
    writer.keep(entry(1))
    writer.flush()
    own_server.stop()
    writer.keep(entry(2))
    with pytest.raises(StoreUnavailable, match="run the same command") as raised:
        writer.flush()
    assert raised.value.exit_code == 5
    writer.keep(entry(3))
    with pytest.raises(StoreUnavailable, match=r"2 answers that it did not confirm") as raised:
        writer.close()
    (file,) = (tmp_path / ".escalometer").glob("unwritten-*.sqlite")
    assert f"`escalometer store merge {file}` adds them" in str(raised.value)
    said = capsys.readouterr().err
    assert "waiting for the server up to 1 s" in said
    monkeypatch.setattr(postgresql_store, "_FIRST_PATIENCE_S", 0.5)
    with pytest.raises(StoreUnavailable, match=r"does not answer.*Start the server"):
        open_store(store.place)
    assert PASSWORD not in said + str(raised.value) + capsys.readouterr().err
    own_server.start()
    rescued = open_store(file)
    assert transfer.copy(rescued, store).n_added == 2
    assert len(store) == 3
    rescued.close()
    store.close()


def test_a_lock_outlives_a_restart_of_the_server(own_server, monkeypatch, capsys):
    """A process that waits does not ask the model before its holder has ended."""
    monkeypatch.setattr(postgresql_store, "_GRACE_S", 3.0)
    monkeypatch.setattr(postgresql_store, "_CHECK_S", 0.2)
    place = store_place(own_server.address())
    holder, waiting, order = open_store(place), open_store(place), []

    def ask() -> None:
        with waiting.asking("m"):
            order.append("second")

    thread = threading.Thread(target=ask)
    with holder.asking("m"):
        thread.start()
        time.sleep(0.8)
        own_server.stop()
        own_server.start()
        time.sleep(4.5)
        holder.put_all([entry(1)])
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert "waiting for another run that asks m (process " in capsys.readouterr().err
    for store in (holder, waiting):
        store.close()


def test_locks_end_with_the_process(place):
    store = open_store(place)
    taken = SPAWN.Event()
    process = SPAWN.Process(target=ask_forever, args=(place, taken))
    process.start()
    assert taken.wait(30)
    threading.Timer(0.5, process.kill).start()
    began = time.monotonic()
    with store.asking("m"):
        assert time.monotonic() - began > 0.3
    store.close()


def ask_forever(place: DatabaseAddress, taken: threading.Event) -> None:
    with open_store(place).asking("m"):
        taken.set()
        time.sleep(60)


def test_commits_are_durable_even_if_the_database_says_otherwise(place, postgresql):
    options = f"{place.secret}%20-csynchronous_commit%3Doff"
    store = open_store(store_place(options))
    store.put_all([entry(1)])
    assert store._read("show synchronous_commit") == [("on",)]
    assert store._writer.opened().execute("show synchronous_commit").fetchone() == ("on",)
    store.close()


def test_stores_in_two_schemas_of_a_database_are_separate(place, postgresql):
    name = f"s{uuid.uuid4().hex}"
    postgresql.execute(f"create schema {name}")
    store, other = open_store(place), open_store(store_place(postgresql.address(schema=name)))
    store.put_all([entry(1)])
    with store.asking("m"), other.asking("m"):
        assert (len(store), len(other)) == (1, 0)
    store.close()
    other.close()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (("s3cret-pa%2Fss%40word", "wr0ng"), "password authentication failed"),
        ((":s3cret-pa%2Fss%40word", ""), "no password supplied"),
        (("/postgres", "/nothing"), 'database "nothing" does not exist'),
        (("127.0.0.1", "no-such-host.invalid"), "no-such-host.invalid"),
        (("search_path%3Dpublic", "search_path%3Dnothing"), "no schema of the search path exists"),
        (("127.0.0.1:", "127.0.0.1:x"), "cannot be opened"),
        (("?options", "?nonsense"), "cannot be opened"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_addresses_are_named_without_the_password(
    wrong, named, postgresql, tmp_path, monkeypatch, caplog
):
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    caplog.set_level(logging.DEBUG)
    place = store_place(postgresql.address(schema="public").replace(*wrong))
    with pytest.raises(UsageError) as raised:
        open_store(place)
    assert named in str(raised.value)
    assert raised.value.exit_code == 3
    for secret in (PASSWORD, "s3cret", "wr0ng"):
        assert secret not in str(raised.value) + repr(place) + str(place) + caplog.text


@pytest.mark.parametrize("by", ["PGPASSWORD", "PGPASSFILE"])
def test_the_password_may_be_outside_of_the_address(by, place, postgresql, tmp_path, monkeypatch):
    passwords = tmp_path / "passwords"
    passwords.write_text(f"*:*:*:*:{PASSWORD}\n")
    passwords.chmod(0o600)
    monkeypatch.setenv(by, PASSWORD if by == "PGPASSWORD" else str(passwords))
    open_store(store_place(postgresql.address(password=False))).close()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://u:pw@h:1/d", "postgresql://u@h:1/d"),
        ("postgres://u:p%40w@h/d?sslmode=require&password=pw", "postgres://u@h/d?sslmode=require"),
        ("postgresql://h/d?passfile=pw", "postgresql://h/d"),
        ("postgresql://u:a/pw@h/d", "postgresql://u@h/d"),
        ("postgresql://u:a@pw@h/d", "postgresql://u@h/d"),
        ("postgresql://u:pw/d", "postgresql://u:***/d"),
        ("postgresql://u:a?pw@h/d", "postgresql://u:***"),
        ("postgresql:///d", "postgresql:///d"),
        ("postgresql://[::1]:5432/d", "postgresql://[::1]:5432/d"),
    ],
)
def test_an_address_is_shown_without_its_password(given, shown):
    place = store_place(given)
    assert str(place) == shown
    assert "pw" not in f"{place!r} {place} {Workspace(Path(), Path(), place)!r}"
    if "pw" in given:
        assert "pw" not in place.redacted(f"failed for pw at {given}")


def test_a_missing_package_is_named():
    with absent("psycopg"), pytest.raises(UsageError, match=r"escalometer\[postgresql\]"):
        open_store(store_place("postgresql://h/d"))


def test_the_folder_of_a_run_does_not_get_the_address(place):
    found = run_folder.environment(Workspace(Path(), Path(), place, tracking="http://h"))
    assert found == {}


def test_a_user_without_the_right_to_create_tables_is_told(postgresql):
    name = f"u{uuid.uuid4().hex}"
    postgresql.execute(f"create role {name} login password 'pw'")
    postgresql.execute(f"create schema {name}")
    postgresql.execute(f"grant usage on schema {name} to {name}")
    address = postgresql.address(schema=name)
    place = store_place(f"postgresql://{name}:pw@{address.rpartition('@')[2]}")
    with pytest.raises(UsageError, match=r"permission denied.*right to create tables"):
        open_store(place)


def test_the_commands_move_answers_and_do_not_print_the_password(
    place, clone, tmp_path, capsys, monkeypatch
):
    other = open_store(tmp_path / "other.sqlite")
    other.put_all([entry(1), entry(2, "another")])
    other.close()
    store = open_store(place)
    store.put_all([entry(2)])
    given = {"ESCALOMETER_STORE": place.secret}
    done = run(clone, "store", "merge", str(tmp_path / "other.sqlite"), **given)
    assert done.returncode == 0, done.stderr
    assert "2 answers, 1 of them new" in done.stdout
    assert '"answer 2" stays, "another" was not added' in done.stdout
    path = tmp_path / "answers.parquet"
    done_export = run(clone, "store", "export", str(path), **given)
    assert "2 answers, 0 superseded answers" in done_export.stdout
    into = {"ESCALOMETER_STORE": str(tmp_path / "third.sqlite")}
    done_import = run(clone, "store", "import", str(path), "--json", **into)
    assert json.loads(done_import.stdout)["n_added"] == 2
    done_merge = run(clone, "store", "merge", place.secret, "--json", **into)
    assert json.loads(done_merge.stdout)["merged"][0]["n_read"] == 2
    said = [done, done_export, done_import, done_merge]
    assert not [one for one in said if "s3cret" in one.stdout + one.stderr]
    store.close()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("merge", "absent.sqlite"), 3, "has no completion store"),
        (("merge", ".escalometer/completions.sqlite"), 3, "the project's own store"),
        (("export", "answers.parquet"), 3, "has no completion store"),
        (("import", "absent.parquet"), 3, "does not exist"),
        (("import", "notes.parquet"), 4, "cannot be read as Parquet"),
    ],
)
def test_what_cannot_be_moved_is_named(words, code, message, project):
    (project / "notes.parquet").write_text("notes")
    done = run(project, "store", *words)
    assert done.returncode == code
    assert message in done.stderr
    assert not (project / "absent.sqlite").exists()
