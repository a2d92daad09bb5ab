"""Checks before a run: keys, endpoints, models, contexts."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from escalometer.config import Workspace, load_params
from escalometer.dialogue.providers import check
from escalometer.errors import EscalometerError, ProviderError, UsageError
from escalometer.operations import evaluation
from escalometer.stages import design, ingest, query, sample
from tests import command_line
from tests.integration._remote import KEY, ask_remote, card
from tests.integration._server import running
from tests.integration._server_http import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with running(key=KEY) as one:
        yield one


def place(root: Path, **secrets: str) -> Workspace:
    return Workspace(root, root / "cache", root / "store.sqlite", secrets, "run")


def found(server_url: str, root: Path, key: str = KEY, **endpoint) -> EscalometerError | None:
    """Return the result of the check for one model."""
    one = card(server_url, key_env="THE_KEY", **endpoint)
    secrets = {"THE_KEY": key} if key else {}
    return check([one], place(root, **secrets)).get("remote")


def test_a_model_that_is_listed_is_asked_for_once_an_endpoint(server: Server, tmp_path: Path):
    cards = [
        card(server.url, key_env="THE_KEY").model_copy(update={"id": f"m{i}"}) for i in range(5)
    ]
    assert check(cards, place(tmp_path, THE_KEY=KEY)) == {}
    assert server.n_listed == 1
    assert server.n_asked == 0


@pytest.mark.parametrize(
    ("listed", "model"),
    [
        (["fake"], "fake"),
        (["fake-2026-11-01"], "fake"),
        (["models/fake"], "fake"),
        (["fake:latest"], "fake"),
        (["fake"], "fake:free"),
        ([], "fake"),
        (None, "fake"),
    ],
)
def test_names_of_releases_paths_and_variants_count(server, tmp_path, listed, model):
    server.models = listed
    assert found(server.url, tmp_path, model=model) is None


def test_an_unknown_model_is_named_with_similar_ones(server: Server, tmp_path: Path):
    server.models = ["sonar-large", "sonar-small", "other"]
    error = found(server.url, tmp_path, model="sonar-lrge")
    assert isinstance(error, ProviderError)
    assert error.exit_code == 5
    assert "does not list the model 'sonar-lrge'. Similar: sonar-large, sonar-small" in str(error)
    assert "lists_models: false" in str(error)
    assert found(server.url, tmp_path, model="sonar-lrge", lists_models=False) is None


def test_a_missing_key_is_an_error_of_configuration(server: Server, tmp_path: Path):
    error = found(server.url, tmp_path, key="")
    assert isinstance(error, UsageError)
    assert error.exit_code == 3
    assert "THE_KEY is not set" in str(error)


def test_a_wrong_key_is_refused_and_not_shown(server: Server, tmp_path: Path):
    error = found(server.url, tmp_path, key="sk-wrong-1234567890")
    assert isinstance(error, ProviderError)
    assert "HTTP 401" in str(error)
    assert "sk-wrong" not in str(error)


def test_a_dead_port_is_said_within_seconds(tmp_path: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.monotonic()
    error = found(f"http://127.0.0.1:{port}/v1", tmp_path)
    assert time.monotonic() - began < 5
    assert isinstance(error, ProviderError)
    assert "no connection" in str(error)
    assert "base_url" in str(error)


def test_a_server_that_does_not_answer_is_left_to_the_run(tmp_path: Path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        assert found(url, tmp_path) is None
        assert time.monotonic() - began < 6


# --- Before a run ------------------------------------------------------------------------------


@pytest.fixture
def ready(project: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that asks the server's model about one domain, up to its scenarios."""
    ask_remote(project, server.url)
    monkeypatch.chdir(project)
    ingest.run("hmda_mortgages")
    sample.run("hmda_mortgages", load_params())
    return project


def test_a_model_whose_answers_are_all_stored_needs_no_key(ready: Path, server: Server):
    params = load_params()
    with pytest.raises(UsageError, match="THE_KEY is not set"):
        evaluation.check_models(params, place(ready))
    here = place(ready, THE_KEY=KEY)
    evaluation.check_models(params, here)
    design.run("remote", params, here)
    query.run("remote", params, here)
    evaluation.check_models(params, place(ready))


def test_a_prompt_that_cannot_fit_is_said_before_it_is_sent(ready: Path):
    path = ready / "models" / "remote.yaml"
    content = yaml.safe_load(path.read_text("utf-8"))
    evaluation.check_context(load_params(), place(ready))
    path.write_text(yaml.safe_dump({**content, "context": 100}), "utf-8")
    with pytest.raises(ProviderError, match=r"remote: the longest dialogue of hmda_mortgages has"):
        evaluation.check_context(load_params(), place(ready))
    shutil.rmtree(ready / "data" / "scenarios")
    evaluation.check_context(load_params(), place(ready))  # nothing is drawn yet


@pytest.mark.parametrize(
    ("key", "model", "code", "said"),
    [
        ("", "fake-1", 3, "THE_KEY is not set"),
        ("sk-wrong-1234567890", "fake-1", 5, "HTTP 401"),
        (KEY, "other", 5, "does not list the model 'other'"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_run_that_cannot_ask_ends_before_its_first_stage(
    ready: Path, server: Server, key: str, model: str, code: int, said: str, options: tuple[str]
):
    path = ready / "models" / "remote.yaml"
    content = yaml.safe_load(path.read_text("utf-8"))
    content["endpoint"]["model"] = model
    path.write_text(yaml.safe_dump(content), "utf-8")
    done = command_line.run(ready, "evaluate", "remote", *options, THE_KEY=key)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "sk-wrong" not in done.stderr
    assert "[1/" not in done.stderr
    assert server.n_asked == 0


def test_answers_that_cannot_be_read_end_the_query_with_5(ready: Path, server: Server):
    server.faults = []
    path = ready / "params.yaml"
    params = yaml.safe_load(path.read_text("utf-8"))
    params["query"]["interventions"] = ["baseline"]
    path.write_text(yaml.safe_dump(params), "utf-8")
    here = place(ready, THE_KEY=KEY)
    design.run("remote", load_params(), here)
    card_path = ready / "models" / "remote.yaml"
    content = yaml.safe_load(card_path.read_text("utf-8"))
    with running(faults=[{"kind": "too_long", "times": 10_000}], key=KEY) as limited:
        content["endpoint"]["base_url"] = limited.url
        card_path.write_text(yaml.safe_dump(content), "utf-8")
        with pytest.raises(ProviderError, match=r"no dialogue of remote could be read: of") as said:
            query.run("remote", load_params(), here)
    assert "error" in str(said.value)
    assert "--retry error" in str(said.value)
