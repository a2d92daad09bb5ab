"""Models behind any endpoint that supports OpenAI's chat completions."""

from escalometer.dialogue.providers.openai.provider import connect
from escalometer.dialogue.remote.listing import listed
from escalometer.dialogue.remote.preflight import check

__all__ = ["check", "connect", "listed"]
