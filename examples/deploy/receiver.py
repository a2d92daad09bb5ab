"""Receive MLflow's webhook for the alias in-use, and run a command for the version behind it.

    WEBHOOK_SECRET=… python receiver.py --name decision-maker --port 8080 -- ./deploy.sh

runs `./deploy.sh VERSION` for each promotion. Requests without a valid signature, or older than
five minutes, are refused. Put a proxy with TLS in front: MLflow sends to public https addresses.
docs/how-to/deploy.md describes the webhook.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: Seconds after which a request may be one that somebody recorded and sends again.
MOST_AGE = 300
MOST_BYTES = 100_000


def is_signed(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> bool:
    """Return whether a request is MLflow's, and new."""
    sent = headers.get("X-MLflow-Timestamp", "")
    if not (sent.isdigit() and abs(now - int(sent)) <= MOST_AGE):
        return False
    signed = f"{headers.get('X-MLflow-Delivery-Id', '')}.{sent}.".encode() + body
    expected = base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode()
    return hmac.compare_digest(f"v1,{expected}", headers.get("X-MLflow-Signature", ""))


def promoted_version(content: Mapping[str, object], name: str) -> str | None:
    """Return the version that was put in use, None of any other event."""
    data = content.get("data")
    is_alias = (content.get("entity"), content.get("action")) == ("model_version_alias", "created")
    if not is_alias or not isinstance(data, dict):
        return None
    is_promotion = (data.get("name"), data.get("alias")) == (name, "in-use")
    return str(data["version"]) if is_promotion else None


class Receiver(BaseHTTPRequestHandler):
    """Answers 401 without a valid signature, 200 otherwise, before the command has ended."""

    secret, name = "", ""
    deploy: tuple[str, ...] = ()

    def do_POST(self) -> None:
        """Run the command for a promotion."""
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), MOST_BYTES))
        if not is_signed(self.headers, body, self.secret, time.time()):
            self.send_error(401)
            return
        version = promoted_version(json.loads(body), self.name)
        if version is not None:
            subprocess.Popen([*self.deploy, version])  # noqa: S603 - the operator's own command
        self.send_response(200)
        self.end_headers()


def main() -> None:
    """Listen until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default="decision-maker", help="the registered model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("command", nargs="+", help="what is run with the version as last argument")
    given = parser.parse_args()
    Receiver.secret = os.environ.get("WEBHOOK_SECRET", "")
    if not Receiver.secret:
        sys.exit("set WEBHOOK_SECRET to the secret of the webhook")
    Receiver.name, Receiver.deploy = given.name, tuple(given.command)
    with ThreadingHTTPServer((given.host, given.port), Receiver) as server:
        print(f"listening on port {server.server_address[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
