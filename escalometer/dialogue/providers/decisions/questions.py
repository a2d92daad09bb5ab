"""The body of a request with one typed question, in both wire forms.

``openai``: ``POST /v1/decisions``, after the types of OpenAI's package for Python and LiteLLM's
documentation. ``system_one``: ``POST /v1/systemone``, after TypeSafe's API reference and the
documentation of LiteLLM and SGLang. Dates and addresses: docs/decisions/0040-decision-models.md.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from escalometer.cases.task import DECISION_MARKER
from escalometer.config import Endpoint
from escalometer.dialogue.protocol import as_predicate
from escalometer.dialogue.providers import Request

Form: TypeAlias = Literal["openai", "system_one"]
Kind: TypeAlias = Literal["choice", "predicate"]

#: After the card's base URL, by form, unless the card has another path.
PATHS: dict[Form, str] = {"openai": "/decisions", "system_one": "/systemone"}


def kind_of(endpoint: Endpoint, request: Request) -> Kind:
    """Return the kind of question: a choice, or turn 2 as a predicate where the card says so."""
    return endpoint.second_question if request.marker == DECISION_MARKER else "choice"


def name_of(request: Request) -> str:
    """Return the name of the question, which its answer has too."""
    return request.marker.rstrip(":").lower()


def body(endpoint: Endpoint, request: Request) -> dict[str, Any]:
    """Return the body of a request: input, one question, and the card's further fields."""
    content, _, question = request.messages[-1][1].rpartition("\n\n")
    content = content or question  # neither may be empty
    kind = kind_of(endpoint, request)
    made: dict[str, Any] = {"model": endpoint.model}
    if endpoint.decision_form == "openai":
        asked = _openai(kind, question, request)
        made |= {"input": content, "questions": [{**asked, "name": name_of(request)}]}
    else:
        asked = _system_one(kind, question, request)
        made |= {"state": content, "questions": {name_of(request): asked}}
    return made | endpoint.body


def _meanings(request: Request) -> tuple[str, ...]:
    return request.meanings or request.choices


def _openai(kind: Kind, question: str, request: Request) -> dict[str, Any]:
    if kind == "predicate":
        return {"type": "predicate", "instructions": as_predicate(question, _meanings(request))}
    options = [
        {"value": choice, "description": meaning}
        for choice, meaning in zip(request.choices, _meanings(request), strict=True)
    ]
    return {"type": "choice", "instructions": question, "choices": options}


def _system_one(kind: Kind, question: str, request: Request) -> dict[str, Any]:
    meanings = _meanings(request)
    if kind == "predicate":
        return {
            "type": "noul",
            "instructions": as_predicate(question, meanings),
            "criteria": {"true": meanings[1], "false": meanings[0]},
        }
    criteria = dict(zip(request.choices, meanings, strict=True))
    return {"type": "choice", "instructions": question, "criteria": criteria}
