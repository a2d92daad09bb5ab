"""Retries of a flow: in an outage, with pauses, and never for what trying again does not help."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from escalometer.errors import EscalometerError
from tests.command_line import environment
from tests.integration._remote import KEY, card
from tests.integration._server import running
from tests.integration._server_http import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]


@pytest.fixture
def provider() -> Iterator[Server]:
    with running(key=KEY) as one:
        yield one


@pytest.fixture
def root(project: Path, provider: Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a hosted model, in which this process is."""
    one = card(provider.url, key_env="THE_KEY", model="fake-1")
    content = one.model_dump(mode="json", exclude_none=True)
    (project / "models" / "remote.yaml").write_text(yaml.safe_dump(content), "utf-8")
    params = yaml.safe_load((project / "params.yaml").read_text("utf-8"))
    params |= {"models": ["remote"], "domains": ["hmda_mortgages"]}
    params["sample"]["n_per_condition"] = 2
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), "utf-8")
    monkeypatch.chdir(project)
    for name, value in environment(THE_KEY=KEY).items():  # stages are processes of this checkout
        monkeypatch.setenv(name, value)
    return project


def evaluated(root: Path, *delays_s: float) -> str:
    """Run the flow `evaluate` in this process, on a server of its own."""
    from flows._server import deliver, served
    from flows.evaluate import evaluate

    with served(root / ".escalometer" / "prefect"):
        try:
            return evaluate(retry_delays_s=list(delays_s))
        finally:
            deliver()


def test_an_outage_passes_and_the_run_goes_on(root: Path, provider: Server, capfd):
    assert provider.loop is not None
    down = threading.Thread(target=provider.go_down, args=(4.0,))
    down.start()
    time.sleep(0.5)
    assert Path(evaluated(root, 2.0, 2.0, 2.0, 2.0)) == root
    down.join()
    assert (root / "data" / "profiles" / "remote" / "profile.json").exists()
    assert set(provider.asked.values()) == {1}


def test_a_refused_key_is_not_tried_again(root: Path, provider: Server, monkeypatch):
    monkeypatch.setenv("THE_KEY", "wrong")
    began = time.monotonic()
    with pytest.raises(EscalometerError, match="invalid_api_key"):
        evaluated(root, 60.0, 60.0)
    assert time.monotonic() - began < 45
    assert provider.n_asked == 0
