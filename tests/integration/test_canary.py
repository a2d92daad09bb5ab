"""`escalometer store canary`: a panel asked on many days, of a model that drifts or does not."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from escalometer import layout
from escalometer.config import Params, Workspace, load_card, load_params
from escalometer.dialogue.asking import open_engine
from escalometer.dialogue.elicitation.rows import OUTCOMES
from escalometer.dialogue.elicitation.store import open_store
from escalometer.dialogue.remote import attempts, patience
from escalometer.documents import CanaryLook
from escalometer.errors import BudgetError, DataError, UsageError
from escalometer.operations import canary
from tests.command_line import COMMAND, environment, run
from tests.integration._remote import KEY, card
from tests.integration._server import running
from tests.integration._server_http import Fault, Server
from tests.integration._weather import dialogues

FIRST = datetime(2026, 12, 1, 6, tzinfo=UTC)
# All that is stored of two scenarios, so that the panel does not depend on the server's port.
N_SCENARIOS, N_PROMPTS, N_BASELINE = 2, 12, 20


@pytest.fixture
def server() -> Iterator[Server]:
    with running(key=KEY) as one:
        yield one


@pytest.fixture
def place(project: Path, server: Server) -> Workspace:
    """A project whose store has a model's answers."""
    write_card(project, server.url)
    edit(project, canary={"n_prompts": N_PROMPTS, "n_baseline": N_BASELINE})
    place = workspace(project)
    fill_store(place, "remote")
    server.asked.clear()
    return place


def workspace(root: Path, **limits: Any) -> Workspace:
    secrets = {"THE_KEY": KEY}
    return Workspace(root, root / "cache", layout.store_file(root), secrets, "run", limits=limits)


def write_card(root: Path, url: str, **endpoint: Any) -> None:
    content = card(url, key_env="THE_KEY", **endpoint).model_dump(mode="json", exclude_none=True)
    (root / "models" / "remote.yaml").write_text(yaml.safe_dump(content), "utf-8")


def edit(root: Path, **sections: Any) -> None:
    path = root / "params.yaml"
    params = yaml.safe_load(path.read_text("utf-8"))
    for name, changes in sections.items():
        params[name] = {**params.get(name, {}), **changes}
    path.write_text(yaml.safe_dump(params), "utf-8")


def params_of(place: Workspace) -> Params:
    return load_params(place.root / "params.yaml")


def fill_store(place: Workspace, model: str, n_scenarios: int = N_SCENARIOS) -> None:
    store = open_store(place.store)
    try:
        model_card = load_card(model, place.root / "models")
        engine = open_engine(model_card, params_of(place), place, store)
        engine.hold(engine.plan(dialogues(n_scenarios)), lambda n, free: None)
    finally:
        store.close()


def look(place: Workspace, day: int, **options: Any) -> CanaryLook:
    now = FIRST + timedelta(days=day)
    return canary.look("remote", params_of(place), place, now, **options)


def record(place: Workspace) -> Path:
    return layout.canary_file("remote", place.root)


def flipping(share: float, noise: float = 0.0) -> Callable[[dict, dict], None]:
    """Other choices for a share of the prompts, always; and for any prompt now and then.

    What is drawn depends on the prompt and on how often it was asked, not on the order of requests.
    """
    n_asked: Counter[bytes] = Counter()

    def drawn(*parts: bytes) -> float:
        return int(hashlib.sha256(b"/".join(parts)).hexdigest()[:8], 16) / 16**8

    def revise(body: dict, made: dict) -> None:
        asked = json.dumps(body["messages"]).encode()
        n_asked[asked] += 1
        is_noise = drawn(asked, str(n_asked[asked]).encode()) < noise
        if (drawn(asked) < share) != is_noise:
            message = made["choices"][0]["message"]
            text = message["content"]
            message["content"] = text[:-1] + ("0" if text[-1] == "1" else "1")

    return revise


def test_the_first_call_measures_the_noise_and_the_next_ones_look(place: Workspace, server: Server):
    first = look(place, 0)
    assert (first.status, first.mode) == ("baseline", "choices")
    assert first.n_baseline == first.n_baseline_planned == N_BASELINE
    assert (first.n_flips, first.noise) == (0, 0)  # of the stored choices
    assert first.n_requests == server.n_asked == N_BASELINE * N_PROMPTS
    assert first.cost_usd > 0
    assert first.resolved_models == first.resolved_models_before == ("fake-1-2026-01-01",)
    second = look(place, 1)
    assert (second.status, second.n_looks, second.n_flips) == ("no drift", 1, 0)
    assert second.n_requests == second.n_answered == N_PROMPTS
    assert second.p_value is not None
    assert 0 < second.p_value <= 1
    markers = {tuple(m["role"] for m in body["messages"]) for body in server.bodies[-N_PROMPTS:]}
    assert markers == {("user",), ("user", "assistant", "user")}  # both turns


def test_no_alarm_of_a_model_with_noise_that_does_not_change(place: Workspace, server: Server):
    server.revise = flipping(0, noise=0.1)
    looks = [look(place, day) for day in range(60)]
    assert {one.status for one in looks[1:]} == {"no drift"}
    assert looks[-1].noise == pytest.approx(0.1, abs=0.06)
    flips = [one.n_flips or 0 for one in looks[1:]]
    assert np.mean(flips) == pytest.approx(0.1 * N_PROMPTS, abs=0.5)
    assert looks[-1].expected_flips == pytest.approx(looks[-1].noise * N_PROMPTS)
    assert all(one.drift_since is None for one in looks)


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_drift_of_a_model_that_keeps_its_name_is_reported(place, server, noise):
    server.revise = flipping(0, noise)
    for day in range(15):
        assert look(place, day).status in ("baseline", "no drift")
    server.revise = flipping(0.5, noise)
    statuses = [look(place, day).status for day in range(15, 27)]
    assert "drift" in statuses
    assert statuses.index("drift") < 8
    n_asked = server.n_asked
    last = look(place, 30)  # it stays, and nothing is asked any more
    assert (last.status, last.n_requests, server.n_asked) == ("drift", 0, n_asked)
    assert last.evidence >= last.evidence_limit == 20
    assert last.drift_since == "2026-12-16"
    assert last.notices == ()
    assert look(place, 31, again=True).status == "drift"
    fresh = look(place, 32, restart=True)
    assert (fresh.status, fresh.drift_since, fresh.n_looks) == ("baseline", None, 0)
    assert fresh.n_flips is not None
    assert fresh.n_flips >= 2  # stored choices are those of the model before
    assert look(place, 33).status == "no drift"


def test_refusals_where_there_were_choices_are_drift(place: Workspace, server: Server):
    def refuse(body: dict, made: dict) -> None:
        made["choices"][0]["message"] = {"role": "assistant", "content": "I would rather not."}

    look(place, 0)
    server.revise = refuse
    statuses = [look(place, day).status for day in range(1, 15)]
    assert "drift" in statuses


def test_log_probabilities_of_one_token_show_drift_that_changes_no_choice(place, server):
    write_card(place.root, server.url, has_logprobs=True)
    n_asked: Counter[str] = Counter()

    def shifting(shift: float) -> Callable[[dict, dict], None]:
        def revise(body: dict, made: dict) -> None:
            asked = json.dumps(body["messages"])
            n_asked[asked] += 1
            seed = int(hashlib.sha256(asked.encode()).hexdigest()[:8], 16)
            noise = np.random.default_rng([seed, n_asked[asked]]).normal(0, 0.02, 5)
            for content in made["choices"][0]["logprobs"]["content"]:
                for i, top in enumerate(content["top_logprobs"]):
                    top["logprob"] += noise[i] - shift * (i == 0)

        return revise

    server.revise = shifting(0)
    first = look(place, 0)
    assert (first.status, first.mode, first.n_flips) == ("baseline", "probabilities", None)
    sent = server.bodies[-1]
    assert (sent["max_tokens"], sent["logprobs"], sent["top_logprobs"]) == (1, True, 5)
    for day in range(1, 20):
        assert look(place, day).status == "no drift"
    server.revise = shifting(0.05)
    found = [look(place, day) for day in range(20, 28)]
    assert found[-1].status == "drift"
    assert found[0].n_flips is not None
    assert found[0].n_flips <= 3


def test_a_server_without_log_probabilities_is_named(place: Workspace, server: Server):
    write_card(place.root, server.url, has_logprobs=True)
    server.revise = lambda body, made: made["choices"][0].update(logprobs=None)
    done = run(place.root, "store", "canary", "remote", THE_KEY=KEY)
    assert done.returncode == 5
    assert "remove has_logprobs from its card" in done.stdout
    assert not record(place).exists()


def test_an_alias_and_a_fingerprint_that_change_are_notices_and_no_drift(place, server):
    def naming(model: str, fingerprint: str) -> Callable[[dict, dict], None]:
        return lambda body, made: made.update(model=model, system_fingerprint=fingerprint)

    server.revise = naming("fake-1-2026-01-01", "fp_a")
    assert look(place, 0).notices == ()
    server.revise = naming("fake-1-2026-01-01", "fp_b")
    (notice,) = look(place, 1).notices
    assert (notice.kind, "fp_b; before: fp_a" in notice.text) == ("fingerprint", True)
    server.revise = naming("fake-1-2027-01-01", "fp_a")
    found = look(place, 2)
    (notice,) = found.notices
    assert (notice.kind, found.status) == ("alias", "no drift")
    assert "resolves to fake-1-2027-01-01; before: fake-1-2026-01-01" in notice.text
    assert look(place, 3).notices == ()


def test_an_alias_that_changed_since_the_evaluation_is_a_notice_of_the_baseline(place, server):
    server.revise = lambda body, made: made.update(model="fake-1-2027-01-01")
    (notice,) = look(place, 0).notices
    assert notice.kind == "alias"


def test_a_second_look_on_the_same_day_asks_nothing_unless_it_is_forced(place, server):
    look(place, 0)
    look(place, 1)
    before, n_asked = record(place).read_bytes(), server.n_asked
    again = look(place, 1)
    assert (again.status, again.n_requests, server.n_asked) == ("looked today", 0, n_asked)
    assert record(place).read_bytes() == before
    forced = look(place, 1, again=True)
    assert (forced.status, forced.n_looks) == ("no drift", 2)


def test_a_provider_that_is_away_exits_5_and_leaves_the_record(place, server, monkeypatch):
    look(place, 0)
    before = record(place).read_bytes()
    monkeypatch.setattr(attempts, "Patience", lambda: patience.Patience(absent_s=0.2))
    assert server.loop is not None
    asyncio.run_coroutine_threadsafe(server.shut(), server.loop).result(10)
    done = run(place.root, "store", "canary", "remote", "--again", THE_KEY=KEY)
    assert done.returncode == 5, done.stderr
    assert "Check that the server is running" in done.stderr
    assert record(place).read_bytes() == before


def test_a_look_with_few_answers_does_not_count_and_few_missing_ones_do_no_harm(place, server):
    look(place, 0)
    before = record(place).read_bytes()
    server.faults = [Fault("too_long", times=7)]
    found = look(place, 1)
    assert (found.status, found.n_answered, found.n_flips) == ("not enough answers", 5, None)
    assert record(place).read_bytes() == before
    server.faults = [Fault("too_long", times=6)]
    found = look(place, 1)
    assert (found.status, found.n_answered, found.n_flips) == ("no drift", 6, 0)
    server.faults = [Fault("too_long", times=7)]
    done = run(place.root, "store", "canary", "remote", "--again", "--json", THE_KEY=KEY)
    assert done.returncode == 5
    assert json.loads(done.stdout)["status"] == "not enough answers"


def test_a_killed_baseline_resumes(place: Workspace, server: Server):
    server.latency = 0.05
    command = [*COMMAND, "store", "canary", "remote"]
    killed = subprocess.Popen(command, cwd=place.root, env=environment(THE_KEY=KEY))
    until = time.monotonic() + 60
    while not record(place).exists() and time.monotonic() < until:
        time.sleep(0.01)
    killed.kill()
    killed.wait(10)
    done = json.loads(record(place).read_text("utf-8"))
    n_done = len(done["baseline"])
    assert 1 <= n_done < N_BASELINE
    server.latency = 0
    now = datetime.now(UTC)
    resumed = canary.look("remote", params_of(place), place, now)
    assert resumed.status == "baseline"
    assert resumed.n_baseline == N_BASELINE
    assert resumed.n_requests == (N_BASELINE - n_done) * N_PROMPTS


def test_a_baseline_of_several_days(place: Workspace):
    edit(place.root, canary={"baseline_days": 4})
    done = [look(place, day) for day in (0, 0, 1, 2, 5, 6)]
    assert [one.n_baseline for one in done] == [5, 5, 10, 15, 20, 20]
    statuses = ["baseline", "looked today", "baseline", "baseline", "baseline", "no drift"]
    assert [one.status for one in done] == statuses


def test_an_unpriced_model_is_refused_before_money_is_spent(place: Workspace, server: Server):
    path = place.root / "models" / "remote.yaml"
    content = yaml.safe_load(path.read_text("utf-8"))
    del content["price"]
    path.write_text(yaml.safe_dump(content), "utf-8")
    with pytest.raises(UsageError, match="has no price"):
        look(place, 0)
    assert server.n_asked == 0
    free = workspace(place.root, allow_unpriced=True)
    assert look(free, 0).cost_usd == 0


def test_a_budget_ends_a_baseline_before_it_is_exceeded_and_keeps_whole_rounds(place, server):
    store = open_store(place.store)
    n_spent = store.spent("run")[0]
    store.close()
    limited = workspace(place.root, max_requests=n_spent + 2 * N_PROMPTS + 5)
    with pytest.raises(BudgetError, match="None of them was sent"):
        look(limited, 0)
    assert server.n_asked == 2 * N_PROMPTS
    assert look(place, 0).n_requests == (N_BASELINE - 2) * N_PROMPTS
    with pytest.raises(BudgetError, match=r"increase ask\.max_cost_usd"):
        look(workspace(place.root, max_cost_usd=1e-6), 1)


def test_batches_are_not_used(place: Workspace, server: Server):
    edit(place.root, ask={"use_batches": True})
    assert look(place, 0).status == "baseline"
    assert server.n_asked == N_BASELINE * N_PROMPTS


def test_a_record_of_another_model_panel_or_version_is_refused(place: Workspace, server: Server):
    look(place, 0)
    with pytest.raises(UsageError, match="has 12 prompts, and --n is for a new one"):
        look(place, 1, n_prompts=7)
    assert look(place, 1, n_prompts=N_PROMPTS).status == "no drift"
    write_card(place.root, server.url, model="fake-2")
    with pytest.raises(UsageError, match=r'model: "fake-2" is requested.*--restart'):
        look(place, 2)
    write_card(place.root, server.url, temperature=0.7)
    with pytest.raises(UsageError, match=r"temperature: 0\.7 is requested, 0\.0 is stored"):
        look(place, 2)
    write_card(place.root, server.url)
    content = json.loads(record(place).read_text("utf-8"))
    record(place).write_text(json.dumps({**content, "format": 99}), "utf-8")
    with pytest.raises(UsageError, match="newer version"):
        look(place, 2)
    record(place).write_text("{}", "utf-8")
    with pytest.raises(DataError, match=r"not a canary's record.*--restart"):
        look(place, 2)
    assert look(place, 2, restart=True, n_prompts=7).n_prompts == 7


def test_a_store_without_answers_of_the_model(project: Path, server: Server):
    write_card(project, server.url)
    with pytest.raises(DataError, match="evaluate it first"):
        look(workspace(project), 0)


def test_the_panel_stays_while_the_store_grows(place: Workspace, server: Server):
    look(place, 0)
    panel = {json.dumps(body["messages"]) for body in server.bodies[-N_PROMPTS:]}
    fill_store(place, "remote", n_scenarios=30)
    look(place, 1)
    assert {json.dumps(body["messages"]) for body in server.bodies[-N_PROMPTS:]} == panel


def test_an_interrupted_evaluation_after_drift_resumes(place: Workspace, server: Server):
    """Stored answers are asked again once each, however often the command is run."""
    now = datetime.now(UTC) + timedelta(seconds=1)
    again = dataclasses.replace(
        place, retry=frozenset(OUTCOMES), retry_before=now.isoformat(timespec="seconds")
    )
    store = open_store(place.store)
    n_stored, n_spent = len(store), store.spent("run")[0]
    store.close()
    time.sleep(2)  # stored times are in whole seconds
    with pytest.raises(BudgetError):
        fill_store(dataclasses.replace(again, limits={"max_requests": n_spent + 8}), "remote")
    assert server.n_asked == 8
    fill_store(again, "remote")
    assert server.n_asked == n_stored
    fill_store(again, "remote")
    assert server.n_asked == n_stored


def test_the_command_says_what_to_do(place: Workspace, server: Server):
    done = run(place.root, "store", "canary", "remote", THE_KEY=KEY)
    assert done.returncode == 0, done.stderr
    assert "baseline: 20 of 20 answers to 12 prompts (choices)" in done.stdout
    done = run(place.root, "store", "canary", "remote", THE_KEY=KEY)
    assert "nothing was asked; --again" in done.stdout
    server.revise = flipping(1)
    for _ in range(12):
        done = run(place.root, "store", "canary", "remote", "--again", THE_KEY=KEY)
        assert done.returncode == 0, done.stderr
        if "drift since" in done.stdout:
            break
    assert "12 of 12 choices differ from the baseline, 0.0 are expected" in done.stdout
    assert "escalometer evaluate remote --retry all --retry-before 20" in done.stdout
    assert "escalometer store canary remote --restart" in done.stdout
    done = run(place.root, "store", "canary", "remote", "--json", THE_KEY=KEY)
    assert done.returncode == 0
    assert json.loads(done.stdout)["status"] == "drift"
    assert KEY not in record(place).read_text("utf-8")


@pytest.mark.slow
def test_choice_probabilities_of_a_local_model(project: Path, tiny_weights: Path):
    edit(project, canary={"n_prompts": 4, "n_baseline": 20})
    place = Workspace(project, project / "cache", layout.store_file(project))
    fill_store(place, "tiny", n_scenarios=2)
    days = [
        canary.look("tiny", params_of(place), place, FIRST + timedelta(days=day))
        for day in range(3)
    ]
    assert [day.status for day in days] == ["baseline", "no drift", "no drift"]
    assert {day.mode for day in days} == {"probabilities"}
    assert days[-1].noise == 0
