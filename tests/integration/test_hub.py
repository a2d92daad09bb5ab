"""Weights from a hub: a loopback server that answers as the Hugging Face hub does."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from escalometer.cases.task import PREDICTION_MARKER
from escalometer.config import ModelCard
from escalometer.dialogue.providers import Request, connect
from escalometer.dialogue.weights import sources
from escalometer.errors import ProviderError
from tests.conftest import tiny_card, workspace

REVISION = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """A hub with one model, of which `files` holds the content and `announced` the digests."""

    files: dict[str, bytes]
    announced: dict[str, str]

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path == f"/api/models/someone/tiny/revision/{REVISION}":
            siblings = [self.about(name) for name in self.files]
            self.say(json.dumps({"id": "someone/tiny", "sha": REVISION, "siblings": siblings}))
        elif path == f"/api/models/someone/tiny/tree/{REVISION}":
            tree = [
                {"type": "file", "path": name, "oid": "0" * 40, "size": len(content)}
                for name, content in self.files.items()
            ]
            self.say(json.dumps(tree))
        elif (name := path.removeprefix(f"/someone/tiny/resolve/{REVISION}/")) in self.files:
            self.say(self.files[name], **{"ETag": f'"{name}"', "X-Repo-Commit": REVISION})
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def about(self, name: str) -> dict[str, object]:
        content = self.files[name]
        known: dict[str, object] = {"rfilename": name, "size": len(content)}
        if name.endswith((".safetensors", ".bin")):
            digest = self.announced.get(name, hashlib.sha256(content).hexdigest())
            known["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
        return known

    def say(self, content: bytes | str, **headers: str) -> None:
        body = content.encode() if isinstance(content, str) else content
        self.send_response(200)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture
def hub(tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    files = {path.name: path.read_bytes() for path in tiny_weights.iterdir() if path.is_file()}
    more = {"pytorch_model.bin": b"pickled", "modeling_tiny.py": b"import os", "onnx/a.json": b"{}"}
    kind = type("OneHub", (Hub,), {"files": files | more, "announced": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    yield kind
    server.shutdown()
    server.server_close()


@pytest.fixture
def card(tiny_weights: Path) -> ModelCard:
    source = {"kind": "hub", "id": "someone/tiny", "revision": REVISION}
    return ModelCard.model_validate({**tiny_card(tiny_weights), "source": source})


def test_a_model_of_the_hub_answers_as_its_folder_does(hub, card, tiny_weights, tmp_path):
    request = Request((("user", "Rain?"),), PREDICTION_MARKER, 8)
    ((_, answer),) = connect(card, workspace(tmp_path)).complete([request])
    local = ModelCard.model_validate(tiny_card(tiny_weights))
    ((_, expected),) = connect(local, workspace(tmp_path)).complete([request])
    assert answer.text == expected.text
    folder = sources.folder(card, tmp_path)
    fetched = {path.name for path in folder.iterdir() if path.is_file()}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= fetched
    assert not {name for name in fetched if name.endswith((".bin", ".py"))}
    hub.files.clear()  # what is there is asked for no more
    assert sources.folder(card, tmp_path) == folder
    assert connect(card, workspace(tmp_path)).identity["revision"] == f"hub:someone/tiny@{REVISION}"


def test_bytes_that_the_hub_did_not_announce_are_refused(hub, card, tmp_path):
    hub.announced["model.safetensors"] = "0" * 64
    with pytest.raises(ProviderError, match=r"not what the hub announces"):
        sources.folder(card, tmp_path)
    hub.announced.clear()
    assert (sources.folder(card, tmp_path) / "model.safetensors").is_file()


def test_a_model_without_safetensors_is_refused(hub, card, tmp_path):
    del hub.files["model.safetensors"]
    with pytest.raises(ProviderError, match=r"no \*.safetensors file; pickled"):
        sources.folder(card, tmp_path)


def test_a_model_that_is_not_there_says_what_to_do(hub, card, tmp_path):
    other = card.source.model_copy(update={"id": "someone/else"})
    with pytest.raises(ProviderError, match=r"someone/else.*kind: folder"):
        sources.folder(card.model_copy(update={"source": other}), tmp_path)


def test_no_hub_says_what_to_do(card, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ProviderError, match=r"could not fetch someone/tiny.*kind: folder"):
        sources.folder(card, tmp_path)
