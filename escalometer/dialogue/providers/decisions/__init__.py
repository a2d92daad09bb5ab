"""Decision models: endpoints that return a probability for each option of a typed question."""

from escalometer.dialogue.providers.decisions.provider import connect
from escalometer.dialogue.remote.listing import listed
from escalometer.dialogue.remote.preflight import check

__all__ = ["check", "connect", "listed"]
