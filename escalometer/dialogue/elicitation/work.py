"""The engine's interface to the ways of asking: requests by key, and the handler of answers."""

from __future__ import annotations

from collections.abc import Callable

from escalometer.dialogue.providers import Completion, Request

#: Requests by key: what is to be asked.
Work = dict[str, Request]

#: ``keep(key, request, completion)`` takes an answer and returns the second turns that follow it.
Keep = Callable[[str, Request, Completion], Work]
