"""Models on this machine, through transformers and torch."""

from escalometer.dialogue.providers.local.provider import connect

__all__ = ["connect"]
