"""A program that takes the place of `vllm`: it parses a server's command line and serves answers.

It accepts the arguments that vLLM 0.33 has, by the same names and types, and refuses others. What
it was given is written to the file that VLLM_STUB_STATE names; VLLM_STUB has options (JSON):
`startup_s`, `fails` (exit before serving), `never` (never ready), `version`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.integration import _server_answers as answers

STATE = Path(os.environ["VLLM_STUB_STATE"])
OPTIONS = json.loads(os.environ.get("VLLM_STUB", "{}"))
VERSION = OPTIONS.get("version", "0.33.0")
#: --max-lora-rank and --dtype take these alone, by vLLM's own definitions.
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
TYPES = ("auto", "half", "float16", "bfloat16", "float", "float32")

_lock = threading.Lock()


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("vllm", allow_abbrev=False)
    serve = made.add_subparsers(required=True).add_parser("serve", allow_abbrev=False)
    serve.add_argument("model_tag")
    serve.add_argument("--host")
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument("--served-model-name", nargs="+")
    serve.add_argument("--dtype", choices=TYPES)
    serve.add_argument("--seed", type=int)
    serve.add_argument("--max-model-len", type=int)
    serve.add_argument("--generation-config")
    serve.add_argument("--enable-prefix-caching", action=argparse.BooleanOptionalAction)
    serve.add_argument("--enable-prompt-tokens-details", action=argparse.BooleanOptionalAction)
    serve.add_argument("--disable-uvicorn-access-log", action=argparse.BooleanOptionalAction)
    serve.add_argument("--enable-lora", action=argparse.BooleanOptionalAction)
    serve.add_argument("--max-lora-rank", type=int, choices=RANKS, default=16)
    serve.add_argument("--lora-modules", nargs="+", type=json.loads, default=[])
    serve.add_argument("--tensor-parallel-size", type=int, default=1)
    serve.add_argument("--data-parallel-size", type=int, default=1)
    return made


class Handler(BaseHTTPRequestHandler):
    given: argparse.Namespace
    bodies: list[dict] = []

    def names(self) -> list[str]:
        lora = [module["name"] for module in self.given.lora_modules]
        return [*(self.given.served_model_name or [self.given.model_tag]), *lora]

    def reply(self, status: int, content: object) -> None:
        raw = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def is_allowed(self) -> bool:
        key = os.environ.get("VLLM_API_KEY")
        if key is None or self.headers["Authorization"] == f"Bearer {key}":
            return True
        self.reply(401, {"error": "Unauthorized"})
        return False

    def do_GET(self) -> None:
        if self.path == "/health":
            self.reply(200, {})
        elif self.path == "/version":
            self.reply(200, {"version": VERSION})
        elif self.path == "/v1/models" and self.is_allowed():
            self.reply(200, {"data": [{"id": name} for name in self.names()]})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.is_allowed():
            return
        body = json.loads(raw)
        if body["model"] not in self.names():
            self.reply(404, {"error": {"message": f"no model {body['model']}"}})
            return
        rank = self.headers["X-data-parallel-rank"]
        if rank is not None and not 0 <= int(rank) < self.given.data_parallel_size:
            self.reply(400, {"error": {"message": "data_parallel_rank is out of range"}})
            return
        with _lock:
            self.bodies.append({"rank": rank, **body})
            note(bodies=self.bodies)
        answer = answers.answer(body)
        self.reply(200, {**answer, "system_fingerprint": f"vllm-{VERSION}-0123abcd"})

    def log_message(self, *about: object) -> None:
        """Print nothing."""


def note(**about: object) -> None:
    state = json.loads(STATE.read_text("utf-8")) if STATE.exists() else {}
    partial = STATE.with_suffix(".partial")
    partial.write_text(json.dumps(state | about), "utf-8")
    partial.replace(STATE)


def main() -> None:
    given = parser().parse_args()
    # An engine process, as vLLM has them: it ends only when it is ended.
    engine = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    note(
        arguments=vars(given) | {"func": None},
        line=sys.argv[1:],
        environment=sorted(os.environ),
        key=os.environ.get("VLLM_API_KEY"),
        pids=[os.getpid(), engine.pid],
    )
    print("INFO loading weights", flush=True)
    time.sleep(OPTIONS.get("startup_s", 0))
    if OPTIONS.get("fails"):
        print(f"ValueError: no GPU found (key {os.environ['VLLM_API_KEY']})", flush=True)
        engine.kill()
        raise SystemExit(1)
    if OPTIONS.get("never"):
        signal.pause()
    Handler.given = given
    server = ThreadingHTTPServer((given.host, given.port), Handler)
    server.serve_forever()


if __name__ == "__main__":
    main()
