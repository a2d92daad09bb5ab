"""The provider vllm with a program that parses vLLM's command line and answers over HTTP.

vLLM itself is not run: it needs a GPU, and another torch than the one that is installed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from escalometer.config import ModelCard, Workspace
from escalometer.dialogue import interventions
from escalometer.dialogue.elicitation.engine import Engine
from escalometer.dialogue.elicitation.keys import Keys
from escalometer.dialogue.elicitation.rows import Answering
from escalometer.dialogue.elicitation.store import open_store
from escalometer.dialogue.providers import RemoteProvider, Request, check, computes_here, connect
from escalometer.dialogue.providers.vllm import command
from escalometer.dialogue.providers.vllm.provider import VllmProvider
from escalometer.errors import MissingExtra, Outage, ProviderError, UsageError
from tests.absent import absent
from tests.conftest import ROOT, random_adapter, tiny_card, workspace
from tests.integration._asking import ask, request
from tests.integration._weather import dialogues as weather

STUB = ROOT / "tests" / "integration" / "_vllm_stub.py"


class Place:
    """A machine on which vLLM is installed, as far as this provider can see."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state_file = folder / "state.json"

    def workspace(self, **more: str) -> Workspace:
        environment = {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "VLLM_STUB_STATE": str(self.state_file),
            "OPENAI_API_KEY": "sk-sentinel-not-for-servers",
            **more,
        }
        return workspace(self.folder, **environment)

    @property
    def state(self) -> dict:
        return json.loads(self.state_file.read_text("utf-8"))

    def ended(self) -> bool:
        """Whether the server's processes end within ten seconds."""
        deadline = time.monotonic() + 10
        while any(is_alive(pid) for pid in self.state["pids"]):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    site = tmp_path / "site"
    (site / "vllm").mkdir(parents=True)
    (site / "vllm" / "__init__.py").touch()
    about = site / "vllm-0.33.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.33.0\n")
    monkeypatch.syspath_prepend(str(site))
    program = tmp_path / "bin" / "vllm"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {STUB} "$@"\n', "utf-8")
    program.chmod(0o755)
    made = Place(tmp_path)
    yield made
    if made.state_file.exists():
        for pid in made.state["pids"]:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def started() -> Iterator[list[VllmProvider]]:
    """Providers whose servers are ended after the test."""
    made: list[VllmProvider] = []
    yield made
    for provider in made:
        if provider._server is not None:
            provider._server.stop()


def card_of(weights: Path, **changes) -> ModelCard:
    content = {**tiny_card(weights), "provider": "vllm", "context": 2048, **changes}
    return ModelCard.model_validate(content)


def test_a_server_is_started_asked_and_ended(place, started, tiny_weights, capsys):
    provider = connect(card_of(tiny_weights), place.workspace())
    started.append(provider)
    assert isinstance(provider, RemoteProvider)
    assert not place.state_file.exists()  # connecting starts nothing
    found = ask(provider, [request(i) for i in range(12)])
    assert [one.finish for one in found] == ["stop"] * 12
    assert found[0].fingerprint == "vllm-0.33.0-0123abcd"
    given = place.state["arguments"]
    assert given["model_tag"] == str(tiny_weights)
    assert given["host"] == "127.0.0.1"
    assert given["served_model_name"] == ["tiny"]
    assert (given["dtype"], given["seed"], given["max_model_len"]) == ("bfloat16", 0, 2048)
    assert given["enable_prefix_caching"]
    assert given["generation_config"] == "vllm"
    assert given["data_parallel_size"] == command.n_gpus({})
    assert not given["enable_lora"]
    body = place.state["bodies"][0]
    assert body["temperature"] == 0.0
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["stop"][:2] == ["PREDICTION: 0\n", "PREDICTION: 0 "]
    # The key is random, in the environment alone, and nowhere to be seen.
    key = place.state["key"]
    assert len(key) > 30
    assert key not in " ".join(place.state["line"])
    assert "OPENAI_API_KEY" not in place.state["environment"]
    told = capsys.readouterr()
    assert key not in told.out + told.err
    assert "tiny: starting vLLM; its log is" in told.err
    assert "tiny: vLLM is ready after" in told.err
    pids = place.state["pids"]
    ask(provider, [request(20)])  # the same server
    assert place.state["pids"] == pids
    provider._server.stop()
    assert place.ended()


def test_keys_have_the_weights_the_precision_the_version_and_the_adapter(place, tiny_weights):
    here = place.workspace()
    random_adapter(tiny_weights, place.folder / "models" / "adapters" / "careful")
    provider = connect(card_of(tiny_weights, adapter="careful"), here)
    assert set(provider.identity) == {
        *("provider", "model", "revision", "precision", "version", "adapter"),
    }
    assert provider.identity["version"] == "0.33.0"
    assert provider.identity["adapter"].startswith("careful@sha256:")
    cards = [
        card_of(tiny_weights),
        card_of(tiny_weights, precision="float16"),
        card_of(tiny_weights, serving={"version": "0.34.0"}),
        card_of(tiny_weights, adapter="careful"),
        card_of(tiny_weights, provider="local"),
    ]
    keys = {Keys(connect(card, here))(request()) for card in cards}
    assert len(keys) == len(cards)
    same = card_of(tiny_weights, serving={"replicas": 2, "startup_s": 5}, precision="bfloat16")
    assert Keys(connect(same, here))(request()) in keys


def test_an_adapter_is_served_by_name_with_a_rank_that_vllm_has(place, started, tiny_weights):
    folder = random_adapter(tiny_weights, place.folder / "models" / "adapters" / "careful")
    provider = connect(card_of(tiny_weights, adapter="careful"), place.workspace())
    started.append(provider)
    (found,) = ask(provider, [request()])
    assert found.finish == "stop"
    given = place.state["arguments"]
    assert given["enable_lora"]
    assert given["max_lora_rank"] == 8  # for 4
    assert given["lora_modules"] == [{"name": "careful", "path": str(folder)}]
    assert given["served_model_name"] == ["tiny-base"]
    assert place.state["bodies"][0]["model"] == "careful"


def test_all_turns_of_a_dialogue_go_to_one_replica(place, started, tiny_weights):
    card = card_of(tiny_weights, serving={"replicas": 3})
    provider = connect(card, place.workspace())
    started.append(provider)
    first = [request(i) for i in range(12)]
    told = ask(provider, first)
    second = [
        Request((*one.messages, ("assistant", a.text), ("user", f"Cost {c}?")), "DECISION:", 64)
        for one, a in zip(first, told, strict=True)
        for c in (4, 20)
    ]
    ask(provider, second)
    assert place.state["arguments"]["data_parallel_size"] == 3
    ranks: dict[str, set[str]] = {}
    for body in place.state["bodies"]:
        ranks.setdefault(body["messages"][0]["content"], set()).add(body["rank"])
    assert len(ranks) == 12
    assert all(len(of_one) == 1 for of_one in ranks.values())
    assert len(set.union(*ranks.values())) == 3


@pytest.mark.parametrize(
    ("environment", "serving", "expected"),
    [
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3"}, {}, 4),
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3"}, {"gpus_per_replica": 2}, 2),
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, {"gpus_per_replica": 4}, 1),
        ({"CUDA_VISIBLE_DEVICES": "3"}, {"replicas": 2}, 2),
        ({"CUDA_VISIBLE_DEVICES": ""}, {}, 1),
    ],
)
def test_there_is_a_replica_for_each_gpu(tiny_weights, environment, serving, expected):
    assert command.n_replicas(card_of(tiny_weights, serving=serving), environment) == expected


def test_thinking_is_switched_in_the_template(place, tiny_weights):
    thinking = {"on": {"enable_thinking": True}, "off": {"enable_thinking": False}}
    provider = connect(card_of(tiny_weights, thinking=thinking), place.workspace())
    on = provider.parameters(request(is_thinking=True))
    off = provider.parameters(request())
    assert on["chat_template_kwargs"] == {"enable_thinking": True}
    assert on["max_tokens"] == 64 + 4096
    assert "stop" not in on  # a marker in the thinking would end it
    assert off["chat_template_kwargs"] == {"enable_thinking": False}
    with pytest.raises(UsageError, match="does not support thinking"):
        connect(card_of(tiny_weights), place.workspace()).parameters(request(is_thinking=True))


def test_a_server_that_fails_shows_its_last_lines_without_the_key(place, tiny_weights):
    provider = connect(card_of(tiny_weights), place.workspace(VLLM_STUB='{"fails": true}'))
    with pytest.raises(ProviderError, match="ended before it was ready") as caught:
        ask(provider, [request()])
    assert "ValueError: no GPU found (key [key])" in str(caught.value)
    assert "INFO loading weights" in str(caught.value)
    assert place.state["key"] not in str(caught.value)


def test_a_server_that_is_not_ready_in_time_is_ended(place, tiny_weights):
    card = card_of(tiny_weights, serving={"startup_s": 1})
    provider = connect(card, place.workspace(VLLM_STUB='{"never": true}'))
    with pytest.raises(ProviderError, match=r"not ready within 1 s \(serving.startup_s"):
        ask(provider, [request()])
    assert place.ended()


def test_a_server_that_has_ended_is_no_outage_to_wait_for(place, started, tiny_weights):
    provider = connect(card_of(tiny_weights), place.workspace())
    started.append(provider)

    async def main() -> None:
        async with provider.session():
            os.kill(place.state["pids"][0], signal.SIGKILL)
            while provider._server.is_running:
                await asyncio.sleep(0.05)
            await provider.answer(request())

    with pytest.raises(ProviderError, match="vLLM has ended"):
        asyncio.run(main())
    assert place.ended()  # its engine, too


PROGRAM = """
import asyncio, json, os, sys
from pathlib import Path
from escalometer.config import ModelCard, Workspace
from escalometer.dialogue.providers import connect

sys.path.insert(0, sys.argv[3])
folder = Path(sys.argv[2])
card = ModelCard.model_validate(json.loads(sys.argv[1]))
provider = connect(card, Workspace(folder, folder, folder / "store", os.environ))

async def main():
    async with provider.session():
        print("ready", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_server_ends_with_its_run_also_when_that_is_killed(place, tiny_weights, number):
    content = card_of(tiny_weights).model_dump(mode="json")
    environment = {**os.environ, **place.workspace().secrets}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, json.dumps(content), place.folder, place.folder / "site"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert all(is_alive(pid) for pid in place.state["pids"])
    process.send_signal(number)
    process.wait(10)
    assert place.ended()


def test_two_servers_do_not_run_at_once(place, started, tiny_weights, capsys):
    first, second = (connect(card_of(tiny_weights), place.workspace()) for _ in range(2))
    started += [first, second]

    async def main() -> None:
        async with first.session():
            waiting = asyncio.ensure_future(second.session().__aenter__())
            await asyncio.sleep(1)
            assert not waiting.done()
            first._server.stop()
            await waiting

    asyncio.run(main())
    assert f"waiting for the vLLM server of process {os.getpid()}" in capsys.readouterr().err


def test_a_stop_while_the_server_starts_ends_it(place, tiny_weights, monkeypatch):
    from escalometer.dialogue.elicitation.budget import Budget
    from escalometer.dialogue.elicitation.concurrent import run_concurrently
    from escalometer.errors import Interrupted

    provider = connect(card_of(tiny_weights), place.workspace(VLLM_STUB='{"never": true}'))
    alarm = f"import os, signal, time; time.sleep(1.5); os.kill({os.getpid()}, signal.SIGTERM)"
    stopper = subprocess.Popen([sys.executable, "-c", alarm])
    began = time.monotonic()
    with pytest.raises(Interrupted):
        run_concurrently(provider, {"k": request()}, lambda *_: {}, Budget(price=None), None)
    assert time.monotonic() - began < 30
    stopper.wait()
    assert place.ended()


@pytest.fixture
def given(place: Place) -> Iterator[str]:
    """The address of a server that a user has started."""
    from escalometer.dialogue.providers.vllm.server import free_port

    port = free_port()
    environment = {**os.environ, **place.workspace().secrets}
    program = place.folder / "bin" / "vllm"
    line = f"serve weights --host 127.0.0.1 --port {port} --served-model-name tiny"
    process = subprocess.Popen([program, *line.split()], env=environment)
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
            break
        except OSError:
            time.sleep(0.05)
    yield f"http://127.0.0.1:{port}/v1"
    process.kill()
    process.wait()


@pytest.mark.parametrize("is_in_card", [True, False])
def test_a_given_server_is_asked_without_vllm_here(place, given, tiny_weights, is_in_card):
    endpoint = {"base_url": given, "model": "tiny"}
    changes = {"endpoint": endpoint} if is_in_card else {}
    here = place.workspace(**({} if is_in_card else {"ESCALOMETER_VLLM_URL": given}))
    card = card_of(tiny_weights, **changes)
    with absent("vllm"):
        assert check([card], here) == {}
        provider = connect(card, here)
        assert provider.identity["version"] == "0.33.0"
        assert not computes_here(provider)  # so several cells may be asked at once
        (found,) = ask(provider, [request()])
        assert found.finish == "stop"
        pinned = connect(card_of(tiny_weights, serving={"version": "0.32.0"}, **changes), here)
        with pytest.raises(ProviderError, match=r"keys of answers have vLLM 0\.32\.0"):
            ask(pinned, [request()])
    other = card.model_copy(update={"id": "other", "endpoint": None})
    address = place.workspace(ESCALOMETER_VLLM_URL=given)
    assert "does not list the model 'other'" in str(check([other], address)["other"])


def test_a_given_server_that_is_away_is_needed_only_for_its_version(place, tiny_weights):
    here = place.workspace(ESCALOMETER_VLLM_URL="http://127.0.0.1:9/v1")
    with pytest.raises(Outage, match=r"no vLLM server answers at http://127\.0\.0\.1:9/version"):
        connect(card_of(tiny_weights), here)
    pinned = card_of(tiny_weights, serving={"version": "0.33.0"})
    assert connect(pinned, here).identity["version"] == "0.33.0"
    assert "no connection" in str(check([pinned], here)["tiny"])
    assert computes_here(connect(pinned, place.workspace()))  # by a server that it starts


def test_without_vllm_the_extra_is_named_before_anything_is_done(tmp_path, tiny_weights):
    card = card_of(tiny_weights)
    with absent("vllm"):
        with pytest.raises(MissingExtra, match=r"pip install 'escalometer\[vllm\]'") as caught:
            connect(card, workspace(tmp_path))
        assert caught.value.exit_code == 3
        assert "escalometer[vllm]" in str(check([card], workspace(tmp_path))["tiny"])
        # Stored answers need no vLLM where the card pins its version.
        pinned = card_of(tiny_weights, serving={"version": "0.33.0"})
        assert connect(pinned, workspace(tmp_path)).identity["version"] == "0.33.0"


def test_a_rank_beyond_those_of_vllm_is_refused(tiny_weights, tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"r": 1024}', "utf-8")
    with pytest.raises(ProviderError, match="rank is 1024; vLLM supports at most 512"):
        command.arguments(
            card_of(tiny_weights),
            weights=tiny_weights,
            adapter=tmp_path,
            precision="bfloat16",
            replicas=1,
            port=1,
        )


def test_dialogues_are_kept_and_the_next_run_starts_no_server(place, started, tiny_weights):
    card = card_of(tiny_weights, thinking={"on": {"enable_thinking": True}})

    def hold() -> tuple[list[dict], Engine]:
        provider = connect(card, place.workspace())
        started.append(provider)
        store = open_store(place.folder / "completions.sqlite")
        engine = Engine(provider, store, Answering(64, True, "last", card.price), run="r")
        names = ("baseline", "choice_readout", "thinking")
        costs = interventions.Costs(ratios=(4.0,), framings=("ratio",))
        asked = weather(3, names, costs)
        rows = engine.hold(engine.plan(asked), lambda *_: None)
        store.close()
        return rows, engine

    rows, engine = hold()
    assert {row["status"] for row in rows} == {"ok"}
    assert engine.tally.n_called == len(place.state["bodies"])
    n_bodies = len(place.state["bodies"])
    started[0]._server.stop()
    place.state_file.unlink()
    again, engine = hold()
    assert engine.tally.n_called == 0
    assert n_bodies == engine.tally.n_stored
    assert not place.state_file.exists()
    assert without_time(again) == without_time(rows)


def without_time(rows: list[dict]) -> list[dict]:
    return [{name: value for name, value in row.items() if name != "latency_s"} for row in rows]
