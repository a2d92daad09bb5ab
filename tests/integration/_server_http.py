"""The test server's HTTP: what it counts, and how it fails (see `_server` for how it is run).

It speaks HTTP itself, since most faults are none that a web framework can commit, and since a
benchmark's server must cost less than the client that it measures.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.integration import _server_answers as answers

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Slow Down"}


@dataclass
class Fault:
    """A fault, and the requests that it affects.

    Kinds: ``late`` (answers after `seconds`), ``never``, ``cut_off`` (in the middle of the body),
    ``cut_head`` (in the middle of the headers), ``empty`` (200 without a body), ``html`` (with
    `status`), ``wrong_json``, ``wrong_shape`` (JSON without choices), ``error_body`` (200 with
    `body`), ``status`` (`status` with `body` and `headers`), ``reset``, ``twice`` (the response is
    sent again, `seconds` later), ``down`` (the server refuses connections for `seconds`),
    ``filter``, ``refusal``, ``prompt_filter``, ``too_long``, ``truncated``, ``no_content``,
    ``no_usage``, ``replace`` (200 with `body` merged into the answer), ``redirect`` (to `body`).
    """

    kind: str
    times: int = 1  # how many requests it hits; -1: all
    each: bool = False  # whether `times` counts for each conversation by itself
    skip: int = 0  # how many requests pass before it begins
    match: str = ""  # only requests whose body has this text
    seconds: float = 0.0
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    hits: Counter[str] = field(default_factory=Counter)

    def strikes(self, content: str, raw: bytes) -> bool:
        """Return whether this request is hit, and count it."""
        if self.match and self.match.encode() not in raw:
            return False
        counted = content if self.each else ""
        self.hits[counted] += 1
        n = self.hits[counted] - self.skip
        return n > 0 and (self.times < 0 or n <= self.times)


class Server:
    """The server and what it counts; everything runs in one event loop.

    Attributes
    ----------
    asked, answered : Counter
        Requests that arrived, and those that were answered in full, by digest of the messages.
    peak : int
        The most chat requests that were under way at once.
    statuses : Counter
        Responses by HTTP status.
    revise : callable
        ``revise(body, made)`` changes the answer to a request: a model that drifts.
    """

    def __init__(
        self,
        latency: float = 0.0,
        key: str | None = None,
        capacity: int | None = None,
        faults: list[dict[str, Any]] | None = None,
        batch_seconds: float = 0.0,
    ) -> None:
        from tests.integration._server_batches import Batches

        self.latency = latency
        self.key = key
        self.capacity = capacity
        self.batch_seconds = batch_seconds
        self.faults = [Fault(**fault) for fault in faults or []]
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.keeps_bodies = True
        self.models: list[str] | None = [answers.MODEL]  # None: it has no list
        self.n_listed = 0
        self.revise: Callable[[dict[str, Any], dict[str, Any]], None] = lambda body, made: None
        self.n_now = 0
        self.peak = 0
        self.port = 0
        self.batches = Batches(self)
        self.connections: set[_Connection] = set()
        self.loop: asyncio.AbstractEventLoop | None = None
        self._listener: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Base URL for a card."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def n_asked(self) -> int:
        """The number of chat requests that arrived."""
        return sum(self.asked.values())

    def state(self) -> dict[str, Any]:
        """Return the counts as JSON has them."""
        return {
            "asked": dict(self.asked),
            "answered": dict(self.answered),
            "statuses": {str(status): n for status, n in self.statuses.items()},
            "n_asked": self.n_asked,
            "n_answered": sum(self.answered.values()),
            "peak": self.peak,
            "n_batches": len(self.batches.batches),
        }

    async def listen(self, port: int = 0) -> None:
        """Accept connections."""
        self.loop = asyncio.get_running_loop()
        self._listener = await self.loop.create_server(
            lambda: _Connection(self), "127.0.0.1", port, backlog=1024, reuse_address=True
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Refuse new connections and reset those there are."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in list(self.connections):
            connection.reset()

    def go_down(self, seconds: float) -> None:
        """Refuse connections from now, for so long (called in the loop)."""

        async def down() -> None:
            await self.shut()
            await asyncio.sleep(seconds)
            await self.listen(self.port)

        assert self.loop is not None
        self._down = self.loop.create_task(down())

    def control(self, path: str, content: Any) -> Any:
        """Do what a control route says."""
        if path.endswith("/faults"):
            self.faults = [Fault(**fault) for fault in content]
        elif path.endswith("/down"):
            assert self.loop is not None
            self.loop.call_later(0.01, self.go_down, content["seconds"])
        return self.state()

    def fault_of(self, content: str, raw: bytes) -> Fault | None:
        """Return what goes wrong with this request."""
        mine = (fault for fault in self.faults if not fault.kind.startswith("batch_"))
        return next((fault for fault in mine if fault.strikes(content, raw)), None)


class _Connection(asyncio.Protocol):
    """One connection: requests one after the other, bodies with Content-Length."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""
        self._is_busy = False
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self)

    def reset(self) -> None:
        """End the connection by RST rather than FIN."""
        linger = struct.pack("ii", 1, 0)
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._next()

    def _next(self) -> None:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if self._is_busy or not found:
            return
        lines = head.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        headers = {
            name.lower(): value.strip()
            for name, value in (line.split(":", 1) for line in lines[1:])
        }
        n_bytes = int(headers.get("content-length", 0))
        if len(rest) < n_bytes:
            return
        self._buffer = rest[n_bytes:]
        self._is_busy = True
        self._route(method, path, headers, rest[:n_bytes])

    def _route(self, method: str, path: str, headers: dict[str, str], raw: bytes) -> None:
        server = self._server
        if path.startswith("/_control/"):
            self.send(server.control(path, json.loads(raw or b"null")))
        elif server.key is not None and headers.get("authorization") != f"Bearer {server.key}":
            given = headers.get("authorization", "nothing")
            message = f"Incorrect API key provided: {given}. It needs another."
            error = {"message": message, "type": "invalid_request_error", "code": "invalid_api_key"}
            self.send({"error": error}, 401, {"x-request-key": given})
        elif path == "/v1/chat/completions":
            self._chat(raw, headers)
        elif path == "/v1/models" and server.models is not None:
            server.n_listed += 1
            data = [{"id": name, "object": "model"} for name in server.models]
            self.send({"object": "list", "data": data})
        elif path.startswith(("/v1/files", "/v1/batches")):
            self.send(*server.batches.route(method, path.removeprefix("/v1"), headers, raw))
        else:
            self.send({"error": {"message": f"no route {path}"}}, 404)

    def _chat(self, raw: bytes, headers: dict[str, str]) -> None:
        server, loop = self._server, asyncio.get_running_loop()
        body = json.loads(raw)
        content = answers.digest(body["messages"])
        server.asked[content] += 1
        if server.keeps_bodies:
            server.bodies.append(body)
        server.n_now += 1
        server.peak = max(server.peak, server.n_now)
        if server.capacity is not None and server.n_now > server.capacity:
            server.n_now -= 1
            self.send(answers.RATE_LIMITED, 429)
            return
        fault = server.fault_of(content, raw)
        loop.call_later(
            server.latency + (fault.seconds if fault and fault.kind == "late" else 0.0),
            self._answer,
            body,
            content,
            fault,
            headers.get("authorization", ""),
        )

    def _answer(self, body: dict[str, Any], content: str, fault: Fault | None, key: str) -> None:
        server = self._server
        server.n_now -= 1
        if fault is not None and fault.kind != "late":
            self._fail(fault, body, content, key)
            return
        made = answers.answer(body)
        server.revise(body, made)
        self._done(made, content)

    def _done(self, made: Any, content: str) -> None:
        if not self.transport.is_closing():
            self._server.answered[content] += 1
        self.send(made)

    def _fail(self, fault: Fault, body: dict[str, Any], content: str, key: str) -> None:
        kind = fault.kind
        made = answers.answer(body)
        whole = self._bytes(json.dumps(made).encode(), 200, {})
        if kind == "never":
            return
        if kind == "reset":
            self.reset()
        elif kind in ("cut_off", "cut_head"):
            self.transport.write(whole[: len(whole) - 40 if kind == "cut_off" else 20])
            self.transport.close()
        elif kind == "empty":
            self._raw(b"", fault.status if fault.status != 500 else 200, {})
        elif kind == "html":
            page = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
            self._raw(page, fault.status, {"content-type": "text/html"})
        elif kind == "wrong_json":
            self._raw(json.dumps(made).encode()[:-5] + b"}}}", 200, {})
        elif kind == "wrong_shape":
            self.send({"object": "chat.completion", "choices": []})
        elif kind == "twice":
            self._server.answered[content] += 1
            self.transport.write(whole)
            asyncio.get_running_loop().call_later(fault.seconds, self.transport.write, whole)
            self._free()
        elif kind == "down":
            self._server.go_down(fault.seconds)
        elif kind == "error_body":
            self.send(fault.body or answers.OVERLOADED, 200, fault.headers)
        elif kind == "redirect":
            self.send({}, 307, {"location": str(fault.body)})
        elif kind == "status":
            default = answers.RATE_LIMITED if fault.status == 429 else answers.OVERLOADED
            echoed = json.dumps(fault.body or default).replace("$KEY", key)
            headers = {name: value.replace("$KEY", key) for name, value in fault.headers.items()}
            self.send(json.loads(echoed), fault.status, headers)
        else:
            self._outcome(fault, body, content, made)

    def _outcome(self, fault: Fault, body: dict[str, Any], content: str, made: Any) -> None:
        kind, message = fault.kind, made["choices"][0]["message"]
        if kind == "prompt_filter":
            self.send(answers.PROMPT_FILTERED, 400)
            return
        if kind == "too_long":
            self.send(answers.TOO_LONG, 400)
            return
        if kind == "no_usage":
            del made["usage"]
        elif kind == "no_content":
            message["content"] = None
        elif kind == "replace":
            made |= fault.body
        else:
            made = {
                "filter": answers.filtered,
                "refusal": answers.refused,
                "truncated": answers.truncated,
            }[kind](body)
        self._done(made, content)

    def _bytes(self, content: bytes, status: int, headers: dict[str, str]) -> bytes:
        self._server.statuses[status] += 1
        every = {"content-type": "application/json", "content-length": str(len(content))}
        head = "".join(f"{name}: {value}\r\n" for name, value in (every | headers).items())
        reason = _REASONS.get(status, "Said")
        return f"HTTP/1.1 {status} {reason}\r\n{head}\r\n".encode("latin-1") + content

    def _raw(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        if not self.transport.is_closing():
            self.transport.write(self._bytes(content, status, headers))
        self._free()

    def _free(self) -> None:
        self._is_busy = False
        if self._buffer:
            self._next()

    def send(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Send JSON, or lines of JSON that are there already."""
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self._raw(raw, status, headers or {})
