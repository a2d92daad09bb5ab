"""Object storage on loopback: an S3-compatible server, and one that fails on purpose."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

KEY, SECRET = "AKIAEXAMPLE00000TEST", "secret-of-the-tests-0123456789"


def use(patch: pytest.MonkeyPatch, endpoint: str, folder: Path) -> None:
    """Set the environment of AWS's tools, with no file of the machine in it."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_PROFILE"):
        patch.delenv(name, raising=False)
    patch.setenv("AWS_ENDPOINT_URL", endpoint)
    patch.setenv("AWS_ACCESS_KEY_ID", KEY)
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    patch.setenv("AWS_CONFIG_FILE", str(folder / "no-config"))
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "no-credentials"))


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Yield the endpoint of an S3-compatible server on loopback while the block runs."""
    from moto.moto_api._internal import moto_api_backend
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    try:
        moto_api_backend.reset()
        yield "http://{}:{}".format(*running.get_host_and_port())
    finally:
        running.stop()


def client(endpoint: str) -> Any:
    """Return botocore's own client of a server."""
    import botocore.session

    return botocore.session.Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )


def keys(endpoint: str, bucket: str) -> list[str]:
    """Return the keys in a bucket."""
    found = client(endpoint).list_objects_v2(Bucket=bucket).get("Contents", [])
    return [item["Key"] for item in found]


def unfinished(endpoint: str, bucket: str) -> list[str]:
    """Return the keys of uploads in parts that are neither complete nor aborted."""
    found = client(endpoint).list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return [item["Key"] for item in found]


class Failing:
    """A server that begins uploads and answers their parts with an error.

    Attributes
    ----------
    requests : list of (str, str)
        Methods and paths, in the order of their arrival.
    """

    def __init__(self, status: int, code: str, n_accepted: int) -> None:
        self.requests: list[tuple[str, str]] = []
        self._answer = f"<Error><Code>{code}</Code><Message>for {KEY}</Message></Error>".encode()
        self._status, self._n_accepted = status, n_accepted

    def respond(self, handler: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        """Return the status and the body for a request."""
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        self.requests.append((handler.command, handler.path))
        if handler.command == "POST" and handler.path.endswith("?uploads"):
            begun = "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipart"
            return 200, f"{begun}UploadResult>".encode()
        if handler.command == "PUT":
            if self._n_accepted:
                self._n_accepted -= 1
                return 200, b""
            return self._status, self._answer
        return (204 if handler.command == "DELETE" else 200), b""


@contextlib.contextmanager
def failing_server(status: int, code: str, n_accepted: int = 0) -> Iterator[tuple[str, Failing]]:
    """Yield the endpoint of a server that refuses the parts of an upload, and its requests."""
    failing = Failing(status, code, n_accepted)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _respond(self) -> None:
            found, body = failing.respond(self)
            self.send_response(found)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"1"')
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _respond  # noqa: N815

        def log_message(self, *_arguments: Any) -> None:
            """Print nothing."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}", failing
    finally:
        running.shutdown()
        running.server_close()
        thread.join()
