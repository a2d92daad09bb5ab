"""Adapters of policies with their real packages: MLflow and a LiteLLM proxy on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from escalometer.policy import Policy, digest
from tests.command_line import environment
from tests.conftest import ROOT
from tests.integration._chat_server import chat_server
from tests.unit.policy_files import by_hand

pytestmark = pytest.mark.slow

#: A Python that has LiteLLM's proxy and LangChain: `make test-adapters` makes one.
OTHER = os.environ.get("ESCALOMETER_ADAPTERS")
needs_other = pytest.mark.skipif(
    OTHER is None, reason="no environment with LiteLLM and LangChain: run `make test-adapters`"
)
#: Seconds that a server may take to start.
PATIENCE = 120

#: Cases: what is known of a dialogue, and the action of the policy below.
CASES = (
    ({"condition": "tied", "confidence": 0.9, "own_action": "implement"}, "act"),
    ({"condition": "tied", "confidence": 0.5, "own_action": "implement"}, "act"),  # a tie
    ({"condition": "tied", "confidence": 0.49, "own_action": "implement"}, "escalate"),
    ({"condition": "tied", "confidence": 0.9, "own_action": "escalate"}, "escalate"),
    ({"condition": "tied", "confidence": 0.9}, "escalate"),
    ({"condition": "tied", "confidence": 1.2, "own_action": "implement"}, "escalate"),
    ({"condition": "tied", "confidence": None, "own_action": "implement"}, "escalate"),
    ({"condition": "never seen", "confidence": 0.9, "own_action": "implement"}, "escalate"),
    ({"confidence": 0.9, "own_action": "implement"}, "escalate"),
)

#: A request whose answer the policy below acts on.
ACTING = {
    "model": "m",
    "messages": [{"role": "user", "content": "Because. DECISION: 0"}],
    "metadata": {"escalometer": {"condition": "tied", "confidence": 0.9}},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A policy that acts if the model implements and the confidence is at least 0.5."""
    now = datetime.now(UTC)
    policy = by_hand(
        "own_and_external",
        created_at=now.isoformat(),
        expires_at=(now + timedelta(days=1)).isoformat(),
    )
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(policy.content), "utf-8")
    return path


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _post(address: str, content: Mapping[str, Any], key: str = "") -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(  # noqa: S310
        address, json.dumps(content).encode(), headers
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@contextlib.contextmanager
def _serving(command: list[str], folder: Path, health: str, **settings: str) -> Iterator[str]:
    """Run a server and yield its address; `health` is a path that answers when it is ready."""
    port = _free_port()
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--port", str(port)], cwd=folder, env=environment(**settings),
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    address, end = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
    try:
        while True:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(  # noqa: S310
                    f"{address}{health}", timeout=5
                ),
            ):
                break
            assert server.poll() is None and time.monotonic() < end, (
                folder / "server.log"
            ).read_text()[-3000:]
            time.sleep(0.3)
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def test_a_registered_policy_is_served_by_mlflow_and_decides_as_the_file(file, tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    code = (
        "import sys, mlflow; from escalometer.adapters.mlflow_pyfunc import log_policy\n"
        "mlflow.set_experiment('policies')\n"
        "with mlflow.start_run():\n    model = log_policy(sys.argv[1], 'refund-policy')\n"
        "print(model.registered_model_version)"
    )
    kept = {
        "MLFLOW_TRACKING_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_REGISTRY_URI": uri, "GIT_PYTHON_REFRESH": "quiet",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)],
        cwd=tmp_path, env=environment(**kept), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith("1")
    logged = list(tmp_path.rglob("*.pkl"))
    assert not logged, "nothing is pickled"
    command = [
        *(sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/refund-policy/1"),
        *("--env-manager", "local", "--host", "127.0.0.1", "--workers", "1"),
    ]
    policy = Policy(json.loads(file.read_text("utf-8")))
    with _serving(command, tmp_path, "/ping", **kept) as address:
        for case, action in CASES:
            for model, expected in (("m", action), ("other", "escalate")):
                record = {**case, "model": model}
                status, answer = _post(f"{address}/invocations", {"dataframe_records": [record]})
                assert status == 200, answer
                assert answer["predictions"] == [policy.decide(**record)._asdict()]
                assert answer["predictions"][0]["action"] == expected
        records = [{**case, "model": "m"} for case, _ in CASES]
        _, answer = _post(f"{address}/invocations", {"dataframe_records": records})
        assert [row["action"] for row in answer["predictions"]] == [a for _, a in CASES]


@contextlib.contextmanager
def _proxy(file: Path, folder: Path, modes: list[str]) -> Iterator[tuple[str, str]]:
    """Run a LiteLLM proxy with the guardrail; yield the address of its chat, and its key."""
    assert OTHER is not None
    key = f"sk-{secrets.token_hex(32)}"
    with chat_server() as upstream:
        served = {"api_base": upstream, "api_key": "none"}
        guardrail = {
            "guardrail": "escalometer.adapters.litellm_guardrail.PolicyGuardrail",
            "mode": modes,
            "default_on": True,
            "policy_file": str(file),
        }
        config = {
            "model_list": [
                {"model_name": name, "litellm_params": {"model": f"openai/{name}", **served}}
                for name in ("m", "other")
            ],
            "guardrails": [{"guardrail_name": "escalation", "litellm_params": guardrail}],
        }
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(config), "utf-8")
        command = [str(Path(OTHER).parent / "litellm"), "--config", str(path)]
        command += ["--host", "127.0.0.1"]
        settings = {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_TELEMETRY": "False",
            "LITELLM_MASTER_KEY": key,
            "NO_PROXY": "127.0.0.1",
        }
        with _serving(command, folder, "/health/liveliness", **settings) as address:
            yield f"{address}/v1/chat/completions", key


@needs_other
def test_a_litellm_proxy_lets_through_what_the_file_acts_on(file, tmp_path):
    with _proxy(file, tmp_path, ["pre_call", "post_call"]) as (chat, key):
        for case, action in CASES:
            stated = {name: value for name, value in case.items() if name != "own_action"}
            own = {"implement": 0, "escalate": 1}.get(str(case.get("own_action")))
            text = "I cannot say." if own is None else f"Because. DECISION: {own}"
            for model, expected in (("m", action), ("other", "escalate")):
                body = {
                    "model": model,
                    "messages": [{"role": "user", "content": text}],
                    "metadata": {"escalometer": stated},
                }
                status, answer = _post(chat, body, key)
                if expected == "act":
                    assert status == 200, answer
                    message = answer["choices"][0]["message"]
                    assert message["content"] == text
                    assert message["provider_specific_fields"]["escalometer"]["action"] == "act"
                else:
                    assert status == 403, (case, answer)
                    assert "escalate: " in json.dumps(answer) and text not in json.dumps(answer)
        del body["metadata"]
        assert _post(chat, {**body, "model": "m"}, key)[0] == 403
        assert _post(chat, {**ACTING, "stream": True}, key)[0] == 403


@needs_other
def test_a_litellm_proxy_holds_streams_back_without_the_hook_before_the_call(file, tmp_path):
    with _proxy(file, tmp_path, ["post_call"]) as (chat, key):
        assert _post(chat, ACTING, key)[0] == 200
        request = urllib.request.Request(  # noqa: S310
            chat,
            json.dumps({**ACTING, "stream": True}).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            text = error.read().decode()
        assert "cannot be held back" in text and "Because" not in text


#: An agent that calls the tool `refund` at once; prints what waits for a person, and what ran.
AGENT = """
import json, sys
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from escalometer.adapters.langchain_hitl import interrupt_on
from escalometer.policy import load

class Model(GenericFakeChatModel):
    def bind_tools(self, tools, **more):
        return self

policy, cases = load(sys.argv[1]), json.loads(sys.argv[2])
for i, case in enumerate(cases):
    ran = []
    def refund(amount: int) -> str:
        "Refund an amount."
        ran.append(amount)
        return "done"
    call = {"name": "refund", "args": {"amount": 5}, "id": f"call-{i}", "type": "tool_call"}
    answers = iter([AIMessage(content="", tool_calls=[call]), AIMessage(content="finished")])
    hitl = HumanInTheLoopMiddleware(interrupt_on(policy, ["refund"], lambda call: case))
    agent = create_agent(
        Model(messages=answers), [refund], middleware=[hitl], checkpointer=InMemorySaver()
    )
    settings = {"configurable": {"thread_id": str(i)}}
    found = agent.invoke({"messages": [("user", "refund it")]}, settings)
    waiting = found.get("__interrupt__")
    before = list(ran)
    reason = waiting[0].value["action_requests"][0]["description"] if waiting else None
    if waiting:
        agent.invoke(Command(resume={"decisions": [{"type": "approve"}]}), settings)
    print(json.dumps({"ran": before, "reason": reason, "after": ran}))
"""


@needs_other
def test_langchains_middleware_interrupts_where_the_file_escalates(file, tmp_path):
    assert OTHER is not None
    cases = [{**case, "model": "m"} for case, _ in CASES]
    done = subprocess.run(
        [OTHER, "-c", AGENT, str(file), json.dumps(cases)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    policy = Policy(json.loads(file.read_text("utf-8")))
    assert policy.content["digest"] == digest(policy.content)
    for case, (_, action), line in zip(cases, CASES, lines, strict=True):
        assert line["ran"] == ([5] if action == "act" else [])
        assert line["after"] == [5]  # a person approved what waited
        if action == "escalate":
            assert line["reason"] == f"Escalated: {policy.decide(**case).reason}."
