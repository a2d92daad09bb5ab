"""The test server's files and batches: OpenAI's protocol, done in `batch_seconds`.

Faults that strike at a batch's creation: ``batch_failed`` (the whole of it), ``batch_expired`` and
``batch_cancelled`` (its second half), ``batch_lost`` (it is made, and the answer is a 502), and
``batch_line`` (lines that have `match`: `status` and `body`).
"""

from __future__ import annotations

import email
import email.policy
import json
import time
from typing import TYPE_CHECKING, Any

from tests.integration import _server_answers as answers

if TYPE_CHECKING:
    from tests.integration._server_http import Fault, Server

_UNFINISHED = {
    "batch_expired": "This request could not be executed before the completion window expired.",
    "batch_cancelled": "This request was not executed because the batch was cancelled.",
}

_WHOLE = {"batch_failed", *_UNFINISHED}


class Batches:
    """Files and batches of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self._due: dict[str, float] = {}
        self._faults: dict[str, list[Fault]] = {}

    def route(self, method: str, path: str, headers: dict[str, str], raw: bytes) -> tuple[Any, int]:
        """Return what a request is answered with, and the status."""
        parts = path.partition("?")[0].strip("/").split("/")
        if method == "POST" and parts == ["files"]:
            return self._upload(headers["content-type"], raw)
        if method == "POST" and parts == ["batches"]:
            return self._create(json.loads(raw))
        if method == "GET" and parts == ["batches"]:
            listed = list(reversed(self.batches.values()))
            return {"object": "list", "data": listed, "has_more": False}, 200
        known: dict[str, Any] = self.files if parts[0] == "files" else self.batches
        if len(parts) < 2 or parts[1] not in known:
            return {"error": {"message": f"No such object: {path}", "code": "not_found"}}, 404
        if parts[0] == "files":
            return (self.files[parts[1]] if parts[2:] == ["content"] else {"id": parts[1]}), 200
        self._advance(parts[1])
        if parts[2:] == ["cancel"]:
            self.batches[parts[1]]["status"] = "cancelling"
        return self.batches[parts[1]], 200

    def _upload(self, kind: str, raw: bytes) -> tuple[Any, int]:
        whole = b"content-type: " + kind.encode() + b"\r\n\r\n" + raw
        form = email.message_from_bytes(whole, policy=email.policy.HTTP)
        fields = {
            part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
            for part in form.iter_parts()
        }
        if fields.get("purpose") != b"batch" or not isinstance(fields.get("file"), bytes):
            return {"error": {"message": "purpose and file are needed"}}, 400
        name = f"file-{len(self.files)}"
        self.files[name] = fields["file"]
        return {"id": name, "object": "file", "bytes": len(fields["file"]), "purpose": "batch"}, 200

    def _create(self, asked: dict[str, Any]) -> tuple[Any, int]:
        name = f"batch_{len(self.batches)}"
        lines = self.files[asked["input_file_id"]].splitlines()
        self.batches[name] = {
            "id": name,
            "object": "batch",
            "status": "in_progress",
            "input_file_id": asked["input_file_id"],
            "output_file_id": None,
            "error_file_id": None,
            "errors": None,
            "endpoint": asked["endpoint"],
            "completion_window": asked["completion_window"],
            "metadata": asked.get("metadata"),
            "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
        }
        self._due[name] = time.monotonic() + self._server.batch_seconds
        whole = [f for f in self._server.faults if f.kind.startswith("batch_")]
        self._faults[name] = [
            f for f in whole if f.kind == "batch_line" or (f.kind in _WHOLE and f.strikes("", b""))
        ]
        if any(fault.kind == "batch_lost" and fault.strikes("", b"") for fault in whole):
            return {"error": {"message": "made, but nobody hears of it"}}, 502
        return self.batches[name], 200

    def _advance(self, name: str) -> None:
        batch = self.batches[name]
        if batch["status"] not in ("in_progress", "cancelling"):
            return
        if batch["status"] == "in_progress" and time.monotonic() < self._due[name]:
            return
        kinds = {fault.kind for fault in self._faults[name]}
        if "batch_failed" in kinds:
            batch["status"] = "failed"
            wrong = {"code": "invalid_json_line", "message": "Line 1 is not JSON.", "line": 1}
            batch["errors"] = {"object": "list", "data": [wrong]}
            return
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        n_done = len(lines)
        batch["status"], why = "completed", ""
        for ending in ("batch_expired", "batch_cancelled"):
            if ending in kinds:
                n_done = len(lines) // 2
                batch["status"], why = ending.removeprefix("batch_"), ending
        good, bad = [], []
        for i, line in enumerate(lines):
            result = {"id": f"batch_req_{i}", "custom_id": line["custom_id"], "error": None}
            if i >= n_done:
                error = {"code": why, "message": _UNFINISHED[why]}
                bad.append(result | {"response": None, "error": error})
                continue
            status, body = self._answer(name, line)
            response = {"status_code": status, "request_id": f"r{i}", "body": body}
            (good if status == 200 else bad).append(result | {"response": response})
        good.reverse()  # results come in any order
        batch["request_counts"] |= {"completed": len(good), "failed": len(bad)}
        for key, results in (("output_file_id", good), ("error_file_id", bad)):
            if results:
                batch[key] = f"file-{len(self.files)}"
                self.files[batch[key]] = "".join(json.dumps(r) + "\n" for r in results).encode()

    def _answer(self, name: str, line: dict[str, Any]) -> tuple[int, Any]:
        body = line["body"]
        content = answers.digest(body["messages"])
        self._server.asked[content] += 1
        for fault in self._faults[name]:
            if fault.kind == "batch_line" and fault.strikes(content, json.dumps(line).encode()):
                return fault.status, fault.body or answers.OVERLOADED
        self._server.answered[content] += 1
        return 200, answers.answer(body)
