"""Failed attempts, by consequence: a retry, a status, or the end of the run.

Servers differ in status, code and wording for the same thing, so all three are looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

Kind = Literal["again", "overload", "away", "refused", "error", "fatal"]

_PASSING = {408, 409, 425, 429} | {s for s in range(500, 600) if s not in (501, 505)}
_OVERLOAD = {429, 503, 529}
_LONGEST_REASON = 500  # characters of a server's message that are shown

_FILTERED = re.compile(
    r"content.?filter|content.?policy|content management policy|responsibleai|moderation|flagged"
    r"|safety system|prohibited.?content|blocked.{0,40}(safety|prompt)",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"context.{0,3}length|context.{0,3}(window|size)|maximum context|prompt is too long"
    r"|too many (input )?tokens|token count.{0,40}exceed|exceed.{0,60}\btokens\b",
    re.IGNORECASE | re.DOTALL,
)
_NO_MONEY = re.compile(
    r"insufficient.?(quota|credit|balance|funds)|exceeded your current quota|credit balance"
    r"|billing|payment.?required|out of credits",
    re.IGNORECASE,
)
_NO_KEY = re.compile(
    r"api.?key.{0,20}(not valid|invalid|expired|not found)|invalid.{0,3}(api.?)?key"
    r"|invalid.?authentication|incorrect api key",
    re.IGNORECASE,
)
_NOT_TAKEN = {"unsupported_parameter", "unsupported_value", "unknown_parameter"}
_LOOKS_PASSING = re.compile(
    r"rate.?limit|too many requests|overload|capacity|\bbusy\b|time.?out|timed out|unavailable"
    r"|try again|temporar|internal|server.?error|resource.?exhausted|bad gateway|upstream",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Failure:
    """The reason of a failed attempt, and its consequence.

    Attributes
    ----------
    kind : str
        ``again`` (may be gone next time), ``overload`` (as well, and the server has too much),
        ``away`` (there is no server), ``refused`` or ``error`` (an outcome, the same every time),
        ``fatal`` (every other request would fail too).
    reason : str
        For the user.
    retry_after_s : float
        How long the server says to wait.
    """

    kind: Kind
    reason: str
    retry_after_s: float = 0.0


def _error_in(answer: Any) -> Any:
    """Return the error that a decoded body holds, None where there is none."""
    if isinstance(answer, list) and answer:  # Google wraps it in a list
        return _error_in(answer[0])
    if not isinstance(answer, dict):
        return None
    if answer.get("error"):
        return answer["error"]
    if answer.get("object") == "error" or answer.get("type") == "error":
        return answer
    choices = answer.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        if choices[0].get("error"):
            return choices[0]["error"]
        if choices[0].get("finish_reason") == "error":
            return "the model's answer ended in an error: try again"
    return None


def _labels(error: Any) -> tuple[str, list[str], int]:
    """Return an error's message, its codes and types, and the status among them (0: none)."""
    if not isinstance(error, dict):
        return str(error), [], 0
    labels = [str(error[name]) for name in ("code", "type", "status") if error.get(name)]
    inner = error.get("innererror")
    if isinstance(inner, dict) and inner.get("code"):
        labels.append(str(inner["code"]))
    status = next((int(x) for x in labels if x.isdigit() and 400 <= int(x) < 600), 0)
    message = error.get("message") or error.get("detail") or json.dumps(error)[:_LONGEST_REASON]
    return str(message), labels, status


def _said(message: str, labels: list[str], status: int) -> str:
    named = next((label for label in labels if not label.isdigit()), "")
    where = ", ".join(filter(None, (f"HTTP {status}" if status != 200 else "", named)))
    short = " ".join(message.split())[:_LONGEST_REASON]
    return f"{where}: {short}" if where else short


def _judge(status: int, error: Any, retry_after_s: float) -> Failure:
    message, labels, inner = _labels(error)
    whole = " ".join([message, *labels])
    reason = _said(message, labels, status)
    if status == 200:
        status = inner
    if _FILTERED.search(" ".join(labels)) or (
        status in (400, 403, 451) and _FILTERED.search(whole)
    ):
        return Failure("refused", reason)
    if status == 402 or (status in (0, 400, 403, 429) and _NO_MONEY.search(whole)):
        return Failure("fatal", f"{reason}. Retrying does not help: check the account's credit.")
    if status in (401, 403) or (status in (0, 400) and _NO_KEY.search(whole)):
        return Failure("fatal", f"{reason}. Check that the key is right and may use this model.")
    if status in _OVERLOAD:
        return Failure("overload", reason, retry_after_s)
    if status in (0, 400, 413, 422, 500) and _TOO_LONG.search(whole):
        return Failure("error", reason)
    if status in _PASSING:
        return Failure("again", reason, retry_after_s)
    if status in (404, 405) or "model_not_found" in labels:
        why = "Check that the endpoint has this model and that base_url is right (most end in /v1)."
        return Failure("fatal", f"{reason}. {why}")
    if _NOT_TAKEN & set(labels):
        return Failure("fatal", f"{reason}. Change what the card's endpoint sends.")
    if status == 0 and _LOOKS_PASSING.search(whole):
        is_much = re.search(r"rate.?limit|too many|overload|exhausted", whole, re.IGNORECASE)
        return Failure("overload" if is_much else "again", reason, retry_after_s)
    return Failure("error", reason)


def of_error(status: int, message: str) -> Failure:
    """Return the failure for an error that another client had from a server."""
    return _judge(status, message, 0.0)


def of_body(status: int, headers: Mapping[str, str], raw: bytes) -> dict[str, Any] | Failure:
    """Return the decoded object of a reply in any protocol, or the failure that it means.

    Parameters
    ----------
    status : int
        HTTP status.
    headers : mapping of str to str
        Case-insensitive.
    raw : bytes
        The whole body.
    """
    wait_s = retry_after_s(headers) if status != 200 else 0.0
    if 300 <= status < 400:
        target = headers.get("Location", "nowhere")
        why = f"HTTP {status}: it redirects to {target}, and keys do not follow. Change base_url."
        return Failure("fatal", why)
    try:
        answer = json.loads(raw)
    except ValueError:
        if status < 400 or status in _PASSING:
            what = "an empty body" if not raw.strip() else "no JSON: " + _start(raw)
            kind: Kind = "overload" if status in _OVERLOAD else "again"
            return Failure(kind, f"HTTP {status} with {what}", wait_s)
        return _judge(status, _start(raw), wait_s)
    error = _error_in(answer)
    if status != 200 or error is not None:
        return _judge(status, error if error is not None else _start(raw), wait_s)
    if not isinstance(answer, dict):
        return Failure("again", "an answer that is not an object: " + _start(raw))
    return answer


def of_answer(status: int, headers: Mapping[str, str], raw: bytes) -> dict[str, Any] | Failure:
    """Return the decoded answer in chat completions, or the failure; parameters as `of_body`."""
    answer = of_body(status, headers, raw)
    if isinstance(answer, Failure):
        return answer
    choices = answer.get("choices")
    feedback = answer.get("promptFeedback") or answer.get("prompt_feedback")
    if not choices and isinstance(feedback, dict):
        return Failure("refused", f"the prompt was blocked: {json.dumps(feedback)[:200]}")
    first = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(first, dict) or not isinstance(first.get("message"), dict):
        return Failure("again", "an answer without a message: " + _start(raw))
    return answer


def _start(raw: bytes) -> str:
    return " ".join(raw[:200].decode(errors="replace").split())


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Return the seconds that a server asks to wait; 0 where it does not.

    A date is compared with the server's own, so that clocks that differ, or jump, do not matter.
    """
    exact = _number(headers.get("Retry-After-Ms"))
    if exact is not None:
        return exact / 1000
    said = headers.get("Retry-After")
    seconds = _number(said)
    if seconds is not None:
        return seconds
    try:
        until = parsedate_to_datetime(said or "")
        date = headers.get("Date")
        now = parsedate_to_datetime(date) if date else datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):  # no date, or one without its zone
        return 0.0


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _number(said: str | None) -> float | None:
    try:
        value = float(said or "")
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


def duration_s(said: str) -> float:
    """Return the seconds of ``6m0s``, ``12ms``, ``1.5`` or a time like 2026-01-01T00:00:00Z."""
    plain = _number(said)
    if plain is not None:
        return plain if plain < 1e6 else 0.0  # larger ones are times, on whose clock is unknown
    if said.endswith("Z") and "T" in said:
        try:
            until = datetime.fromisoformat(said.replace("Z", "+00:00"))
        except ValueError:
            return 0.0
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(said))


def exhausted_s(headers: Mapping[str, str]) -> float:
    """Return the seconds until a used-up allowance resets, by the rate headers; 0: none is."""
    wait = 0.0
    for kind in ("requests", "tokens", "input-tokens", "output-tokens"):
        for remaining, reset in (
            (f"x-ratelimit-remaining-{kind}", f"x-ratelimit-reset-{kind}"),
            (f"anthropic-ratelimit-{kind}-remaining", f"anthropic-ratelimit-{kind}-reset"),
        ):
            if headers.get(remaining) == "0":
                wait = max(wait, duration_s(headers.get(reset) or ""))
    return wait
