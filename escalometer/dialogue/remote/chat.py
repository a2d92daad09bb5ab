"""Chat completions in OpenAI's protocol: the body of a request, and its answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from escalometer.config import Endpoint, ModelCard
from escalometer.dialogue.providers import Completion, Finish, Request
from escalometer.dialogue.remote.logprobs import first_token, probabilities
from escalometer.errors import UsageError

_REFUSING = {"content_filter", "refusal", "safety", "prohibited_content", "blocklist", "recitation"}
_CUT = {"length", "max_tokens", "max_output_tokens"}
_N_FIRST = 5  # alternatives to a first token: what most endpoints allow
_BYTES_PER_TOKEN = 3  # an estimate on the high side: English has about 4.5
_LEADING_THOUGHT = re.compile(r"\s*<think>(.*?)</think>\s*", re.DOTALL | re.IGNORECASE)
_OPEN, _CLOSE = "<think>", "</think>"


def endpoint_of(card: ModelCard, needs_address: bool = True) -> Endpoint:
    """Return the endpoint of a card's model; raises `UsageError` where the card has none."""
    if card.endpoint is None or (needs_address and not card.endpoint.base_url):
        raise UsageError(
            f"{card.id}: its card has no endpoint (base_url, model), which its provider needs"
        )
    return card.endpoint


def _merged(into: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return `into` with `new` over it, mappings in mappings too; null takes a field away."""
    merged = dict(into)
    for name, value in new.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(name), Mapping):
            merged[name] = _merged(dict(merged[name]), value)
        else:
            merged[name] = value
    return merged


def parameters(card: ModelCard, request: Request) -> dict[str, Any]:
    """Return a request's body without the model and the messages.

    The card's fields come last: a value there stands, and a null takes away what would be sent.

    Raises
    ------
    UsageError
        If the request is to be thought about and the card does not say how.
    """
    endpoint, thinking = endpoint_of(card, needs_address=False), card.thinking
    n_tokens, switch = request.max_tokens, None
    if request.is_thinking:
        if thinking is None or thinking.on is None:
            raise UsageError(
                f"{card.id} does not support thinking: its card has no thinking.on. Remove the "
                "interventions that need thinking, or add the setting that switches it on."
            )
        switch = thinking.on
    elif thinking is not None:
        switch = thinking.off
    if thinking is not None and (request.is_thinking or thinking.off is None):
        n_tokens += thinking.max_tokens  # where it cannot be switched off, the model thinks anyway
    body: dict[str, Any] = {endpoint.tokens_field: n_tokens}
    if endpoint.temperature is not None:
        body["temperature"] = endpoint.temperature
    if request.reads_choice and endpoint.has_logprobs:
        # Each choice occurs as two tokens at most, with and without a space. 5 is what most allow.
        body |= {"logprobs": True, "top_logprobs": min(20, max(5, 2 * len(request.choices)))}
    if request.reads_first_token:
        body |= {endpoint.tokens_field: 1, "logprobs": True, "top_logprobs": _N_FIRST}
    return _merged(_merged(body, endpoint.body), switch or {})


def body(card: ModelCard, request: Request) -> dict[str, Any]:
    """Return the whole body of a request; raises as `parameters`."""
    messages = [{"role": role, "content": content} for role, content in request.messages]
    return {"model": endpoint_of(card).model, "messages": messages} | parameters(card, request)


def estimated_tokens(text: str) -> int:
    """Return the approximate number of tokens of `text`, rather too many than too few."""
    return -(-len(text.encode()) // _BYTES_PER_TOKEN)


def token_count(usage: Any, *path: str) -> int:
    """Return a number of tokens in an answer's usage; 0 where it is absent or no number."""
    for name in path:
        usage = usage.get(name) if isinstance(usage, dict) else None
    is_count = isinstance(usage, int | float) and not isinstance(usage, bool) and usage > 0
    return int(usage) if is_count else 0


def _parts(content: Any) -> tuple[str, str]:
    """Return text and thinking of a message's content: a string, or a list of parts."""
    if isinstance(content, str):
        return content, ""
    texts: list[str] = []
    thoughts: list[str] = []
    for part in content if isinstance(content, list) else []:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            kind = str(part.get("type", "text"))
            inner = part.get("text") or part.get(kind) or ""
            inner = inner if isinstance(inner, str) else "".join(_parts(inner))
            (thoughts if kind in ("thinking", "reasoning") else texts).append(inner)
    return "".join(texts), "".join(thoughts)


def apart(text: str) -> tuple[str, str]:
    """Return an answer and the thinking before it, separated by think tags.

    Some chat templates open the tag in the prompt, so that an answer has its end alone. A tag that
    is not closed stays where it is: `parsing.strip_thinking` knows what to do with it.
    """
    found = _LEADING_THOUGHT.match(text)
    if found:
        return text[found.end() :], found.group(1).strip()
    thought, closed, answer = text.partition(_CLOSE)
    if closed and _OPEN not in text and answer.strip():
        return answer.lstrip(), thought.strip()
    return text, ""


def _finish(reason: Any, refusal: Any) -> Finish:
    said = str(reason or "stop").lower()
    if refusal or said in _REFUSING:
        return "refused"
    return "length" if said in _CUT else "stop"


def completion(
    card: ModelCard, request: Request, answer: Mapping[str, Any], latency_s: float
) -> Completion:
    """Return the completion of a decoded answer: its first choice, thinking and token counts.

    Tokens that the server does not count are estimated from the texts' lengths, rather too many
    than too few: an answer of a priced model never costs nothing.

    Parameters
    ----------
    card, request : ModelCard, Request
        What was asked.
    answer : mapping
        The decoded body, with at least one choice: `failures.of_answer` found nothing wrong.
    latency_s : float
        From request to answer.
    """
    choice = answer["choices"][0]
    message = choice["message"]
    refusal = message.get("refusal")
    text, thinking = _parts(message.get("content"))
    text, tagged = apart(text)
    field = card.thinking.field if card.thinking else "reasoning_content"
    for name in dict.fromkeys((field, "reasoning_content", "reasoning")):
        if isinstance(message.get(name), str) and message[name]:
            thinking += message[name]
            break
    thinking = "\n".join(filter(None, (thinking, tagged)))
    finish = _finish(choice.get("finish_reason"), refusal)
    usage = answer.get("usage")
    n_prompt = token_count(usage, "prompt_tokens")
    # Some count thinking in the total alone.
    n_completion = max(
        token_count(usage, "completion_tokens"), token_count(usage, "total_tokens") - n_prompt
    )
    if not n_prompt:
        n_prompt = sum(estimated_tokens(content) for _, content in request.messages)
        n_completion = token_count(usage, "completion_tokens")
    if not n_completion:
        n_completion = estimated_tokens(text) + estimated_tokens(thinking)
    n_cached = max(
        token_count(usage, "prompt_tokens_details", "cached_tokens"),
        token_count(usage, "prompt_cache_hit_tokens"),
    )
    error = None
    if finish == "refused":
        error = str(refusal) if refusal else f"refused: {choice.get('finish_reason')}"
    return Completion(
        text=text,
        finish=finish,
        n_prompt_tokens=n_prompt,
        n_completion_tokens=n_completion,
        latency_s=latency_s,
        error=error,
        thinking=thinking,
        probabilities=(
            probabilities(choice.get("logprobs"), request, card.counts_marker)
            if request.reads_choice
            else None
        ),
        n_cached_tokens=min(n_cached, n_prompt),
        resolved_model=str(answer["model"]) if answer.get("model") else None,
        first_token=first_token(choice.get("logprobs")) if request.reads_first_token else None,
        fingerprint=(
            str(answer["system_fingerprint"]) if answer.get("system_fingerprint") else None
        ),
    )
