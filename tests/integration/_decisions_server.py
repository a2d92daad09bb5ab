"""A decisions endpoint on loopback, in both wire forms: `POST /v1/decisions` and `/v1/systemone`.

Probabilities are those of a function of input, question and options: by default of a digest of the
texts, or the readout of a local model (`readout`). `spoil` changes an answer before it is sent.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from escalometer.dialogue.providers import BatchProvider, Request

Probabilities = Callable[[str, str, Sequence[str]], Sequence[float]]
MODEL, RESOLVED = "fake-decider", "fake-decider-2026-10-06"


def digested(content: str, question: str, options: Sequence[str]) -> list[float]:
    """Return probabilities that depend on the texts alone."""
    digest = hashlib.sha256(f"{content}|{question}".encode()).digest()
    weights = [1 + byte for byte in digest[: len(options)]]
    return [weight / sum(weights) for weight in weights]


def readout(provider: BatchProvider) -> Probabilities:
    """Return the probabilities of a local model: its choice readout of the same question."""

    def probabilities(content: str, question: str, options: Sequence[str]) -> Sequence[float]:
        prompt = f"{content}\n\n{question} Answer with 'ANSWER: ' and one of {', '.join(options)}."
        asked = Request(
            (("user", prompt),), "ANSWER:", 8, choices=tuple(options), reads_choice=True
        )
        ((_, found),) = provider.complete([asked])
        assert found.probabilities is not None
        return found.probabilities

    return probabilities


class DecisionsServer:
    """The server: what it was asked, and how it answers.

    Attributes
    ----------
    bodies : list of (path, body)
        Every request.
    spoil : callable or None
        ``spoil(answer, body)`` returns what is sent in the place of an answer.
    status : int
        HTTP status of answers.
    """

    def __init__(self, probabilities: Probabilities = digested, key: str | None = None) -> None:
        self.probabilities = probabilities
        self.key = key
        self.bodies: list[tuple[str, dict[str, Any]]] = []
        self.spoil: Callable[[dict[str, Any], dict[str, Any]], Any] | None = None
        self.failures: list[tuple[int, dict[str, Any]]] = []
        self.lock = threading.Lock()  # a local model answers one at a time
        self.url = ""

    def reply(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the reply to one request."""
        spoil = self.spoil or (lambda answer, _: answer)
        if path == "/v1/decisions":
            found: Any = [
                spoil(self._openai(body["input"], asked), body) for asked in body["questions"]
            ]
            usage = {
                "input_tokens": 300,
                "input_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 0},
                "output_tokens": 0,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": 300,
            }
        else:
            found = {
                name: spoil(self._system_one(body["state"], asked), body)
                for name, asked in body["questions"].items()
            }
            usage = {"input_tokens": 300, "output_tokens": 7}
        return {"model": RESOLVED, "answers": found, "usage": usage}

    def _asked(self, content: str, question: str, options: list[str]) -> list[float]:
        with self.lock:
            return list(self.probabilities(content, question, options))

    def _openai(self, content: str, asked: dict[str, Any]) -> dict[str, Any]:
        named = {"type": asked["type"], "name": asked.get("name")}
        if asked["type"] == "predicate":
            p = self._asked(content, asked["instructions"], ["0", "1"])
            return {**named, "probability": p[1]}
        options = [choice["value"] for choice in asked["choices"]]
        p = self._asked(content, asked["instructions"], options)
        return {
            **named,
            "choice": options[p.index(max(p))],
            "confidence": _confidence(p),
            "probabilities": [
                {"value": option, "probability": share}
                for option, share in zip(options, p, strict=True)
            ],
        }

    def _system_one(self, content: str, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["type"] == "noul":
            p = self._asked(content, asked["instructions"], ["0", "1"])
            return {"type": "noul", "noul": p[1]}
        options = list(asked["criteria"])
        p = self._asked(content, asked["instructions"], options)
        return {
            "type": "choice",
            "choice": options[p.index(max(p))],
            "confidence": _confidence(p),
            "probabilities": dict(zip(options, p, strict=True)),
        }


def _confidence(p: Sequence[float]) -> float:
    """Return a statistic of the distribution: 0 where it is flat, 1 where one option has all."""
    return (max(p) - 1 / len(p)) / (1 - 1 / len(p))


@contextlib.contextmanager
def decisions_server(
    probabilities: Probabilities = digested, key: str | None = None
) -> Iterator[DecisionsServer]:
    """Run a server in threads of this process; its `url` is a card's base URL."""
    state = DecisionsServer(probabilities, key)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send({"models": [{"name": MODEL, "release_date": "2026-10-06"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if state.key and self.headers.get("Authorization") != f"Bearer {state.key}":
                self._send({"error": {"message": "invalid api key"}}, 401)
                return
            state.bodies.append((self.path, body))
            if state.failures:
                status, content = state.failures.pop(0)
                self._send(content, status)
                return
            self._send(state.reply(self.path, body))

        def _send(self, content: dict[str, Any], status: int = 200) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
