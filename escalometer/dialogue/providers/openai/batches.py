"""Batches in OpenAI's protocol: files of requests, answered within a day.

Nothing of a batch is kept here but its id: whoever submits it writes the id down, and may ask for
it days later from another process. `submit` never sends a batch twice, even where the answer to
its creation was lost: it looks first for one with the same label.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp

from escalometer.config import ModelCard
from escalometer.dialogue.providers import Completion, Request
from escalometer.dialogue.remote import chat, failures
from escalometer.dialogue.remote.failures import Failure
from escalometer.dialogue.remote.http import Client
from escalometer.errors import ProviderError

State = Literal["running", "done", "failed"]

MOST_REQUESTS = 50_000
MOST_BYTES = 200_000_000
_LABEL = "escalometer"
_WAITS_S = (0.5, 2.0, 8.0, 30.0, 60.0)  # between attempts at one call
_LARGE_S = 1800.0  # for a file of 200 MB
_VOID = {"failed", "cancelled", "cancelling", "expired"}
_ENDED = {"completed", "expired", "cancelled"}  # with results for the requests completed by then


@dataclass(frozen=True)
class Progress:
    """The progress of a batch.

    Attributes
    ----------
    state : str
        ``running``, ``done`` (results are there: of all requests, or of those that were done when
        it expired or was cancelled), or ``failed`` (it never began).
    status : str
        The server's own word.
    n_total, n_completed, n_failed : int
        Requests.
    error : str or None
        Why it failed.
    """

    state: State
    status: str
    n_total: int
    n_completed: int
    n_failed: int
    error: str | None = None


class Batches:
    """The batch API of one endpoint; used inside the provider's session."""

    def __init__(self, card: ModelCard, client: Client) -> None:
        self._card = card
        self._client = client

    def split(
        self,
        requests: Mapping[str, Request],
        most_requests: int = MOST_REQUESTS,
        most_bytes: int = MOST_BYTES,
    ) -> Iterator[tuple[list[str], bytes]]:
        """Yield the ids and the content of each file that `requests` need, in their order.

        Parameters
        ----------
        requests : mapping of str to Request
            By an id of one's own, such as the completion's key.
        most_requests, most_bytes : int
            What one file may hold.
        """
        ids: list[str] = []
        lines: list[bytes] = []
        n_bytes = 0
        for name, request in requests.items():
            line = self._line(name, request)
            if ids and (len(ids) == most_requests or n_bytes + len(line) > most_bytes):
                yield ids, b"".join(lines)
                ids, lines, n_bytes = [], [], 0
            ids.append(name)
            lines.append(line)
            n_bytes += len(line)
        if ids:
            yield ids, b"".join(lines)

    def _line(self, name: str, request: Request) -> bytes:
        body = chat.body(self._card, request)
        line = {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}
        return json.dumps(line, ensure_ascii=False).encode() + b"\n"

    @staticmethod
    def labelled(ids: Sequence[str], n_before: int = 0) -> str:
        """Return a label for a batch of requests with these ids, for `submit`.

        `n_before` says how many batches of exactly these have ended: the next is a new one.
        """
        return hashlib.sha256("\n".join([*ids, str(n_before)]).encode()).hexdigest()

    async def submit(self, content: bytes, label: str) -> str:
        """Return the id of the batch for a file from `split`.

        Parameters
        ----------
        content : bytes
            At most `MOST_REQUESTS` lines, `MOST_BYTES` bytes.
        label : str
            What the batch is known by: the same for the same content, and for no other. If the
            endpoint has a batch with this label already, that one is returned.

        Raises
        ------
        ProviderError
            If the endpoint does not take it.
        """
        known = await self.find(label)
        if known is not None:
            return known
        uploaded = await self._call("POST", "/files", content)
        asked = {
            "input_file_id": uploaded["id"],
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "metadata": {_LABEL: label},
        }
        data = json.dumps(asked).encode()
        for wait_s in (*_WAITS_S, None):
            found = await self._bytes("POST", "/batches", data)
            if not isinstance(found, Failure):
                return str(_decoded(found)["id"])
            await self._wait_or_raise(found, wait_s, "the batch was not taken")
            # It may have been made, and the answer lost.
            known = await self.find(label, str(uploaded["id"]))
            if known is not None:
                return known
        raise AssertionError("the last wait raises")

    async def find(self, label: str, file_id: str | None = None) -> str | None:
        """Return the id of the live or finished batch with this label or file, if any.

        Some endpoints keep no labels.
        """
        after = ""
        while True:
            listed = await self._call("GET", f"/batches?limit=100{after}")
            rows = listed.get("data") or []
            for row in rows:
                is_it = (row.get("metadata") or {}).get(_LABEL) == label
                is_it |= file_id is not None and row.get("input_file_id") == file_id
                if is_it and row.get("status") not in _VOID:
                    return str(row["id"])
            if not listed.get("has_more") or not rows:
                return None
            after = f"&after={rows[-1]['id']}"

    async def poll(self, batch: str) -> Progress:
        """Return the progress of a batch; raises `ProviderError` where there is no such batch."""
        found = await self._call("GET", f"/batches/{batch}")
        counts = found.get("request_counts") or {}
        status = str(found.get("status"))
        state: State = "done" if status in _ENDED else "running"
        error = None
        if status == "failed":
            state = "failed"
            listed = (found.get("errors") or {}).get("data") or []
            error = "; ".join(str(item.get("message")) for item in listed[:3]) or "no reason given"
        n_total, n_completed, n_failed = (
            int(counts.get(name) or 0) for name in ("total", "completed", "failed")
        )
        return Progress(state, status, n_total, n_completed, n_failed, error)

    async def cancel(self, batch: str) -> None:
        """Cancel a batch; answers until then are paid for, and can be collected."""
        await self._call("POST", f"/batches/{batch}/cancel")

    async def collect(
        self, batch: str, requests: Mapping[str, Request], latency_s: float = 0.0
    ) -> AsyncIterator[tuple[str, Completion]]:
        """Yield the id and the completion of every request of a batch that is done, each once.

        What the batch did not come to before it expired, or lost, is an error that passes: it is
        asked again. Lines that are no request's are left out.

        Parameters
        ----------
        batch : str
            Its id.
        requests : mapping of str to Request
            What was asked, by the same ids.
        latency_s : float
            What each completion states.

        Raises
        ------
        ProviderError
            If the batch failed as a whole, or its results cannot be fetched.
        """
        found = await self._call("GET", f"/batches/{batch}")
        if found.get("status") not in _ENDED:
            progress = await self.poll(batch)
            said = f"{progress.status}{': ' + progress.error if progress.error else ''}"
            raise ProviderError(f"{self._card.id}: batch {batch} has no results: {said}")
        left = dict(requests)
        for name in ("output_file_id", "error_file_id"):
            if not found.get(name):
                continue
            content = await self._raw("GET", f"/files/{found[name]}/content")
            for line in content.splitlines():
                result = _decoded(line)
                request = left.pop(str(result.get("custom_id")), None)
                if request is not None:
                    yield str(result["custom_id"]), self._completion(result, request, latency_s)
        for name in left:
            why = f"batch {batch} ({found['status']}) has no result for this request"
            yield name, Completion("", "error", 0, 0, latency_s, why, is_passing=True)

    def _completion(
        self, result: Mapping[str, Any], request: Request, latency_s: float
    ) -> Completion:
        response, error = result.get("response"), result.get("error")
        answer: dict[str, Any] | Failure
        if isinstance(response, dict):
            raw = json.dumps(response.get("body")).encode()
            answer = failures.of_answer(int(response.get("status_code") or 200), {}, raw)
        else:
            said = error if isinstance(error, dict) else {"message": "no response"}
            answer = Failure("again", f"{said.get('code')}: {said.get('message')}")
        if not isinstance(answer, Failure):
            return chat.completion(self._card, request, answer, latency_s)
        finish: Literal["refused", "error"] = "refused" if answer.kind == "refused" else "error"
        is_passing = answer.kind in ("again", "overload", "fatal")  # credit or a key can be added
        reason = self._client.redacted(answer.reason)
        return Completion("", finish, 0, 0, latency_s, reason, is_passing=is_passing)

    async def _call(self, method: str, path: str, data: bytes | None = None) -> dict[str, Any]:
        """Return the decoded answer to a call that may be repeated."""
        return _decoded(await self._raw(method, path, data))

    async def _raw(self, method: str, path: str, data: bytes | None = None) -> bytes:
        for wait_s in (*_WAITS_S, None):
            found = await self._bytes(method, path, data)
            if not isinstance(found, Failure):
                return found
            await self._wait_or_raise(found, wait_s, f"{method} {path.partition('?')[0]}")
        raise AssertionError("the last wait raises")

    async def _wait_or_raise(self, failure: Failure, wait_s: float | None, what: str) -> None:
        """Wait for the next attempt, or raise where there is none to come."""
        if failure.kind in ("refused", "error", "fatal") or wait_s is None:
            reason = self._client.redacted(failure.reason)
            raise ProviderError(f"{self._card.id}: {what}: {reason}")
        await asyncio.sleep(max(wait_s, failure.retry_after_s))

    async def _bytes(self, method: str, path: str, data: bytes | None) -> bytes | Failure:
        sent: Any = data
        headers = {}
        if path == "/files" and data is not None:
            sent = aiohttp.FormData()
            sent.add_field("purpose", "batch")
            sent.add_field("file", data, filename="requests.jsonl", content_type="application/json")
            # The session's content type would stand in the place of the form's, with its boundary.
            sent = sent()
            headers = {"Content-Type": sent.content_type}
        timeout_s = _LARGE_S if path.startswith("/files") else None
        reply = await self._client.send(method, path, sent, headers, timeout_s)
        if isinstance(reply, Failure):
            return reply
        if reply.status == 200:
            if not path.endswith("/content") and not _decoded(reply.raw):
                return Failure("again", "an answer that is not a JSON object")
            return reply.raw
        failure = failures.of_answer(reply.status, reply.headers, reply.raw)
        return failure if isinstance(failure, Failure) else Failure("error", str(reply.status))


def _decoded(raw: bytes) -> dict[str, Any]:
    """Return an object of JSON; an empty one where it is none."""
    try:
        found = json.loads(raw)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
