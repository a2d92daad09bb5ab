"""Promotion on a real MLflow server: versions by REST, and the webhook that starts a deployment."""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from cryptography.fernet import Fernet
from mlflow.exceptions import MlflowException

from escalometer.operations import registry
from examples.deploy.receiver import is_signed, promoted_version
from tests.command_line import environment, run
from tests.conftest import ROOT
from tests.tracked import evaluate, logged, project

pytestmark = pytest.mark.slow

NAME = "decision-maker"
SECRET = "a secret of both sides"  # noqa: S105 - of this test
#: Seconds that a server, or a webhook, may take.
PATIENCE = 90
#: MLflow sends to public https addresses alone, unless these are set.
LOOPBACK = {
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def serving(folder: Path, **settings: str) -> Iterator[str]:
    """Run `mlflow server` in a folder and yield its address."""
    port = _free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'server.db'}"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    kept = {
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": Fernet.generate_key().decode(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **settings,
    }
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=environment(**kept), stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(lambda: _is_healthy(address), (folder / "server.log").read_text)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _is_healthy(address: str) -> bool:
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(f"{address}/health", timeout=5).status == 200  # noqa: S310
    return False


def _wait(is_done, said=lambda: "") -> None:
    end = time.monotonic() + PATIENCE
    while not is_done():
        assert time.monotonic() < end, said()
        time.sleep(0.2)


@contextlib.contextmanager
def receiving(folder: Path) -> Iterator[tuple[str, Path]]:
    """Run the example of a receiver; yield its address, and the file that its command writes."""
    deployed = folder / "deployed.txt"
    deploy = f"import sys; open({str(deployed)!r}, 'a').write(sys.argv[1] + '\\n')"
    receiver = subprocess.Popen(
        [
            *(sys.executable, str(ROOT / "examples" / "deploy" / "receiver.py"), "--port", "0"),
            *("--", sys.executable, "-c", deploy),
        ],
        env=environment(WEBHOOK_SECRET=SECRET), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert receiver.stdout is not None
    try:
        yield f"http://127.0.0.1:{receiver.stdout.readline().split()[-1]}", deployed
    finally:
        receiver.kill()
        receiver.communicate()


def test_a_promotion_reaches_the_deployment(tmp_path: Path) -> None:
    root = project(tmp_path / "project", domains=("movielens",))
    for name in ("used", "good", "bold"):
        about = {"threshold": 0.45} if name == "bold" else {}
        evaluate(root, name, n=150, domains=("movielens",), **about)
    with serving(tmp_path, **LOOPBACK) as uri, receiving(tmp_path) as (receiver, deployed):
        mlflow.set_tracking_uri(uri)
        client = mlflow.MlflowClient()
        client.create_webhook(
            "deploy-releases", receiver, ["model_version_alias.created"], secret=SECRET
        )
        for name in ("used", "good", "bold"):
            logged(root, name, uri)
        assert registry.in_use(root, uri) is None and not (root / "mlflow.db").exists()
        steps = [("used", 0, "promoted"), ("bold", 1, "not_passed"), ("good", 0, "promoted")]
        for name, code, status in steps:
            done = run(
                root, "gate", name, "--against", "in-use", "--promote", "--json",
                MLFLOW_TRACKING_URI=uri,
            )  # fmt: skip
            assert done.returncode == code, done.stderr
            assert json.loads(done.stdout)["promotion"]["status"] == status
        assert registry.in_use(root, uri) == "good"
        _wait(lambda: deployed.exists() and len(deployed.read_text().split()) == 2)
        assert deployed.read_text().split() == ["1", "2"]  # no candidate, and nothing that failed
        version = client.get_model_version(NAME, "2")
        assert version.tags["verdict"] == "pass"
        assert version.tags["judged_against"] == "used"
        text = mlflow.artifacts.load_text(f"runs:/{version.run_id}/{version.tags['verdict_file']}")
        assert json.loads(text)["model"] == "good"
        model = client.get_logged_model(version.source.rpartition("/")[2])
        assert {one.dataset_name for one in model.metrics} == {"movielens-decisions"}
        request = urllib.request.Request(receiver, b"{}", method="POST")  # noqa: S310
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(request, timeout=5)  # noqa: S310
    done = run(
        root, "gate", "used", "--promote", "--json",
        MLFLOW_TRACKING_URI=uri, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
    )  # fmt: skip
    assert done.returncode == 5 and json.loads(done.stdout)["verdict"] == "pass"
    assert "nothing was promoted" in done.stderr


def test_mlflow_sends_to_public_https_addresses_alone(tmp_path: Path) -> None:
    with serving(tmp_path) as uri:
        mlflow.set_tracking_uri(uri)
        for address in ("http://127.0.0.1:8080", "https://127.0.0.1:8080"):
            with pytest.raises(MlflowException, match=r"scheme|non-public"):
                mlflow.MlflowClient().create_webhook(
                    "deploy-releases", address, ["model_version_alias.created"], secret=SECRET
                )


def test_the_receiver_refuses_what_is_not_mlflows() -> None:
    body = b'{"a": 1}'
    signed = hmac.digest(SECRET.encode(), b"id.1000." + body, "sha256")
    headers = {
        "X-MLflow-Delivery-Id": "id",
        "X-MLflow-Timestamp": "1000",
        "X-MLflow-Signature": f"v1,{base64.b64encode(signed).decode()}",
    }
    assert is_signed(headers, body, SECRET, now=1010)
    assert not is_signed(headers, body + b" ", SECRET, now=1010)
    assert not is_signed(headers, body, "another", now=1010)
    assert not is_signed(headers, body, SECRET, now=2000)
    assert not is_signed({}, body, SECRET, now=1010)


@pytest.mark.parametrize(
    ("changes", "version"),
    [({}, "7"), ({"alias": "candidate"}, None), ({"name": "other"}, None)],
)
def test_the_receiver_heeds_the_alias_of_its_model(
    changes: dict[str, str], version: str | None
) -> None:
    data = {"name": NAME, "alias": "in-use", "version": "7", **changes}
    content = {"entity": "model_version_alias", "action": "created", "data": data}
    assert promoted_version(content, NAME) == version
    assert promoted_version({**content, "action": "deleted"}, NAME) is None
