"""`escalometer models watch`: new releases on lists, and what became of the models in use."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import yaml

from escalometer.config import Workspace, load_card, load_params
from escalometer.operations import watch
from tests.command_line import run
from tests.integration._remote import KEY, card
from tests.integration._server import running
from tests.integration._server_http import Server

TODAY = date(2026, 11, 29)


@pytest.fixture
def server() -> Iterator[Server]:
    with running(key=KEY) as one:
        yield one


@pytest.fixture
def root(project: Path, server: Server) -> Path:
    """A project that uses one model of the server, and looks for others of its name."""
    use(project, server.url, ["fake*"])
    return project


def use(root: Path, url: str, patterns: list[str], **content: object) -> None:
    one = card(url, key_env="THE_KEY", model="fake-1").model_dump(mode="json", exclude_none=True)
    (root / "models" / "remote.yaml").write_text(yaml.safe_dump({**one, **content}), "utf-8")
    params = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
    params |= {"models": ["remote"], "watch": {"patterns": patterns}}
    params["gate"]["against"] = "remote"
    (root / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")


def look(root: Path, **secrets: str) -> watch.Watched:
    secrets = secrets or {"THE_KEY": KEY}
    place = Workspace(root, root / "cache", root / "store.sqlite", secrets, "run")
    return watch.look(load_params(root / "params.yaml"), place, TODAY)


def test_a_new_release_gets_a_card_that_is_marked_as_guessed(root: Path, server: Server):
    server.models = ["fake-1", "fake-2", "other-3"]
    found = look(root)
    assert server.n_listed == 1
    assert server.n_asked == 0
    assert [new["model"] for new in found.new] == ["fake-2"]
    new = load_card("fake-2", root / "models")
    assert new.endpoint is not None
    assert (new.endpoint.model, new.endpoint.key_env) == ("fake-2", "THE_KEY")
    assert (new.price, new.guessed_from, new.context) == (None, "remote", 8192)
    text = (root / "models" / "fake-2.yaml").read_text("utf-8")
    assert text.startswith("# Found by `escalometer models watch` on 2026-11-29.")
    assert KEY not in text
    assert look(root).new == []  # the second time it is known


def test_the_command_prints_it_and_its_json(root: Path, server: Server):
    server.models = ["fake-1", "fake-2"]
    done = run(root, "models", "watch", "--json", THE_KEY=KEY)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["new"][0]["guessed_from"] == "remote"
    done = run(root, "models", "watch", THE_KEY=KEY)
    assert "2 models on the lists, nothing new" in done.stdout


@pytest.mark.parametrize(
    "name",
    ["fake-\x1b[2J", "fake-" + "x" * 500, "fake-a\nprice: 0", "fake/../../etc/passwd\x00", "fake/"],
)
def test_a_hostile_name_is_ignored(root: Path, server: Server, name: str):
    before = set((root / "models").iterdir())
    server.models = ["fake-1", name]
    found = look(root)
    assert found.new == []
    assert len(found.ignored) == 1
    assert set((root / "models").iterdir()) == before


def test_a_name_with_a_path_makes_a_card_in_the_folder(root: Path, server: Server):
    server.models = ["fake-1", "fake/../../../../outside"]
    assert [new["model"] for new in look(root).new] == ["outside"]
    assert (root / "models" / "outside.yaml").exists()


def test_two_hundred_models_are_too_many_for_one_pattern(root: Path, server: Server):
    server.models = [f"fake-{i}" for i in range(200)]
    found = look(root)
    assert found.new == []
    assert "narrow it" in found.ignored[0]["reason"]


def test_a_pattern_that_matches_nothing_and_a_card_that_exists_are_said(root, server):
    server.models = ["fake-1", "vendor/tiny"]
    use(root, server.url, ["nothing*", "*/tiny"])
    reasons = {ignored["name"]: ignored["reason"] for ignored in look(root).ignored}
    assert "matches no listed model" in reasons["nothing*"]
    assert "exists and is of another model" in reasons["vendor/tiny"]


def test_a_model_in_use_that_is_gone_or_retires_is_named(root: Path, server: Server):
    server.models = ["fake-2"]
    use(root, server.url, [], retires="2026-12-11")
    notices = {notice["kind"]: notice["text"] for notice in look(root).notices}
    assert "the release in use) retires on 2026-12-11" in notices["retiring"]
    assert "no longer on its provider's list" in notices["gone"]
    use(root, server.url, [], retires="2026-11-01")
    assert (
        "was retired on 2026-11-01" in {n["kind"]: n["text"] for n in look(root).notices}["retired"]
    )
    use(root, server.url, [], retires="2027-11-01")
    assert [notice["kind"] for notice in look(root).notices] == ["gone"]


def test_a_provider_that_is_down_exits_5_and_the_rest_is_written(root: Path, server: Server):
    server.models = ["fake-1", "fake-2"]
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    other = card(f"http://127.0.0.1:{port}/v1").model_dump(mode="json", exclude_none=True)
    (root / "models" / "down.yaml").write_text(yaml.safe_dump({**other, "id": "down"}), "utf-8")
    done = run(root, "models", "watch", THE_KEY=KEY)
    assert done.returncode == 5
    assert f"127.0.0.1:{port}" in done.stderr
    assert "new: fake-2" in done.stdout
    assert (root / "models" / "fake-2.yaml").exists()


def test_a_refused_key_is_not_printed(root: Path):
    done = run(root, "models", "watch", THE_KEY="sk-wrong-123456")
    assert done.returncode == 5
    assert "sk-wrong-123456" not in done.stdout + done.stderr


def test_a_provider_without_a_key_is_not_asked(root: Path, server: Server):
    assert look(root, OTHER="x").n_listed == 0
    assert server.n_listed == 0
