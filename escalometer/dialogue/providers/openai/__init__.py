"""Models behind any endpoint that supports OpenAI's chat completions."""

from escalometer.dialogue.providers.openai.listing import listed
from escalometer.dialogue.providers.openai.preflight import check
from escalometer.dialogue.providers.openai.provider import connect

__all__ = ["check", "connect", "listed"]
