"""Whole runs against a real server: whatever it does, no answer is lost, and none asked twice."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from escalometer.dialogue import interventions
from escalometer.dialogue.elicitation import batch_api
from escalometer.dialogue.elicitation.budget import Budget
from escalometer.dialogue.elicitation.engine import Engine
from escalometer.dialogue.elicitation.rows import Answering
from escalometer.dialogue.elicitation.store import open_store
from escalometer.dialogue.providers import connect
from escalometer.errors import BudgetError, ProviderError
from tests import command_line
from tests.command_line import COMMAND, environment
from tests.conftest import workspace
from tests.integration._remote import KEY, PRICE, card, stored_keys
from tests.integration._server import in_process, running
from tests.integration._weather import dialogues as weather

COSTS = interventions.Costs(ratios=(4.0, 10.0, 20.0), framings=("ratio", "plain"))
N_VARIANTS = 1 + 1 + 6  # baseline, no_signal, cost_framing


def dialogues(n_scenarios: int = 10, names=("baseline", "no_signal", "cost_framing")):
    return weather(n_scenarios, names, COSTS)


@contextmanager
def engine_for(url: str, folder: Path, budget: Budget | None = None, retry=(), **endpoint):
    store = open_store(folder / "completions.sqlite")
    provider = connect(card(url, **endpoint), workspace(folder, THE_KEY=KEY))
    answering = Answering(64, force_answer=True, counts_marker="last", price=PRICE)
    yield Engine(provider, store, answering, budget=budget, retry=frozenset(retry), run="r")
    store.close()


def hold(engine: Engine, asked) -> list[dict]:
    return engine.hold(engine.plan(asked), lambda *_: None)


def without_time(rows: list[dict]) -> list[dict]:
    return [{k: v for k, v in row.items() if k != "latency_s"} for row in rows]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> list[dict]:
    with running() as server, engine_for(server.url, tmp_path_factory.mktemp("calm")) as engine:
        rows = hold(engine, dialogues())
    assert {row["status"] for row in rows} == {"ok"}
    return without_time(rows)


def test_shared_turns_are_asked_once_and_everything_is_told(tmp_path):
    with running() as server, engine_for(server.url, tmp_path) as engine:
        rows = hold(engine, dialogues())
        assert set(server.asked.values()) == {1}
        assert server.n_asked == engine.tally.n_called == 10 * (2 + N_VARIANTS)
        assert {row["resolved_model"] for row in rows} == {"fake-1-2026-01-01"}
        assert all(row["cost_usd"] > 0 and row["n_prompt_tokens"] > 0 for row in rows)
        assert not any(row["force_answer"] for row in rows)  # no server can be made to


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "late", "seconds": 0.4, "times": 5},
        {"kind": "never", "times": 2},
        {"kind": "cut_off", "times": 5},
        {"kind": "empty", "times": 5},
        {"kind": "html", "times": 5, "status": 502},
        {"kind": "html", "times": 5, "status": 200},
        {"kind": "error_body", "times": 5, "body": {"error": {"type": "overloaded_error"}}},
        {"kind": "wrong_json", "times": 5},
        {"kind": "status", "status": 429, "times": 5, "headers": {"Retry-After": "1"}},
        {"kind": "status", "status": 429, "times": 5},
        {"kind": "status", "status": 500, "times": 12},
        {"kind": "reset", "times": 5},
        # Ids are believed to tell answers apart once a few were different.
        {"kind": "twice", "times": 5, "skip": 4},
        {"kind": "down", "seconds": 2.0, "skip": 15},
    ],
    ids=lambda fault: f"{fault['kind']}-{fault.get('status', '')}".strip("-"),
)
def test_a_fault_changes_nothing_in_the_end(fault, undisturbed, tmp_path):
    with (
        running(faults=[fault]) as server,
        engine_for(server.url, tmp_path, timeout_s=1.5) as engine,
    ):
        rows = hold(engine, dialogues())
        assert without_time(rows) == undisturbed
        assert engine.tally.n_called == len(stored_keys(tmp_path / "completions.sqlite"))
        # Run again: nothing is asked.
        n_asked = server.n_asked
        with engine_for(server.url, tmp_path) as again:
            assert without_time(hold(again, dialogues())) == undisturbed
        assert server.n_asked == n_asked


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        ({"kind": "filter"}, "refused", "turn 1: refused"),
        ({"kind": "refusal"}, "refused", "turn 1: refused"),
        ({"kind": "prompt_filter"}, "refused", "turn 1: refused"),
        ({"kind": "too_long"}, "error", "turn 1: error"),
        ({"kind": "truncated"}, "truncated", "turn 1: truncated"),
        ({"kind": "no_content"}, "unparsed", "turn 1: empty"),
        ({"kind": "filter", "match": "DECISION"}, "refused", "turn 2: refused"),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_what_cannot_get_better_is_an_outcome_until_retried(fault, status, said, tmp_path):
    asked = dialogues(2, names=("baseline",))
    with running(faults=[{**fault, "times": 1}]) as server:
        with engine_for(server.url, tmp_path) as engine:
            rows = hold(engine, asked)
        assert sorted(row["status"] for row in rows) == sorted([status, "ok"])
        (bad,) = [row for row in rows if row["status"] == status]
        assert bad["detail"].startswith(said)
        n_asked = server.n_asked
        assert max(server.asked.values()) == 1  # no second attempt
        with engine_for(server.url, tmp_path) as engine:
            assert hold(engine, asked) == rows
        assert server.n_asked == n_asked
        with engine_for(
            server.url, tmp_path, retry=("refused", "error", "truncated", "empty")
        ) as e:
            assert {row["status"] for row in hold(e, asked)} == {"ok"}


def test_second_turns_follow_at_once(tmp_path):
    with running(latency=0.05) as server:
        with engine_for(server.url, tmp_path, max_in_flight=2) as engine:
            hold(engine, dialogues(12, names=("baseline",)))
        turns = [len(body["messages"]) for body in server.bodies]
        # Of any twenty in a row about half are second turns: no turn waits for all first ones.
        assert all(sum(n > 1 for n in turns[i : i + 12]) >= 5 for i in range(4, 12))


def test_a_key_that_is_refused_ends_the_run(tmp_path):
    with running(key="another") as server:
        with (
            engine_for(server.url, tmp_path, key_env="THE_KEY") as engine,
            pytest.raises(ProviderError) as caught,
        ):
            hold(engine, dialogues())
        assert KEY not in str(caught.value)
        assert server.n_asked <= 20


def test_the_cap_is_never_passed_and_the_rest_is_asked_later(undisturbed, tmp_path):
    with running() as server:
        n_runs, spent = 0, 0.0
        while True:
            budget = Budget(max_cost_usd=0.008, price=PRICE)
            with engine_for(server.url, tmp_path, budget) as engine:
                try:
                    rows = hold(engine, dialogues())
                    break
                except BudgetError as error:
                    assert "run the same command" in str(error)
                assert 0.004 < budget.cost_usd <= 0.008
            n_runs, spent = n_runs + 1, spent + budget.cost_usd
        assert n_runs >= 2
        assert without_time(rows) == undisturbed
        assert set(server.asked.values()) == {1}
        with sqlite3.connect(tmp_path / "completions.sqlite") as store:
            (kept,) = store.execute("select sum(cost_usd) from completions").fetchone()
        assert kept == pytest.approx(spent + budget.cost_usd)


def test_no_more_requests_than_allowed(tmp_path):
    with running() as server:
        budget = Budget(max_requests=7, price=PRICE)
        with engine_for(server.url, tmp_path, budget) as engine, pytest.raises(BudgetError):
            hold(engine, dialogues())
        assert server.n_asked == 7 == len(stored_keys(tmp_path / "completions.sqlite"))


@pytest.mark.parametrize("batch_seconds", [0.0, 1.0])
def test_batches_give_the_same_at_half_the_price(undisturbed, tmp_path, monkeypatch, batch_seconds):
    monkeypatch.setattr(batch_api, "FIRST_LOOK_S", 0.1)
    with running(batch_seconds=batch_seconds) as server:
        budget = Budget(price=PRICE, is_batch=True)
        with engine_for(server.url, tmp_path, budget, has_batches=True) as engine:
            engine._answering = replace(engine._answering, is_batch=True)
            rows = hold(engine, dialogues())
        assert server.state()["n_batches"] == 2
        same = [{k: v for k, v in row.items() if k != "cost_usd"} for row in without_time(rows)]
        assert same == [{k: v for k, v in row.items() if k != "cost_usd"} for row in undisturbed]
        assert rows[0]["cost_usd"] == pytest.approx(undisturbed[0]["cost_usd"] / 2)


def test_a_batch_outlives_the_process(tmp_path, monkeypatch):
    monkeypatch.setattr(batch_api, "FIRST_LOOK_S", 0.1)

    class Gone(Exception):
        pass

    async def leave(*_):
        raise Gone

    with running(batch_seconds=0.5) as server:
        with (
            engine_for(
                server.url, tmp_path, Budget(price=PRICE, is_batch=True), has_batches=True
            ) as engine,
            monkeypatch.context() as patched,
        ):
            patched.setattr(batch_api._Batches, "_wait", leave)
            with pytest.raises(Gone):
                hold(engine, dialogues())
        assert server.state()["n_batches"] == 1
        with engine_for(
            server.url, tmp_path, Budget(price=PRICE, is_batch=True), has_batches=True
        ) as engine:
            rows = hold(engine, dialogues())
        assert server.state()["n_batches"] == 2
        assert {row["status"] for row in rows} == {"ok"}


# ------------------------------------------------------------- whole processes


def project_with(root: Path, url: str, **endpoint) -> list[str]:
    """Scenarios and a card for the server; returns the command that queries it."""
    (root / "models" / "remote.yaml").write_text(
        yaml.safe_dump(
            card(url, key_env="THE_KEY", **endpoint).model_dump(mode="json", exclude_none=True)
        ),
        "utf-8",
    )
    params = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
    params["models"] = ["remote"]
    params["domains"] = ["hmda_mortgages"]
    params["sample"]["n_per_condition"] = 8
    (root / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    for name in ("ingest", "sample"):
        done = command_line.run(root, "stage", name, "--cell", "hmda_mortgages")
        assert done.returncode == 0, done.stderr
    return [*COMMAND, "stage", "query", "--cell", "remote"]


def start(root: Path, command: list[str], **changes) -> subprocess.Popen:
    return subprocess.Popen(
        command,
        cwd=root,
        env=environment(THE_KEY=KEY, **changes),
        stderr=subprocess.PIPE,
        text=True,
    )


def table(root: Path):
    import pyarrow.parquet as pq

    path = root / "data" / "decisions" / "remote" / "hmda_mortgages.parquet"
    return pq.read_table(path).drop_columns(["latency_s"])


def store_of(root: Path) -> Path:
    return root / ".escalometer" / "completions.sqlite"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kill_9_at_twenty_random_moments(project):
    chosen = random.Random(3)  # noqa: S311 - no secret
    with in_process(latency=0.03, key=KEY) as server:
        command = project_with(project, server.url, max_in_flight=2)
        calm = start(project, command, ESCALOMETER_STORE=str(project / "calm.sqlite"))
        assert calm.wait() == 0
        expected = table(project)
        before = Counter(server.state()["asked"])
        (n_kills, n_repeats) = (0, 0)
        while n_kills < 20:
            process = start(project, command)
            n_before = len(stored_keys(store_of(project)))
            while process.poll() is None:
                if len(stored_keys(store_of(project))) > n_before:
                    break
                time.sleep(0.01)
            time.sleep(chosen.uniform(0, 0.3))
            if process.poll() is not None:
                break  # it was done before it could be killed
            process.send_signal(signal.SIGKILL)
            process.wait()
            n_kills += 1
        assert start(project, command).wait() == 0
        assert table(project).equals(expected)
        asked = Counter(server.state()["asked"])
        asked.subtract(before)
        n_repeats = sum(asked.values()) - len(before)
        # Each kill loses what was under way (2), and what came in the milliseconds of a commit.
        assert n_kills >= 5
        assert 0 <= n_repeats <= 4 * n_kills


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_was_under_way(project, number):
    with in_process(latency=0.3, key=KEY) as server:
        command = project_with(project, server.url, max_in_flight=8)
        process = start(project, command)
        while not stored_keys(store_of(project)):
            time.sleep(0.02)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130, said
        assert "kept" in said
        # What was under way when the signal came was paid for: it is kept, and not asked again.
        assert server.state()["n_asked"] == len(stored_keys(store_of(project)))
        assert start(project, command).wait() == 0
        assert set(server.state()["asked"].values()) == {1}


@pytest.mark.slow
def test_two_processes_on_one_store(project):
    with in_process(latency=0.02, key=KEY) as server:
        command = project_with(project, server.url)
        both = [start(project, command) for _ in range(2)]
        for process in both:
            _, said = process.communicate(timeout=120)
            assert process.returncode == 0, said
        assert set(server.state()["asked"].values()) == {1}


@pytest.mark.slow
def test_a_full_disk_is_said_and_nothing_that_was_kept_is_asked_again(project):
    with in_process(key=KEY) as server:
        command = project_with(project, server.url, max_in_flight=4)
        code = (
            "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))\n"
            "from escalometer.dialogue.elicitation.writer import Writer\n"
            "Writer.__init__.__defaults__ = (1.0,)\n"  # s to wait for room, in place of a minute
            "from escalometer.cli import main; main()\n"
        )
        process = start(project, [sys.executable, "-c", code, *command[3:]])
        _, said = process.communicate(timeout=120)
        assert process.returncode == 3, said
        assert "cannot be written" in said
        assert "Traceback" not in said
        kept = len(stored_keys(store_of(project)))
        assert kept > 0
        n_asked = server.state()["n_asked"]
        assert start(project, command).wait() == 0
        state = server.state()
        assert state["n_asked"] == n_asked + len(state["asked"]) - kept


@pytest.mark.slow
def test_a_key_stands_nowhere(project):
    fault = {"kind": "status", "status": 400, "body": {"error": {"message": f"bad key {KEY}"}}}
    with in_process(key=KEY, faults=[{**fault, "times": 3}]) as server:
        command = project_with(project, server.url)
        process = start(project, command)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
        assert KEY not in said
    found = [
        path for path in project.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()
    ]
    assert found == []


def test_a_clock_that_jumps_changes_nothing(undisturbed, tmp_path, monkeypatch):
    real = time.time
    jumps = iter([0.0, 86_400.0, -86_400.0] * 100_000)
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    with running(latency=0.02) as server, engine_for(server.url, tmp_path) as engine:
        assert without_time(hold(engine, dialogues())) == undisturbed
        assert set(server.asked.values()) == {1}
