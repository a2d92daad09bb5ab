"""Answers to typed questions: strict reading, and the text with markers that is made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from escalometer.cases.task import CONFIDENCE_MARKER
from escalometer.dialogue.providers import Completion, Finish, Request
from escalometer.dialogue.providers.decisions.questions import Form, name_of
from escalometer.dialogue.remote import chat, failures
from escalometer.dialogue.remote.failures import Failure

#: Largest distance of the sum of an answer's probabilities from one: rounding, and no more.
SUM_TOLERANCE = 1e-3
_ROUNDING = 1e-9
#: Types of an answer, by form: with a distribution over options, and with one probability.
_TYPES: dict[Form, tuple[str, str]] = {
    "openai": ("choice", "predicate"),
    "system_one": ("choice", "noul"),
}


class _Malformed(Exception):
    """An answer that does not have the documented form."""


def decode(status: int, headers: Mapping[str, str], raw: bytes) -> dict[str, Any] | Failure:
    """Return the decoded reply, or the failure that it means; parameters as `failures.of_body`."""
    answer = failures.of_body(status, headers, raw)
    if not isinstance(answer, Failure) and not isinstance(answer.get("answers"), list | dict):
        return Failure("again", "a reply without answers")
    return answer


def completion(
    form: Form, request: Request, reply: Mapping[str, Any], latency_s: float
) -> Completion:
    """Return the completion of a reply: probabilities of the choices, and a text with the markers.

    The text is ``CONFIDENCE: …%``, where the endpoint reports a confidence, and the marker with the
    most probable choice. A reply that does not have the documented form is an error, and nothing
    in it is corrected; probabilities are divided by their sum only within `SUM_TOLERANCE`.

    Parameters
    ----------
    form : {"openai", "system_one"}
        Form of the endpoint.
    request : Request
        What was asked.
    reply : mapping
        From `decode`.
    latency_s : float
        From request to answer.
    """
    text, probabilities, error = "", None, None
    finish: Finish = "stop"
    try:
        answer = _only_answer(form, request, reply["answers"])
        if form == "openai" and answer.get("type") == "refusal":
            finish, error = "refused", "the endpoint declined the question"
        else:
            text, probabilities = _read(form, request, answer)
    except _Malformed as malformed:
        finish, error = "error", f"malformed answer: {malformed}"
    usage = reply.get("usage")
    n_prompt = chat.token_count(usage, "input_tokens")
    if not n_prompt:
        n_prompt = sum(chat.estimated_tokens(content) for _, content in request.messages)
    n_cached = chat.token_count(usage, "input_tokens_details", "cached_tokens")
    return Completion(
        text=text,
        finish=finish,
        n_prompt_tokens=n_prompt,
        n_completion_tokens=chat.token_count(usage, "output_tokens"),
        latency_s=latency_s,
        error=error,
        probabilities=probabilities,
        n_cached_tokens=min(n_cached, n_prompt),
        resolved_model=str(reply["model"]) if reply.get("model") else None,
    )


def _only_answer(form: Form, request: Request, answers: Any) -> Mapping[str, Any]:
    """Return the answer to the one question; OpenAI's form lists them, System One's names them."""
    if form == "openai":
        if not isinstance(answers, list) or len(answers) != 1:
            raise _Malformed("not a list with one answer")
        answer = answers[0]
    else:
        if not isinstance(answers, dict) or set(answers) != {name_of(request)}:
            raise _Malformed(f"not one answer with the name {name_of(request)!r}")
        answer = answers[name_of(request)]
    if not isinstance(answer, dict):
        raise _Malformed("the answer is not an object")
    return answer


def _read(form: Form, request: Request, answer: Mapping[str, Any]) -> tuple[str, tuple[float, ...]]:
    """Return an answer's text with markers, and the probability of each choice."""
    distribution, single = _TYPES[form]
    kind = answer.get("type")
    if kind == single and len(request.choices) == 2:
        p = _probability(answer.get("noul" if form == "system_one" else "probability"), kind)
        probabilities: tuple[float, ...] = (1 - p, p)
        stated = None
    elif kind == distribution:
        probabilities = _distribution(form, request, answer.get("probabilities"))
        stated = answer.get("choice")
    else:
        raise _Malformed(f"an answer of type {kind!r}")
    most = max(probabilities)
    likeliest = [
        choice
        for choice, p in zip(request.choices, probabilities, strict=True)
        if p >= most - _ROUNDING
    ]
    if kind == distribution and stated not in likeliest:
        raise _Malformed(f"its choice {stated!r} is not the most probable option")
    chosen = f"{request.marker} {stated if stated is not None else likeliest[0]}"
    if answer.get("confidence") is None:
        return chosen, probabilities
    percent = 100 * _probability(answer["confidence"], "confidence")
    return f"{CONFIDENCE_MARKER} {percent:.6f}%\n{chosen}", probabilities


def _distribution(form: Form, request: Request, listed: Any) -> tuple[float, ...]:
    """Return the probabilities in the order of the request's choices; their sum is one."""
    if form == "openai":
        if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
            raise _Malformed("its probabilities are not a list of objects")
        pairs = [(row.get("value"), row.get("probability")) for row in listed]
    else:
        if not isinstance(listed, dict):
            raise _Malformed("its probabilities are not an object")
        pairs = list(listed.items())
    options = [option for option, _ in pairs]
    for choice in request.choices:
        if options.count(choice) != 1:
            how_often = "leaves out" if choice not in options else "repeats"
            raise _Malformed(f"it {how_often} the option {choice!r}")
    if len(options) != len(request.choices):
        raise _Malformed("it has an option that was not offered")
    by_option = {option: _probability(p, f"option {option!r}") for option, p in pairs}
    total = math.fsum(by_option.values())
    if abs(total - 1) > SUM_TOLERANCE:
        raise _Malformed(f"its probabilities sum to {total:.6g}, not to 1")
    return tuple(by_option[choice] / total for choice in request.choices)


def _probability(value: Any, what: str) -> float:
    """Return a number in [0, 1]; raise `_Malformed` for anything else, NaN included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Malformed(f"{what}: {value!r} is not a number")
    if not 0 <= value <= 1 + _ROUNDING:
        raise _Malformed(f"{what}: {value!r} is not in [0, 1]")
    return min(float(value), 1.0)
