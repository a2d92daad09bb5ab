"""Weights on this machine: where a card's weights and adapter are, and what identifies them.

Shared by the providers that run models here. Nothing is loaded: torch is imported only to convert
GGUF files.
"""
