"""The answers of the test server's model: a function of the conversation alone."""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any

MODEL = "fake-1"
RESOLVED = "fake-1-2026-01-01"
_MARKERS = ("DECISION", "PREDICTION")


def _plain(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return str(content)


def digest(messages: list[dict[str, Any]]) -> str:
    """Return what a conversation is counted under."""
    turns = [[message["role"], _plain(message["content"])] for message in messages]
    return hashlib.sha256(json.dumps(turns).encode()).hexdigest()


def choices_of(messages: list[dict[str, Any]]) -> tuple[str, list[str]]:
    """Return the marker that the last message asks for, and what may follow it."""
    last = _plain(messages[-1]["content"])
    for marker in _MARKERS:
        found = sorted(set(re.findall(rf"'{marker}: (\w)'", last)))
        if found:
            return marker, found
    return "PREDICTION", ["0", "1"]


def said(messages: list[dict[str, Any]]) -> tuple[str, str, list[float]]:
    """Return the text before the choice, the choice, and the probability of each choice."""
    marker, choices = choices_of(messages)
    seed = int(digest(messages)[:8], 16)
    weights = [1 + (seed >> (4 * i)) % 16 for i in range(len(choices))]
    shares = [weight / sum(weights) for weight in weights]
    best = max(range(len(choices)), key=lambda i: (shares[i], -i))
    words = "The signal and the case say so. " * (1 + seed % 3)
    return f"{words}{marker}:", choices[best], shares


def is_thinking(body: dict[str, Any]) -> bool:
    """Return whether the request switches thinking on."""
    if body.get("reasoning_effort") in ("low", "medium", "high"):
        return True
    return bool(body.get("chat_template_kwargs", {}).get("enable_thinking"))


def _logprobs(before: str, choice: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
    _, choices = choices_of(messages)
    shares = said(messages)[2]
    tokens = [*re.findall(r"\s*[^\s]+", before), f" {choice}"]
    content: list[dict[str, Any]] = [
        {"token": token, "logprob": -0.01, "top_logprobs": [{"token": token, "logprob": -0.01}]}
        for token in tokens
    ]
    content[-1]["top_logprobs"] = [
        {"token": f" {name}", "logprob": math.log(0.9 * share)}
        for name, share in zip(choices, shares, strict=True)
    ] + [{"token": " maybe", "logprob": math.log(0.1)}]
    return {"content": content}


def _first_token(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the log-probabilities of an answer that ends after one token."""
    seed = int(digest(messages)[:8], 16)
    weights = {f"t{i}": 1.0 + (seed >> (4 * i)) % 16 for i in range(5)}
    top = [
        {"token": token, "logprob": math.log(weight / sum(weights.values()))}
        for token, weight in weights.items()
    ]
    return {"content": [{**top[0], "top_logprobs": top}]}


def answer(body: dict[str, Any]) -> dict[str, Any]:
    """Return the whole answer to a chat completion request."""
    messages = body["messages"]
    before, choice, _ = said(messages)
    text = f"{before} {choice}"
    message: dict[str, Any] = {"role": "assistant", "content": text}
    n_prompt = sum(1 + len(_plain(m["content"])) // 4 for m in messages)
    n_said = len(text) // 4
    usage: dict[str, Any] = {}
    if is_thinking(body):
        message["reasoning_content"] = "Let me see. " * 8
        n_said += 24
        usage["completion_tokens_details"] = {"reasoning_tokens": 24}
    if len(messages) > 1:
        usage["prompt_tokens_details"] = {"cached_tokens": n_prompt // 2}
    usage |= {
        "prompt_tokens": n_prompt,
        "completion_tokens": n_said,
        "total_tokens": n_prompt + n_said,
    }
    made = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    if body.get("logprobs"):
        is_one = body.get("max_tokens") == 1
        made["logprobs"] = _first_token(messages) if is_one else _logprobs(before, choice, messages)
    return {
        "id": f"chatcmpl-{digest(messages)[:12]}",
        "object": "chat.completion",
        "created": 1767225600,
        "model": RESOLVED,
        "choices": [made],
        "usage": usage,
    }


def truncated(body: dict[str, Any]) -> dict[str, Any]:
    """Return an answer whose budget ran out before its marker."""
    made = answer(body)
    made["choices"][0]["finish_reason"] = "length"
    made["choices"][0]["message"]["content"] = "The signal and the"
    return made


def filtered(body: dict[str, Any]) -> dict[str, Any]:
    """Return an answer that a content filter cut off."""
    made = answer(body)
    made["choices"][0]["finish_reason"] = "content_filter"
    made["choices"][0]["message"]["content"] = ""
    return made


def refused(body: dict[str, Any]) -> dict[str, Any]:
    """Return a refusal in its own field."""
    made = answer(body)
    made["choices"][0]["message"] |= {"content": None, "refusal": "I cannot help with that."}
    return made


PROMPT_FILTERED = {
    "error": {
        "message": "The response was filtered due to the prompt triggering the content policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation"},
    }
}
TOO_LONG = {
    "error": {
        "message": "This model's maximum context length is 4096 tokens. However, you requested "
        "9000 tokens. Please reduce the length of the messages.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }
}
UNKNOWN_MODEL = {
    "error": {
        "message": "The model `nope` does not exist or you do not have access to it.",
        "type": "invalid_request_error",
        "param": None,
        "code": "model_not_found",
    }
}
NO_QUOTA = {
    "error": {
        "message": "You exceeded your current quota, please check your plan and billing details.",
        "type": "insufficient_quota",
        "param": None,
        "code": "insufficient_quota",
    }
}
OVERLOADED = {
    "error": {"message": "Overloaded", "type": "overloaded_error", "code": None, "param": None}
}
RATE_LIMITED = {
    "error": {
        "message": "Rate limit reached for requests",
        "type": "requests",
        "param": None,
        "code": "rate_limit_exceeded",
    }
}
